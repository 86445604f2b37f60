"""A bag replayed: the numbers of the core, the same each time, however it is run."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import signal
from multiprocessing.context import ForkProcess
from pathlib import Path

import numpy as np
import pytest

from ses_gcn_ros.bags.messages import NANO, Observation, skeletons_message
from ses_gcn_ros.bags.rosbag2 import BagWriter, open_bag, read_messages, read_skeletons
from ses_gcn_ros.errors import BagError, ModelError
from ses_gcn_ros.forecast import ForecastConfig
from ses_gcn_ros.forecast.forecaster import forecasts_from_message
from ses_gcn_ros.pose.config import PoseConfig
from ses_gcn_ros.replay import evaluate as evaluation
from ses_gcn_ros.replay.evaluate import evaluate
from ses_gcn_ros.replay.events import EventReader, RecordedState
from ses_gcn_ros.replay.options import Naming, Options, find_topics, node_parameters
from ses_gcn_ros.replay.recording import open_replay
from ses_gcn_ros.replay.safety_scores import SafetyScores
from ses_gcn_ros.replay.summary import _safety_lines
from ses_gcn_ros.safety import Level, SafetyConfig, SeparationMonitor, read_robots
from ses_gcn_ros.safety.obedience import DISOBEYS
from ses_gcn_ros.safety.separation import Pair
from ses_gcn_ros.skeleton import Skeleton

OPTIONS = Options(safety=SafetyConfig(robot_speed_max=0.6, deceleration=1.8))


@pytest.fixture(scope="module")
def out(shift_bag: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated")
    evaluate(shift_bag, folder, OPTIONS)
    return folder


@pytest.fixture(scope="module")
def summary(out: Path) -> dict:
    return json.loads((out / "summary.json").read_text())


def test_a_second_run_gives_the_same_bytes(shift_bag, out, tmp_path):
    evaluate(shift_bag, tmp_path, OPTIONS)
    for name in ("summary.json", "metrics.csv", "replay/replay.json", "replay/forecast.npy"):
        assert (tmp_path / name).read_bytes() == (out / name).read_bytes(), name


def test_a_process_that_reads_ahead_gives_the_same_bytes(shift_bag, out, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation, "_can_fork", lambda: True)
    evaluate(shift_bag, tmp_path / "ahead", OPTIONS)
    evaluate(shift_bag, tmp_path / "alone", OPTIONS, ahead=False)
    for name in ("summary.json", "metrics.csv", "replay/replay.json", "replay/forecast.npy"):
        for folder in ("ahead", "alone"):
            assert (tmp_path / folder / name).read_bytes() == (out / name).read_bytes(), name


def test_what_breaks_in_the_process_that_reads_ahead_is_told(shift_bag, monkeypatch):
    monkeypatch.setattr(evaluation, "_can_fork", lambda: True)
    with pytest.raises(ModelError, match="no engine 'none'"):
        evaluate(shift_bag, None, Options(forecaster=ForecastConfig(engine="none")))
    with monkeypatch.context() as patch:
        patch.setattr(evaluation, "with_forecasts", lambda *_: 1 // 0)
        with pytest.raises(ZeroDivisionError) as caught:
            evaluate(shift_bag, None, OPTIONS)
    assert "in events\n" in caught.value.__notes__[0]  # where the mistake is
    monkeypatch.setattr(evaluation, "open_bag", _killed(evaluation.open_bag))
    with pytest.raises(BagError, match="was killed, perhaps for want of memory"):
        evaluate(shift_bag, None, OPTIONS)


def test_where_no_more_processes_may_start_one_reads_and_judges(shift_bag, out, monkeypatch):
    def refused(process):
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(evaluation, "_can_fork", lambda: True)
    monkeypatch.setattr(ForkProcess, "start", refused)
    before = len(os.listdir("/proc/self/fd"))
    found = evaluate(shift_bag, None, OPTIONS)
    assert len(os.listdir("/proc/self/fd")) == before
    assert found == json.loads((out / "summary.json").read_text())


def _killed(function):
    """The function, which kills any process but this one that calls it."""
    here = os.getpid()

    def call(*arguments):
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments)

    return call


def test_progress_goes_from_the_first_to_nearly_the_last_moment(shift_bag):
    shares: list[float] = []
    evaluate(shift_bag, None, OPTIONS, progress=shares.append)
    assert shares[0] == 0.0
    assert shares == sorted(shares)
    assert 0.7 < shares[-1] <= 1.0


def test_every_observation_is_forecast_and_the_states_fill_the_time(summary):
    assert summary["frames"] == 150
    assert summary["duration_s"] == pytest.approx(5.96)
    assert not summary["problems"]
    assert summary["stream"]["gaps"] == summary["stream"]["dropped"] == 0
    assert summary["safety"]["states"] == pytest.approx(6 * 50, abs=2)
    assert sum(summary["safety"]["seconds"].values()) == pytest.approx(5.99, abs=0.05)
    errors = summary["forecasts"]["mpjpe_mm"]
    assert len(errors["at"]["forecast"]) == len(summary["forecasts"]["horizons_s"]) == 25
    assert errors["up_to"]["forecast"][-1] == pytest.approx(np.mean(errors["at"]["forecast"]))
    assert errors["at"]["forecast"][-1] < errors["at"]["last_pose"][-1]
    assert set(summary["forecasts"]["per_part_mm"]) == {"arms", "legs", "head", "trunk"}


def test_the_scores_of_a_recording_are_those_of_its_forecasts(run_bag):
    """The streamed scores against each recorded forecast held against what came, one by one."""
    found = evaluate(run_bag, None, Options(recorded=True))["forecasts"]
    seen = {round(s.stamp * 25): s.people[0].positions for s in read_skeletons(run_bag)}
    errors = {"forecast": [], "last_pose": [], "constant_velocity": []}
    inside = []
    for entry in read_messages(run_bag, ["forecasts"]):
        for made in forecasts_from_message(entry.content):
            now = round(made.stamp * 25)
            if now - 9 not in seen:
                continue
            last, velocity = seen[now], seen[now] - seen[now - 1]
            unknown = np.full((15, 3), np.nan)
            ahead = np.arange(1, 26)
            truth = np.stack([seen.get(now + k, unknown) for k in ahead])
            if np.isnan(truth).all():
                continue
            guesses = {
                "forecast": made.positions,
                "last_pose": np.repeat(last[None], 25, axis=0),
                "constant_velocity": last + ahead[:, None, None] * velocity,
            }
            for name, guess in guesses.items():
                errors[name].append(np.linalg.norm(guess - truth, axis=-1))
            off = errors["forecast"][-1]
            inside.append(np.where(np.isnan(off), np.nan, off <= made.radius))
    assert found["compared"] == len(inside) > 80
    for name, each in errors.items():
        expected = 1e3 * np.nanmean(np.stack(each), axis=(0, 2))
        np.testing.assert_allclose(found["mpjpe_mm"]["at"][name], expected, atol=1e-2)
    assert found["coverage"]["measured"] == pytest.approx(np.nanmean(np.stack(inside)), abs=1e-4)


def test_a_recorded_robot_is_not_blamed_for_what_it_was_never_told(run_bag):
    """Stopped by a wider margin than in the recorded run, it moves on as it did then."""
    careful = dataclasses.replace(OPTIONS.safety, human_uncertainty=1.5)
    found = evaluate(run_bag, None, dataclasses.replace(OPTIONS, safety=careful))["safety"]
    before = evaluate(run_bag, None, OPTIONS)["safety"]
    assert found["seconds"]["STOP"] > before["seconds"]["STOP"]
    reasons = [moment["reason"] for moment in found["moments"]]
    assert reasons
    assert not any(reason.startswith(DISOBEYS) for reason in reasons)


def test_time_stopped_for_people_out_of_sight_is_told_apart():
    """One second for somebody in sight, two for the same person lost, one for a watchdog."""
    config = dataclasses.replace(OPTIONS.safety, robot_description="demo")
    clear = SeparationMonitor(config, read_robots(config).model).assess(0.0)
    pair = Pair("a", "head", "tool0", 0.2, np.zeros(3), np.zeros(3))
    scores = SafetyScores(OPTIONS.safety, 0.13)
    for step in range(201):
        stamp = 0.02 * step
        stopped = dataclasses.replace(
            clear, stamp=stamp, level=Level.STOP, pair=pair if stamp < 3.0 else None
        )
        scores.add(stopped, measured=stamp < 1.0)
    found = scores.summary(0.0)
    assert found["seconds"]["STOP"] == pytest.approx(4.0)
    assert found["out_of_sight_s"] == pytest.approx(2.0)
    assert dict(_safety_lines(found))["out of sight"].startswith(
        "stopped 2.0 s for people out of sight"
    )


def test_the_replay_shows_what_was_there(shift_bag, out, summary):
    replay = open_replay(out / "replay")
    assert len(replay.time) == 150
    assert replay.rows[-1] == len(replay.person) == len(replay.positions)
    assert replay.time[-1] == pytest.approx(summary["duration_s"])
    assert len(replay.states.time) == summary["safety"]["states"]
    worst = summary["safety"]["worst"]
    # Somebody lost from sight has a bound that falls with time, and no separation.
    nearest = int(np.abs(replay.states.time - worst["at_s"]).argmin())
    assert replay.states.separation[nearest] == pytest.approx(worst["separation_m"], abs=1e-5)
    assert replay.about.limbs[replay.states.limb[nearest]] == worst["limb"]
    frame = replay.frame_at(worst["at_s"])
    assert np.isfinite(replay.robot[frame]).all()
    with open_bag(shift_bag) as bag:
        first = bag.decode(next(bag.raw({"/skeletons": "skeletons"})))
    np.testing.assert_array_equal(
        replay.positions[0].ravel(), first.skeletons[0].positions.astype(np.float32)
    )


def test_the_obedient_robot_is_stopped_before_anybody_is_near(sample):
    options = Options(
        demo_robot=True,
        safety=SafetyConfig(robot_description="demo", robot_speed_max=0.6, deceleration=1.8),
    )
    summary = evaluate(sample, None, options)
    safety = summary["safety"]
    assert safety["worst"]["level"] == "STOP"
    assert safety["worst"]["stopped_for_s"] > 0.3
    assert safety["missed_stops"] == 0
    assert safety["seconds"]["REDUCED"] > 3  # it moved until then, and does again


def test_people_in_a_camera_frame_are_taken_to_the_world(shift_bag, summary, tmp_path):
    """The same people seen from a turned camera: the same separation."""
    from ses_gcn_ros.bags.messages import observation_from_message
    from ses_gcn_ros.transforms import StampedTransform, encode_transforms

    kind = "tf2_msgs/msg/TFMessage"
    names = dict.fromkeys(("/skeletons", "/tf", "/tf_static", "/robot_description"))
    half = np.sqrt(0.5)
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    with open_bag(shift_bag) as bag, BagWriter(tmp_path / "turned") as turned:
        camera = StampedTransform("room", "eye", 0, (2.0, 1.0, 0.5, 0.0, 0.0, half, half))
        room = StampedTransform("map", "room", 0, (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0))
        for entry in bag.raw({name: name for name in names}):
            if entry.stamp > bag.span[0] + 3 * NANO:
                break
            if entry.topic == "/skeletons":
                seen = observation_from_message(bag.decode(entry))
                people = [
                    Skeleton(
                        p.person_id,
                        p.layout,
                        ((p.positions - [2.0, 1.0, 0.5]) @ turn).astype(np.float32),
                        p.confidence,
                    )
                    for p in seen.people
                ]
                content = skeletons_message(Observation(seen.stamp, "eye", people))
                turned.write_message("/cell/people", entry.stamp, content)
            else:
                data = bytes(entry.data)
                if entry.topic == "/tf_static":
                    turned.write(entry.topic, kind, entry.stamp, encode_transforms([camera, room]))
                turned.write(entry.topic, entry.type, entry.stamp, data)
    naming = Naming(topics={"skeletons": "/cell/people"}, frames={"map": "world"})
    found = evaluate(tmp_path / "turned", None, Options(naming=naming, safety=OPTIONS.safety))
    assert not found["partial"]
    moments = [m for m in summary["safety"]["moments"] if m["at_s"] < 2.0]
    for moment in moments:
        assert min(
            abs(moment["separation_m"] - other["separation_m"])
            for other in found["safety"]["moments"]
        ) < 1e-4  # fmt: skip


def test_frames_of_recorded_states_are_renamed(run_bag):
    states = (entry.content for entry in read_messages(run_bag, ["safety_state"]))
    robot = next(state.robot_frame for state in states if state.robot_frame)
    naming = Naming(frames={"world": "cell", robot: "cell_robot"})
    with open_bag(run_bag) as bag:
        topics = find_topics(bag.topics, naming)
        events = EventReader(bag, topics, naming, "cell", PoseConfig(), ("safety_state",))
        renamed = [event.state for event in events if isinstance(event, RecordedState)]
    frames = {state.robot_frame for state in renamed}
    assert "cell_robot" in frames
    assert robot not in frames


def test_parameters_are_read_as_the_nodes_read_them(tmp_path):
    path = tmp_path / "cell.yaml"
    path.write_text("/**/safety_node:\n  ros__parameters: {rate: 100, use_sim_time: true}\n")
    config = node_parameters(path, "safety_node", SafetyConfig, human_speed=1.0)
    assert (config.rate, config.human_speed) == (100.0, 1.0)


def test_a_bag_nobody_is_in_is_refused(tmp_path):
    with BagWriter(tmp_path / "bag") as bag:
        bag.write_message("/skeletons", 0, skeletons_message(Observation(0.0, "world", [])))
    assert evaluate(tmp_path / "bag", None)["people"] == 0
    with BagWriter(tmp_path / "other"):
        pass
    with pytest.raises(BagError, match="no topic 'skeletons'; it has no topic at all"):
        evaluate(tmp_path / "other", None)
