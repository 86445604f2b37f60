"""Parameters that are lists of things, each a YAML mapping in a line: zones, tools, robots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import yaml

from ses_gcn_ros.config import build
from ses_gcn_ros.errors import ConfigError

T = TypeVar("T")


def read_entries(parameter: str, entries: Sequence[str], kind: type[T]) -> list[T]:
    """Read the entries of a parameter as configurations of one kind.

    A list of mappings is what a ROS parameter can't hold, so each is a string such as
    ``"{name: door, shape: box, size: [1, 0.2, 2]}"``.

    Raises
    ------
    ConfigError
        If an entry is no mapping, or has an unknown key, a wrong type or a value out of range.
    """
    things = []
    for number, text in enumerate(entries):
        try:
            values = yaml.safe_load(text)
        except yaml.YAMLError as error:
            reason = str(error).replace("\n", " ")
            raise ConfigError(f"{parameter}[{number}] '{text}' is no YAML: {reason}") from error
        if not isinstance(values, dict):
            raise ConfigError(
                f"{parameter}[{number}] is '{text}'; it takes a mapping such as "
                "'{name: …, frame: …}'"
            )
        try:
            things.append(build(kind, values))
        except ConfigError as error:
            raise ConfigError(f"{parameter}[{number}]: {error}") from error
    return things


def check_lengths(label: str, *, exactly: int = 3, **values: Sequence[float]) -> None:
    """Raise ConfigError unless each of some lists has `exactly` so many numbers."""
    for name, value in values.items():
        if len(value) != exactly:
            raise ConfigError(f"{label}: {name} is {list(value)}; it takes {exactly} numbers")
