"""A student keeps the teacher's strongest adjacency entries and is trained within them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ses_gcn_ros import forecast
from ses_gcn_ros.datasets.sequences import Recording, read_recording
from ses_gcn_ros.errors import ConfigError, InputError
from ses_gcn_ros.forecast.official import import_official
from ses_gcn_ros.forecast.weights import DEFAULT_WEIGHTS, Weights
from ses_gcn_ros.models.config import ModelConfig
from ses_gcn_ros.replay.figures import THEMES, png
from ses_gcn_ros.studies.ablation import mask_figure
from ses_gcn_ros.training.forecasting import train
from ses_gcn_ros.training.recipe import make_recipe
from ses_gcn_ros.training.students import density, emptied, mask_curve, prune, share_kept


@pytest.fixture(scope="module")
def teacher():
    return forecast.read_weights(DEFAULT_WEIGHTS)


@pytest.mark.parametrize("keep", [0.1, 0.5, 1.0])
def test_the_share_asked_for_is_kept_in_every_layer(teacher, keep):
    shares = density(prune(teacher, keep=keep))
    for kind in ("space", "time"):
        np.testing.assert_allclose(shares[kind], keep, atol=0.01)


def test_what_is_kept_is_stronger_than_what_is_not(teacher):
    student = prune(teacher, keep=0.3)
    for kind in ("space", "time"):
        strength = np.abs(teacher.tensors[f"layers.1.graph.{kind}"])
        mask = student.tensors[f"layers.1.graph.mask_{kind}"].astype(bool)
        assert strength[mask].min() >= strength[~mask].max()
    assert student.radius is None


def test_pruning_again_does_not_bring_entries_back(teacher):
    once = prune(teacher, keep=0.3)
    again = prune(once, keep=0.9)
    assert density(again) == density(once)


def test_layers_without_entries_are_reported(teacher):
    tensors = dict(teacher.tensors)
    name = "layers.2.graph.time"
    tensors[name] = np.zeros_like(tensors[name])
    student = prune(dataclasses.replace(teacher, tensors=tensors), keep=0.5)
    assert emptied(student) == ["layer 2 time"]
    assert 0.4 < share_kept(student) < 0.5


def test_shares_and_thresholds_out_of_range_are_refused(teacher):
    for arguments, sentence in (
        ({"keep": 1.5}, r"share to keep is 1\.5"),
        ({"threshold": -1.0}, "must not be negative"),
        ({"threshold": 1e6}, "leaves no entry; the largest has magnitude"),
        ({}, "either the share of entries to keep or a threshold"),
        ({"keep": 0.5, "threshold": 0.1}, "not both"),
    ):
        with pytest.raises(InputError, match=sentence):
            prune(teacher, **arguments)


def test_networks_without_masks_are_refused():
    config = ModelConfig(network="stsgcn", widths=(8, 3))
    with pytest.raises(InputError, match="is a stsgcn; only SeS-GCN has masks"):
        prune(Weights(config, {}, "dense"), keep=0.5)


@pytest.mark.parametrize(("frames", "threshold"), [(10, 0.03), (25, 0.3095)])
def test_a_threshold_gives_the_masks_that_the_authors_released(
    shared_data, tmp_path, frames, threshold
):
    official = shared_data / "official"
    teacher, student = (
        import_official(
            official / f"chico_3d_{frames}frames_{role}.pth", tmp_path / f"{role}.st", *masks
        )
        for role, masks in (
            ("Teacher", ()),
            ("Student", [official / f"mask{kind}_{frames}fps.npy" for kind in "AT"]),
        )
    )
    ours = prune(teacher, threshold=threshold)
    for name, mask in student.tensors.items():
        if ".mask_" in name:
            assert np.mean(ours.tensors[name] != mask) < 0.002
    assert emptied(ours) == emptied(student) == ["layer 0 space", "layer 0 time"]


def test_the_curve_measures_teacher_and_students_of_both_ways(teacher, shared_data):
    sequences = read_recording(shared_data / "motion" / "cmu.npz").sequences[:2]
    points = list(mask_curve(teacher, sequences, 20, [0.8, 0.4]))
    assert [point.way for point in points] == ["teacher", "keep", "keep", "threshold", "threshold"]
    np.testing.assert_allclose([p.kept for p in points], [1, 0.8, 0.4, 0.8, 0.4], atol=0.01)
    assert points[0].mean_mm < points[1].mean_mm < points[2].mean_mm
    assert png(mask_figure(points, 0, THEMES["light"])).startswith(b"\x89PNG")


@pytest.fixture(scope="module")
def recording(shared_data):
    whole = read_recording(shared_data / "motion" / "cmu.npz")
    return Recording(whole.name, whole.sequences[:9], whole.about)


@pytest.fixture(scope="module")
def recipe(teacher):
    return make_recipe(
        "student",
        {
            "model": {**dataclasses.asdict(teacher.config)},
            "data": {"held_out_every": 3, "stride": 2},
            "training": {"steps": 2, "batch": 4, "learning_rate": 1e-4},
        },
    )


def test_training_goes_on_from_the_teacher_and_within_the_masks(
    teacher, recipe, recording, tmp_path
):
    pruned = prune(teacher, keep=0.5)
    student = train(recipe, recording, tmp_path / "s.safetensors", start=pruned)
    assert density(student) == density(pruned)
    name = "layers.1.pointwise.weight"
    moved = np.abs(student.tensors[name] - teacher.tensors[name]).max()
    assert 0 < moved < 1e-3

    other = make_recipe("other", {"model": {"widths": [8, 3]}, "data": {"held_out_every": 3}})
    with pytest.raises(ConfigError, match="are another network than recipe 'other' describes"):
        train(other, recording, tmp_path / "o.safetensors", start=pruned)


def test_with_the_masks_alone_training_starts_anew(teacher, recipe, recording, tmp_path):
    pruned = prune(teacher, keep=0.3)
    out = tmp_path / "s.safetensors"
    student = train(recipe, recording, out, start=pruned, masks_only=True)
    assert density(student) == density(pruned)
    name = "layers.1.pointwise.weight"
    assert np.abs(student.tensors[name] - teacher.tensors[name]).max() > 0.1
