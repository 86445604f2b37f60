"""What the launch files share: launch actions for the nodes of a plan."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from launch import Action, Condition, LaunchContext
from launch.actions import (
    EmitEvent,
    ExecuteProcess,
    OpaqueFunction,
    RegisterEventHandler,
    TimerAction,
)
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown, matches_action
from launch.events.process import ProcessExited, SignalProcess
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.ros_adapters import get_ros_node

from ses_gcn_ros.bags.rosbag2 import topics_of
from ses_gcn_ros.bringup import NodePlan, ros_arguments
from ses_gcn_ros.resources import share_path

_LOOK = 0.2  # s between looks at who subscribes
_SETTLE = 1.0  # s that subscribers have to find the player once they are known here


def shutdown(reason: str) -> Action:
    """End the launch."""
    return EmitEvent(event=Shutdown(reason=reason))


def make_nodes(
    plans: Sequence[NodePlan], *, params_file: str, namespace: str, log_level: str
) -> dict[str, Node]:
    """Launch node of each plan, by name."""
    # As `ses-gcn up` says it; launch's own parameters can't hold an empty list.
    nodes = {}
    for plan in plans:
        _, *arguments = ros_arguments(
            plan.parameters, params_file=params_file, namespace="", log_level=log_level
        )
        nodes[plan.name] = Node(
            package="ses_gcn_ros",
            executable=plan.executable,
            namespace=plan.namespace_in(namespace),
            ros_arguments=arguments,
            output="both",
        )
    return nodes


def rviz_node(condition: Condition) -> Node:
    """RViz on the cell of the launch argument ``namespace``, with the saved view."""
    return Node(
        package="rviz2",
        executable="rviz2",
        namespace=LaunchConfiguration("namespace"),
        arguments=["-d", str(share_path("config", "workcell.rviz"))],
        condition=condition,
    )


def play_bag(
    bag: str | Path, *, rate: str, namespace: str, transforms: bool = True
) -> ExecuteProcess:
    """``ros2 bag play`` with a clock, paused: people into the namespace, TF as it was recorded."""
    recorded = topics_of(bag).resolve("skeletons")
    command = ["ros2", "bag", "play", str(bag), "--clock", "100", "--rate", rate]
    command += ["--start-paused", "--topics", recorded]
    command += ["/tf", "/tf_static"] if transforms else []
    if recorded != _skeletons(namespace):
        command += ["--remap", f"{recorded}:={_skeletons(namespace)}"]
    return ExecuteProcess(cmd=command, output="both")


def resume_when_heard(*, listeners: int, namespace: str) -> list[Action]:
    """Let the player of `play_bag` go on as soon as so many nodes subscribe to its people."""
    command = ["ros2", "service", "call", "/rosbag2_player/resume"]
    resume = ExecuteProcess(cmd=[*command, "rosbag2_interfaces/srv/Resume"], output="log")

    def look(context: LaunchContext) -> list[Action]:
        if get_ros_node(context).count_subscribers(_skeletons(namespace)) >= listeners:
            return [TimerAction(period=_SETTLE, actions=[resume])]
        return [TimerAction(period=_LOOK, actions=[OpaqueFunction(function=look)])]

    resumed = OnProcessExit(target_action=resume, on_exit=_reaction("ros2 service call", []))
    return [RegisterEventHandler(resumed), OpaqueFunction(function=look)]


def _skeletons(namespace: str) -> str:
    return f"/{namespace.strip('/')}/skeletons" if namespace.strip("/") else "/skeletons"


def reported_at_the_end(
    nodes: Mapping[str, ExecuteProcess], *, source: str, report: ExecuteProcess
) -> list[Action]:
    """Nodes of which the recorder ends after `source`, and the rest while the report is drawn."""
    written = _reaction("ses-gcn report", [shutdown("the report is written")])
    reported = OnProcessExit(target_action=report, on_exit=written)
    rest = [node for name, node in nodes.items() if name not in (source, "bag_recorder")]
    on_exit: dict[str, list[Action]] = {name: [] for name in nodes}  # they end one after the other
    on_exit[source] = [_interrupt(nodes["bag_recorder"])]
    on_exit["bag_recorder"] = [report, *map(_interrupt, rest)]
    return [RegisterEventHandler(reported), *with_exit_handlers(nodes, on_exit)]


def _interrupt(process: ExecuteProcess) -> Action:
    matcher = matches_action(process)
    return EmitEvent(event=SignalProcess(signal_number=signal.SIGINT, process_matcher=matcher))


def with_exit_handlers(
    nodes: Mapping[str, ExecuteProcess], on_exit: Mapping[str, Sequence[Action]] | None = None
) -> list[Action]:
    """The nodes, and what happens when one of them ends.

    There is no respawn: a watch that comes and goes is worse than a robot that stands still. So the
    end of any node ends the launch, unless `on_exit` names other actions for it. After a failure
    ``ros2 launch`` exits with 1.
    """
    actions: list[Action] = []
    for name, node in nodes.items():
        reaction = _reaction(name, (on_exit or {}).get(name, [shutdown(f"{name} ended")]))
        handler = OnProcessExit(target_action=node, on_exit=reaction)
        actions += [node, RegisterEventHandler(handler)]
    return actions


def _reaction(
    name: str, actions: Sequence[Action]
) -> Callable[[ProcessExited, LaunchContext], list[Action]]:
    def react(event: ProcessExited, _: LaunchContext) -> list[Action]:
        if event.returncode:
            raise RuntimeError(f"{name} failed with exit code {event.returncode}")
        return list(actions)

    return react
