"""Fixtures of the tests of actions."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def golden(shared_data: Path) -> Path:
    """Folder of what the authors' networks answer."""
    folder = shared_data / "official_actions"
    if not folder.is_dir():
        pytest.skip(f"the authors' answers are not at {folder}")
    return folder
