"""Forecast with the GPU's kernels on the CPU: ``fused_interpreted.py FOLDER``.

Triton's interpreter is chosen before Triton is first imported, so it has a process of its own.
Reads NAME.safetensors and NAME_history.npy, writes NAME_positions.npy.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ["TRITON_INTERPRET"] = "1"

import numpy as np
import torch

from ses_gcn_ros.forecast import read_weights
from ses_gcn_ros.forecast.engines.fused import FusedForecast


def main(folder: Path) -> None:
    for path in sorted(folder.glob("*.safetensors")):
        asked = np.load(folder / f"{path.stem}_history.npy")
        history, forecast = FusedForecast(read_weights(path), "cpu").prepare(len(asked))
        history.copy_(torch.from_numpy(asked))
        forecast()
        positions = forecast().numpy()  # the second finds what the first has left
        np.save(folder / f"{path.stem}_positions.npy", positions)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
