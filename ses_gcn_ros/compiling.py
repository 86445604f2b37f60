"""Compile loops over small arrays with numba, once per machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from numba import types

real = types.float64
single = types.float32
whole = types.int64


def array(dimensions: int, of: Any = real) -> Any:
    """Type of an argument that is read only: contiguous arrays, writable or not."""
    return types.Array(of, dimensions, "C", readonly=True)


def compiled(signature: Any) -> Callable[[Any], Any]:
    """Compile a function for one signature, and keep the machine code beside its source.

    numba recompiles when the file of the function changes, so everything that a compiled function
    calls has to be in its own file. Arithmetic is that of NumPy: a division by zero gives an
    infinity or NaN, and no operations are reordered.
    """

    def compile_now(function: Any) -> Any:
        try:
            return numba.njit(signature, cache=True, error_model="numpy")(function)
        except Exception:  # the cache can't be read or written, or is damaged
            return numba.njit(signature, error_model="numpy")(function)

    return compile_now
