"""Training of lifting networks."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from ses_gcn_ros.datasets.sequences import Recording, read_recording
from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.models.lifting import LiftingConfig, LiftingWeights, make_network
from ses_gcn_ros.training.lifting import (
    VARIANTS,
    LiftingRecipe,
    as_training,
    load_lifting_recipe,
    score_lifter,
    see,
    train_lifter,
    variant,
)
from ses_gcn_ros.training.sources import split
from ses_gcn_ros.training.trainer import tensors_of


@pytest.fixture(scope="module")
def recording(shared_data: Path) -> Recording:
    return read_recording(shared_data / "motion" / "cmu.npz")


@pytest.fixture
def recipe() -> LiftingRecipe:
    """The recipe that ships, with a network and a run that take a moment."""
    shipped = load_lifting_recipe("semgcn_workcell")
    training = dataclasses.replace(
        shipped.training, steps=12, batch=8, warm_up=1, checkpoint_every=4
    )
    model = dataclasses.replace(shipped.model, width=8, blocks=1, frames=2)
    return dataclasses.replace(shipped, model=model, training=training)


def test_a_window_and_its_answer_are_in_the_same_axes(recording: Recording) -> None:
    windows = np.stack([s.positions[:1] for s in recording.sequences[:20]])
    seen = see(windows, np.random.default_rng(0), (0.0, 0.0), 0.0, 0.0)
    features, joints = as_training(seen)
    # Seen from afar a body is nearly flat: what is seen, times the extent, is what is there.
    ratio = joints[:, 1:, :2] / np.where(
        np.abs(features[:, 1:, :2]) > 0.3, features[:, 1:, :2], np.nan
    )
    assert 0.2 < np.nanmedian(ratio) < 0.7
    assert np.all(joints[:, 0] == 0.0)


def test_cameras_that_see_too_little_are_left_out(recording: Recording) -> None:
    windows = np.stack([s.positions[:1] for s in recording.sequences[:40]])
    seen = see(windows, np.random.default_rng(1), (3.0, 3.0), 0.0, 0.75)
    assert 0 < len(seen.rays) < len(windows)
    assert ((seen.confidence[:, -1] > 0).sum(axis=-1) >= 4).all()


def test_a_killed_run_goes_on_to_the_same_weights(
    recipe: LiftingRecipe, recording: Recording, tmp_path: Path
) -> None:
    whole = train_lifter(recipe, recording, tmp_path / "whole.safetensors")

    class Killed(BaseException): ...

    def kill(step: int, steps: int, loss: float) -> None:
        if step == 8:
            raise Killed

    out = tmp_path / "killed.safetensors"
    with pytest.raises(Killed):
        train_lifter(recipe, recording, out, kill)
    assert not out.exists()
    resumed = train_lifter(recipe, recording, out)
    for name, tensor in whole.tensors.items():
        np.testing.assert_array_equal(resumed.tensors[name], tensor)


def test_a_checkpoint_of_another_run_is_not_gone_on_with(
    recipe: LiftingRecipe, recording: Recording, tmp_path: Path
) -> None:
    class Killed(BaseException): ...

    def kill(step: int, steps: int, loss: float) -> None:
        raise Killed

    with pytest.raises(Killed):
        train_lifter(recipe, recording, tmp_path / "w.safetensors", kill)
    with pytest.raises(ConfigError, match=r"semantic = True, now it is False"):
        train_lifter(variant(recipe, "no_semgconv"), recording, tmp_path / "w.safetensors")


def test_networks_are_scored_on_the_same_views_of_people_they_have_not_seen(
    recipe: LiftingRecipe, recording: Recording
) -> None:
    held_out = split(recording.sequences, recipe.data).held_out[:3]
    scores = []
    for name in ("linear", "resgcn"):
        config = dataclasses.replace(variant(recipe, name).model, width=8)
        weights = LiftingWeights(config, tensors_of(make_network(config).state_dict()), name)
        scores.append(score_lifter(weights, held_out, 25.0))
    assert scores[0].windows == scores[1].windows > 10
    assert all(0.05 < score.error < 5.0 for score in scores)


def test_every_variant_differs_from_the_recipe_in_its_network_alone(
    recipe: LiftingRecipe,
) -> None:
    for name in VARIANTS:
        other = variant(recipe, name)
        assert other.model != recipe.model
        assert (other.data, other.training, other.views) == (
            recipe.data,
            recipe.training,
            recipe.views,
        )
    with pytest.raises(ConfigError, match="known are no_nonlocal"):
        variant(recipe, "bigger")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "no mapping"),
        ("modle: {}", "section 'modle'"),
        ("model: {widht: 3}", "widht"),
    ],
)
def test_a_recipe_with_a_slip_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=message):
        load_lifting_recipe(str(path))


@pytest.mark.parametrize("option", ["after: x", "epochs: 3", "milestones: [1]", "dropout: 0.1"])
def test_an_option_that_lifting_has_no_use_for_is_an_error(tmp_path: Path, option: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(f"training: {{{option}}}")
    name = option.partition(":")[0]
    with pytest.raises(ConfigError, match=f"gives training.{name}, which has no use here"):
        load_lifting_recipe(str(path))


def test_an_unknown_recipe_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="known are semgcn_ablation, semgcn_workcell"):
        load_lifting_recipe("semgcn")


def test_the_published_network_is_a_configuration() -> None:
    assert variant(load_lifting_recipe("semgcn_workcell"), "published").model == LiftingConfig(
        frames=9
    )
