"""What the launch files share: launch actions for the nodes of a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from launch import Action
from launch.actions import EmitEvent, RegisterEventHandler
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch_ros.actions import Node

from ses_gcn_ros.bringup import NodePlan, params_path


def shutdown(reason: str) -> Action:
    """End the launch."""
    return EmitEvent(event=Shutdown(reason=reason))


def make_nodes(
    plans: Sequence[NodePlan], *, params_file: str, namespace: str, log_level: str
) -> dict[str, Node]:
    """Launch node of each plan, by executable."""
    return {
        plan.executable: Node(
            package="ses_gcn_ros",
            executable=plan.executable,
            namespace=namespace,
            parameters=[str(params_path(params_file)), dict(plan.parameters)],
            ros_arguments=["--log-level", log_level],
            output="both",
        )
        for plan in plans
    }


def with_exit_handlers(
    nodes: Mapping[str, Node], on_exit: Mapping[str, Sequence[Action]] | None = None
) -> list[Action]:
    """The nodes, and what happens when one of them ends.

    There is no respawn: a watch that comes and goes is worse than a robot that stands still. So the
    end of any node ends the launch, unless `on_exit` names other actions for it.
    """
    actions: list[Action] = []
    for name, node in nodes.items():
        reaction = (on_exit or {}).get(name, [shutdown(f"{name} ended")])
        handler = OnProcessExit(target_action=node, on_exit=list(reaction))
        actions += [node, RegisterEventHandler(handler)]
    return actions
