"""The braking study: what it shows people, how it judges, and that it notices who doesn't brake."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from ses_gcn_ros.cli import app
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.forecast import load
from ses_gcn_ros.safety import RobotModel, Urdf
from ses_gcn_ros.studies import braking
from ses_gcn_ros.studies.braking import (
    LEAST_TRAVEL,
    POLICIES,
    SWEEP,
    BrakingOutcome,
    Fence,
    Simulator,
    approaches,
    as_markdown,
    config,
    run_study,
    summarise,
    verdict,
)


@pytest.fixture(scope="module")
def files(shared_data):
    return [shared_data / "motion" / name for name in ("handover_dev.npz", "cmu.npz")]


@pytest.fixture(scope="module")
def simulator():
    return Simulator(config(), load())


def test_approaches_are_real_motion_that_brings_a_hand_to_the_sweep(files):
    drawn = approaches(files, 20, seed=1)
    assert len({approach.name for approach in drawn}) > 15
    assert {approach.fps for approach in drawn} == {25.0, 30.0}
    for approach in drawn:
        hands = approach.positions[:, [11, 14], :2]
        nearest = np.linalg.norm(hands - SWEEP, axis=-1).min()
        assert nearest < 4 * 0.3, "within a few standard deviations of the sweep"
        assert np.ptp(hands, axis=0).max() > LEAST_TRAVEL / 2
        limb = np.linalg.norm(approach.positions[:, 1] - approach.positions[:, 2], axis=-1)
        assert np.ptp(limb) < 0.15, "placing neither stretches nor tears anybody"


def test_the_same_seed_gives_the_same_approaches_and_another_gives_others(files):
    one, same, other = (approaches(files, 6, seed=seed) for seed in (3, 3, 4))
    for a, b in zip(one, same, strict=True):
        assert a.name == b.name
        np.testing.assert_array_equal(a.positions, b.positions)
    assert [a.name for a in one] != [b.name for b in other]


def touching(files, simulator):
    """The first of some approaches in which the person comes into the robot's sweep."""
    for index, approach in enumerate(approaches(files[:1], 12, seed=5)):
        outcomes = simulator.run(index, approach)
        if all(outcome.touched for outcome in outcomes):
            return approach, outcomes
    pytest.fail("none of the approaches reached the robot")


def test_who_is_monitored_touches_a_robot_at_rest(files, simulator):
    _, outcomes = touching(files, simulator)
    assert [outcome.policy for outcome in outcomes] == list(POLICIES)
    for outcome in outcomes:
        assert outcome.contact_speed < 1e-3, outcome.policy
        assert 0.0 < outcome.time_lost <= outcome.duration + 0.1


def test_a_robot_that_does_not_brake_is_noticed(files, simulator, monkeypatch):
    class Deaf:
        def see(self, *_):
            pass

        def factor(self, *_):
            return 1.0

    monkeypatch.setattr(simulator, "_policy", lambda name: Deaf())
    monkeypatch.setattr(braking, "POLICIES", ("deaf",))
    outcomes = [
        simulator.run(index, approach)[0]
        for index, approach in enumerate(approaches(files[:1], 5, seed=5))
    ]
    assert any(outcome.contact_speed > 0.05 for outcome in outcomes)
    for outcome in outcomes:
        assert outcome.time_lost < 0.05 * outcome.duration
        assert outcome.stops == 0


def test_the_fence_is_where_the_standard_puts_it_and_stops_whoever_is_inside():
    model = RobotModel.from_urdf(Urdf.load("demo"))
    poses = np.tile(np.eye(4), (1, len(model.frames), 1, 1))
    fence = Fence(config(), model, poses)
    # v_h 2.0 m/s over T_r 0.15 s and 0.6/1.8 s of braking, S_r, S_s, C, Z_d, Z_r
    by_hand = 2.0 * (0.15 + 1 / 3) + 0.6 * 0.15 + 0.6**2 / 3.6 + 0.1 + 0.05 + 0.01
    assert fence.distance == pytest.approx(by_hand)


def outcome(index: int, policy: str, **changes) -> BrakingOutcome:
    plain = BrakingOutcome(index, "m", policy, False, 0.0, 0.0, True, 5.0, 1.0, 1, 0, 0.3)
    return replace(plain, **changes)


def test_figures_by_hand():
    outcomes = [outcome(index, policy) for index in range(4) for policy in POLICIES]
    outcomes[0] = outcome(0, "forecast", touched=True, contact_speed=0.2, covered=False)
    outcomes[len(POLICIES)] = outcome(1, "forecast", touched=True)
    outcomes[1] = outcome(0, "reactive", hard_stops=1, time_lost=2.0)
    summary = summarise(outcomes, seed=0)
    ours = summary["policies"]["forecast"]
    assert (ours["contacts"], ours["covered"]) == (2, 1)
    assert (ours["at_rest_covered"], ours["at_rest"]) == (1, 1)
    assert ours["time_lost_percent"] == pytest.approx(20.0)
    assert summary["policies"]["reactive"]["time_lost_percent"] == pytest.approx(25.0)
    against = {(pair["policy"], pair["against"]): pair for pair in summary["paired"]}
    assert against["forecast", "reactive"]["hard_stops"]["mean"] == pytest.approx(-0.25)
    (moving,) = summary["moving_contacts"]
    assert moving["contact_speed"] == 0.2
    assert "not covered: touched at 0.200 m/s" in as_markdown(summary)


@pytest.mark.parametrize(
    ("lost", "said"), [(0.5, "raise the robot's time"), (-0.5, "lower the robot's time")]
)
def test_the_verdict_says_plainly_what_forecasts_do(lost, said):
    rng = np.random.default_rng(0)
    outcomes = []
    for index in range(50):
        usual = 1.0 + 0.1 * rng.random()
        outcomes += [outcome(index, policy, time_lost=usual) for policy in ("reactive", "fence")]
        outcomes.append(outcome(index, "forecast", time_lost=usual + lost + 0.1 * rng.random()))
    sentence = verdict(summarise(outcomes, seed=0)).splitlines()[0]
    assert said in sentence
    assert "do not change hard stops" in sentence


def test_a_study_goes_on_where_it_was_and_knows_its_own_log(files, tmp_path, monkeypatch):
    out = tmp_path / "out"
    arguments = ["braking-study", *map(str, files), "--runs", "2", "-o", str(out), "--json"]
    first = CliRunner().invoke(app, arguments)
    assert first.exit_code == 0, first.output
    log = (out / "runs.jsonl").read_text()
    assert len(log.splitlines()) == 3
    (out / "runs.jsonl").write_text(log[: len(log) // 2 * 2 - 40])  # killed while writing
    again = CliRunner().invoke(app, arguments)
    figures = [json.loads(said.stdout[said.stdout.index("{") :]) for said in (first, again)]
    assert figures[0] == figures[1]
    table = CliRunner().invoke(app, [*arguments[:-1], "--csv"]).stdout
    headings, *rows = csv.reader(io.StringIO(table))
    policies = figures[0]["policies"]
    assert len(headings) == 1 + len(policies)
    lost = [f"{found['time_lost_percent']:.1f}" for found in policies.values()]
    assert ["robot's time lost [%]", *lost] in rows
    assert (out / "table.md").exists()
    assert (out / "time_lost.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match="of another study"):
        run_study(files, 2, 1, out / "runs.jsonl", progress=lambda done: None)
