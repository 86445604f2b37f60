"""Short recordings of the demo cell, whole and broken in every way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from recorded_run import run_bag, run_report, sample

from ses_gcn_ros.bags.messages import NANO, Observation, skeletons_message
from ses_gcn_ros.bags.rosbag2 import BagWriter
from ses_gcn_ros.studies.simulated_cells import SyntheticRecording, write_recording

__all__ = ["bag_of", "run_bag", "run_report", "sample", "shift_bag"]


@pytest.fixture(scope="session")
def shift_bag(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds of two people around the sweeping demo robot."""
    path = tmp_path_factory.mktemp("shift") / "shift"
    write_recording(
        shared_data / "motion" / "cmu.npz", path, SyntheticRecording(minutes=0.1, people=2, seed=3)
    )
    return path


@pytest.fixture
def bag_of(tmp_path: Path) -> Callable[[str, list[Observation]], Path]:
    """Write observations as a bag, each recorded when it was made."""

    def write(name: str, observations: list[Observation]) -> Path:
        with BagWriter(tmp_path / name) as bag:
            for number, seen in enumerate(observations):
                stamp = round(observations[0].stamp * NANO) + number * 40_000_000
                bag.write_message("/skeletons", stamp, skeletons_message(seen))
        return tmp_path / name

    return write
