"""CHICO's collision task as a replay: convert, evaluate, read the table."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ses_gcn_ros.cli import app
from ses_gcn_ros.datasets.sequences import read_recording
from ses_gcn_ros.errors import SesGcnError

TOUCHES, PERIOD = 2, 100  # the arm comes that often, every four seconds
PARAMETERS = """
/**/safety_node:
  ros__parameters:
    robot_frames: [r0, r1, r2, r3, r4, r5, r6, r7, r8]
    robot_radii: [0.08, 0.08, 0.08, 0.08, 0.08, 0.08, 0.08, 0.08]
"""


@pytest.fixture
def chico(tmp_path: Path, shared_data: Path) -> Path:
    """Return a folder in the form of CHICO: somebody moves, an arm comes up to them and leaves."""
    sequences = read_recording(shared_data / "motion" / "cmu.npz").sequences
    frames = TOUCHES * PERIOD
    standing = next(
        s.positions
        for s in sequences
        if "core" in s.tags and len(s) >= frames and np.ptp(s.positions[:frames, 0, :2]) < 0.3
    )
    person = standing[:frames].astype(float)
    chest = person[:, 8]  # c_shoulder
    base = chest[0] + [2.5, 0.0, -0.4]
    share = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(frames) / PERIOD)  # 1 where the arm is out
    tip = base + (0.1 + 0.9 * share[:, None]) * (chest - base)
    along = np.linspace(0, 1, 9)[None, :, None]
    robot = base + along * (tip[:, None] - base)
    path = tmp_path / "poses" / "S02" / "lift_CRASH.pkl"
    path.parent.mkdir(parents=True)
    frames_mm = [(1e3 * p, 1e3 * r) for p, r in zip(person, robot, strict=True)]
    path.write_bytes(pickle.dumps(frames_mm))
    return tmp_path / "poses"


def run(*arguments: object) -> None:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(result.exception, SesGcnError):
        raise result.exception
    assert result.exit_code == 0, result.output


def test_a_data_set_becomes_the_table_of_the_paper(chico, tmp_path):
    parameters = tmp_path / "chico.yaml"
    parameters.write_text(PARAMETERS)
    run("convert", "chico", chico, "-o", tmp_path / "chico.mcap")
    run("evaluate", tmp_path / "chico.mcap", "-o", tmp_path / "out", "--params-file", parameters)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["problems"] == []
    table = summary["collision"]
    assert (table["threshold_m"], table["horizon_s"]) == (0.13, pytest.approx(1.0))
    # the threshold may be crossed more than once on the way in
    assert TOUCHES <= table["collisions"] <= 2 * TOUCHES
    assert table["collisions_warned"] == table["collisions"]
    counts = [table[f"{truth}_{answer}"] for truth in ("true", "false")
              for answer in ("positives", "negatives")]  # fmt: skip
    assert sum(counts) == table["windows"] > 20
    assert table["true_positives"] > 0
    assert table["true_negatives"] > 0
    assert table["recall"] > 0.8  # somebody who stands is foreseen to stand
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Predicted collisions" in page
    assert f"<td>{table['f1']:.3f}</td>" in page
