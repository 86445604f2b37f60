"""The collision task: contacts that are put there are found, counted, told apart by lead time."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from ses_gcn_ros.cli import app
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.forecast import load
from ses_gcn_ros.forecast.alarm import HORIZONS, SHIPPED, urgency
from ses_gcn_ros.studies.collisions import (
    BY_Z,
    TOGETHER,
    WITH_RADIUS,
    Encounter,
    Gaps,
    alarms_per_contact,
    at_horizons,
    average_precision,
    chain,
    curve,
    measure,
    recall_by_lead,
    score,
)

FPS = 25.0
STANDING = np.array(
    [(0.0, 0.1 * (j % 3), 0.1 + 0.1 * j) for j in range(15)], dtype=np.float32
)  # some person; where the joints are does not matter here


@pytest.fixture(scope="module")
def engine():
    return load()


def walk(speed: float, frames: int, start: float = 3.0) -> np.ndarray:
    """A person who comes along −x at a steady speed."""
    path = start - speed * np.arange(frames) / FPS
    return (STANDING + np.stack([path, 0 * path, 0 * path], axis=-1)[:, None]).astype(np.float32)


def pole(frames: int) -> np.ndarray:
    """A robot of two upright links at the origin."""
    return np.broadcast_to(
        np.array([(0, 0, 0), (0, 0, 1), (0, 0, 2)], dtype=np.float32), (frames, 3, 3)
    )


def test_distances_are_those_of_the_axes(engine):
    length = engine.observed + engine.horizon
    gaps = measure(engine, [Encounter("walk", walk(1.0, length), pole(length))], chain(3))
    assert gaps.happened.shape == (1, engine.horizon)
    ahead = 3.0 - (engine.observed + np.arange(engine.horizon)) / FPS
    np.testing.assert_allclose(gaps.happened[0], ahead, atol=1e-5)
    np.testing.assert_allclose(gaps.predicted["constant_velocity"], gaps.happened, atol=1e-4)
    np.testing.assert_allclose(gaps.predicted["last_pose"][0], gaps.last_observed[0], atol=1e-5)


def test_the_radius_of_the_forecast_brings_the_limbs_nearer(engine):
    length = engine.observed + engine.horizon
    person = walk(0.5, length)
    gaps = measure(engine, [Encounter("walk", person, pole(length))], chain(3))
    plain, grown = gaps.predicted[engine.name], gaps.predicted[engine.name + WITH_RADIUS]
    _, radii, *_ = engine.predict_with_radius(person[None, : engine.observed])
    assert ((plain - grown) >= radii.min(axis=2) - 1e-4).all()
    assert ((plain - grown) <= radii.max(axis=2) + 1e-4).all()


def test_a_contact_that_comes_is_a_hit_of_who_goes_on_and_a_miss_of_who_stands(engine):
    frames = engine.observed + engine.horizon + 40
    met = Encounter("walk", walk(1.0, frames, start=2.2), pole(frames))
    gaps = measure(engine, [met], chain(3))
    going = score(gaps, "constant_velocity", engine.horizon, onsets=True)
    standing = score(gaps, "last_pose", engine.horizon, onsets=True)
    assert going.hits > 10
    assert going.precision == going.recall == going.f1 == 1.0
    assert standing.hits == 0
    assert standing.misses == going.hits
    assert standing.f1 == 0.0
    assert np.isnan(standing.precision)


def hand_made() -> Gaps:
    happened = np.full((4, 10), 1.0, np.float32)
    happened[0, 3:] = 0.1  # contact from the 4th frame on, foreseen
    happened[1, 9] = 0.1  # at the last frame, not foreseen
    happened[2, :2] = 0.05  # was in contact already
    predicted = np.full((4, 10), 1.0, np.float32)
    predicted[0, 5] = predicted[2, 0] = predicted[3, 8] = 0.12
    last = np.array([0.5, 0.5, 0.05, 0.5], np.float32)
    return Gaps(happened, {"m": predicted}, {}, last, np.arange(4), np.full(4, 9), 4, FPS)


def test_scores_by_hand():
    all_of_them = score(hand_made(), "m", 10)
    assert (all_of_them.hits, all_of_them.misses, all_of_them.false_alarms) == (2, 1, 1)
    assert all_of_them.f1 == pytest.approx(2 / 3)
    onsets = score(hand_made(), "m", 10, onsets=True)
    assert (onsets.hits, onsets.misses, onsets.false_alarms, onsets.rejections) == (1, 1, 1, 0)
    early = score(hand_made(), "m", 5, onsets=True)
    assert (early.hits, early.misses, early.false_alarms, early.rejections) == (0, 1, 0, 2)


def test_recall_by_lead_time_by_hand():
    bins = recall_by_lead(hand_made(), "m", np.array([0, 3, 5, 10]))
    assert [count for count, _ in bins] == [0, 1, 1]
    assert np.isnan(bins[0][1])
    assert [recall for _, recall in bins[1:]] == [1.0, 0.0]


def test_average_precision_and_alarms_by_hand():
    # urgency 0.12, 0.12, 1.0 over the three windows without contact: real, false, real
    found = curve(hand_made(), "m", 10)
    np.testing.assert_allclose(found.precision, [1 / 2, 2 / 3])
    np.testing.assert_allclose(found.recall, [1 / 2, 1.0])
    assert found.average_precision == pytest.approx(0.5 * 1 / 2 + 0.5 * 2 / 3)
    # 10 frames of 40 ms: only the contact at the last frame is 0.4 s ahead, and it comes last
    assert found.early_contacts == 1
    assert found.alarms_per_early_contact() == 3.0
    value, low, high = average_precision(hand_made(), "m", 10)
    assert value == found.average_precision
    assert low <= high


def test_an_alarm_by_z_weighs_distance_by_the_radius(engine):
    length = engine.observed + engine.horizon
    person = walk(1.0, length)
    gaps = measure(engine, [Encounter("walk", person, pole(length))], chain(3))
    z = gaps.alarms["constant_velocity" + BY_Z]
    distance = gaps.predicted["constant_velocity"]
    _, radii, *_ = engine.predict_with_radius(person[None, : engine.observed])
    bounds = [(distance - 0.13) / edge for edge in (radii.min(axis=2), radii.max(axis=2))]
    assert (z >= np.minimum(*bounds) - 1e-4).all()
    assert (z <= np.maximum(*bounds) + 1e-4).all()
    paths = (engine.name, "constant_velocity", "last_pose")
    urgent = urgency(*(gaps.alarms[name + BY_Z] for name in paths))
    times = np.arange(1, engine.horizon + 1) / engine.fps
    said = SHIPPED.at(times).probability(urgent)
    np.testing.assert_allclose(gaps.alarms[TOGETHER], -said, rtol=1e-6)
    at, contact = at_horizons(gaps, engine.name)
    ends = np.round(np.array(HORIZONS) * FPS).astype(int) - 1
    np.testing.assert_allclose(at, urgent[:, ends])
    assert not contact.any()


def test_what_comes_again_within_a_second_is_one_alarm_of_one_contact():
    """Two meet after 60 windows, two pass: somebody hears three alarms, of which one comes true."""
    windows, horizon = 80, 25
    frames = np.arange(9, 9 + windows)
    onset = 9 + 60
    ahead = frames[:, None] + np.arange(1, horizon + 1)
    happened = np.ones((2 * windows, horizon), np.float32)
    happened[:windows][ahead >= onset] = 0.1
    last = np.concatenate([np.where(frames >= onset, 0.1, 1.0), np.ones(windows)])
    raised = np.ones((2 * windows, horizon), np.float32)
    raised[[2, 3, 4, 20, 46, 48]] = raised[windows + 5 : windows + 9] = 0.2
    gaps = Gaps(
        happened, {}, {"m": raised}, last.astype(np.float32), np.repeat([0, 1], windows),
        np.tile(frames, 2), 2, FPS,
    )  # fmt: skip
    assert alarms_per_contact(gaps, "m", horizon) == (3.0, 1)
    assert curve(gaps, "m", horizon).alarms_per_early_contact() > 3.0
    raised[windows:] = 1.0
    assert alarms_per_contact(gaps, "m", horizon) == (2.0, 1)
    assert np.isnan(alarms_per_contact(gaps, "m", 5)[0])


def test_encounters_that_fit_no_window_or_one_another_are_refused(engine):
    with pytest.raises(InputError, match="as long as a window"):
        measure(engine, [Encounter("short", walk(1.0, 20), pole(20))], chain(3))
    with pytest.raises(InputError, match="'odd' has a person of shape"):
        measure(engine, [Encounter("odd", walk(1.0, 50), pole(40))], chain(3))


def test_the_command_judges_handovers(shared_data, tmp_path):
    table, picture = tmp_path / "c.csv", tmp_path / "c.png"
    arguments = ["collisions", str(shared_data / "motion" / "handover_dev.npz"), "--every", "50"]
    said = CliRunner().invoke(
        app, [*arguments, "--stride", "2", "--json", "--csv", str(table), "--plot", str(picture)]
    )
    assert said.exit_code == 0, said.output
    summary = json.loads(said.stdout)
    methods = summary["methods"]
    assert {"last_pose", "constant_velocity", summary["model"]} < set(methods)
    assert summary["model"] + WITH_RADIUS in methods
    for name, windows in methods.items():
        for row in windows["all"]:
            whole = row["hits"] + row["false_alarms"] + row["misses"] + row["rejections"]
            assert whole == summary["windows"], name
    plain, grown = methods[summary["model"]], methods[summary["model"] + WITH_RADIUS]
    for row, wider in zip(plain["all"], grown["all"], strict=True):
        assert wider["hits"] >= row["hits"], "a radius can only see more contacts"
    assert len(table.read_text().splitlines()) == 1 + 2 * 5 * len(methods)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_recording_of_one_is_refused(shared_data):
    said = CliRunner().invoke(app, ["collisions", str(shared_data / "motion" / "cmu.npz")])
    assert "has no 'receiver'" in str(said.exception)
