"""Loops are compiled whether or not their code can be kept."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import numba
import numpy as np
import pytest
from numba import types

from ses_gcn_ros.compiling import array, compiled, real


@pytest.mark.parametrize("kept", [True, False])
def test_loops_are_compiled_where_no_cache_can_be_written(monkeypatch, kept):
    njit = numba.njit

    def without_cache(*args, cache: bool = False, **options):
        if cache and not kept:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(*args, **options)

    monkeypatch.setattr(numba, "njit", without_cache)

    @compiled(types.void(array(1), array(1), real[::1]))
    def divide(over, under, result):
        for n in range(len(result)):
            result[n] = over[n] / under[n]

    result, over = np.empty(3), np.array([1.0, 1.0, 0.0])
    over.setflags(write=False)  # arguments that are read only may be read-only arrays
    divide(over, np.array([2.0, 0.0, 0.0]), result)
    np.testing.assert_array_equal(result, [0.5, np.inf, np.nan])


PROGRAM = """
import sys, time
sys.path.insert(0, sys.argv[1])
while time.time() < float(sys.argv[2]):  # all at once
    time.sleep(0.001)
import loops
hits = sum(each.stats.cache_hits.total() for each in (loops.scale, loops.shift))
print(hits, loops.scale(2.0), loops.shift(2.0))
"""
LOOPS = """
from ses_gcn_ros.compiling import compiled, real

@compiled(real(real))
def scale(x):
    return 3.0 * x

@compiled(real(real))
def shift(x):
    return 3.0 + x
"""


def test_the_first_compilation_says_that_it_takes_a_while(tmp_path):
    """And is the last one, also by links and for a file that a checkout has only touched."""
    (tmp_path / "loops.py").write_text(LOOPS)
    installed = tmp_path / "installed"
    installed.mkdir()
    (installed / "loops.py").symlink_to(tmp_path / "loops.py")

    def start(folder):
        return subprocess.run(
            [sys.executable, "-c", PROGRAM, str(folder), "0"],
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        )

    first, second = start(tmp_path), start(installed)
    (tmp_path / "loops.py").touch()
    third = start(tmp_path)
    assert first.stderr == "compiling for this machine, about 20 s\n"
    assert second.stderr == third.stderr == ""
    assert first.stdout == "0 6.0 5.0\n"
    assert second.stdout == third.stdout == "2 6.0 5.0\n"


@pytest.mark.slow
def test_processes_that_start_at_once_compile_each_loop_once(tmp_path):
    (tmp_path / "loops.py").write_text(LOOPS)
    environment = os.environ | {"SES_GCN_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), str(time.time() + 2.0)]
    together = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(3)
    ]
    told = [process.communicate(timeout=300)[0].split() for process in together]
    assert [answers for _, *answers in told] == [["6.0", "5.0"]] * 3
    assert sum(int(hits) for hits, *_ in told) == 4  # of six, two were compiled
