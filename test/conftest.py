"""Fixtures shared by all tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

# The same examples each time. The first call of a compiled function loads it, and a busy machine is
# no failure.
settings.register_profile("seeded", deadline=None, derandomize=True)
settings.load_profile("seeded")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of recordings, official weights and media that lies beside the checkout."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the recordings are not at {folder}")
    return folder
