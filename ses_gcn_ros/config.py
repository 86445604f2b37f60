"""Configuration as frozen dataclasses: one source for YAML files, ROS parameters and code."""

from __future__ import annotations

import dataclasses
import math
import reprlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.resources import parse_yaml

T = TypeVar("T")

FAR = 1e4  # m from an origin, up to which float32 tells a millimetre
TURN = 6.3  # rad, a whole turn: angles beyond it are degrees

_HUGE = 1e300  # beyond which a number is as good as infinite
_shown = reprlib.Repr().repr  # aliases make a YAML file of some lines a value of gigabytes


def option(
    default: Any,
    description: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] | None = None,
) -> Any:
    """Declare a configuration field with what a person and a ROS parameter need to know of it.

    `default`: value used when nothing else is given. Its type is the field's type.
    `description`: one line with the unit; shown by ``ros2 param describe``.
    `minimum`, `maximum`: inclusive limits of a number, or of each number of a tuple. A parameter of
    a node has both: a slip of the keyboard is a sentence at start, and no filter that never
    filters.
    `choices`: the values allowed for a string.
    """
    metadata = {
        "description": description,
        "minimum": minimum,
        "maximum": maximum,
        "choices": choices,
    }
    return dataclasses.field(default=default, metadata=metadata)


def describe(config_type: type[Any]) -> list[dict[str, Any]]:
    """Name, default (tuples as lists) and what else `option` was given, of each option."""
    return [
        {
            "name": field.name,
            "default": list(field.default) if isinstance(field.default, tuple) else field.default,
            **{key: value for key, value in field.metadata.items() if value is not None},
        }
        for field in dataclasses.fields(config_type)
    ]


def allowed(row: Mapping[str, Any]) -> str:
    """Limits or choices of a row of `describe` in words; empty without."""
    if "minimum" in row or "maximum" in row:
        return f"{row.get('minimum', '')} … {row.get('maximum', '')}".strip()
    return ", ".join(row.get("choices", ()))


def build(config_type: type[T], values: Mapping[str, Any]) -> T:
    """Make a configuration from plain values, checking names, types and ranges.

    Raises ConfigError for an unknown name, a wrong type or a value out of range; the message says
    what is allowed.
    """
    fields = {field.name: field for field in dataclasses.fields(config_type)}  # type: ignore[arg-type]
    for name in values:
        if name not in fields:
            known = ", ".join(sorted(fields))
            raise ConfigError(f"unknown parameter '{name}'; {config_type.__name__} knows {known}")
    checked = {name: _check(fields[name], value) for name, value in values.items()}
    return config_type(**checked)


def _check(field: dataclasses.Field[Any], value: Any) -> Any:
    default = field.default
    if isinstance(default, tuple):
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"parameter '{field.name}' is {_shown(value)}; it takes a list")
        kind = tuple_item_type(field)
        return tuple(_check_scalar(field, kind, item) for item in value)
    return _check_scalar(field, type(default), value)


def read_parameter_file(path: str | Path) -> list[tuple[str, Mapping[str, Any]]]:
    """Sections of a ROS parameter file: which nodes each is for, in ROS's words, and what it says.

    Raises ConfigError if the file can't be read, or a section has no ``ros__parameters``.
    """
    try:
        content = parse_yaml(Path(path).read_text("utf-8")) or {}
    except (OSError, ValueError) as error:
        raise ConfigError(f"params_file '{path}' can't be read: {error}") from error
    if not isinstance(content, Mapping):
        raise ConfigError(f"params_file '{path}' holds no parameters")
    return list(_sections(path, content, ""))


def _sections(
    path: str | Path, content: Mapping[Any, Any], name: str
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for key, value in content.items():
        last = key == "ros__parameters"
        if not isinstance(value, Mapping) or (last and not name):
            where = f"section '{name}' of params_file" if name else "params_file"
            raise ConfigError(
                f"{where} '{path}' has '{key}' where a mapping belongs; ROS wants the node's name, "
                "below that ros__parameters, and below that its parameters"
            )
        if last:
            yield name, value
        else:
            yield from _sections(path, value, f"{name.rstrip('/')}/{key}" if name else str(key))


def tuple_item_type(field: dataclasses.Field[Any]) -> type:
    """Type of the items of a tuple field, taken from its annotation ``tuple[float, ...]``."""
    inner = str(field.type).split("[")[-1].split(",")[0].strip()
    return {"float": float, "int": int, "str": str, "bool": bool}[inner]


def _check_scalar(field: dataclasses.Field[Any], kind: Any, value: Any) -> Any:
    if kind is float and type(value) is int:
        value = float(value) if abs(value) < _HUGE else math.inf if value > 0 else -math.inf
    if type(value) is not kind:
        raise ConfigError(
            f"parameter '{field.name}' is {_shown(value)} ({type(value).__name__}); "
            f"it takes a {kind.__name__}: {field.metadata['description']}"
        )
    minimum, maximum = field.metadata["minimum"], field.metadata["maximum"]
    if kind in (int, float):
        low = -math.inf if minimum is None else float(minimum)
        high = math.inf if maximum is None else float(maximum)
        if not low <= value <= high:
            raise ConfigError(
                f"parameter '{field.name}' is {value}; it must lie in [{low}, {high}]"
            )
        if abs(value) >= _HUGE:
            raise ConfigError(f"parameter '{field.name}' is {value}; it takes a finite number")
    choices = field.metadata["choices"]
    if choices is not None and value not in choices:
        raise ConfigError(
            f"parameter '{field.name}' is '{value}'; it takes one of {', '.join(choices)}"
        )
    return value
