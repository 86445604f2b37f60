"""The folded network is the network: exact for any weights of the family."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from untrained import FRAMED, make_weights

from ses_gcn_ros.forecast import build_engine, load, write_weights
from ses_gcn_ros.forecast.compiled import CompiledRunner, pack
from ses_gcn_ros.forecast.engine import EagerRunner
from ses_gcn_ros.forecast.folding import FoldedConvolution, FoldedLayer, fold
from ses_gcn_ros.forecast.official import import_official
from ses_gcn_ros.forecast.onnx import OnnxRunner
from ses_gcn_ros.forecast.weights import Weights
from ses_gcn_ros.models.config import ModelConfig, build_network
from ses_gcn_ros.models.sesgcn import SeSGCN

CONFIGS = {
    "published": ModelConfig(widths=(66, 66, 66, 66, 3)),
    "ours": ModelConfig(widths=(32, 32, 8), head="linear", **FRAMED),
    "body": ModelConfig(widths=(32, 32, 8), head="body", **FRAMED),
    "22 joints": ModelConfig(layout="h36m22", joints=22, horizon=10),
    "other lengths": ModelConfig(observed=6, horizon=4, widths=(12, 3)),
    "STS-GCN": ModelConfig(network="stsgcn", widths=(64, 32, 64, 3)),
    "STS-GCN, ours": ModelConfig(network="stsgcn", widths=(32, 32), head="linear", **FRAMED),
}


FOLDED = {"onnx": OnnxRunner, "compiled": CompiledRunner}


def trained(config: ModelConfig, seed: int = 0) -> Weights:
    """Weights whose every tensor has been somewhere, as after training."""
    rng = np.random.default_rng(seed)
    weights = make_weights(config, seed)
    for name, tensor in weights.tensors.items():
        if name.endswith("running_var"):
            tensor[...] = rng.uniform(0.1, 4, tensor.shape)
        elif "norm" in name or "residual.1" in name or "depthwise" in name:
            tensor[...] = rng.normal(0, 1, tensor.shape)
        elif "activation" in name:
            tensor[...] = rng.uniform(-0.5, 1.5)
    return weights


@pytest.fixture(params=FOLDED)
def runner(request):
    """Each of the engines that run a folded network."""
    return FOLDED[request.param]


def answers(weights: Weights, runner, people: int = 3) -> tuple[np.ndarray, np.ndarray]:
    config = weights.config
    shape = (people, config.observed, config.joints, config.features)
    features = np.random.default_rng(1).normal(0, 1, shape).astype(np.float32)
    return EagerRunner(weights, "cpu")(features), runner(weights, "cpu")(features)


def leaky(x: np.ndarray, slope: float) -> np.ndarray:
    return np.where(x > 0, x, slope * x)


def run_layer(layer: FoldedLayer, x: np.ndarray) -> np.ndarray:
    """A folded layer as its formula says; x of shape (J, T, N, C)."""
    total = x if layer.residual is None else x @ layer.residual
    if layer.bias is not None:
        total = total + layer.bias
    if not layer.constant:
        mixed = np.einsum("vqt,vtnc->vqnc", layer.time, x)
        mixed = np.einsum("qwv,vqnc->wqnc", layer.space, mixed)
        total = total + np.clip(mixed, layer.low, layer.high) @ layer.weight
    return leaky(total, layer.slope)


def run_convolution(convolution: FoldedConvolution, x: np.ndarray) -> np.ndarray:
    """A folded convolution; x of shape (N, frames, coordinate, J)."""
    people, frames, _, joints = x.shape
    x = x.transpose(0, 2, 1, 3).reshape(people, 3 * frames, joints)
    x = np.pad(x, ((0, 0), (0, 0), (1, 1)))
    shifted = np.stack([x[..., k : k + joints] for k in range(3)])
    y = np.einsum("oik,knij->noj", convolution.weight, shifted) + convolution.bias[:, None]
    y = leaky(y, convolution.slope)
    return y.reshape(people, 3, -1, joints).transpose(0, 2, 1, 3)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    joints=st.integers(1, 22),
    observed=st.integers(2, 12),
    horizon=st.integers(1, 25),
    widths=st.lists(st.integers(1, 9), max_size=4),
    dead=st.sampled_from([0.0, 0.3, 1.0]),
    kept=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_each_part_is_exact_for_any_weights(seed, joints, observed, horizon, widths, dead, kept):
    config = ModelConfig(joints=joints, observed=observed, horizon=horizon, widths=(*widths, 3))
    weights = trained(config, seed)
    rng = np.random.default_rng(seed)
    for name, tensor in weights.tensors.items():
        if ".mask_" in name:
            tensor[...] = rng.random(tensor.shape) < kept
        elif name.endswith((".norm.weight", ".depthwise.weight")):
            tensor[rng.random(tensor.shape) < dead] = rng.choice([0.0, 1e-38, 1e-31])
    network = SeSGCN(config).double().eval()
    tensors = {name: torch.from_numpy(tensor) for name, tensor in weights.tensors.items()}
    network.load_state_dict(tensors, strict=False)
    folded = fold(weights)
    with torch.no_grad():
        for layer, ours in zip(network.layers, folded.layers, strict=True):
            x = rng.normal(0, 10, (joints, observed, 2, layer.depthwise["weight"].numel()))
            np.testing.assert_allclose(
                run_layer(ours, x), layer(torch.from_numpy(x)).numpy(), rtol=1e-9, atol=1e-9
            )
        decoder = network.decoder
        stages = zip(decoder.convolutions, decoder.norms, decoder.activations, strict=True)
        for stage, ours in zip(stages, folded.convolutions, strict=True):
            convolution, norm, activation = stage
            x = rng.normal(0, 10, (2, convolution.in_channels, 3, joints))
            theirs = activation(norm(convolution(torch.from_numpy(x)))).numpy()
            np.testing.assert_allclose(run_convolution(ours, x), theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("people", [1, 5])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_folded_answers_as_eager(config, people, runner):
    eager, folded = answers(trained(config), runner, people)
    assert eager.shape == folded.shape
    np.testing.assert_allclose(folded, eager, rtol=1e-4, atol=1e-4 * np.abs(eager).max())


def test_masks_are_folded_in(runner):
    weights = trained(CONFIGS["published"])
    rng = np.random.default_rng(2)
    for name, tensor in weights.tensors.items():
        if ".mask_" in name:
            tensor[...] = rng.integers(0, 2, tensor.shape)
    weights.tensors["layers.0.graph.mask_space"][...] = 0  # as in the official weights for CHICO
    eager, folded = answers(weights, runner)
    np.testing.assert_allclose(folded, eager, rtol=1e-4, atol=1e-4 * np.abs(eager).max())


@pytest.mark.parametrize("dead", [0.0, 1e-38, 1e-31], ids=str)
def test_channels_that_died_are_constants(dead, runner):
    weights = trained(CONFIGS["published"])
    weights.tensors["layers.2.norm.weight"][[0, 5, 65]] = dead
    weights.tensors["layers.2.norm.bias"][[0, 5, 65]] = [2.0, -1.0, 9.0]
    weights.tensors["layers.3.norm.weight"][...] = dead
    eager, folded = answers(weights, runner)
    assert np.isfinite(folded).all()
    np.testing.assert_allclose(folded, eager, rtol=1e-4, atol=1e-4 * np.abs(eager).max())


@pytest.mark.parametrize("kind", FOLDED)
@pytest.mark.parametrize("horizon", [10, 25])
def test_official_students_answer_the_golden_inputs_when_folded(
    shared_data, tmp_path, horizon, kind
):
    official = shared_data / "official"
    weights = import_official(
        official / f"chico_3d_{horizon}frames_Student.pth",
        tmp_path / "s.safetensors",
        official / f"maskA_{horizon}fps.npy",
        official / f"maskT_{horizon}fps.npy",
    )
    engine = build_engine(weights, engine=kind)
    golden = np.load(official / f"golden_chico_{horizon}.npz")
    for data in ("", "_noise"):
        metres = golden["x" + data].transpose(0, 2, 3, 1) / np.float32(1000)
        answer = 1000.0 * engine.predict(metres).transpose(0, 1, 3, 2).astype(np.float64)
        assert np.abs(answer - golden["y" + data]).max() < 0.01  # mm


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1),
    joints=st.sampled_from([15, 17, 22]),
    observed=st.integers(5, 12),
    horizon=st.integers(1, 25),
    widths=st.lists(st.integers(1, 20) | st.integers(60, 100), max_size=3),
    head=st.sampled_from(["temporal", "linear"]),
    network=st.sampled_from(["sesgcn", "stsgcn"]),
    dead=st.sampled_from([0.0, 0.5]),
)
def test_compiled_is_right_for_any_size(
    seed, joints, observed, horizon, widths, head, network, dead
):
    config = ModelConfig(
        network=network,
        joints=joints,
        observed=observed,
        horizon=horizon,
        widths=(*widths, 3),
        head=head,
    )
    weights = trained(config, seed)
    rng = np.random.default_rng(seed)
    for name, tensor in weights.tensors.items():
        if name.endswith(".norm.weight") and network == "sesgcn":
            tensor[rng.random(tensor.shape) < dead] = 0
    eager, folded = answers(weights, CompiledRunner, 2)
    np.testing.assert_allclose(folded, eager, rtol=1e-3, atol=1e-4 * np.abs(eager).max())


def test_weights_too_small_for_float32_are_left_out_of_the_compiled_network():
    weights = trained(CONFIGS["published"])
    for name, tensor in weights.tensors.items():
        if "pointwise" in name or "graph" in name:
            tensor.reshape(-1)[::3] = 1e-41
    packed = pack(fold(weights), weights.config)
    smallest = np.abs(packed.memory[packed.memory != 0]).min()
    assert smallest >= np.finfo(np.float32).tiny
    eager, folded = answers(weights, CompiledRunner)
    np.testing.assert_allclose(folded, eager, rtol=1e-3, atol=1e-4 * np.abs(eager).max())


def test_a_dense_layer_is_exact_when_folded():
    config = CONFIGS["STS-GCN"]
    weights = trained(config)
    network = build_network(config).double().eval()
    tensors = {name: torch.from_numpy(tensor) for name, tensor in weights.tensors.items()}
    network.load_state_dict(tensors, strict=False)
    widths = (config.features, *config.widths)
    with torch.no_grad():
        for layer, ours, inputs in zip(network.layers, fold(weights).layers, widths, strict=False):
            x = np.random.default_rng(0).normal(0, 10, (config.joints, config.observed, 2, inputs))
            theirs = layer(torch.from_numpy(x)).numpy()
            np.testing.assert_allclose(run_layer(ours, x), theirs, rtol=1e-9, atol=1e-9)


def test_forecasting_does_not_load_torch(weights, tmp_path):
    path = tmp_path / "w.safetensors"
    write_weights(path, dataclasses.replace(weights, name="light"))
    program = (
        "import sys, numpy as np; from ses_gcn_ros import forecast; "
        f"engine = forecast.load({str(path)!r}); "
        "engine.predict(np.zeros((1, 10, 15, 3), np.float32)); "
        "forecast.Forecaster(engine, forecast.ForecastConfig()); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.slow
def test_a_processor_with_short_vectors_answers_the_same_to_the_bit(tmp_path, clip):
    history = np.stack([clip[start : start + 10] for start in (0, 20, 40)])
    np.save(tmp_path / "history.npy", history)
    program = (
        "import sys, numpy as np; from llvmlite import binding; "
        "features = binding.get_host_cpu_features(); features['avx512f'] = False; "
        "binding.get_host_cpu_features = lambda: features; "
        "from ses_gcn_ros.forecast import compiled, load; assert compiled.LANES == 8; "
        "np.save(sys.argv[2], load(engine='compiled').predict(np.load(sys.argv[1])))"
    )
    files = [str(tmp_path / name) for name in ("history.npy", "positions.npy")]
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", program, *files], check=True, env=environment)
    expected = load(engine="compiled").predict(history)
    np.testing.assert_array_equal(np.load(files[1]), expected)
