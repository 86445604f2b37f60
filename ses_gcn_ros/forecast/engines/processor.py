"""How wide the compiled engine's vectors are to be on this processor."""

from __future__ import annotations

# Processors with 512-bit instructions that take two steps for each: nothing is gained there.
_TWO_STEPS = ("znver4",)
_LONG, _SHORT = (16, 4), (8, 2)


def tile_shape() -> tuple[int, int]:
    """Floats in a vector, and vectors side by side in a tile of the compiled engine.

    What is computed does not depend on it, to the bit: each sum is taken in the same order.

    Returns
    -------
    lanes, vectors : int
        With five rows and AVX-512, 5 × 4 sums, four vectors of one factor and one of the other
        take 25 of 32 registers; else 5 × 2 sums take 13 of 16.
    """
    try:
        from llvmlite import binding
    except ImportError:  # nothing will be compiled
        return _SHORT
    if binding.get_host_cpu_name() in _TWO_STEPS:
        return _SHORT
    return _LONG if binding.get_host_cpu_features().get("avx512f") else _SHORT
