"""Training runs as processes of their own, as a shell starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ses_gcn_ros.datasets.sequences import Recording, write_recording

RECIPE = """
model: {{widths: [8, 4], head: linear, origin: true, heading: true, offset: true, motion: true,
  visibility: true}}
data: {{held_out_every: 3, stride: 8}}
training: {{steps: {steps}, batch: 8, warm_up: 2, dropout: {dropout}, checkpoint_every: {every},
  precision: {precision}}}
augment: {{tempo: {tempo}, size: 0.1, noise: 0.005, unseen_share: 0.3}}
"""


def write_recipe(path: Path, **values: object) -> Path:
    """A recipe that is done in a moment."""
    chosen = {"steps": 60, "dropout": 0.2, "every": 3, "tempo": 0.2, "precision": "float32"}
    path.write_text(RECIPE.format(**{**chosen, **values}))
    return path


def write_motion(path: Path, recording: Recording) -> Path:
    """Some of a recording as a file of its own."""
    write_recording(path, recording.sequences, recording.about, millimetres=True)
    return path


def start(
    recipe: Path, data: Path, out: Path, *, processes: int = 1, log: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start ``ses-gcn train``, with ``torchrun`` where several processes are to share the work."""
    command = [sys.executable]
    if processes > 1:
        command += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
        command += [str(processes)]
    command += ["-m", "ses_gcn_ros.cli", "train", "--recipe", str(recipe), "--data", str(data)]
    command += ["-o", str(out)]
    return subprocess.Popen(
        command,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL if log is None else log.open("wb"),
    )
