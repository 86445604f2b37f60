"""The sample recording (or a video) through the whole cell, recorded, and reported at the end."""

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction
from launch.substitutions import LaunchConfiguration

from ses_gcn_ros.bringup import fresh_recording, plan_demo
from ses_gcn_ros.nodes.launching import make_nodes, reported_at_the_end

ARGUMENTS = {
    "out": ("demo_out", "Folder for the results."),
    "rate": ("1.0", "Recorded seconds per second."),
    "video": ("", "Feed this video through the pose node instead of the sample recording."),
    "actions": ("false", "Recognise what people do."),
    "params_file": ("", "YAML with node parameters; config/workcell.yaml when empty."),
    "log_level": ("info", "debug, info, warn, error or fatal."),
}


def _demo(context: LaunchContext) -> list:
    value = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    record = fresh_recording(Path(value["out"]))
    plans = plan_demo(
        record,
        video=value["video"],
        rate=float(value["rate"]),
        actions=value["actions"].lower() == "true",
    )
    nodes = make_nodes(
        plans, params_file=value["params_file"], namespace="", log_level=value["log_level"]
    )
    source = next(plan.executable for plan in plans if plan.ends_run)
    report = ExecuteProcess(
        cmd=["ses-gcn", "report", str(record), "-o", value["out"]], output="screen"
    )
    return reported_at_the_end(nodes, source=source, report=report)


def generate_launch_description() -> LaunchDescription:
    """Arguments and nodes."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=_demo)])
