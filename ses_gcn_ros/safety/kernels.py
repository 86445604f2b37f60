"""The compiled loops of the safety core, imported on first use: numba takes half a second."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

NAMES = ("motion", "separation")


@cache
def kernel(name: str) -> Any:
    """Module of compiled functions, by one of `NAMES`; compiled now if never before."""
    return importlib.import_module(f"ses_gcn_ros.safety.{name}_kernel")


def compile_all() -> None:
    """Compile now what would otherwise make the first answers late."""
    for name in NAMES:
        kernel(name)
