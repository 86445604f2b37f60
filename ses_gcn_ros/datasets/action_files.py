"""Readers of labelled actions, found by how a file or folder looks."""

from __future__ import annotations

from pathlib import Path

from ses_gcn_ros.datasets.actions import ActionSet, read_action_npz
from ses_gcn_ros.errors import InputError


def read_actions(path: Path) -> ActionSet:
    """Labelled recordings of a file or folder."""
    if path.suffix == ".npz":
        return read_action_npz(path)
    raise InputError(f"'{path}' holds no labelled recordings")
