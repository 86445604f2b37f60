"""Windows of a step are the same whenever it is taken; on a grid each is seen once per epoch."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from ses_gcn_ros.datasets.sequences import Recording, Sequence, read_recording
from ses_gcn_ros.errors import ConfigError, InputError
from ses_gcn_ros.training.forecasting import train
from ses_gcn_ros.training.recipe import TrainingRecipe, load_recipe, make_recipe
from ses_gcn_ros.training.sources import GridSource, make_source, split
from ses_gcn_ros.training.trainer import Schedule

torch.set_num_threads(1)


def numbered(name: str, frames: int) -> Sequence:
    """A sequence whose positions tell its frames apart [mm]."""
    stored = np.arange(frames, dtype=np.int16)[:, None, None] * np.ones((1, 15, 3), np.int16)
    return Sequence(name, 0, name, frozenset(), 25.0, "chico15", stored)


def grid(batch: int = 4, seed: int = 0) -> GridSource:
    sequences = [numbered("long", 30), numbered("short", 11), numbered("too short", 9)]
    return GridSource(sequences, length=10, fps=25.0, stride=2, batch=batch, seed=seed)


def firsts(source: GridSource, steps: range) -> list[list[int]]:
    rng = np.random.default_rng(0)
    drawn = [source.draw(step, rng)[0] for step in steps]
    return [np.round(windows[:, 0, 0, 0] * 1000).astype(int).tolist() for windows in drawn]


def test_every_window_is_seen_once_per_epoch_and_the_order_changes():
    source = grid()
    assert source.per_epoch == 3  # eleven windows of the long sequence, one of the short
    epochs = [firsts(source, range(3 * e, 3 * e + 3)) for e in range(2)]
    expected = sorted([*range(0, 21, 2), 0])
    for epoch in epochs:
        assert sorted(np.concatenate(epoch)) == expected
        assert [len(batch) for batch in epoch] == [4, 4, 4]
    assert epochs[0] != epochs[1]


def test_a_step_is_the_same_whenever_it_is_taken():
    assert firsts(grid(), range(4, 6)) == firsts(grid(), range(6))[4:]
    assert firsts(grid(), range(3)) != firsts(grid(seed=1), range(3))


def test_a_window_is_its_frames():
    window = grid(batch=1).draw(0, np.random.default_rng(0))[0][0]
    np.testing.assert_allclose(np.diff(window, axis=0), 0.001, atol=1e-6)


def test_no_window_at_all_is_refused():
    with pytest.raises(InputError, match="none of 1 sequences is as long as a window of 10"):
        GridSource([numbered("s", 9)], 10, 25.0, 1, 4, 0)


def test_motion_of_another_layout_is_refused():
    with pytest.raises(InputError, match=r"layout chico15; recipe 'sesgcn_h36m' takes h36m22"):
        make_source([numbered("s", 60)], load_recipe("sesgcn_h36m"))


def test_rates_fall_at_milestones_or_as_a_cosine():
    stepped = Schedule(TrainingRecipe(epochs=4, milestones=(1, 3), warm_up=1), per_epoch=10)
    assert stepped.steps == 40
    rates = [stepped.learning_rate(step) for step in (0, 9, 10, 29, 30, 39)]
    np.testing.assert_allclose(rates, [3e-3, 3e-3, 3e-4, 3e-4, 3e-5, 3e-5])
    cosine = Schedule(TrainingRecipe(steps=100, warm_up=10), per_epoch=0)
    assert cosine.learning_rate(0) == pytest.approx(3e-4)
    assert cosine.learning_rate(50) == pytest.approx(1.5e-3)
    assert cosine.learning_rate(100) == pytest.approx(0)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"training": {"milestones": [3]}}, "gives milestones in epochs; give training.epochs"),
        ({"training": {"epochs": 2}, "augment": {"tempo": 0.1}}, "changes the tempo of windows"),
        ({"data": {"held_out_subjects": ["1"], "calibrate_subjects": ["2"]}}, "subject 2, which"),
    ],
)
def test_recipes_that_contradict_themselves_are_refused(content, sentence):
    with pytest.raises(ConfigError, match=sentence):
        make_recipe("r", {"data": {"held_out_every": 2}, **content})


@pytest.mark.parametrize("name", ["sesgcn_chico", "sesgcn_h36m", "stsgcn_chico", "stsgcn_h36m"])
def test_published_recipes_train_in_absolute_millimetres(name, shared_data, tmp_path):
    recipe = load_recipe(name)
    recording = read_recording(shared_data / "motion" / "cmu.npz")
    subjects = recipe.data.held_out_subjects
    sequences = [
        dataclasses.replace(sequence, subject=subject, source=sequence.stored[:60])
        for sequence, subject in zip(recording.sequences, ("01", *subjects), strict=False)
    ]
    recipe = dataclasses.replace(
        recipe,
        model=dataclasses.replace(recipe.model, layout="chico15", joints=15),
        training=dataclasses.replace(recipe.training, epochs=1, milestones=(1,), batch=16),
    )
    parts = split(sequences, recipe.data)
    assert {s.subject for s in parts.calibrate} == set(recipe.data.calibrate_subjects)
    assert {s.subject for s in parts.test} == set(subjects) - {s.subject for s in parts.calibrate}
    source = make_source(parts.train, recipe)
    assert source.per_epoch == 2  # 26 windows of 60 frames
    out = tmp_path / "w.safetensors"
    weights = train(recipe, Recording("tiny", sequences), out)
    assert weights.about["steps"] == "2"
    assert weights.config.unit == "mm"
    assert out.is_file()
