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
from untrained import make_weights

from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.forecast import build_engine, engine, kernels, load
from ses_gcn_ros.forecast.engine import Engine
from ses_gcn_ros.forecast.engines import compiled
from ses_gcn_ros.forecast.engines.eager import EagerRunner
from ses_gcn_ros.models.config import ModelConfig

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")


@pytest.fixture
def without_numba(monkeypatch):
    """A machine that has no numba."""
    for module in ("numba", "ses_gcn_ros.forecast.engines.kernel"):
        monkeypatch.setitem(sys.modules, module, None)
    compiled._compiled.cache_clear()
    yield
    compiled._compiled.cache_clear()


def test_auto_takes_the_fastest(weights):
    assert build_engine(weights).kind == "compiled"


def test_auto_takes_the_next_and_says_why(weights, without_numba, monkeypatch, caplog):
    with caplog.at_level(logging.WARNING):
        assert build_engine(weights).kind == "onnx"
    assert "engine 'compiled' is not used: engine 'compiled' needs numba" in caplog.text
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with caplog.at_level(logging.WARNING):
        assert build_engine(weights).kind == "eager"
    assert "engine 'onnx' is not used: engine 'onnx' needs onnxruntime" in caplog.text


def test_without_numba_nothing_can_be_loaded(monkeypatch):
    monkeypatch.setitem(sys.modules, "ses_gcn_ros.forecast.resample_kernel", None)
    kernels.kernel.cache_clear()
    with pytest.raises(ModelError, match="forecasting needs numba"):
        load()
    kernels.kernel.cache_clear()


def test_an_engine_that_was_asked_for_is_never_replaced(weights, without_numba):
    with pytest.raises(ModelError, match="needs numba"):
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
    with pytest.raises(ModelError, match="torch finds no GPU"):
        build_engine(weights, device="cuda")


def test_networks_that_can_not_be_folded_run_eagerly(caplog):
    weights = make_weights(ModelConfig(network="dctmlp", widths=(16, 16)))
    with caplog.at_level(logging.WARNING):
        assert build_engine(weights).kind == "eager"
    assert "a network 'dctmlp' can't be folded" in caplog.text


def test_few_frames_are_left_to_the_next(caplog):
    weights = dataclasses.replace(make_weights(ModelConfig(observed=4, widths=(8, 3))))
    with caplog.at_level(logging.WARNING):
        assert build_engine(weights).kind == "onnx"
    assert "takes 5 joints and frames or more; 'untrained' has 15 joints and 4" in caplog.text


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
    files = [file for file in Path(tmp_path).rglob("*kernel*") if file.is_file()]
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
    monkeypatch.setitem(engine._RUNNERS, "cuda", off_by("cuda", np.nan))
    monkeypatch.setitem(engine._RUNNERS, "graph", off_by("graph", 1e-4))
    monkeypatch.setitem(engine._RUNNERS, "eager", off_by("eager", 1e-6))
    with caplog.at_level(logging.WARNING):
        assert build_engine(weights, device="cuda").kind == "eager"
    assert "'cuda' is nan mm off what the CPU answers" in caplog.text
    assert "'graph' is 0.100 mm off what the CPU answers" in caplog.text
    with pytest.raises(ModelError, match="take device cpu"):
        build_engine(weights, engine="cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU")
@pytest.mark.parametrize("people", [1, 3, 64, 65])
@pytest.mark.parametrize("kind", ["cuda", "graph"])
def test_a_gpu_answers_as_the_cpu(weights, people, kind):
    history = np.random.default_rng(0).normal(1, 0.4, (people, 10, 15, 3)).astype(np.float32)
    history[0, :, 3] = np.nan
    on_gpu = build_engine(weights, engine=kind)
    assert on_gpu.device == "cuda"
    expected = build_engine(weights, engine="eager", device="cpu").predict(history)
    for _ in range(2):
        np.testing.assert_allclose(on_gpu.predict(history), expected, atol=5e-5)  # m
