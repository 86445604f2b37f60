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
from ses_gcn_ros.forecast import build_engine, kernels, load
from ses_gcn_ros.forecast.engines import compiled
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


def test_the_engine_of_a_gpu_refuses_the_cpu(weights):
    with pytest.raises(ModelError, match="runs on a GPU"):
        build_engine(weights, engine="cuda", device="cpu")


@without_gpu
def test_a_gpu_that_is_not_there_is_an_error(weights):
    with pytest.raises(ModelError, match="torch finds no GPU"):
        build_engine(weights, engine="cuda")
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


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU")
@pytest.mark.parametrize("people", [1, 3, 64, 65])
def test_a_gpu_answers_as_the_cpu(weights, people):
    history = np.random.default_rng(0).normal(1, 0.4, (people, 10, 15, 3)).astype(np.float32)
    engine = build_engine(weights, engine="cuda")
    assert engine.device == "cuda"
    for _ in range(2):
        path = engine.predict(history)
        expected = build_engine(weights, engine="eager", device="cpu").predict(history)
        np.testing.assert_allclose(path, expected, atol=5e-5)  # m
