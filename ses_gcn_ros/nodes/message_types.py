"""Message classes by their ROS names."""

from __future__ import annotations

import importlib
from typing import Any

from ses_gcn_ros.errors import InputError


def message_type(name: str) -> Any:
    """Message class of a name such as ``std_msgs/msg/Float64``.

    Raises
    ------
    InputError
        If its package is not installed or has no such message.
    """
    package, _, kind = name.partition("/msg/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), kind)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"message type '{name}' is not known; install the package {package}"
        ) from error
