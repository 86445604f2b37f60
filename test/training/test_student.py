"""A student keeps the teacher's strongest adjacency entries and is trained within them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ses_gcn_ros import forecast
from ses_gcn_ros.datasets.sequences import Recording, read_recording
from ses_gcn_ros.errors import ConfigError, InputError
from ses_gcn_ros.forecast.weights import DEFAULT_WEIGHTS
from ses_gcn_ros.training.recipe import make_recipe
from ses_gcn_ros.training.run import train
from ses_gcn_ros.training.student import density, prune


@pytest.fixture(scope="module")
def teacher():
    return forecast.read_weights(DEFAULT_WEIGHTS)


@pytest.mark.parametrize("keep", [0.1, 0.5, 1.0])
def test_the_share_asked_for_is_kept_in_every_layer(teacher, keep):
    shares = density(prune(teacher, keep))
    for kind in ("space", "time"):
        np.testing.assert_allclose(shares[kind], keep, atol=0.01)


def test_what_is_kept_is_stronger_than_what_is_not(teacher):
    student = prune(teacher, 0.3)
    for kind in ("space", "time"):
        strength = np.abs(teacher.tensors[f"layers.1.graph.{kind}"])
        mask = student.tensors[f"layers.1.graph.mask_{kind}"].astype(bool)
        assert strength[mask].min() >= strength[~mask].max()
    assert student.radius is None


def test_pruning_again_does_not_bring_entries_back(teacher):
    once = prune(teacher, 0.3)
    again = prune(once, 0.9)
    assert density(again) == density(once)


def test_a_layer_without_entries_is_reported(teacher):
    tensors = dict(teacher.tensors)
    name = "layers.2.graph.time"
    tensors[name] = np.zeros_like(tensors[name])
    with pytest.raises(InputError, match="empties the time adjacency of layer 2"):
        prune(dataclasses.replace(teacher, tensors=tensors), 0.5)
    with pytest.raises(InputError, match=r"share to keep is 1\.5"):
        prune(teacher, 1.5)


def test_training_goes_on_from_the_teacher_and_within_the_masks(teacher, shared_data, tmp_path):
    whole = read_recording(shared_data / "motion" / "cmu.npz")
    recording = Recording(whole.name, whole.sequences[:9], whole.about)
    recipe = make_recipe(
        "student",
        {
            "model": {**dataclasses.asdict(teacher.config)},
            "data": {"held_out_every": 3, "stride": 16},
            "training": {"steps": 2, "batch": 4, "learning_rate": 1e-4},
        },
    )
    pruned = prune(teacher, 0.5)
    student = train(recipe, recording, tmp_path / "s.safetensors", start=pruned)
    assert density(student) == density(pruned)
    name = "layers.1.pointwise.weight"
    moved = np.abs(student.tensors[name] - teacher.tensors[name]).max()
    assert 0 < moved < 1e-3

    other = make_recipe("other", {"model": {"widths": [8, 3]}, "data": {"held_out_every": 3}})
    with pytest.raises(ConfigError, match="are another network than recipe 'other' describes"):
        train(other, recording, tmp_path / "o.safetensors", start=pruned)
