"""The benchmark compares with the authors' network, and says what it measured on what."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from ses_gcn_ros.cli import app
from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.evaluation import benchmark
from ses_gcn_ros.evaluation.reference import reference_model
from ses_gcn_ros.forecast.official import import_official
from ses_gcn_ros.forecast.weights import DEFAULT_WEIGHTS, read_weights


@pytest.mark.parametrize("horizon", [10, 25])
def test_the_reference_is_the_authors_network(shared_data, tmp_path, horizon):
    official = shared_data / "official"
    weights = import_official(
        official / f"chico_3d_{horizon}frames_Student.pth",
        tmp_path / "s.safetensors",
        official / f"maskA_{horizon}fps.npy",
        official / f"maskT_{horizon}fps.npy",
    )
    golden = np.load(official / f"golden_chico_{horizon}.npz")
    features = torch.from_numpy(golden["x"]).double().permute(0, 2, 3, 1)
    with torch.no_grad():
        answer = reference_model(weights).double()(features).permute(0, 1, 3, 2).numpy()
    assert np.abs(answer - golden["y64"]).max() < 1e-6  # mm


def test_every_engine_meets_the_reference_at_every_size():
    weights = read_weights(DEFAULT_WEIGHTS)
    timings, missing = benchmark.benchmark_forecast(weights, (1, 3), seconds=0.0)
    assert not missing
    assert [(timing.people, timing.contender) for timing in timings] == [
        (people, name) for people in (1, 3) for name in ("reference", "onnx", "eager")
    ]
    for timing in timings:
        assert 0 < timing.median <= timing.p99
        assert timing.calls >= 10
        assert timing.error < 1e-5  # m
    assert [timing.ratio for timing in timings if timing.contender == "reference"] == [1, 1]


def test_an_engine_that_can_not_be_built_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    timings, missing = benchmark.benchmark_forecast(
        read_weights(DEFAULT_WEIGHTS), (1,), seconds=0.0
    )
    assert [timing.contender for timing in timings] == ["reference", "eager"]
    assert "needs onnxruntime" in missing["onnx"]


def test_without_torch_there_is_no_reference(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ModelError, match="reference needs torch"):
        benchmark.benchmark_forecast(read_weights(DEFAULT_WEIGHTS), (1,), seconds=0.0)


def test_distances_are_the_same_compiled_and_not():
    timings = benchmark.benchmark_distances((1,), seconds=0.0)
    assert [timing.contender for timing in timings] == ["numpy", "numba"]
    assert all(timing.error < 1e-9 for timing in timings)


def test_the_command_prints_json():
    said = CliRunner().invoke(app, ["bench", "--quick", "--json"])
    assert said.exit_code == 0, said.output
    result = json.loads(said.stdout)
    assert {"processor", "cores", "versions"} <= set(result["machine"])
    assert {timing["part"] for timing in result["timings"]} == {"forecast", "distances"}
