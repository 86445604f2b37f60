"""Weights files say what they hold, and damaged ones are refused with a sentence."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from ses_gcn_ros import forecast
from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.forecast.weights import DEFAULT_WEIGHTS, read_weights, weights_path, write_weights
from ses_gcn_ros.models.config import parameter_count


def test_what_is_written_is_read(weights, tmp_path):
    path = tmp_path / "w.safetensors"
    write_weights(path, dataclasses.replace(weights, about={"licence": "Apache-2.0"}))
    read = read_weights(path)
    assert read.config == weights.config
    assert (read.name, read.coverage) == ("untrained", 0.95)
    assert read.about == {"licence": "Apache-2.0"}
    np.testing.assert_array_equal(read.radius, weights.radius)
    assert read.tensors.keys() == weights.tensors.keys()
    for name, tensor in weights.tensors.items():
        np.testing.assert_array_equal(read.tensors[name], tensor)


def test_an_interrupted_write_leaves_the_old_file(weights, tmp_path, monkeypatch):
    path = tmp_path / "w.safetensors"
    write_weights(path, weights)
    before = path.read_bytes()

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_weights(path, dataclasses.replace(weights, name="other"))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_weights_of_another_shape_are_refused(weights, tmp_path):
    tensors = {**weights.tensors, "layers.0.graph.space": np.zeros((10, 14, 14), np.float32)}
    with pytest.raises(ModelError, match=r"layers.0.graph.space.*shape \(10, 14, 14\)"):
        write_weights(tmp_path / "w.safetensors", dataclasses.replace(weights, tensors=tensors))
    radius = np.zeros((3, 15), np.float32)
    with pytest.raises(ModelError, match=r"radius .* shape \(3, 15\) and must be \(25, 15\)"):
        write_weights(tmp_path / "w.safetensors", dataclasses.replace(weights, radius=radius))
    config = dataclasses.replace(weights.config, layout="h36m17")
    with pytest.raises(ModelError, match="for 15 joints; layout h36m17 has 17"):
        write_weights(tmp_path / "w.safetensors", dataclasses.replace(weights, config=config))
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_no_weights_are_refused(weights, tmp_path):
    with pytest.raises(ModelError, match="there are no weights at"):
        forecast.load(tmp_path / "absent.safetensors")
    path = tmp_path / "w.safetensors"
    path.write_text("nothing of the kind")
    with pytest.raises(ModelError, match="no readable safetensors file"):
        forecast.load(path)
    write_weights(path, weights)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError, match="no readable safetensors file"):
        forecast.load(path)
    save_file(weights.tensors, path)
    with pytest.raises(ModelError, match="does not say what network it holds"):
        forecast.load(path)
    save_file(weights.tensors, path, metadata={"ses_gcn_ros": '{"format": 1, "config": {"x": 1}}'})
    with pytest.raises(ModelError, match=r"header of .* is damaged: unknown parameter 'x'"):
        forecast.load(path)


def test_weights_that_ship_are_found_by_their_name():
    assert weights_path("sesgcn_workcell") == DEFAULT_WEIGHTS == weights_path(None)
    assert weights_path("mine.safetensors") == Path("mine.safetensors")
    with pytest.raises(ModelError, match="there are no weights at 'sesgcn_workshop'"):
        forecast.load("sesgcn_workshop")


@pytest.mark.parametrize(
    ("name", "largest"), [("sesgcn_workcell", 100_000), ("mean_workcell", 260_000)]
)
def test_the_weights_that_ship_are_small_free_and_acknowledge_their_data(name, largest):
    assert forecast.load(name).name == name
    weights = read_weights(weights_path(name))
    assert weights_path(name).stat().st_size < 1_200_000
    assert parameter_count(weights.config) <= largest
    assert (weights.config.observed, weights.config.horizon) == (10, 25)
    assert weights.config.layout == "chico15"
    assert weights.radius is not None
    assert "mocap.cs.cmu.edu" in weights.about["cmu: acknowledgement"]
    assert "free for use" in weights.about["cmu: licence"]
    assert weights.about["data"].startswith("cmu.npz")
