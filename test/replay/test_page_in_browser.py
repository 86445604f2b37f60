"""The page of a run in a browser: it plays, turns, zooms and jumps, and complains of nothing."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = next((path for path in map(shutil.which, BROWSERS) if path), None)
if BROWSER is None:
    pytest.skip(f"there is no browser: {', '.join(BROWSERS)}", allow_module_level=True)

PICTURE = "document.getElementById('view').toDataURL()"
CURVES = "[...document.querySelectorAll('.chart path')].map(path => path.getAttribute('d').length)"


@pytest.fixture(scope="module")
def report(run_report: Path) -> Path:
    """Page of the recorded run."""
    return run_report / "report.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Return a headless browser."""
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=BROWSER, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield launched
        launched.close()


def opened(browser: Any, report: Path, width: int, complaints: list[str], **options: Any) -> Any:
    """Open the page, without a network, and note whatever the browser has to complain of."""
    context = browser.new_context(viewport={"width": width, "height": 850}, offline=True, **options)
    page = context.new_page()
    page.on("console", lambda said: complaints.append(said.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: complaints.append(request.url))
    page.goto(report.as_uri())
    page.wait_for_selector("html[data-ready=yes]")
    complaints.remove(report.as_uri())  # the page itself is the one thing to ask for
    return page


@pytest.fixture
def page(browser: Any, report: Path) -> Iterator[Any]:
    """Return the page on a desk, which must not complain of anything until the test ends."""
    complaints: list[str] = []
    page = opened(browser, report, 1280, complaints)
    yield page
    page.context.close()
    assert complaints == []


def scrub(page: Any, time: float) -> str:
    """Move the slider and return the picture."""
    page.evaluate(
        "time => { const slider = document.getElementById('time'); slider.value = time;"
        "slider.dispatchEvent(new Event('input')); }",
        time,
    )
    settle(page)
    return page.evaluate(PICTURE)


def settle(page: Any) -> None:
    """Wait until what was asked for is drawn."""
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def test_the_slider_moves_the_scene(page):
    early, late = scrub(page, 0.5), scrub(page, 4.0)
    assert early != late
    assert scrub(page, 0.5) == early
    assert page.inner_text("#clock") == "0.50 s"
    assert page.inner_text("#level") in ("CLEAR", "REDUCED", "STOP")
    assert "separation" in page.inner_text("#values")


def test_a_drag_turns_the_scene_and_buttons_set_the_view(page):
    before = scrub(page, 4.0)
    box = page.locator("#view").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 120, middle[1] + 30, steps=4)
    page.mouse.up()
    settle(page)
    turned = page.evaluate(PICTURE)
    assert turned != before
    page.get_by_role("button", name="Corner").click()
    settle(page)
    assert page.evaluate(PICTURE) == before
    page.get_by_role("button", name="Above").click()
    settle(page)
    above = page.evaluate(PICTURE)
    page.get_by_role("button", name="Nearer").click()
    settle(page)
    assert len({before, above, page.evaluate(PICTURE)}) == 3


def test_forecast_and_radius_are_shown_as_asked(page):
    shown = scrub(page, 4.0)
    page.select_option("#radius", "-1")
    settle(page)
    without_radius = page.evaluate(PICTURE)
    page.uncheck("#forecast")
    settle(page)
    assert len({shown, without_radius, page.evaluate(PICTURE)}) == 3


def test_every_plot_has_its_curves(page):
    boxes = page.evaluate("[...document.querySelectorAll('.chart')].map(box => box.id)")
    assert {"timeline", "factor", "error", "parts", "coverage", "radius_over", "ages"} <= set(boxes)
    lengths = page.evaluate(CURVES)
    assert len(lengths) >= len(boxes)
    assert min(lengths) > 50


def test_a_plot_is_read_off_where_the_pointer_is(page):
    chart = page.locator("#error svg")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 50)
    read = page.inner_text("#error output")
    assert re.search(r"0\.\d\d s .*forecast \d+ mm .*constant velocity \d+ mm", read), read


def test_the_timeline_is_zoomed_by_a_drag_and_jumped_by_a_click(page):
    chart = page.locator("#timeline svg")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    whole = page.text_content("#timeline svg")
    page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 60, steps=3)
    page.mouse.up()
    zoomed = page.text_content("#timeline svg")
    assert zoomed != whole
    chart.dblclick(position={"x": 300, "y": 60})
    assert page.text_content("#timeline svg") == whole
    chart.click(position={"x": box["width"] - 10, "y": 60})
    duration = float(page.get_attribute("#time", "max"))
    assert float(page.input_value("#time")) > 0.95 * duration


def test_thumbnails_show_their_moment_and_jump_there(page):
    buttons = page.locator("[data-moment]")
    moments = [float(b.get_attribute("data-moment")) for b in buttons.all()]
    assert 1 <= len(moments) <= 10
    data = json.loads(page.inner_text("#data"))
    assert moments == [moment["time"] for moment in data["worst"]]
    blank = page.evaluate(
        "[...document.querySelectorAll('[data-moment] canvas')].map(canvas => new Set("
        "canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data).size)"
    )
    assert min(blank) > 10  # shades
    expected = scrub(page, moments[0])
    scrub(page, 0.1)
    buttons.first.click()
    settle(page)
    assert float(page.input_value("#time")) == pytest.approx(moments[0], abs=0.011)
    assert page.evaluate(PICTURE) == expected


def test_it_plays_to_the_end_and_stops(page):
    duration = float(page.get_attribute("#time", "max"))
    scrub(page, 0.0)
    page.select_option("#speed", "20")
    page.click("#play")
    page.wait_for_function("document.getElementById('play').textContent === 'Play'")
    assert float(page.input_value("#time")) == pytest.approx(duration, abs=0.011)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(browser, report, scheme):
    complaints: list[str] = []
    page = opened(browser, report, 360, complaints, color_scheme=scheme, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    small = page.evaluate(
        "[...document.querySelectorAll('button, select')].filter(each => each.offsetHeight < 32)"
        ".length"
    )
    assert small == 0, "too small for a finger"
    assert min(page.evaluate(CURVES)) > 50
    assert complaints == []
    page.context.close()


def test_print_leaves_out_what_paper_can_not_do(browser, report):
    complaints: list[str] = []
    page = opened(browser, report, 1280, complaints, color_scheme="dark")
    page.emulate_media(media="print")
    assert not page.locator("#play").is_visible()
    assert page.locator("#view").is_visible()
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == "rgb(255, 255, 255)"
    assert page.pdf()[:4] == b"%PDF"
    assert complaints == []
    page.context.close()
