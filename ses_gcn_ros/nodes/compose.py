"""All nodes of a workcell in one process and one executor."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import NoReturn

from ses_gcn_ros.bringup import NodePlan, ros_arguments
from ses_gcn_ros.nodes.managed_node import ManagedNode, run


def run_together(
    plans: Sequence[NodePlan], *, params_file: str, namespace: str, log_level: str
) -> NoReturn:
    """Run the nodes of `plans` until a signal comes or one finishes, and end the process."""
    parameters = {
        f"{plan.executable}:{name}": value
        for plan in plans
        for name, value in plan.parameters.items()
    }
    arguments = ros_arguments(
        parameters, params_file=params_file, namespace=namespace, log_level=log_level
    )
    run(lambda: [_make(plan.executable) for plan in plans], arguments)


def _make(executable: str) -> ManagedNode:
    module = importlib.import_module(f"ses_gcn_ros.nodes.{executable}")
    class_name = "".join(word.capitalize() for word in executable.split("_"))
    node: ManagedNode = getattr(module, class_name)()
    return node
