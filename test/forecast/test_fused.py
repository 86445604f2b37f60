"""The GPU's kernels, without a GPU: what they compute is interpreted, and they compile for one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from untrained import FRAMED, make_weights

from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.forecast import build_engine, read_weights, write_weights
from ses_gcn_ros.forecast.engines.fused import FusedForecast
from ses_gcn_ros.forecast.weights import DEFAULT_WEIGHTS
from ses_gcn_ros.models.config import ModelConfig

TOLERANCE = 1e-5  # m; 0.05 mm are allowed on a GPU

NETWORKS = {
    "published": ModelConfig(unit="mm"),
    "22 joints": ModelConfig(layout="h36m22", joints=22, widths=(66, 3)),
    "STS-GCN": ModelConfig(network="stsgcn", widths=(32, 48, 32, 3)),
    "linear head": ModelConfig(widths=(16, 8), head="linear", **FRAMED),
    "by frequency": ModelConfig(widths=(16, 80, 3), frequency=True, **FRAMED),
    "odd sizes": ModelConfig(widths=(112, 48, 3), observed=7, horizon=40),
    "few frames": ModelConfig(observed=4, horizon=3, widths=(8, 3)),
}
ALL = ["shipped", *NETWORKS]
GPUS = (75, 80, 90)  # compute capabilities, times ten: Turing, Ampere, Hopper


def weights_of(name):
    return read_weights(DEFAULT_WEIGHTS) if name == "shipped" else make_weights(NETWORKS[name])


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory, clip) -> Path:
    """A folder with each network's question and the kernels' answer."""
    pytest.importorskip("triton")
    folder = tmp_path_factory.mktemp("interpreted")
    rng = np.random.default_rng(0)
    for name in ALL:
        weights = weights_of(name)
        config = weights.config
        write_weights(folder / f"{name}.safetensors", weights)
        starts = (0, 40)
        history = np.stack([clip[start : start + config.observed] for start in starts])
        more = rng.normal(1, 0.3, (2, config.observed, config.joints, 3))
        history = np.concatenate([history, more], axis=2)[:, :, : config.joints]
        history[1] += np.float32(3)
        if config.visibility:
            history[1, :, [1, 2, 5, 6, 12]] = np.nan
        np.save(folder / f"{name}_history.npy", history.astype(np.float32))
    script = Path(__file__).with_name("fused_interpreted.py")
    done = subprocess.run(
        [sys.executable, str(script), str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("name", ALL)
def test_the_kernels_answer_as_the_torch_modules(name, interpreted):
    history = np.load(interpreted / f"{name}_history.npy")
    expected = build_engine(weights_of(name), "eager", "cpu").predict(history)
    positions = np.load(interpreted / f"{name}_positions.npy")
    np.testing.assert_allclose(positions, expected, rtol=0, atol=TOLERANCE)
    assert np.ptp(expected[np.isfinite(expected)]) > 0.3  # m: there was something to get wrong


class Launches:
    """In place of the module of kernels: takes down what is launched."""

    def __init__(self, kernels):
        self._kernels = kernels
        self.made = []

    def __getattr__(self, name):
        kernel = getattr(self._kernels, name)

        class Launcher:
            def __getitem__(_, grid):
                return lambda *values, **sizes: self.made.append((kernel, values, sizes))

        return Launcher()


@pytest.fixture(params=["shipped", "published", "STS-GCN"])
def launches(request):
    """What the forecast of two people launches."""
    pytest.importorskip("triton")
    forecast = FusedForecast(weights_of(request.param), "cpu")
    forecast._kernels = launches = Launches(forecast._kernels)
    _, run = forecast.prepare(2)
    run()
    assert len(launches.made) == forecast.launches
    return launches.made


@pytest.mark.parametrize("capability", GPUS)
def test_the_kernels_compile_for_gpus_that_are_not_here(
    launches, capability, tmp_path, monkeypatch
):
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    for kernel, values, sizes in launches:
        names = kernel.arg_names
        constants = {name: value for name, value in sizes.items() if name in names}
        options = {name: value for name, value in sizes.items() if name not in names}
        kinds = {
            name: "*fp32" if torch.is_tensor(value) else "fp32"
            for name, value in zip(names, values, strict=False)
        }
        aligned = {
            (place,): [["tt.divisibility", 16]]
            for place, name in enumerate(names)
            if kinds.get(name) == "*fp32"
        }
        source = ASTSource(
            kernel, {**kinds, **dict.fromkeys(constants, "constexpr")}, constants, aligned
        )
        compiled = compile(source, target=GPUTarget("cuda", capability, 32), options=options)
        assert compiled.asm["cubin"]
        assert compiled.metadata.shared <= 48 * 1024  # B, which every GPU has without asking


def test_a_network_that_can_not_be_folded_is_refused():
    pytest.importorskip("triton")
    weights = make_weights(ModelConfig(network="dctmlp", widths=(16, 16)))
    with pytest.raises(ModelError, match="can't be folded"):
        FusedForecast(weights, "cpu")


def test_without_triton_the_reason_says_so(weights, monkeypatch):
    monkeypatch.setitem(sys.modules, "ses_gcn_ros.forecast.engines.fused_kernels", None)
    monkeypatch.delattr("ses_gcn_ros.forecast.engines.fused_kernels", raising=False)
    with pytest.raises(ModelError, match="need torch and triton"):
        FusedForecast(weights, "cpu")
