"""Our networks, adjacencies, sampling and augmentation against what the authors' code answers."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from ses_gcn_ros.actions.official import build_official, parity, read_checkpoint
from ses_gcn_ros.actions.windows import (
    NTU_NAMES,
    NTU_PARENTS,
    Joints,
    cut_or_padded,
    looped,
    planar_move,
    random_move,
)
from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.models.sgn import Esgn, EsgnConfig, Sgn
from ses_gcn_ros.models.sparse_stgcn import SparseConfig, SparseStgcn, kth_score
from ses_gcn_ros.models.stgcn import (
    TWELVE_LAYERS,
    Stgcn,
    StgcnConfig,
    adjacency_subsets,
    hop_distances,
    normalised,
)

FILES = (
    *(
        f"nagy_net_{name}"
        for name in (
            "uni_plain",
            "uni_res",
            "uni_res_ei",
            "distance_plain",
            "distance_res_ei",
            "spatial_plain",
            "spatial_res",
            "spatial_res_ei",
            "symmetrical_plain",
            "symmetrical_res",
            "symmetrical_res_ei",
        )
    ),
    *(f"nagy_units_{name}" for name in ("uni", "spatial", "symmetrical")),
    "nagy_adjacency",
    "sgn_j20c20",
    "sgn_ntu25",
    "sparse_assembled",
    "sparse_graphs",
    "sparse_stgcn",
    "yan_adjacency",
    "yan_ntu_spatial_ei",
    "yan_openpose_uniform_ei",
)
# NTU RGB+D's 25 joints: child and parent, counted from 0.
NTU_BONES = [
    (0, 1),
    (1, 20),
    (2, 20),
    (3, 2),
    (4, 20),
    (5, 4),
    (6, 5),
    (7, 6),
    (8, 20),
    (9, 8),
    (10, 9),
    (11, 10),
    (12, 0),
    (13, 12),
    (14, 13),
    (15, 14),
    (16, 0),
    (17, 16),
    (18, 17),
    (19, 18),
    (21, 22),
    (22, 7),
    (23, 24),
    (24, 11),
]


@pytest.mark.parametrize("name", FILES)
def test_answers_are_the_authors(golden: Path, name: str):
    answers = parity(golden / f"{name}.npz")
    assert answers
    assert max(answers.values()) < 1e-5


def test_a_wrong_weight_is_noticed(golden: Path, tmp_path: Path):
    arrays = dict(np.load(golden / "sgn_ntu25.npz"))
    arrays["w:gcn2.w.cnn.weight"] = arrays["w:gcn2.w.cnn.weight"].copy()
    arrays["w:gcn2.w.cnn.weight"][0] *= -1
    np.savez(tmp_path / "changed.npz", **arrays)
    assert max(parity(tmp_path / "changed.npz").values()) > 1e-3


def test_layers_inside_sgn_are_the_authors(golden: Path):
    arrays = np.load(golden / "sgn_ntu25.npz")
    _, network = build_official(_weights(arrays), "golden")
    seen = {}
    for name, module in (("gcn1", network.graph[0]), ("gcn3", network.graph[2])):
        module.register_forward_hook(lambda _m, _i, out, name=name: seen.update({name: out}))
    x = torch.from_numpy(arrays["x"])
    with torch.no_grad():
        network(x.view(len(x), 1, 20, 25, 3))
    for name, ours in seen.items():
        np.testing.assert_allclose(
            ours[:1].permute(0, 3, 2, 1), arrays[f"o:{name}"], rtol=1e-4, atol=1e-4
        )


def test_blocks_inside_stgcn_are_the_authors(golden: Path):
    arrays = np.load(golden / "yan_ntu_spatial_ei.npz")
    _, network = build_official(_weights(arrays), "golden")
    seen = {}
    for index in (0, 1, 4, 9):
        hook = lambda _m, _i, out, index=index: seen.update({index: out})  # noqa: E731
        network.units[index].register_forward_hook(hook)
    with torch.no_grad():
        network(torch.from_numpy(arrays["x"]).permute(0, 4, 2, 3, 1))
    for index, ours in seen.items():
        theirs = arrays[f"o:block{index}"]
        np.testing.assert_allclose(ours[: len(theirs)], theirs, rtol=1e-4, atol=1e-4)


def test_scores_learn_through_the_cut_as_the_authors_do(golden: Path):
    arrays = np.load(golden / "sparse_stgcn.npz")
    _, network = build_official(_weights(arrays), "golden")
    network.cut(0.8)
    features = network.features(torch.from_numpy(arrays["x"]))
    (features.flatten() * torch.linspace(-1, 1, features.numel())).sum().backward()
    for theirs, ours in {
        "gcn.1.gcn.A": network.units[1].adjacency.grad,
        "gcn.1.gcn.conv.weight": network.units[1].spatial.weight.grad,
        "gcn.1.gcn.conv.weight_score": network.units[1].spatial.score.grad,
        "gcn.0.tcn.conv.weight_score": network.units[0].temporal.score.grad,
        "gcn.2.residual.conv.weight_score": network.units[2].skip[0].score.grad,
    }.items():
        wanted = arrays[f"grad0.8:{theirs}"]
        np.testing.assert_allclose(ours, wanted, atol=1e-4 * np.abs(wanted).max())
    for level in ("0.6", "0.8", "0.95", "0.99"):
        network.cut(float(level))
        assert network.units[0].spatial.threshold == pytest.approx(arrays[f"threshold:{level}"])
        mask = arrays[f"mask:{level}:gcn.1.tcn.conv"]
        np.testing.assert_array_equal(network.units[1].temporal.kept(), mask)


def test_the_mask_is_dense_then_ramps_as_published(golden: Path):
    wanted = np.load(golden / "sparse_stgcn.npz")["linear_schedule_target0.95_end50"]
    sparse = SparseConfig(warm_up=0.0, ramp=0.5)
    network = SparseStgcn(StgcnConfig(widths=(8, 8)), _ntu("uni"), 3, sparse=sparse)
    cuts = []
    network.cut = cuts.append  # type: ignore[method-assign]
    for epoch in range(51):
        network.set_progress(epoch / 100)
    np.testing.assert_allclose(cuts, wanted, atol=1e-9)


def test_a_threshold_cuts_the_share_asked_for():
    scores = torch.arange(101.0)
    assert kth_score(scores, 0.95) == 95
    assert (scores >= kth_score(scores, 0.0)).all()


def test_padding_and_cropping_are_the_authors(golden: Path):
    arrays = np.load(golden / "yan_feeder.npz")
    people = arrays["x"].transpose(3, 1, 2, 0)
    for frames in (20, 40):
        begin = random.Random(6).randint(0, abs(30 - frames))
        ours = np.stack([cut_or_padded(person, frames, begin) for person in people])
        theirs = arrays[f"random_choose{frames}_seed6"].transpose(3, 1, 2, 0)
        np.testing.assert_array_equal(ours, theirs)
    arrays = np.load(golden / "nagy_looppad.npz")
    np.testing.assert_array_equal([looped(x, 12) for x in arrays["x"]], arrays["y12"])


def test_random_move_is_the_authors(golden: Path):
    arrays = np.load(golden / "yan_feeder.npz")
    people = arrays["x"].transpose(3, 1, 2, 0)
    rng = np.random.RandomState(5)
    angles = rng.choice([-10.0, -5.0, 0.0, 5.0, 10.0], 2)
    scales = rng.choice([0.9, 1.0, 1.1], 2)
    shifts = np.stack([rng.choice([-0.2, -0.1, 0.0, 0.1, 0.2], 2) for _ in range(2)])
    theirs = arrays["random_move_seed5"].transpose(3, 1, 2, 0)
    for person, moved in zip(people, theirs, strict=True):
        np.testing.assert_allclose(
            random_move(person[..., :2], angles, scales, shifts), moved[..., :2], atol=1e-12
        )


def test_the_studys_augmentation_is_flip_then_scale_then_rotation(golden: Path):
    """Of every seed's answer one choice of ours gives exactly that; its shift did nothing."""
    arrays = np.load(golden / "nagy_augment.npz")
    choices = list(
        itertools.product((False, True), (1.0, 0.95, 1.05, 1.1), (0.0, 5, 10, 15, -5, -10, -15))
    )
    found = set()
    for seed in range(8):
        theirs = arrays[f"y_seed{seed}"]
        differences = {
            choice: np.abs(planar_move(arrays["x"], *choice) - theirs).max() for choice in choices
        }
        best = min(differences, key=differences.__getitem__)
        assert differences[best] < 1e-9
        found.add(best)
    assert len(found) > 3


@pytest.mark.parametrize(
    ("joints", "classes", "count"), [(25, 60, 691_048), (25, 120, 721_828), (20, 20, 670_148)]
)
def test_sgn_has_the_published_parameters(joints: int, classes: int, count: int):
    assert _count(Sgn(joints, 20, classes)) == count


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 847_253),
        ({"pooling": "none", "kernels": (3,), "streams": ("joint", "velocity")}, 691_048),
        ({"pooling": "none", "kernels": (3,)}, 691_048 + 9_132),
        ({"pooling": "received"}, 847_253 - 16_513),
        ({"dilated": True}, 847_253 - 130_560),
        ({"fusion": "concat"}, 847_253 + 16_448),
    ],
)
def test_enhanced_sgn_stays_under_a_million(options: dict, count: int):
    parents = tuple(range(-1, 24))
    assert _count(Esgn(25, 20, 60, parents, config=EsgnConfig(**options))) == count


@pytest.mark.parametrize(
    ("partition", "edges", "classes", "count"),
    [
        ("spatial", "importance", 60, 3_098_832),
        ("spatial", "fixed", 60, 3_080_082),
        ("distance", "importance", 60, 2_873_894),
        ("uni", "importance", 60, 2_648_956),
    ],
)
def test_stgcn_has_the_published_parameters(partition, edges, classes, count):
    config = StgcnConfig(partition=partition, edges=edges)
    assert _count(Stgcn(config, _ntu(partition), classes)) == count


@pytest.mark.parametrize(
    ("unit", "subsets", "count"),
    [
        ("plain", 1, 2_592_244),
        ("preactivation", 1, 2_633_780),
        ("plain", 2, 2_817_118),
        ("preactivation", 2, 2_858_654),
        ("plain", 3, 3_041_992),
        ("preactivation", 3, 3_083_528),
    ],
)
def test_the_studys_networks_have_their_parameters(unit: str, subsets: int, count: int):
    config = StgcnConfig(unit=unit, edges="free", input_norm=False)
    assert _count(Stgcn(config, np.ones((subsets, 25, 25)), 6, channels=2)) == count


def test_twelve_layers_are_deeper():
    config = StgcnConfig(widths=TWELVE_LAYERS)
    network = Stgcn(config, _ntu("uni"), 6)
    assert len(network.units) == 13
    assert network(torch.randn(2, 1, 16, 25, 3)).shape == (2, 6)


def test_the_spatial_partition_of_the_published_networks_splits_few_edges():
    counts = {
        name: (_ntu(name) > 0).sum(axis=(1, 2)).tolist() for name in ("spatial", "spatial_legacy")
    }
    assert counts == {"spatial": [25, 24, 24], "spatial_legacy": [25, 40, 8]}


@pytest.mark.parametrize("partition", ["uni", "distance", "spatial", "symmetrical"])
def test_the_studys_normalisation_makes_a_constant_of_every_partition(partition: str):
    joints = Joints.of_parents(NTU_NAMES, NTU_PARENTS)
    steps = hop_distances(25, joints.bones)
    subsets = adjacency_subsets(steps, partition, 1, joints.root, joints.mirror)
    constant = {
        kind: [a.mean() ** 2 * a.size / (a**2).sum() for a in normalised(subsets, kind)]
        for kind in ("column", "authors")
    }
    assert min(constant["authors"]) > 0.998
    assert max(constant["column"]) < 0.15
    whole = normalised(subsets, "authors").sum(axis=0)
    assert 0.79 < whole[subsets.sum(axis=0) == 0].sum() / whole.sum() < 0.89  # where no bone is


def test_checkpoints_are_read_whatever_wraps_them(golden: Path, tmp_path: Path):
    state = _weights(np.load(golden / "sgn_j20c20.npz"))
    torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}}, tmp_path / "a.pth")
    kind, network = build_official(read_checkpoint(tmp_path / "a.pth"), "a.pth")
    assert kind == "sgn"
    assert _count(network) == 670_148


@pytest.mark.parametrize(
    ("content", "sentence"),
    [({"x": [1]}, "no state dict"), ({"weight": torch.zeros(3)}, "no network that is known")],
)
def test_other_checkpoints_are_refused(tmp_path: Path, content, sentence: str):
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(ModelError, match=sentence):
        build_official(read_checkpoint(tmp_path / "other.pth"), "other.pth")


def test_a_golden_file_without_weights_is_refused(golden: Path):
    with pytest.raises(ModelError, match="parity needs both"):
        parity(golden / "nagy_looppad.npz")


def _weights(arrays) -> dict[str, torch.Tensor]:
    return {k[2:]: torch.from_numpy(arrays[k]) for k in arrays.files if k.startswith("w:")}


def _count(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _ntu(partition: str) -> np.ndarray:
    subsets = adjacency_subsets(hop_distances(25, NTU_BONES), partition, centre=20)
    return normalised(subsets, "column")
