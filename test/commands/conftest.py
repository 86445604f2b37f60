"""The command line, put together once for the tests of a file."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest
import typer


@pytest.fixture(scope="module", autouse=True)
def _put_together_once() -> Iterator[None]:
    """Typer makes all commands anew for each call, which takes longer than most calls."""
    once = cache(typer.main.get_command)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("typer.main.get_command", once)
        patch.setattr("typer.testing._get_command", once)
        yield
