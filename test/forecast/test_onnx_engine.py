"""The folded engine starts from its cache, and trusts nothing in it that is damaged."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from untrained import make_weights

from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.forecast import write_weights
from ses_gcn_ros.forecast.engines import onnx
from ses_gcn_ros.forecast.engines.cache import cached, content_key
from ses_gcn_ros.forecast.engines.onnx import OnnxRunner


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of this test's own."""
    monkeypatch.setenv("SES_GCN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "engines"


@pytest.fixture
def built(monkeypatch) -> list[str]:
    """Names of the weights that a graph was built for."""
    names: list[str] = []
    build = onnx.build_graph

    def watch(weights):
        names.append(weights.name)
        return build(weights)

    monkeypatch.setattr(onnx, "build_graph", watch)
    return names


def answer(weights) -> np.ndarray:
    config = weights.config
    shape = (2, config.observed, config.joints, config.features)
    features = np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)
    return OnnxRunner(weights, "cpu")(features)


def test_the_second_start_builds_nothing(weights, cache, built):
    first = answer(weights)
    np.testing.assert_array_equal(answer(weights), first)
    assert built == [weights.name]
    assert len(list(cache.iterdir())) == 1


def test_other_weights_or_another_version_are_built_anew(weights, cache, built, monkeypatch):
    answer(weights)
    other = make_weights(weights.config, seed=1)
    assert np.abs(answer(other) - answer(weights)).max() > 1e-3
    assert len(built) == 2
    monkeypatch.setattr(onnx, "__version__", "99.0")
    answer(weights)
    assert len(built) == 3


@pytest.mark.parametrize(
    "damage",
    [lambda b: b"", lambda b: b[:-100], lambda b: b[:500] + bytes([b[500] ^ 1]) + b[501:]],
    ids=["empty", "cut short", "one bit"],
)
def test_a_damaged_cache_is_built_anew(weights, cache, built, damage):
    right = answer(weights)
    (file,) = cache.iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    np.testing.assert_array_equal(answer(weights), right)
    assert len(built) == 2
    assert file.read_bytes() == whole


def test_a_cache_that_can_not_be_written_is_done_without(weights, cache, built):
    cache.parent.write_text("a file where the folder should be")
    assert np.isfinite(answer(weights)).all()
    assert np.isfinite(answer(weights)).all()
    assert len(built) == 2


def test_nothing_is_stored_of_a_build_that_failed(cache):
    def fail() -> bytes:
        raise ModelError("no")

    with pytest.raises(ModelError, match="no"):
        cached("some.onnx", fail)
    assert cached("some.onnx", lambda: b"yes") == b"yes"
    assert [file.name for file in cache.iterdir()] == ["some.onnx"]


def test_the_key_knows_every_value(weights):
    before = content_key(weights, ["1"])
    assert content_key(weights, ["1"]) == before
    assert content_key(weights, ["2"]) != before
    tensor = weights.tensors["layers.0.pointwise.bias"]
    kept = tensor[0]
    tensor[0] += np.float32(1e-6)
    try:
        assert content_key(weights, ["1"]) != before
    finally:
        tensor[0] = kept


def test_from_its_cache_it_loads_neither_torch_nor_onnx(weights, cache, tmp_path):
    path = tmp_path / "w.safetensors"
    write_weights(path, weights)
    program = (
        "import sys, numpy as np; from ses_gcn_ros import forecast; "
        f"engine = forecast.load({str(path)!r}, engine='onnx'); "
        "engine.predict(np.zeros((1, 10, 15, 3), np.float32)); "
        "print(sorted({'torch', 'onnx'} & set(sys.modules)))"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", program], check=True, capture_output=True, text=True
        ).stdout.strip()
        for _ in range(2)
    ]
    assert said == ["['onnx']", "[]"]
