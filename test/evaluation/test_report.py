"""The page and the pictures of a recorded run."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread

from ses_gcn_ros.errors import BagError, RobotError
from ses_gcn_ros.evaluation.bag_types import message
from ses_gcn_ros.evaluation.bags import BagWriter, read_raw
from ses_gcn_ros.evaluation.moment import moment_at
from ses_gcn_ros.evaluation.plot_lines import apart, spans
from ses_gcn_ros.evaluation.plot_scene import stadium
from ses_gcn_ros.evaluation.recording import Recording, load_recording
from ses_gcn_ros.evaluation.report import write_report
from ses_gcn_ros.safety import RobotModel, Urdf

PICTURES = {"scene_stop.png", "scene_closest.png", "timeline.png", "horizon.png"}


@pytest.fixture(scope="module")
def report(run_bag: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Report on the recorded run."""
    folder = tmp_path_factory.mktemp("report")
    write_report(run_bag, folder)
    return folder


@pytest.fixture(scope="module")
def recording(run_bag: Path) -> Recording:
    """Return the recorded run."""
    return load_recording(run_bag)


def test_a_run_gives_a_page_pictures_and_numbers(report):
    assert {path.name for path in report.iterdir()} == PICTURES | {"report.html", "summary.json"}
    for name in PICTURES:
        pixels = imread(report / name)
        assert pixels.shape[1] > 1000
        assert pixels[..., :3].std() > 0.02, f"{name} is empty"


def test_the_numbers_are_those_of_the_run(report, recording):
    summary = json.loads((report / "summary.json").read_text())
    assert summary["frames"] == 113
    assert summary["people"] == 1
    assert summary["forecasts"] == 113
    assert summary["fallbacks"] == {"history too short": sum(summary["fallbacks"].values())}
    assert summary["models"]["constant_velocity"] < 15
    assert [row["horizon_ms"] for row in summary["errors"]] == [80, 400, 1000]
    assert all(row["forecast"] < row["last_pose"] for row in summary["errors"])
    assert sum(summary["seconds"].values()) == pytest.approx(summary["duration_s"], abs=0.05)
    states = recording.states
    separation = np.array(states.separation)
    assert summary["lowest_separation_m"] == pytest.approx(np.nanmin(separation), abs=1e-6)
    assert 0 < summary["first_stop_at_s"] < summary["duration_s"]
    own = [row for row in summary["latencies"] if "own" in row["measure"]]
    assert (own[0]["median_ms"], own[0]["p99_ms"]) == (1.5, 4.0)


def test_the_page_needs_nothing_but_itself(report):
    page = (report / "report.html").read_text()
    assert not re.findall(r"https?://", page)
    assert set(re.findall(r'(?:src|srcset|href)="(.{14})', page)) == {"data:image/png"}
    assert "not safety-rated" in re.sub(r"\s+", " ", page)
    assert "{{" not in page
    summary = json.loads((report / "summary.json").read_text())
    assert f"{summary['lowest_separation_m']:.2f} m" in page
    for row in summary["errors"]:
        assert f"{row['forecast']:.1f}" in page


def test_the_same_run_gives_the_same_bytes(run_bag, report, tmp_path):
    write_report(run_bag, tmp_path)
    for name in ("summary.json", "report.html", "scene_stop.png"):
        assert (tmp_path / name).read_bytes() == (report / name).read_bytes()


def test_skeletons_alone_are_enough(sample, tmp_path):
    summary = write_report(sample, tmp_path)
    assert (summary.frames, summary.people, summary.forecasts) == (372, 1, 0)
    assert {path.name for path in tmp_path.iterdir()} == {"report.html", "summary.json"}
    assert "no safety states" in (tmp_path / "report.html").read_text()


def test_a_run_in_a_namespace_is_read_as_well(run_bag, report, tmp_path):
    with BagWriter(tmp_path / "bag") as bag:
        for topic, kind, stamp, data in read_raw(run_bag):
            bag.write(topic if topic.startswith("/tf") else f"/cell_1{topic}", kind, stamp, data)
    summary = write_report(tmp_path / "bag", tmp_path / "report").to_dict()
    expected = json.loads((report / "summary.json").read_text())
    # /diagnostics is global
    left_out = {"bag", "latencies"}
    summary = json.loads(json.dumps(summary))
    assert {k: v for k, v in summary.items() if k not in left_out} == {
        k: v for k, v in expected.items() if k not in left_out
    }


def test_a_bag_without_skeletons_leaves_an_earlier_report_alone(tmp_path):
    with BagWriter(tmp_path / "bag") as bag:
        bag.write_message("/speed", 0, message("std_msgs/msg/Float64", data=1.0))
    out = tmp_path / "out"
    out.mkdir()
    (out / "report.html").write_text("earlier")
    with pytest.raises(BagError, match="/speed"):
        write_report(tmp_path / "bag", out)
    assert (out / "report.html").read_text() == "earlier"


def test_an_unusable_robot_is_named(sample, tmp_path):
    with pytest.raises(RobotError, match=r"nothing\.urdf"):
        write_report(sample, tmp_path, robot="nothing.urdf")


def test_the_scene_shows_the_separation_that_was_said(recording):
    """The pair is drawn from the recorded TF, the state was made from the same poses."""
    model = RobotModel.from_urdf(Urdf(recording.robot_description))
    at = recording.states.stamps[-4] - recording.start
    moment = moment_at(recording, model, at)
    assert moment.distance == pytest.approx(recording.states.separation[-4], abs=0.06)
    assert moment.level == "STOP"
    start, end = moment.closest
    assert np.linalg.norm(end - start) == pytest.approx(moment.distance, abs=1e-6)


def test_a_moment_without_robot_still_has_its_people(sample):
    recording = load_recording(sample)
    moment = moment_at(recording, RobotModel.from_urdf(Urdf.load("demo")), 2.0)
    assert moment.robot is None
    assert moment.closest is None
    assert len(moment.people) == 1
    assert len(moment.people[0].trail) == 51


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
