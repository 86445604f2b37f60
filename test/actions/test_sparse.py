"""What a sparse network has cut costs neither time in the answer nor room in the file."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_network import random_weights

from ses_gcn_ros.actions.engine import SparseLoops, TorchEngine, load_engine
from ses_gcn_ros.actions.weights import (
    ActionWeights,
    build_network,
    read_action_weights,
    write_action_weights,
)
from ses_gcn_ros.models.sparse_stgcn import erk_sparsities, settle

WIDTHS = (16, 16, 32, 32, 64)


def settled(**options: object) -> ActionWeights:
    """Random weights, cut as at the end of a training."""
    weights = random_weights("sparse_stgcn", widths=WIDTHS, warm_up=0.0, **options)
    network = build_network(dataclasses.replace(weights, tensors={})).eval()
    state = {n: network.state_dict()[n].new_tensor(t) for n, t in weights.tensors.items()}
    network.load_state_dict(state)
    settle(network)
    tensors = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    return dataclasses.replace(weights, tensors=tensors)


def windows(count: int = 3) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, 16, 9, 3)).astype(np.float32)


@pytest.mark.parametrize(
    "options",
    [
        {"sparsities": (0.9,), "edges": "free"},
        {"sparsities": (0.95,), "edges": "importance", "partition": "distance", "kernel": 5},
        {"sparsities": (0.8,), "scope": "network", "legacy_skips": True, "input_norm": False},
        {"sparsities": (0.9,), "scope": "erk"},
        {"sparsities": (0.5,), "filters": True},
        {"sparsities": (0.6, 0.95), "edges": "free"},
    ],
    ids=["layer", "importance", "network", "erk", "filters", "assembly"],
)
def test_the_loops_over_what_is_kept_answer_as_torch_does_from_a_file(tmp_path: Path, options):
    weights = settled(**options)
    before = TorchEngine(weights).run(windows())[0]
    write_action_weights(tmp_path / "sparse.safetensors", weights)
    read = read_action_weights(tmp_path / "sparse.safetensors")
    for name, tensor in weights.tensors.items():
        np.testing.assert_array_equal(read.tensors[name], tensor, err_msg=name)
    engine = load_engine(read)
    assert isinstance(engine, SparseLoops)
    for answer in (engine.run(windows())[0], TorchEngine(read).run(windows())[0]):
        np.testing.assert_allclose(answer, before, atol=1e-5 * np.abs(before).max())


def test_a_file_shrinks_with_what_is_cut(tmp_path: Path):
    sizes = []
    for sparsity in (0.0, 0.5, 0.95):
        path = tmp_path / f"{sparsity}.safetensors"
        write_action_weights(path, settled(sparsities=(sparsity,)), half=True)
        sizes.append(path.stat().st_size)
    dense = tmp_path / "dense.safetensors"
    write_action_weights(dense, random_weights("stgcn", widths=WIDTHS), half=True)
    assert sizes[0] > sizes[1] > sizes[2]
    assert sizes[2] < 0.35 * dense.stat().st_size  # a wider network's header weighs less


@given(
    shapes=st.lists(st.tuples(*[st.integers(1, 64)] * 3, st.just(1)), min_size=1, max_size=12),
    sparsity=st.floats(0, 0.999),
)
def test_erdos_renyi_shares_cut_what_is_asked_and_small_layers_by_less(shapes, sparsity):
    layers = {str(index): shape for index, shape in enumerate(shapes)}
    shares = erk_sparsities(layers, sparsity)
    sizes = {name: math.prod(shape) for name, shape in layers.items()}
    cut = sum(shares[name] * size for name, size in sizes.items())
    assert cut == pytest.approx(sparsity * sum(sizes.values()), abs=1e-6 * sum(sizes.values()))
    assert all(-1e-9 <= share <= 1 for share in shares.values())
    density = [(1 - shares[n]) * sizes[n] / sum(layers[n]) for n in layers if shares[n] > 1e-9]
    assert max(density, default=1) == pytest.approx(min(density, default=1), rel=1e-6, abs=1e-9)
