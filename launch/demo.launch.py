"""The sample recording (or a video) through the whole cell, recorded, and reported at the end."""

import signal
from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.event_handlers import OnProcessExit
from launch.events import matches_action
from launch.events.process import SignalProcess
from launch.substitutions import LaunchConfiguration

from ses_gcn_ros.bringup import fresh_recording, plan_demo
from ses_gcn_ros.nodes.launching import make_nodes, shutdown, with_exit_handlers

ARGUMENTS = {
    "out": ("demo_out", "Folder for the results."),
    "rate": ("1.0", "Recorded seconds per second."),
    "video": ("", "Feed this video through the pose node instead of the sample recording."),
    "params_file": ("", "YAML with node parameters; config/workcell.yaml when empty."),
    "log_level": ("info", "debug, info, warn, error or fatal."),
}


def _demo(context: LaunchContext) -> list:
    value = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    record = fresh_recording(Path(value["out"]))
    plans = plan_demo(record, video=value["video"], rate=float(value["rate"]))
    nodes = make_nodes(
        plans, params_file=value["params_file"], namespace="", log_level=value["log_level"]
    )
    # The recording ends with its source and is closed; then it is reported; then all is over.
    recorder = nodes["bag_recorder"]
    source = next(plan.executable for plan in plans if plan.ends_run)
    close = EmitEvent(
        event=SignalProcess(signal_number=signal.SIGINT, process_matcher=matches_action(recorder))
    )
    report = ExecuteProcess(
        cmd=["ses-gcn", "report", str(record), "-o", value["out"]], output="screen"
    )
    reported = OnProcessExit(target_action=report, on_exit=[shutdown("the demo is over")])
    on_exit = {source: [close], "bag_recorder": [report]}
    return [RegisterEventHandler(reported), *with_exit_handlers(nodes, on_exit)]


def generate_launch_description() -> LaunchDescription:
    """Arguments and nodes."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=_demo)])
