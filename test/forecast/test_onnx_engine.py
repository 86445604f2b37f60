"""ONNX Runtime takes over where the loops can't be compiled, without torch."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from untrained import FRAMED, make_weights

from ses_gcn_ros.forecast import write_weights
from ses_gcn_ros.forecast.engine import EagerRunner
from ses_gcn_ros.forecast.onnx import OnnxRunner
from ses_gcn_ros.models.config import ModelConfig


def test_it_needs_no_torch(weights, tmp_path):
    path = tmp_path / "w.safetensors"
    write_weights(path, weights)
    program = (
        "import sys, numpy as np; from ses_gcn_ros import forecast; "
        f"engine = forecast.load({str(path)!r}, engine='onnx'); "
        "engine.predict(np.zeros((1, 10, 15, 3), np.float32)); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_threads_change_nothing_but_time():
    weights = make_weights(ModelConfig(widths=(66, 66, 3)))
    features = np.random.default_rng(0).normal(0, 1, (9, 10, 15, 3)).astype(np.float32)
    one, two = (OnnxRunner(weights, "cpu", threads)(features) for threads in (1, 2))
    np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("network", ["simlpe", "jointformer"])
@pytest.mark.parametrize("people", [1, 9])
def test_other_networks_answer_as_their_torch_modules_do(network, people):
    rng = np.random.default_rng(0)
    weights = make_weights(ModelConfig(network=network, widths=(16, 16), **FRAMED))
    for name, tensor in weights.tensors.items():  # some start at zero
        weights.tensors[name] = rng.normal(0, 0.2, tensor.shape).astype(np.float32)
    features = rng.normal(0, 1, (people, 10, 15, weights.config.features)).astype(np.float32)
    answer, reference = (made(weights, "cpu")(features) for made in (OnnxRunner, EagerRunner))
    assert np.abs(reference).mean() > 0.1
    np.testing.assert_allclose(answer, reference, rtol=1e-4, atol=1e-5)
