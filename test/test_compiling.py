"""Loops are compiled whether or not their code can be kept."""

from __future__ import annotations

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
