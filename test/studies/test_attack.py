"""The closed loop: attackers keep to the floors, robots to their orders, and nobody is touched."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from ses_gcn_ros.cli import app
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.forecast import load
from ses_gcn_ros.safety import SafetyConfig, SeparationMonitor
from ses_gcn_ros.studies import attack
from ses_gcn_ros.studies.attack import (
    MOVING,
    NUMBERS,
    SCENARIOS,
    VARIANTS,
    AttackCase,
    attack_once,
)
from ses_gcn_ros.studies.attack_search import read_case, run_attack, summarise
from ses_gcn_ros.studies.attack_world import PATHS, POINTS, TICK, Robot, pose, step

ARMS = [10, 11, 13, 14, 15, 16]
KNOWN = Path(__file__).with_name("attack_cases.jsonl")


@pytest.fixture(scope="module")
def engine():
    return load()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_whatever_they_are_ordered_to_do_people_keep_to_the_floors(seed):
    rng = np.random.default_rng(seed)
    state = np.zeros(20)
    state[:4] = rng.uniform(-1, 1, 4)
    state[4:10] = rng.uniform(-0.5, 0.5, 6)
    points, spare = np.empty((2, POINTS, 3))
    size = rng.uniform(0.85, 1.1)
    pose(state, size, points)
    for _ in range(20):
        order = rng.uniform(-3, 3, 13)
        order[2], order[[8, 12]] = rng.uniform(0, 1.6), rng.uniform(0, 2.0, 2)
        for _ in range(10):
            before = points.copy()
            step(state, order, size, 1.6, 2.0, TICK, points, spare)
            speed = np.linalg.norm(points - before, axis=1) / TICK
            assert speed.max() <= 2.0 + 1e-6
            assert np.delete(speed, ARMS).max() <= 1.6 + 1e-6
            limbs = np.linalg.norm(points[[10, 11, 13, 14]] - points[[9, 10, 12, 13]], axis=1)
            np.testing.assert_allclose(limbs, size * np.array([0.3, 0.27, 0.3, 0.27]), rtol=1e-3)


@pytest.mark.parametrize("kind", PATHS)
@pytest.mark.parametrize(
    "brakes",
    [
        {"deceleration": 0.7},
        {"stopping_time": 0.4},
        {"stopping_speeds": (0.0, 0.4, 0.8), "stopping_times": (0.1, 0.3, 0.7)},
    ],
    ids=["deceleration", "time", "table"],
)
def test_a_robot_is_no_faster_than_ordered_and_stands_when_it_said(kind, brakes):
    config = SafetyConfig(robot_speed_max=0.8, **brakes)
    robot = Robot(kind, config, pace=1.0, rate=0.6, way=0.1)
    robot.factor = 1.0
    fastest = 0.0
    for _ in range(200):
        robot.advance()
        fastest = max(fastest, float(robot.link_speeds.max()))
    assert 0.4 < fastest <= 0.8 * 1.01
    robot.factor, begun = 0.0, robot.speed
    longest = {
        "deceleration": begun / 0.7,
        "stopping_time": 0.4,
        "stopping_speeds": float(np.interp(begun, (0, 0.4, 0.8), (0.1, 0.3, 0.7))),
    }[next(iter(brakes))]
    ticks = 0
    while robot.speed > 0.0:
        robot.advance()
        ticks += 1
    assert ticks * TICK <= longest + 2 * TICK
    if begun > 0.1:
        assert ticks * TICK >= longest - 3 * TICK, "it brakes as weakly as it may"


def draw(scenario: str, variant: str, seed: int) -> AttackCase:
    numbers = np.random.default_rng(seed).random(NUMBERS)
    return AttackCase(scenario, variant, tuple(numbers.tolist()), seed)


def test_a_case_is_reproduced_to_the_bit_and_drawn(engine, tmp_path):
    case = draw("occlusion", "forecasts", 5)
    first = attack_once(case, engine)
    assert attack_once(case, engine) == first
    path = tmp_path / "case.json"
    path.write_text(json.dumps(asdict(case)))
    assert read_case(path) == case
    said = CliRunner().invoke(app, ["attack", "--case", str(path), "-o", str(tmp_path)])
    assert json.loads(said.stdout)["contact_speed"] == first.contact_speed
    assert (tmp_path / "case.png").read_bytes().startswith(b"\x89PNG")
    (tmp_path / "none.json").write_text("[1, 2]")
    with pytest.raises(InputError, match="holds no case"):
        read_case(tmp_path / "none.json")


def test_a_monitor_that_lets_the_robot_go_on_is_found_out(engine, monkeypatch):
    honest = SeparationMonitor.assess

    def careless(self, now):
        said = honest(self, now)
        return type(said)(**{**vars(said), "speed_factor": 1.0})

    monkeypatch.setattr(attack.SeparationMonitor, "assess", careless)
    outcomes = [attack_once(draw("cross", "alone", seed), engine) for seed in range(4)]
    assert any(outcome.violation for outcome in outcomes)
    assert max(outcome.contact_speed for outcome in outcomes) > 2 * MOVING


@pytest.mark.parametrize("line", KNOWN.read_text().splitlines(), ids=lambda line: line[14:40])
def test_what_once_touched_somebody_no_longer_does(engine, line):
    found = json.loads(line)
    for variant in VARIANTS:
        case = AttackCase(**(found | {"numbers": tuple(found["numbers"]), "variant": variant}))
        outcome = attack_once(case, engine)
        assert not outcome.violation, f"{variant}: touched at {outcome.contact_speed:.2f} m/s"


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_nobody_is_touched_by_a_moving_link(engine, scenario):
    variant = VARIANTS[SCENARIOS.index(scenario) % len(VARIANTS)]
    for seed in (1, 2):
        outcome = attack_once(draw(scenario, variant, seed), engine)
        assert not outcome.violation, f"seed {seed}: {outcome}"


def test_a_search_goes_on_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr("ses_gcn_ros.studies.attack_search.BATCH", 4)
    monkeypatch.setattr("ses_gcn_ros.studies.attack_search.RANDOM", 3)
    log = tmp_path / "runs.jsonl"
    arguments = {"scenario": "reach", "variant": "alone"}
    first = run_attack(log, 8, 3, **arguments)
    text = log.read_text()
    log.write_text(text[: text.rindex("\n", 0, -1) + 30])  # killed while writing
    assert run_attack(log, 8, 3, **arguments) == first
    total = summarise(first)["total"]
    assert total["runs"] == 8
    assert total["violations"] == 0
    with pytest.raises(InputError, match="another study"):
        run_attack(log, 8, 4, **arguments)
    with pytest.raises(InputError, match="no scenario 'dance'"):
        run_attack(log, 8, 3, scenario="dance")


def test_the_command_writes_its_figures(tmp_path, monkeypatch):
    monkeypatch.setattr("ses_gcn_ros.studies.attack_search.BATCH", 1)
    out = tmp_path / "attack"
    asked = ["--runs", "1", "--scenario", "occlusion", "--variant", "alone", "-o", str(out)]
    said = CliRunner().invoke(app, ["attack", *asked])
    assert said.exit_code == 0, said.exception
    assert "| alone | occlusion | 1 |" in said.output
    assert (out / "table.md").read_text() == said.output
    names = {"runs.jsonl", "summary.json", "table.md", "worst.json", "worst.png"}
    assert {path.name for path in out.iterdir()} == names


def test_however_few_the_runs_each_variant_gets_its_share(tmp_path, monkeypatch):
    monkeypatch.setattr("ses_gcn_ros.studies.attack_search.BATCH", 1)
    found = summarise(run_attack(tmp_path / "runs.jsonl", len(VARIANTS), 3, scenario="reach"))
    assert {name: by["all"]["runs"] for name, by in found["variants"].items()} == dict.fromkeys(
        VARIANTS, 1
    )
