"""The compiled engine's vectors are as long as the processor's; answers do not depend on that."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from llvmlite import binding

from ses_gcn_ros.forecast import load
from ses_gcn_ros.forecast.engines.processor import tile_shape

PROGRAM = """
import sys
import numpy as np
from ses_gcn_ros.forecast.engines import processor
processor.tile_shape = lambda: (int(sys.argv[1]), int(sys.argv[2]))
from ses_gcn_ros.forecast import load
np.save(sys.argv[4], load(engine="compiled").predict(np.load(sys.argv[3])))
"""


@pytest.mark.parametrize(
    ("name", "long_vectors", "shape"),
    [
        ("cascadelake", True, (16, 4)),
        ("znver5", True, (16, 4)),
        ("znver4", True, (8, 2)),  # has the instructions, and takes two steps for each
        ("haswell", False, (8, 2)),
        ("cortex-a76", False, (8, 2)),
    ],
)
def test_vectors_are_as_long_as_gains(monkeypatch, name, long_vectors, shape):
    features = {"avx512f": True} if long_vectors else {"neon": True}
    monkeypatch.setattr(binding, "get_host_cpu_name", lambda: name)
    monkeypatch.setattr(binding, "get_host_cpu_features", lambda: features)
    assert tile_shape() == shape


def test_without_a_compiler_nothing_is_asked(monkeypatch):
    monkeypatch.setitem(sys.modules, "llvmlite", None)
    assert tile_shape() == (8, 2)


@pytest.mark.parametrize("shape", [(8, 2), (16, 4)])
def test_answers_are_the_same_to_the_bit(tmp_path, clip, shape):
    engine = load(engine="compiled")
    history = np.stack([clip[start : start + engine.observed] for start in (0, 20, 40)])
    np.save(tmp_path / "history.npy", history)
    files = [str(tmp_path / name) for name in ("history.npy", "positions.npy")]
    command = [sys.executable, "-c", PROGRAM, *map(str, shape), *files]
    subprocess.run(command, check=True)
    np.testing.assert_array_equal(np.load(files[1]), engine.predict(history))
