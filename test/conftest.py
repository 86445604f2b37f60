"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples each time. The first call of a compiled function loads it, and a busy machine is
# no failure.
settings.register_profile("seeded", deadline=None, derandomize=True)
settings.load_profile("seeded")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked gpu are for a machine that has one."""
    if item.get_closest_marker("gpu") is not None:
        torch = pytest.importorskip("torch")
        if not torch.cuda.is_available():
            pytest.skip("torch finds no GPU")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of recordings, official weights and media that lies beside the checkout."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("SES_GCN_SHARED", beside)) / "data"
    if not folder.is_dir():
        pytest.skip(f"the recordings are not at {folder}")
    return folder
