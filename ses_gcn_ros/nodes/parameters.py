"""ROS parameters from configuration dataclasses: names, types, ranges and help from one place."""

from __future__ import annotations

import dataclasses
import difflib
import itertools
import re
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from ses_gcn_ros.config import build, read_parameter_file, tuple_item_type
from ses_gcn_ros.errors import ConfigError

T = TypeVar("T")

_SCALAR_TYPES = {
    bool: Parameter.Type.BOOL,
    int: Parameter.Type.INTEGER,
    float: Parameter.Type.DOUBLE,
    str: Parameter.Type.STRING,
}
_ARRAY_TYPES = {
    bool: Parameter.Type.BOOL_ARRAY,
    int: Parameter.Type.INTEGER_ARRAY,
    float: Parameter.Type.DOUBLE_ARRAY,
    str: Parameter.Type.STRING_ARRAY,
}


def declare(node: Node, config_type: type[T], fixed: Callable[[], T | None]) -> None:
    """Declare a parameter for every field of a configuration dataclass.

    Typing is dynamic, since rclpy's own takes neither 50 for 50.0 nor a list without items; each
    value is checked against the dataclass instead.

    Parameters
    ----------
    fixed : callable
        Gives the configuration that is in force and can't change now, None while it can.

    Raises
    ------
    ConfigError
        If the parameter file or command line gives a wrong type, a value out of range or a name
        that the node does not know.
    """
    fields = {field.name: field for field in dataclasses.fields(config_type)}  # type: ignore[arg-type]
    for field in fields.values():
        default = list(field.default) or None if type(field.default) is tuple else field.default
        descriptor = ParameterDescriptor(dynamic_typing=True)
        node.declare_parameter(field.name, default, descriptor)
    # rclpy drops what nobody declares without a word, and a misspelt limit would go unnoticed.
    # Which names it was given it tells by no public way.
    given = getattr(node, "_parameter_overrides", {})
    shared, strange = _read_files(node.get_fully_qualified_name())
    for sentence in strange:
        node.get_logger().warning(sentence)
    unknown = [
        name
        for name in sorted(given)
        if not (node.has_parameter(name) or name in shared or name.startswith("qos_overrides."))
    ]
    if unknown:
        raise ConfigError(
            f"{node.get_name()} has no parameter '{unknown[0]}'; `ses-gcn params` lists what it has"
        )
    try:
        config = read(node, config_type)
    except ConfigError as error:
        raise ConfigError(f"{node.get_name()}: {error}") from None
    for name, field in fields.items():
        value = getattr(config, name)
        value = list(value) if isinstance(value, tuple) else value
        node.set_parameters([Parameter(name, _type_of(field), value)])
        node.set_descriptor(name, _descriptor(field))

    def check(parameters: list[Parameter[Any]]) -> SetParametersResult:
        now = fixed()
        for parameter in parameters:
            name = parameter.name
            if name not in fields:
                continue
            try:
                wanted = getattr(build(config_type, {name: _value(parameter, fields[name])}), name)
            except ConfigError as error:
                return SetParametersResult(successful=False, reason=str(error))
            if now is not None and wanted != getattr(now, name):
                reason = f"'{name}' doesn't change while the node is active; deactivate first"
                return SetParametersResult(successful=False, reason=reason)
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(check)


def read(node: Node, config_type: type[T]) -> T:
    """Current parameter values as a checked configuration; raises a ConfigError."""
    fields = dataclasses.fields(config_type)  # type: ignore[arg-type]
    return build(config_type, {f.name: _value(node.get_parameter(f.name), f) for f in fields})


def help_on(config_type: type[Any]) -> str:
    """A line for each parameter: name, default, meaning and limits."""
    lines = []
    for field in dataclasses.fields(config_type):
        default = list(field.default) if isinstance(field.default, tuple) else field.default
        choices = field.metadata["choices"]
        limits = f" (one of {', '.join(choices)})" if choices else _limits(field)
        lines.append(f"  {field.name}: {default!r}\n      {field.metadata['description']}{limits}")
    return "\n".join(lines)


def _read_files(node: str) -> tuple[set[str], list[str]]:
    """Look through the process's parameter files, which rclpy has read before.

    Returns
    -------
    set of str
        Parameters of sections for all nodes (``/**``): a node takes of them what it has.
    list of str
        Sentences on sections that are named like this node, but not as it is.
    """
    shared, strange = set[str](), []
    for option, path in itertools.pairwise(sys.argv):
        if option != "--params-file":
            continue
        for section, parameters in read_parameter_file(path):
            form = re.escape(section).replace(r"/\*\*/", "(/.*)?/")  # any namespaces, or none
            form = form.replace(r"\*\*", ".*").replace(r"\*", "[^/]+")
            if re.fullmatch(f"/?{form}", node):
                shared |= set(parameters) if section in ("/**", "**", "/*", "*") else set()
                continue
            name, given = (each.rsplit("/", 1)[-1] for each in (node, section))
            if difflib.get_close_matches(given, [name], cutoff=0.8):
                strange.append(f"section '{section}' of {path} is not for '{node}' and not taken")
    return shared, strange


def _value(parameter: Parameter[Any], field: dataclasses.Field[Any]) -> Any:
    value = parameter.value
    if value is None and isinstance(field.default, tuple):
        return ()  # YAML has no type for an empty list
    # Arrays of numbers come back as array.array.
    return list(value) if hasattr(value, "tolist") else value


def _type_of(field: dataclasses.Field[Any]) -> Parameter.Type:
    if isinstance(field.default, tuple):
        return _ARRAY_TYPES[tuple_item_type(field)]
    return _SCALAR_TYPES[type(field.default)]


def _descriptor(field: dataclasses.Field[Any]) -> ParameterDescriptor:
    minimum, maximum = field.metadata["minimum"], field.metadata["maximum"]
    choices = field.metadata["choices"]
    descriptor = ParameterDescriptor(description=field.metadata["description"], dynamic_typing=True)
    if choices:
        descriptor.additional_constraints = f"one of {', '.join(choices)}"
    if (minimum is None and maximum is None) or isinstance(field.default, tuple):
        return descriptor
    if isinstance(field.default, float):
        low = -1.7e308 if minimum is None else float(minimum)
        high = 1.7e308 if maximum is None else float(maximum)
        descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    else:
        low_int = -(2**63) if minimum is None else int(minimum)
        high_int = 2**63 - 1 if maximum is None else int(maximum)
        descriptor.integer_range = [IntegerRange(from_value=low_int, to_value=high_int)]
    return descriptor


def _limits(field: dataclasses.Field[Any]) -> str:
    minimum, maximum = field.metadata["minimum"], field.metadata["maximum"]
    if minimum is None and maximum is None:
        return ""
    return (
        f" in [{'-inf' if minimum is None else minimum}, {'inf' if maximum is None else maximum}]"
    )
