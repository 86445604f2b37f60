"""The page and the pictures of a recorded run."""

from __future__ import annotations

import base64
import dataclasses
import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread

from ses_gcn_ros.bags.messages import message
from ses_gcn_ros.bags.rosbag2 import BagWriter, read_current
from ses_gcn_ros.errors import BagError, RobotError
from ses_gcn_ros.replay.evaluate import write_report
from ses_gcn_ros.replay.figures import apart, spans
from ses_gcn_ros.replay.recording import Replay, open_replay
from ses_gcn_ros.replay.report import (
    chosen_frames,
    chosen_states,
    facts,
    pack_metres,
    render_page,
    verdict,
)
from ses_gcn_ros.replay.scene import moment_at, stadium

PICTURES = {"scene_stop.png", "scene_closest.png", "timeline.png", "horizon.png"}
NUMBERS = {"report.html", "summary.json", "metrics.csv", "replay"}


@pytest.fixture(scope="module")
def replay(run_report: Path) -> Replay:
    """Return what the report was drawn from."""
    return open_replay(run_report / "replay")


def page_data(page: str) -> dict:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    assert found is not None
    return json.loads(found[1])


def unpacked(packed: dict) -> np.ndarray:
    kind = {"f4": "<f4", "u1": "u1", "u4": "<u4", "i2": "<i2"}[packed["kind"]]
    values = np.frombuffer(base64.b64decode(packed["data"]), kind)
    if "unit" not in packed:
        return values
    return np.where(values == np.iinfo(np.int16).min, np.nan, values * packed["unit"])


def test_a_run_gives_a_page_pictures_and_numbers(run_report):
    assert {path.name for path in run_report.iterdir()} == PICTURES | NUMBERS
    for name in PICTURES:
        pixels = imread(run_report / name)
        assert pixels.shape[1] > 1000
        assert pixels[..., :3].std() > 0.02, f"{name} is empty"


def test_the_numbers_are_those_of_the_run(run_report, replay):
    summary = json.loads((run_report / "summary.json").read_text())
    assert summary["source"] == "recorded"
    assert (summary["frames"], summary["people"], summary["forecasts"]["count"]) == (113, 1, 113)
    errors = summary["forecasts"]["mpjpe_mm"]["at"]
    assert errors["forecast"][-1] < errors["last_pose"][-1]
    safety = summary["safety"]
    assert safety["states"] == len(replay.states.time)
    lowest = np.nanmin(replay.states.separation)
    assert safety["worst"]["separation_m"] == pytest.approx(lowest, abs=1e-6)
    own = [row for row in summary["latencies"] if "own" in row["measure"]]
    assert (own[0]["median_ms"], own[0]["p99_ms"]) == (1.5, 4.0)


def test_the_page_needs_nothing_but_itself(run_report):
    page = (run_report / "report.html").read_text()
    assert set(re.findall(r"https?://[^\"' ]*", page)) <= {"http://www.w3.org/2000/svg"}
    assert not re.findall(r'(?:src|srcset|href)="', page)
    assert "not safety-rated" in re.sub(r"\s+", " ", page).replace("- ", "-")
    assert "{{" not in page
    summary = json.loads((run_report / "summary.json").read_text())
    assert f"{summary['safety']['worst']['separation_m']:.2f} m" in page
    for name, value in summary["parameters"]["safety_node"].items():
        assert f"<td>{name}</td><td>{value}</td>" in page or isinstance(value, (str, list))


def test_the_page_holds_what_the_replay_does(run_report, replay):
    data = page_data((run_report / "report.html").read_text())
    scene, states = data["scene"], data["states"]
    np.testing.assert_allclose(unpacked(scene["time"]), replay.time, atol=1e-4)
    positions = unpacked(scene["positions"]).reshape(replay.positions.shape)
    np.testing.assert_allclose(positions, replay.positions, atol=0.0006)
    forecast = unpacked(scene["forecast"]).reshape(replay.forecast.shape)
    np.testing.assert_allclose(forecast, replay.forecast, atol=0.0006)
    robot = unpacked(scene["robot"]).reshape(replay.robot.shape)
    np.testing.assert_allclose(robot, replay.robot, atol=0.0006)
    inside = (replay.states.time >= 0) & (replay.states.time <= replay.about.duration + 1e-6)
    np.testing.assert_allclose(
        unpacked(states["separation"]), np.asarray(replay.states.separation)[inside]
    )
    worst = data["worst"]
    assert [moment["time"] for moment in worst] == sorted(
        [moment["time"] for moment in worst],
        key=lambda time: replay.states.margin[np.searchsorted(replay.states.time, time - 1e-6)],
    )


def test_a_long_run_is_thinned_out_but_for_its_worst_moments(replay):
    count = 20_000
    time = np.linspace(0, 3600, count)
    long = Replay(**{**vars(replay), "time": time})
    frames = chosen_frames(long, [1000.0, 2500.0], most=2400)
    assert 1200 <= len(frames) <= 2400
    assert (np.diff(frames) > 0).all()
    assert (frames[0], frames[-1]) == (0, count - 1)
    assert set(np.flatnonzero(np.abs(time - 2500) <= 1)) <= set(frames)
    assert np.diff(time[frames]).max() < 2 * 3600 / 2000


def test_the_page_of_a_day_is_no_larger_than_that_of_an_hour(run_report, replay):
    """Four people, more frames and states than a page holds."""
    count, people = 20_000, 4

    def spread(rows: np.ndarray, times: int) -> np.ndarray:
        return np.broadcast_to(rows[:1], (times, *rows.shape[1:]))

    long = Replay(
        about=dataclasses.replace(
            replay.about, duration=86_400.0, frame_reasons=("somebody is near",) * count
        ),
        states=replay.states,
        time=np.linspace(0, 86_400, count),
        rows=people * np.arange(count + 1),
        state=np.full(count, -1),
        robot=spread(replay.robot, count),
        person=np.zeros(people * count, np.int16),
        positions=spread(replay.positions, people * count),
        forecast=spread(replay.forecast, people * count),
        radius=spread(replay.radius, people * count),
    )
    page = render_page(long, json.loads((run_report / "summary.json").read_text()))
    assert len(page) < 12e6


WORST = {"separation_m": 1.224, "person_id": "p1", "limb": "r_elbow-r_wrist"}
WORST |= {"frame": "tool", "stopped_for_s": 5.3, "had_moved": True}
SAFETY = {"worst": WORST, "missed_stops": 0, "false_stops": 1, "stops_by_people": 2}
SAFETY |= {"seconds": {"CLEAR": 1.0}, "availability": 0.5}
ERRORS = {
    "forecast": [90.0],
    "last_pose": [80.0],
    "damped_velocity": [85.0],
    "constant_velocity": [140.0],
}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "was stopped 5.3 s before"),
        ({"had_moved": False}, "had not been let go yet at"),
        ({"stopped_for_s": None}, "was not stopped at"),
    ],
)
def test_the_verdict_tells_a_start_from_a_stop_and_judges_by_the_best_baseline(changes, sentence):
    forecasts = {"horizons_s": [1.0], "mpjpe_mm": {"at": ERRORS, "up_to": ERRORS}, "compared": 9}
    forecasts |= {"coverage": {"promised": 0.9, "measured": 0.9}}
    numbers = {"safety": SAFETY | {"worst": WORST | changes}, "forecasts": forecasts}
    first, *rest = verdict(numbers)
    assert first.startswith(f"The robot {sentence} the closest approach (1.22 m,")
    assert "right forearm" in first
    assert rest == [
        "Once it was stopped for nobody.",
        "1 s ahead the forecasts were 90 mm off, 12% more than the best baseline, last pose.",
    ]
    assert facts(numbers)[0].value == "1.22 m"


def test_of_neighbouring_states_the_worst_one_is_kept(replay):
    margin = np.asarray(replay.states.margin)
    kept = chosen_states(replay, most=50)
    assert len(kept) == 50
    inside = (replay.states.time >= 0) & (replay.states.time <= replay.about.duration)
    assert np.nanmin(margin[kept]) == np.nanmin(margin[inside])


def test_lengths_are_whole_millimetres_and_unknown_stays_unknown():
    values = np.array([0.0, 1.2345, -3.0, np.nan, np.inf, 100.0])
    np.testing.assert_allclose(
        unpacked(pack_metres(values)), [0, 1.234, -3.0, np.nan, np.nan, 32.767], atol=1e-9
    )


def test_the_same_run_gives_the_same_bytes(run_bag, run_report, tmp_path):
    write_report(run_bag, tmp_path)
    for name in ("summary.json", "report.html", "scene_stop.png"):
        assert (tmp_path / name).read_bytes() == (run_report / name).read_bytes()


def test_skeletons_alone_are_enough(sample, tmp_path):
    summary = write_report(sample, tmp_path)
    assert (summary["frames"], summary["people"], summary["forecasts"]["count"]) == (372, 1, 0)
    assert {path.name for path in tmp_path.iterdir()} == NUMBERS
    page = (tmp_path / "report.html").read_text()
    assert "no safety states" in page
    assert len(unpacked(page_data(page)["scene"]["time"])) == 372


def test_a_run_in_a_namespace_is_read_as_well(run_bag, run_report, tmp_path):
    with BagWriter(tmp_path / "bag") as bag:
        for topic, kind, stamp, data in read_current(run_bag):
            bag.write(topic if topic.startswith("/tf") else f"/cell_1{topic}", kind, stamp, data)
    summary = write_report(tmp_path / "bag", tmp_path / "report")
    expected = json.loads((run_report / "summary.json").read_text())
    for part in ("frames", "forecasts", "safety"):
        assert summary[part] == expected[part]


def test_a_bag_without_people_leaves_an_earlier_report_alone(tmp_path):
    with BagWriter(tmp_path / "bag") as bag:
        bag.write_message("/speed", 0, message("std_msgs/msg/Float64", data=1.0))
    out = tmp_path / "out"
    out.mkdir()
    (out / "report.html").write_text("earlier")
    with pytest.raises(BagError, match="/speed"):
        write_report(tmp_path / "bag", out)
    assert (out / "report.html").read_text() == "earlier"


def test_an_unusable_robot_is_named(run_bag, tmp_path):
    with pytest.raises(RobotError, match=r"nothing\.urdf"):
        write_report(run_bag, tmp_path, robot="nothing.urdf")


def test_the_scene_shows_the_separation_that_was_said(replay):
    """The pair is drawn from the recorded TF, the state was made from the same poses."""
    states = replay.states
    moment = moment_at(replay, float(states.time[-4]))
    assert moment.distance == pytest.approx(states.separation[-4], abs=0.06)
    assert moment.level == "STOP"
    start, end = moment.closest
    assert np.linalg.norm(end - start) == pytest.approx(moment.distance, abs=1e-6)
    assert moment.people[0].foreseen


def test_a_moment_without_robot_still_has_its_people(sample, tmp_path):
    write_report(sample, tmp_path)
    moment = moment_at(open_replay(tmp_path / "replay"), 2.0)
    assert moment.robot is None
    assert moment.closest is None
    assert len(moment.people) == 1
    assert len(moment.people[0].trail) == 51
    assert not moment.people[0].foreseen


@given(st.integers(0, 2**31))
def test_the_outline_of_a_capsule_is_its_radius_away_from_its_axis(seed):
    generator = np.random.default_rng(seed)
    a, b = generator.normal(size=(2, 2))
    outline = stadium(a, b, 0.3)
    share = np.clip((outline - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
    nearest = a + share[:, None] * (b - a)
    np.testing.assert_allclose(np.linalg.norm(outline - nearest, axis=1), 0.3, atol=1e-9)


def test_the_outline_of_a_sphere_is_a_circle():
    outline = stadium(np.ones(2), np.ones(2), 0.2)
    np.testing.assert_allclose(np.linalg.norm(outline - 1, axis=1), 0.2)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=4))
def test_labels_keep_their_distance_and_order(heights):
    named = {str(i): height for i, height in enumerate(heights)}
    placed = apart(named, 7.0)
    order = sorted(placed.values())
    assert all(b - a >= 7 - 1e-9 for a, b in itertools.pairwise(order))
    assert all(placed[name] >= named[name] for name in named)


def test_spans_join_states_of_one_level():
    time = np.arange(6.0)
    assert spans(time, np.array([0, 0, 2, 2, 1, 1])) == [
        (0, 2, "CLEAR"),
        (2, 4, "STOP"),
        (4, 5, "REDUCED"),
    ]
    assert spans(np.zeros(0), np.zeros(0, int)) == []
