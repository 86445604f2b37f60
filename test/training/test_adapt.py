"""Weights that learn a cell: what is refused, what is kept, what is gained."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from ses_gcn_ros.datasets.sequences import Sequence, read_recording, write_recording
from ses_gcn_ros.errors import InputError, ModelError
from ses_gcn_ros.forecast.engine import build_engine
from ses_gcn_ros.forecast.weights import DEFAULT_WEIGHTS, Weights, read_weights
from ses_gcn_ros.training import adapt as adapting
from ses_gcn_ros.training.adapt import (
    AUGMENT,
    REHEARSAL,
    TRAINING,
    AdaptTask,
    adapt,
    usable_motion,
)
from ses_gcn_ros.training.recipe import CalibrationRecipe, DataRecipe, Recipe
from ses_gcn_ros.training.sources import Split
from ses_gcn_ros.training.trainer import Processes

STEPS = dataclasses.replace(TRAINING, steps=40, batch=32, checkpoint_every=20, warm_up=5)


@pytest.fixture(scope="module")
def start() -> Weights:
    return read_weights(DEFAULT_WEIGHTS)


@pytest.fixture(scope="module")
def handovers(shared_data: Path) -> list[Sequence]:
    return read_recording(shared_data / "motion" / "handover_dev.npz").sequences


def written(path: Path, sequences: list[Sequence]) -> Path:
    write_recording(path, sequences, {})
    return path


def test_a_minute_of_the_cell_makes_forecasts_there_better(
    handovers: list[Sequence], start: Weights, tmp_path: Path
) -> None:
    cell = written(tmp_path / "cell.npz", handovers[:32])
    found = adapt([cell], start, training=STEPS, checkpoint=tmp_path / "c.checkpoint")
    before = found.before.per_step(found.before.model).mean()
    assert found.after.per_step(found.after.model).mean() < 0.95 * before
    known = found.known_before.per_step(found.known_before.model).mean()
    assert found.known_after.per_step(found.known_after.model).mean() < 1.05 * known
    assert found.weights.radius is not None
    assert found.weights.config == start.config
    sober = build_engine(found.weights).predict_with_scale(handovers[0].positions[None, :10])[1]
    scale = build_engine(start).predict_with_scale(handovers[0].positions[None, :10])[1]
    spread, before = (np.log(some).std() for some in (sober, scale))
    assert spread < 0.9 * before  # after 40 steps scales differ as before, to the power of 0.8
    assert not list(tmp_path.glob("*.checkpoint"))


def test_each_member_of_a_mean_is_to_keep_its_own_answers(handovers: list[Sequence]) -> None:
    """Before anything is learnt, what is rehearsed costs nothing."""
    mean = read_weights("mean_workcell")
    data, calibration = DataRecipe(held_out_every=6), CalibrationRecipe()
    recipe = Recipe("cell", mean.config, data, TRAINING, AUGMENT, calibration)
    parts = Split(train=handovers[:4], held_out=[], calibrate=[], test=[])
    task = AdaptTask(recipe, parts, mean, read_recording(REHEARSAL).sequences)
    batch = task.batch(0, np.random.default_rng(0))
    network = task.network().train()  # answers for each member; the members as they are used
    for member in network.members:
        member.eval()
    half = TRAINING.batch // 2
    for part, least, most in ((slice(half, None), 0.0, 1e-5), (slice(half), 0.01, 1.0)):
        weight = np.zeros_like(batch.weight)
        weight[part] = batch.weight[part]
        network.zero_grad()
        loss, shown = task.loss(network, dataclasses.replace(batch, weight=weight), Processes())
        assert least <= float(shown.detach()) <= most
        loss.backward()
        for member in network.members:  # nor is there anything to learn of how far off it is
            slope = float(member.base.outputs.weight.grad[-3:].abs().max())
            assert (slope < 1e-6) == (least == 0.0)


def test_a_killed_run_goes_on_to_the_same_weights(
    handovers: list[Sequence], start: Weights, tmp_path: Path
) -> None:
    cell = written(tmp_path / "cell.npz", handovers[:32])

    class Killed(BaseException): ...

    def kill(step: int, steps: int, loss: float) -> None:
        if step == 20:
            raise Killed

    whole = adapt([cell], start, training=STEPS, checkpoint=tmp_path / "whole.checkpoint")
    with pytest.raises(Killed):
        adapt([cell], start, training=STEPS, checkpoint=tmp_path / "k.checkpoint", progress=kill)
    resumed = adapt([cell], start, training=STEPS, checkpoint=tmp_path / "k.checkpoint")
    for name, tensor in whole.weights.tensors.items():
        np.testing.assert_array_equal(resumed.weights.tensors[name], tensor)


def test_what_is_no_better_is_refused(
    handovers: list[Sequence], start: Weights, tmp_path: Path
) -> None:
    cell = written(tmp_path / "cell.npz", handovers[:32])
    spoilt = dataclasses.replace(STEPS, learning_rate=0.3, clip=0.0)
    with pytest.raises(ModelError, match=r"not written|the loss is"):
        adapt([cell], start, training=spoilt, checkpoint=tmp_path / "c.checkpoint")


def test_too_little_motion_says_how_much_more(
    handovers: list[Sequence], start: Weights, tmp_path: Path
) -> None:
    cell = written(tmp_path / "cell.npz", handovers[:4])
    with pytest.raises(
        InputError, match=r"there are \d+ s of people in motion .* record \d+ s more"
    ):
        usable_motion([cell], start)


@pytest.mark.parametrize(
    ("axes", "unit", "sentence"),
    [([0, 2, 1], 1.0, "stands along y, not z"), ([0, 1, 2], 1e3, "are these millimetres")],
)
def test_people_along_another_axis_or_in_another_unit_are_named(
    handovers: list[Sequence], start: Weights, tmp_path: Path, axes: list[int], unit: float,
    sentence: str,
) -> None:  # fmt: skip
    wrong = [
        dataclasses.replace(s, source=np.float32(unit) * s.positions[..., axes])
        for s in handovers[:32]
    ]
    with pytest.raises(InputError, match=sentence):
        usable_motion([written(tmp_path / "cell.npz", wrong)], start)


def test_jumps_and_short_stretches_are_left_out_and_named(
    handovers: list[Sequence], start: Weights, tmp_path: Path
) -> None:
    jumping = handovers[0].positions.copy()
    jumping[20:] += 2.0
    first = dataclasses.replace(handovers[0], source=jumping)
    rest = [dataclasses.replace(s, source=s.positions) for s in handovers[1:40]]
    cell = written(tmp_path / "cell.npz", [first, *rest])
    pieces, unusable = usable_motion([cell], start)
    assert any("normal_000/receiver: 0.6 s, shorter than 1.4 s" in line for line in unusable)
    fastest = max(np.nanmax(np.abs(np.diff(p.positions, axis=0))) for p in pieces)
    assert fastest * 25 < 12


def test_nobody_both_trains_and_tests(
    handovers: list[Sequence], start: Weights, tmp_path: Path
) -> None:
    cell = written(tmp_path / "cell.npz", handovers[:32])
    pieces, _ = usable_motion([cell], start)
    parts = adapting._divided(pieces)
    recordings = [{s.index for s in part} for part in (parts.train, parts.calibrate, parts.test)]
    assert all(recordings)
    assert not recordings[0] & recordings[1]
    assert not recordings[0] & recordings[2]


def test_a_recording_given_twice_counts_once(
    handovers: list[Sequence], start: Weights, tmp_path: Path
) -> None:
    cell = written(tmp_path / "cell.npz", handovers[:32])
    again = tmp_path / "same.npz"
    again.symlink_to(cell)
    once, _ = usable_motion([cell], start)
    twice, _ = usable_motion([cell, cell, again], start)
    assert len(twice) == len(once)


def test_what_is_rehearsed_is_free_and_small() -> None:
    recording = read_recording(REHEARSAL)
    assert "MIT" in recording.about["licence"]
    assert REHEARSAL.stat().st_size < 1_000_000
    assert {"cmu", "idle_dev", "hra_dev"} <= {tag for s in recording.sequences for tag in s.tags}
