"""Arrays as base64 text: what a page of one file can hold of them."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

UNKNOWN = np.iinfo(np.int16).min  # stands for NaN
MILLIMETRE = 0.001  # m
_KINDS = {"f4": "<f4", "u1": "u1", "u4": "<u4", "i2": "<i2"}


def pack(values: ArrayLike, kind: str) -> dict[str, Any]:
    """Array as it is, row by row: kind f4, u1, u4 or i2."""
    data = np.ascontiguousarray(np.asarray(values).ravel(), _KINDS[kind])
    return {"kind": kind, "data": base64.b64encode(data.tobytes()).decode()}


def pack_metres(values: ArrayLike) -> dict[str, Any]:
    """Lengths [m] as whole millimetres, at most 32 m; NaN and infinity become unknown."""
    millimetres = np.round(np.asarray(values, np.float64) / MILLIMETRE)
    known = np.isfinite(millimetres)
    limited = np.clip(np.where(known, millimetres, 0), UNKNOWN + 1, -UNKNOWN - 1)
    return {**pack(np.where(known, limited, UNKNOWN), "i2"), "unit": MILLIMETRE}
