"""Run one node or several in a process: ``python -m ses_gcn_ros.nodes NODE… --ros-args …``."""

from __future__ import annotations

import importlib
import sys
from itertools import takewhile
from typing import TYPE_CHECKING, NoReturn

from ses_gcn_ros.nodes import process

if TYPE_CHECKING:
    from ses_gcn_ros.nodes.managed_node import ManagedNode


# executables whose module is named otherwise
_MODULES = dict.fromkeys(("bag_player", "bag_recorder", "stop_tester"), "recordings")


def node_type(executable: str) -> type[ManagedNode]:
    """Class of an executable's name: ``safety_node`` is a ``SafetyNode``."""
    module = importlib.import_module(f"ses_gcn_ros.nodes.{_MODULES.get(executable, executable)}")
    return getattr(module, executable.title().replace("_", ""))


def main(executables: list[str]) -> NoReturn:
    """Run nodes by the names of their executables until they end, and end the process."""
    process.prepare(executables)
    from ses_gcn_ros.nodes.managed_node import run

    run(*map(node_type, executables))


if __name__ == "__main__":
    main(list(takewhile(lambda word: not word.startswith("-"), sys.argv[1:])))
