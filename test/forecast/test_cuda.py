"""What a GPU is told to do, seen on the CPU; and on a GPU where there is one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from untrained import FRAMED, make_weights

from ses_gcn_ros.forecast import build_engine, load, read_weights
from ses_gcn_ros.forecast.cuda import BATCHES, FoldedModule, TorchForecast
from ses_gcn_ros.forecast.engine import EagerRunner, Engine
from ses_gcn_ros.forecast.weights import DEFAULT_WEIGHTS
from ses_gcn_ros.models.config import ModelConfig
from ses_gcn_ros.studies.benchmarks.networks import synthetic_histories

NETWORKS = {
    "published": ModelConfig(unit="mm"),
    "22 joints": ModelConfig(layout="h36m22", joints=22, widths=(66, 3)),
    "STS-GCN": ModelConfig(network="stsgcn", widths=(32, 48, 32, 3)),
    "linear head": ModelConfig(widths=(16, 8), head="linear", **FRAMED),
    "by frequency": ModelConfig(widths=(16, 80, 3), frequency=True, **FRAMED),
    "learnt base": ModelConfig(widths=(16, 8), head="body", gate=12, bones=True, **FRAMED),
    "few frames": ModelConfig(observed=4, horizon=3, widths=(8, 3)),
}


def weights_of(name):
    return read_weights(DEFAULT_WEIGHTS) if name == "shipped" else make_weights(NETWORKS[name])


def histories(config: ModelConfig) -> np.ndarray:
    """Two people, of whom one hides joints where that is allowed; no recording is needed."""
    history = synthetic_histories(config, 2)
    if config.visibility:
        history[1, :, [1, 2, 5, 6, 12]] = np.nan
    return history


class Emulated:
    """What an engine of a GPU computes, on the CPU."""

    kind, device, folded, whole = "cuda", "cpu", True, True

    def __init__(self, weights, network):
        folded, modules = FoldedModule(weights, "cpu"), EagerRunner(weights, "cpu").network
        run = folded if network == "folded" else modules
        self._forecast = TorchForecast(weights.config, run, "cpu")

    def __call__(self, history):
        with torch.inference_mode():
            return self._forecast(torch.from_numpy(history)).numpy()


@pytest.mark.parametrize("network", ["folded", "modules"])
@pytest.mark.parametrize("name", ["shipped", *NETWORKS])
def test_the_forecast_that_is_recorded_is_the_reference(name, network):
    weights = weights_of(name)
    history = histories(weights.config)
    found = Engine(weights, Emulated(weights, network)).predict_with_scale(history)
    expected = build_engine(weights, "eager", "cpu").predict_with_scale(history)
    np.testing.assert_allclose(found[0], expected[0], atol=2e-5)  # m; 0.05 mm are allowed there
    if weights.config.gate:
        np.testing.assert_allclose(found[1][0], expected[1][0], rtol=1e-3)


@pytest.mark.gpu
@pytest.mark.parametrize("engine", ["cuda", "graph"])
@pytest.mark.parametrize("name", ["shipped", *NETWORKS])
def test_a_gpu_answers_as_the_cpu_for_any_number_of_people(name, engine):
    weights = weights_of(name)
    fast, exact = build_engine(weights, engine), build_engine(weights, "eager", "cpu")
    two = histories(weights.config)
    for people in (*BATCHES, 3, 65, 130):
        history = (
            two[np.arange(people) % 2] + np.arange(people, dtype=np.float32)[:, None, None, None]
        )
        np.testing.assert_allclose(fast.predict(history), exact.predict(history), atol=5e-5)


@pytest.mark.gpu
def test_a_gpu_that_is_asked_for_takes_the_folded_network():
    assert load(device="cuda").kind == "cuda"
