"""ROS parameters from configuration dataclasses: names, types, ranges and help from one place."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterUninitializedException,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from ses_gcn_ros.config import build, tuple_item_type
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


def declare(node: Node, config_type: type[Any]) -> None:
    """Declare a parameter for every field of a configuration dataclass.

    Raises
    ------
    ConfigError
        If the parameter file or command line gives a wrong type, a value out of range or a name
        that the node does not know.
    """
    fields = dataclasses.fields(config_type)
    for field in fields:
        default = field.default
        kind = _ARRAY_TYPES[tuple_item_type(field)] if isinstance(default, tuple) else None
        kind = kind or _SCALAR_TYPES[type(default)]
        override = node._parameter_overrides.get(field.name)
        if override is not None and override.type_ is Parameter.Type.NOT_SET and default == ():
            node._parameter_overrides.pop(field.name)  # YAML has no type for an empty list
        value = list(default) if isinstance(default, tuple) else default
        try:
            # An empty list tells rclpy no type; such a parameter starts out unset.
            node.declare_parameter(field.name, value if value != [] else kind, _descriptor(field))
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            raise ConfigError(
                f"{node.get_name()}: parameter '{field.name}' is {override.value!r}; it takes a "
                f"{kind.name.lower().replace('_', ' ')}{_limits(field)}: "
                f"{field.metadata['description']}"
            ) from error
    # rclpy drops what nobody declares without a word, and a misspelt limit would go unnoticed.
    unknown = sorted(set(node._parameter_overrides) - set(node._parameters))
    unknown = [name for name in unknown if not name.startswith("qos_overrides.")]
    if unknown:
        raise ConfigError(
            f"{node.get_name()} has no parameter '{unknown[0]}'; "
            f"it has {', '.join(sorted(field.name for field in fields))}"
        )


def read(node: Node, config_type: type[T]) -> T:
    """Current parameter values as a checked configuration."""
    values = {
        field.name: _value(node, field)
        for field in dataclasses.fields(config_type)  # type: ignore[arg-type]
    }
    return build(config_type, values)


def _value(node: Node, field: dataclasses.Field[Any]) -> Any:
    try:
        value = node.get_parameter(field.name).value
    except ParameterUninitializedException:
        return field.default
    # Arrays of numbers come back as array.array.
    return list(value) if hasattr(value, "tolist") else value


def _descriptor(field: dataclasses.Field[Any]) -> ParameterDescriptor:
    minimum, maximum = field.metadata["minimum"], field.metadata["maximum"]
    choices = field.metadata["choices"]
    descriptor = ParameterDescriptor(description=field.metadata["description"])
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
