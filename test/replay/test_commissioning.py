"""Commissioning: stops are measured to milliseconds, and what can't be measured is said."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from ses_gcn_ros.audit import configuration_digest
from ses_gcn_ros.bags.messages import NANO
from ses_gcn_ros.bags.rosbag2 import BagWriter, read_messages, topics_of
from ses_gcn_ros.cli import app, main
from ses_gcn_ros.errors import BagError
from ses_gcn_ros.replay.commissioning import CellSources, commission, read_cell
from ses_gcn_ros.replay.options import node_parameters
from ses_gcn_ros.replay.stops import (
    MeasuredStop,
    RobotTrack,
    measure_stop,
    reported,
    stop_orders,
    stopping_table,
)
from ses_gcn_ros.safety import SafetyConfig, StoppingTable, braking
from ses_gcn_ros.studies.simulated_cells import (
    LINE,
    MARK,
    SimulatedCell,
    SimulatedRun,
    record_cell,
    try_cell,
)

MILLISECOND = 0.001
CELL = SimulatedCell(
    robot="demo arm", top=0.8, reaction=0.08, deceleration=3.0, delay=0.04, soft=0.2,
    latency=0.1, jitter=0.003, rate=100.0, joint_states=True, dropped=0.02, bias=(0.03, 0.02),
    seed=5,
)  # fmt: skip


def braked(reaction: float, length: float, speed: float, soft: float, rate: float) -> RobotTrack:
    """A point on a straight line that is stopped at 0 s."""
    fine = np.arange(-1.0, 3.0, 2e-4)
    x = np.clip((fine - reaction) / length, 0.0, 1.0)
    deceleration = np.clip(np.minimum(x, 1.0 - x) / soft, 0.0, 1.0) / (1.0 - soft)
    left = np.maximum(1.0 - np.cumsum(deceleration * (x < 1.0)) * 2e-4 / length, 0.0)
    way = np.cumsum(speed * np.where(x < 1.0, left, 0.0)) * 2e-4
    stamps = np.arange(-0.9, 2.9, 1.0 / rate)
    points = np.zeros((len(stamps), 2, 3))
    points[:, 0, 0] = np.interp(stamps, fine, way)
    return RobotTrack(stamps, points)


def order_at_zero():
    stamps = np.arange(-1.0, 3.0, 0.02)
    (order,) = stop_orders(stamps, np.where(stamps < -1e-9, 1.0, 0.0))
    return order


@given(
    reaction=st.floats(0.02, 0.3),
    length=st.floats(0.06, 0.6),
    speed=st.floats(0.1, 2.0),
    soft=st.floats(0.02, 0.5),
    rate=st.sampled_from((50.0, 125.0, 500.0)),
)
@settings(max_examples=60, deadline=None)
def test_a_stop_is_measured_to_milliseconds_however_softly_it_begins(
    reaction, length, speed, soft, rate
):
    stop = measure_stop(order_at_zero(), braked(reaction, length, speed, soft, rate), 0.0, 0.1)
    assert isinstance(stop, MeasuredStop)
    assert stop.reaction == pytest.approx(reaction, abs=4 * MILLISECOND)
    assert stop.stopping == pytest.approx(length, abs=8 * MILLISECOND)
    assert stop.speed == pytest.approx(speed, rel=0.02)


def test_brakes_that_bite_late_count_for_as_long_as_their_way_takes():
    """T_s is no less than what makes ½ v T_s hold the way."""
    stamps = np.arange(-0.9, 2.9, 0.005)
    left = np.interp(stamps, [0.05, 0.25, 0.35], [1.0, 0.8, 0.0])
    points = np.zeros((len(stamps), 1, 3))
    points[:, 0, 0] = np.cumsum(left) * 0.005
    stop = measure_stop(order_at_zero(), RobotTrack(stamps, points), 0.0, 0.1)
    way = 0.2 * 0.9 + 0.1 * 0.4
    # which of it is reaction and which is braking is the fit's to say; the distance is not
    assert isinstance(stop, MeasuredStop)
    assert stop.speed * (stop.reaction + 0.5 * stop.stopping) >= (0.05 + way) * 0.99


def test_a_factor_that_falls_slowly_or_was_not_steady_is_no_order():
    stamps = np.arange(0.0, 4.0, 0.02)
    slow = np.clip(2.0 - stamps, 0.0, 1.0)
    (order,) = stop_orders(stamps, slow)
    assert order.zero - order.time == pytest.approx(1.0, abs=0.03)
    track = braked(0.1, 0.3, 1.0, 0.2, 100.0)
    assert measure_stop(order, track, 0.0, 0.1) == "the speed factor was not steady before it"
    assert stop_orders(stamps, np.zeros(len(stamps))) == []


@given(
    st.lists(
        st.tuples(st.floats(0.1, 1.5), st.floats(0.05, 0.6), st.sampled_from((0.0, 5.0))),
        min_size=1, max_size=30,
    )
)  # fmt: skip
@example([(1.0, 0.5, 0.0), (0.125, 0.25, 0.0), (0.15625, 0.5, 0.0)])  # times that rise steeply
@settings(deadline=None)
def test_the_table_holds_every_stop_with_its_margin(found):
    stops = [MeasuredStop(0.0, speed, 0.1, time, 0.0, True, load) for speed, time, load in found]
    table = stopping_table(stops, 0.01)
    for payload, times in zip(table.payloads, table.times, strict=True):
        brakes = StoppingTable.of(table.speeds, times)
        own = [stop for stop in stops if stop.payload == payload]
        # as the standard's reckoning uses it: at the group's highest speed
        for stop in own:
            fastest = max(s.speed for s in own if s.speed <= 1.15 * stop.speed)
            assert brakes.time(max(fastest, stop.speed)) >= stop.stopping + 0.01 - 1e-9
    braking(
        dataclasses.replace(
            SafetyConfig(), stopping_speeds=table.speeds, stopping_payloads=table.payloads,
            stopping_times=tuple(t for row in table.times for t in row),
            payload=max(table.payloads),
        )
    )  # fmt: skip


def test_what_is_reported_is_the_worst_or_more():
    assert reported([0.1]) == 0.1
    assert reported([0.1, 0.1, 0.1]) == pytest.approx(0.1)
    assert reported([0.1, 0.2]) == pytest.approx(0.15 + 3 * 0.0707, abs=1e-3)


# From bags --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bags(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cell")
    record_cell(CELL, folder / "stops", SimulatedRun(CELL, 6, 1.0, 0.0))
    still = SimulatedRun(CELL, 0, 1.0, 0.0)
    for person in ("stands", "walks"):
        record_cell(CELL, folder / person, still, person)
    return folder


def arguments(bags: Path, out: Path, *more: str) -> list[str]:
    return [
        "commission", "-o", str(out), "--stops", str(bags / "stops"), "--standing",
        str(bags / "stands"), "--walking", str(bags / "walks"),
        "--mark", " ".join(map(str, MARK)), "--line", " ".join(map(str, LINE)), *more,
    ]  # fmt: skip


def test_a_cell_is_commissioned_by_one_command(bags, tmp_path):
    base = tmp_path / "base.yaml"
    base.write_text(
        yaml.safe_dump(
            {
                "/**/pose_node": {"ros__parameters": {"model": "full"}},
                "/**/safety_node": {"ros__parameters": {"robot_speed_max": 0.8, "rate": 50.0}},
            }
        )
    )
    out = tmp_path / "cell"
    result = CliRunner().invoke(
        app,
        arguments(bags, out, "--params-file", str(base), "--signed-by", "Ada <L.>", "--json",
                  "--camera-latency", "0.02"),
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    numbers = json.loads((out / "protocol.json").read_text())
    config = node_parameters(out / "cell.yaml", "safety_node", SafetyConfig)
    assert numbers["configuration"] == configuration_digest(config)
    assert yaml.safe_load((out / "cell.yaml").read_text())["/**/pose_node"]
    measured = {quantity["name"]: quantity for quantity in numbers["quantities"]}
    reaction = measured["T_r of the robot: factor to braking"]["mean"]
    assert reaction == pytest.approx(CELL.reaction, abs=5 * MILLISECOND)
    assert config.robot_reaction_time >= CELL.reaction + 0.02
    assert config.reaction_time > config.robot_reaction_time + CELL.latency
    latency = measured["image to state"]["mean"]
    assert latency == pytest.approx(CELL.latency + 0.01, abs=5 * MILLISECOND)
    assert measured["standing person: off"]["mean"] == pytest.approx(
        math.hypot(0.03, 0.02), abs=0.004
    )
    for stop in numbers["stops"]:
        true = CELL.stopping(stop["speed"], 0.0)
        assert braking(config)[0].time(stop["speed"]) >= true
        assert stop["stopping"] == pytest.approx(true, abs=10 * MILLISECOND)
    assert {"signed_by", "date", "checks", "assumed"} <= set(numbers)
    page = (out / "protocol.html").read_text()
    for words in ("Signed off by Ada &lt;L.&gt;", "Speed allowed over distance", "assumed"):
        assert words in page
    assert (out / "stopping_table.csv").read_text().startswith("payload_kg,speed_m_s")
    assert (out / "robot.urdf").read_text() == Path(config.robot_description).read_text()


def test_nothing_is_replaced_unasked_and_a_page_without_a_name_says_so(bags, tmp_path, capsys):
    assert CliRunner().invoke(app, arguments(bags, tmp_path / "cell")).exit_code == 0
    assert "Not signed off." in (tmp_path / "cell" / "protocol.html").read_text()
    before = (tmp_path / "cell" / "cell.yaml").read_bytes()
    assert run(arguments(bags, tmp_path / "cell"), capsys).startswith("error: ")
    assert (tmp_path / "cell" / "cell.yaml").read_bytes() == before


def run(words: list[str], capsys) -> str:
    """What the command says on the error output, which has to fail with one sentence."""
    import sys

    old = sys.argv
    sys.argv = ["ses-gcn", *words]
    try:
        assert main() == 1
    finally:
        sys.argv = old
    said = capsys.readouterr().err.strip()
    assert said.startswith("error: ")
    assert len(said.splitlines()) == 1
    assert len(said) <= 410
    return said


def changed(source: Path, to: Path, drop: tuple[str, ...] = (), shift: float = 0.0) -> Path:
    """A copy of a bag without some topics, and with the joint states' stamps moved [s]."""
    topics = [topic for topic in topics_of(source) if topic not in drop]
    with BagWriter(to) as writer:
        for entry in read_messages(source, topics):
            if entry.topic == "/joint_states" and shift:
                stamp = entry.content.header.stamp
                moved = stamp.sec * NANO + stamp.nanosec + round(shift * NANO)
                stamp.sec, stamp.nanosec = divmod(moved, NANO)
            writer.write_message(entry.topic, entry.stamp, entry.content)
    return to


@pytest.mark.parametrize(
    ("drop", "shift", "said"),
    [
        (("/tf", "/joint_states"), 0.0, "shows no robot"),
        (("/robot_description",), 0.0, "shows no robot"),
        (("/safety_state",), 0.0, "has no safety_state"),
        (("/tf_static",), 0.0, None),  # the joints know
        (("/tf_static", "/joint_states"), 0.0, "never says where the robot is: tf of"),
        (("/skeletons",), 0.0, "skeletons"),
        ((), 0.3, "clocks are not synchronised: joint states"),
        ((), -5.0, "clocks are not synchronised: joint states"),
    ],
)
def test_a_bag_that_lacks_something_is_one_sentence(bags, tmp_path, drop, shift, said):
    bag = changed(bags / "stops", tmp_path / "bag", drop, shift)
    sources = CellSources(((bag, 0.0),), bags / "stands", bags / "walks", MARK, LINE)
    if said is None:
        assert len(commission(sources, SafetyConfig()).stops) > 3
        return
    with pytest.raises(BagError, match=said):
        commission(sources, SafetyConfig())


@pytest.mark.parametrize(
    ("stops", "standing", "walking", "said"),
    [
        ("stands", "stands", "walks", "never falls from above 0 to 0"),
        ("stops", "stops", "walks", "shows no person"),
        ("stops", "walks", "walks", "moves by .* is it the recording of the one who stands"),
        ("stops", "stands", "stands", "walks 0.* m along the line"),
    ],
)
def test_a_recording_of_something_else_is_one_sentence(bags, stops, standing, walking, said):
    sources = CellSources(((bags / stops, 0.0),), bags / standing, bags / walking, MARK, LINE)
    with pytest.raises(BagError, match=said):
        commission(sources, SafetyConfig())


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--mark", "here"], "--mark is 'here'; it takes 2 numbers"),
        (["--line", "1 2 3"], "--line is '1 2 3'; it takes 4 numbers"),
        (["--stops", "bag@heavy"], "it takes BAG or BAG@KG"),
        (["--standing", "nowhere"], "bag 'nowhere' does not exist"),
    ],
)
def test_bad_options_are_one_sentence(bags, tmp_path, capsys, more, said):
    assert said in run([*arguments(bags, tmp_path / "cell"), *more], capsys)
    assert not (tmp_path / "cell").exists()


def test_some_recordings_or_none_but_not_half_and_no_wizard_without_a_terminal(
    bags, tmp_path, capsys
):
    words = ["commission", "-o", str(tmp_path / "cell")]
    assert "or none of them" in run([*words, "--stops", str(bags / "stops")], capsys)
    assert "run this at a terminal" in run(words, capsys)
    assert not (tmp_path / "cell").exists()


@pytest.mark.slow
def test_recordings_that_are_in_the_folder_are_taken(bags, tmp_path, capsys):
    recordings = tmp_path / "cell" / "recordings"
    recordings.mkdir(parents=True)
    for name, bag in (("stops_2.5kg_100pc", "stops"), ("standing", "stands"), ("walking", "walks")):
        (recordings / name).symlink_to(bags / bag)
    result = CliRunner().invoke(app, ["commission", "-o", str(tmp_path / "cell"), "--json"])
    assert result.exit_code == 0, result.output
    numbers = json.loads((tmp_path / "cell" / "protocol.json").read_text())
    assert numbers["stopping_table"]["payloads"] == [2.5]


@pytest.mark.slow
def test_a_cell_whose_images_are_dropped_does_not_pass(bags, tmp_path):
    lossy = dataclasses.replace(CELL, dropped=0.2)
    record_cell(lossy, tmp_path / "stands", SimulatedRun(lossy, 0, 1.0, 0.0), "stands")
    found = commission(
        CellSources(((bags / "stops", 0.0),), tmp_path / "stands", bags / "walks", MARK, LINE),
        SafetyConfig(),
    )
    failed = {check.name for check in found.checks if not check.ok}
    assert "skeletons of 'stands'" in failed
    assert "skeletons of 'walks'" not in failed
    assert read_cell(bags / "stops", SafetyConfig()).robot == "joint states"


@pytest.mark.slow
def test_the_wizard_leads_through_what_is_missing_and_repeats_what_cannot_be_used(
    bags, tmp_path, monkeypatch
):
    """With recordings instead of a cell that runs, and somebody who says yes."""
    made: list[str] = []
    wrong = {"standing": "walks"}  # at first

    def record(bag: Path, stops: int, console: object) -> None:
        made.append(bag.name)
        source = {"standing": "stands", "walking": "walks"}.get(bag.name, "stops")
        assert bool(stops) == (source == "stops")
        bag.symlink_to(bags / wrong.pop(bag.name, source))

    def confirm(question: str, **_: object) -> bool:
        return not question.startswith("Another")

    monkeypatch.setattr("ses_gcn_ros.commands.workcell._run_recorder", record)
    monkeypatch.setattr("ses_gcn_ros.commands.workcell._at_terminal", lambda: True)
    monkeypatch.setattr("rich.prompt.Confirm.ask", confirm)
    monkeypatch.setattr("rich.prompt.FloatPrompt.ask", lambda question, **told: told["default"])
    out = tmp_path / "cell"
    result = CliRunner().invoke(app, ["commission", "-o", str(out)])
    assert result.exit_code == 0, result.output
    assert made == ["standing", "standing", "walking", "stops_0kg_100pc"]
    assert (out / "recordings" / "unusable_1_standing").exists()
    assert "is it the recording of the one who stands" in result.output
    assert (out / "cell.yaml").exists()
    again = CliRunner().invoke(app, ["commission", "-o", str(out), "--overwrite"])
    assert again.exit_code == 0
    assert len(made) == 4  # nothing is recorded twice


@pytest.mark.slow
def test_what_a_simulated_cell_gives_is_true_and_beats_the_attack(tmp_path):
    """One cell, short; `ses-gcn commission-study` tries twenty in full."""
    row = try_cell(7, tmp_path, ((0.0, 1.0),), 4, 1)
    assert abs(row["reaction"]) < 5 * MILLISECOND
    assert abs(row["stopping"]) < 10 * MILLISECOND
    assert abs(row["latency"]) < 5 * MILLISECOND
    assert (row["attacks"], row["violations"]) == (25, 0)
