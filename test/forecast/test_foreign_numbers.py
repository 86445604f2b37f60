"""Weights in number formats that are not ours."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import torch

from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.forecast.official import import_official
from ses_gcn_ros.forecast.weights import read_weights


@pytest.mark.parametrize("kind", ["BF16", "F8_E4M3"])
def test_safetensors_of_types_that_numpy_lacks_are_named(tmp_path: Path, kind: str) -> None:
    size = {"BF16": 2, "F8_E4M3": 1}[kind]
    header = json.dumps({"x": {"dtype": kind, "shape": [2], "data_offsets": [0, 2 * size]}})
    path = tmp_path / "w.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header.encode() + bytes(2 * size))
    with pytest.raises(ModelError, match=r"of a type that can't be read|does not say what network"):
        read_weights(path)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(2, 2).to_sparse(),
        torch.zeros(2, device="meta"),
        torch.zeros(2, dtype=torch.cfloat),
    ],
)
def test_state_dicts_of_other_tensors_are_named(tmp_path: Path, tensor: torch.Tensor) -> None:
    path = tmp_path / "w.pth"
    torch.save({"st_gcnns.0.gcn.A": tensor}, path)
    with pytest.raises(ModelError, match=r"tensor 'st_gcnns.0.gcn.A' .* dense floats"):
        import_official(path, tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def test_parameters_and_half_precision_are_read_as_far_as_they_go(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    half = torch.zeros(2, dtype=torch.bfloat16)
    torch.save({"a": torch.nn.Parameter(torch.zeros(2)), "b": half}, path)
    with pytest.raises(ModelError, match="is no SeS-GCN"):
        import_official(path, tmp_path / "out.safetensors")
