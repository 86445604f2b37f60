"""Engines and motion for the tests of forecasting."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from untrained import FRAMED, make_weights

from ses_gcn_ros.forecast.engine import Engine, build_engine
from ses_gcn_ros.forecast.weights import Weights
from ses_gcn_ros.models.config import ModelConfig

torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Engines are kept in a folder of the tests, not in the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SES_GCN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def weights() -> Weights:
    """Untrained weights of our kind."""
    return make_weights(
        ModelConfig(
            widths=(16, 8),
            head="linear",
            **FRAMED,
        )
    )


@pytest.fixture(scope="session")
def engine(weights: Weights) -> Engine:
    """An engine that takes unseen joints."""
    return build_engine(weights, device="cpu")


@pytest.fixture(scope="session")
def clip(shared_data: Path) -> np.ndarray:
    """A real walk, (T, 15, 3) metres at 25 Hz."""
    with np.load(shared_data / "motion" / "cmu.npz") as file:
        ids, lengths, positions = file["ids"].tolist(), file["lengths"], file["positions_mm"]
    place = ids.index("cmu_02_01")
    start = int(lengths[:place].sum())
    return positions[start : start + int(lengths[place])].astype(np.float32) / np.float32(1000)
