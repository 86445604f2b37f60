"""Which engine runs: the fastest that can be built, and a reason where one can't."""

from __future__ import annotations

import dataclasses
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from untrained import FRAMED, make_weights

from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.forecast import build_engine, compiled, engine
from ses_gcn_ros.forecast.engine import EagerRunner, Engine
from ses_gcn_ros.forecast.weights import members_of
from ses_gcn_ros.models.config import ModelConfig

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")


@pytest.fixture
def without_llvm(monkeypatch):
    """A machine for which nothing can be compiled."""

    def fail(*_: object) -> None:
        raise ModelError("engine 'compiled' can't be compiled here")

    monkeypatch.setattr(compiled.CompiledRunner, "__init__", fail)


def test_auto_takes_the_fastest(weights):
    assert build_engine(weights).kind == "compiled"


def test_auto_takes_the_next_and_says_why(weights, without_llvm, monkeypatch, caplog):
    with caplog.at_level(logging.WARNING):
        assert build_engine(weights).kind == "onnx"
    assert "engine 'compiled' is not used: engine 'compiled' can't be compiled" in caplog.text
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with caplog.at_level(logging.WARNING):
        assert build_engine(weights).kind == "eager"
    assert "engine 'onnx' is not used: engine 'onnx' needs onnxruntime" in caplog.text


def test_an_engine_that_was_asked_for_is_never_replaced(weights, without_llvm):
    with pytest.raises(ModelError, match="can't be compiled"):
        build_engine(weights, engine="compiled")


@pytest.mark.parametrize("engine", ["compiled", "onnx"])
def test_engines_of_the_cpu_refuse_a_gpu(weights, engine):
    with pytest.raises(ModelError, match="runs on the CPU"):
        build_engine(weights, engine=engine, device="cuda")


@pytest.mark.parametrize("engine", ["cuda", "graph"])
def test_engines_of_a_gpu_refuse_the_cpu(weights, engine):
    with pytest.raises(ModelError, match="runs on a GPU"):
        build_engine(weights, engine=engine, device="cpu")


@without_gpu
def test_a_gpu_that_is_not_there_is_an_error(weights):
    for kind in ("cuda", "graph"):
        with pytest.raises(ModelError, match="torch finds no GPU"):
            build_engine(weights, engine=kind)
    with pytest.raises(ModelError, match="device is 'cuda' but torch finds no GPU"):
        build_engine(weights, device="cuda")


def test_networks_that_can_not_be_folded_run_in_onnx_runtime(caplog):
    weights = make_weights(ModelConfig(network="simlpe", widths=(16, 16)))
    assert build_engine(weights).kind == "onnx"
    assert not caplog.records  # nothing is amiss
    with pytest.raises(ModelError, match="a network 'simlpe' can't be folded"):
        build_engine(weights, "compiled")


def test_few_frames_are_left_to_the_next(caplog):
    weights = dataclasses.replace(make_weights(ModelConfig(observed=4, widths=(8, 3))))
    with caplog.at_level(logging.WARNING):
        assert build_engine(weights).kind == "onnx"
    assert "takes 5 joints and frames or more; 'untrained' has 15 joints and 4" in caplog.text


@pytest.mark.slow
def test_a_damaged_cache_of_compiled_code_is_done_without(tmp_path):
    program = (
        "import numpy as np; from ses_gcn_ros import forecast; "
        "engine = forecast.load(engine='compiled'); "
        "path = engine.predict(np.zeros((1, engine.observed, 15, 3), np.float32)); "
        "print(np.isfinite(path).all())"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}

    def run() -> str:
        return subprocess.run(
            [sys.executable, "-c", program],
            check=True,
            capture_output=True,
            text=True,
            env=environment,
        ).stdout.strip()

    assert run() == "True"
    files = [file for file in Path(tmp_path).rglob("*compiled*") if file.is_file()]
    assert files
    for file in files:
        file.write_bytes(file.read_bytes()[:100])
    assert run() == "True"


def off_by(kind: str, metres: float):
    """What builds an engine that says it runs on a GPU and is so far off."""

    class Runner:
        device, whole = "cuda", True

        def __init__(self, weights, device):
            self.kind = kind
            self._cpu = Engine(weights, EagerRunner(weights, "cpu"))

        def __call__(self, history):
            return self._cpu.predict(history) + np.float32(metres)

    return Runner


def test_a_gpu_that_gets_it_wrong_is_not_used(weights, monkeypatch, caplog):
    off = {"cuda": np.nan, "graph": 1e-4, "eager": 1e-6}  # m
    monkeypatch.setattr(engine, "_runner", lambda name: off_by(name, off[name]))
    with caplog.at_level(logging.WARNING):
        assert build_engine(weights, device="cuda").kind == "eager"
    assert "'cuda' is nan mm off what the CPU answers" in caplog.text
    assert "'graph' is 0.100 mm off what the CPU answers" in caplog.text
    with pytest.raises(ModelError, match="take device cpu"):
        build_engine(weights, engine="cuda")


def test_each_member_of_a_mean_gets_an_engine_of_its_own(clip, caplog):
    members = ("sesgcn 16 8", "jointformer 16 16")
    config = ModelConfig(
        network="mean", widths=(), members=members, head="linear", gate=8, **FRAMED
    )
    weights = make_weights(config)
    rng = np.random.default_rng(0)
    for name, tensor in weights.tensors.items():  # a transformer starts at zero
        if ".outputs." in name:
            weights.tensors[name] = rng.normal(0, 0.1, tensor.shape).astype(np.float32)
    history = (
        np.lib.stride_tricks.sliding_window_view(clip, 10, axis=0)[::20]
        .transpose(0, 3, 1, 2)
        .copy()
    )
    history[1:, :, 3] = np.nan
    found = build_engine(weights)
    assert found.kind == "compiled+onnx"
    assert not caplog.records
    expected = build_engine(weights, "eager", "cpu").predict_with_scale(history)
    path, scale = found.predict_with_scale(history)
    np.testing.assert_allclose(path, expected[0], atol=1e-4)
    np.testing.assert_allclose(scale, expected[1], rtol=1e-3)
    paths, scales = zip(
        *(build_engine(member).predict_with_scale(history) for member in members_of(weights)),
        strict=True,
    )
    np.testing.assert_allclose(path, sum(paths) / 2, atol=1e-4)
    apart = np.linalg.norm(paths[0] - paths[1], axis=-1) / 2
    assert np.nanmean(apart) > 0.01  # m
    # Where the members disagree, the forecast is less sure.
    doubt = np.broadcast_to(np.nanmean(apart, axis=2, keepdims=True), scale.shape)
    np.testing.assert_allclose(scale, sum(scales) / 2 + doubt, rtol=1e-3)
    with pytest.raises(ModelError, match="'jointformer' can't be folded; take engine onnx"):
        build_engine(weights, "compiled")
