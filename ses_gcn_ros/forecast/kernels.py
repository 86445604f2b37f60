"""The compiled loops of forecasting, imported on first use: numba takes half a second."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

from ses_gcn_ros.errors import ModelError

NAMES = ("learning", "resample")


@cache
def kernel(name: str) -> Any:
    """Module of compiled functions, by one of `NAMES`; compiled now if never before.

    Raises
    ------
    ModelError
        If numba is missing.
    """
    try:
        return importlib.import_module(f"ses_gcn_ros.forecast.{name}_kernel")
    except ImportError as error:
        raise ModelError(f"forecasting needs numba: {error}") from None


def compile_all() -> None:
    """Compile now what would otherwise make the first answers late."""
    for name in NAMES:
        kernel(name)
