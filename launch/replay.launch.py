"""A recording through the real nodes on its own clock, recorded again, and reported at the end."""

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration

from ses_gcn_ros.bringup import fresh_recording, plan_workcell, with_robot
from ses_gcn_ros.nodes.launching import (
    make_nodes,
    play_bag,
    reported_at_the_end,
    resume_when_heard,
    rviz_node,
)
from ses_gcn_ros.replay.options import write_recorded_robot
from ses_gcn_ros.resources import share_path

ARGUMENTS = {
    "bag": ("sample", "Bag to play ('sample': ours)."),
    "out": ("replay_out", "Folder for recording, numbers, pictures and page."),
    "player": (
        "bag_player",
        "What plays it once the nodes listen: bag_player (this package's) or rosbag2 "
        "('ros2 bag play --clock').",
    ),
    "rate": ("1.0", "Recorded seconds per second."),
    "robot": ("", "URDF of the robot; the recorded one when empty."),
    "demo_robot": ("false", "Simulate the demo cell's robot instead of the recorded one."),
    "namespace": ("", "Namespace of the cell."),
    "params_file": ("", "YAML with node parameters; config/workcell.yaml when empty."),
    "rviz": ("false", "Open RViz on the cell."),
    "log_level": ("info", "debug, info, warn, error or fatal."),
}


def _replay(context: LaunchContext) -> list:
    value = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    out = Path(value["out"])
    record = fresh_recording(out)
    demo_robot = value["demo_robot"].lower() == "true"
    plans = plan_workcell(
        bag=value["bag"], rate=float(value["rate"]), demo_robot=demo_robot, record=str(record)
    )
    bag = share_path("config", "demo", "visitor") if value["bag"] == "sample" else value["bag"]
    robot = ""
    if not demo_robot:
        robot = value["robot"] or write_recorded_robot(bag, out / "robot.urdf")
        plans = with_robot(plans, robot)
    options = {name: value[name] for name in ("params_file", "namespace", "log_level")}
    nodes = make_nodes(plans, **options)
    begin = []
    if value["player"] == "rosbag2":
        namespace = value["namespace"]
        # As bag_player: the robot of the recording would be a second one beside the demo's.
        nodes["bag_player"] = play_bag(
            bag, rate=value["rate"], namespace=namespace, transforms=not demo_robot
        )
        # recorder, forecaster, safety node
        begin = resume_when_heard(listeners=3, namespace=namespace)
    elif value["player"] != "bag_player":
        raise RuntimeError(f"player is '{value['player']}'; it takes bag_player or rosbag2")
    command = ["ses-gcn", "report", str(record), "-o", str(out)]
    if robot:  # nobody published it, so the recording lacks it
        command += ["--robot", robot]
    report = ExecuteProcess(cmd=command, output="screen")
    return [*reported_at_the_end(nodes, source="bag_player", report=report), *begin]


def generate_launch_description() -> LaunchDescription:
    """Arguments, nodes and RViz."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in ARGUMENTS.items()
    ]
    rviz = rviz_node(IfCondition(LaunchConfiguration("rviz")))
    # RViz first: where it is missing, the launch ends before anything is started.
    return LaunchDescription([*arguments, rviz, OpaqueFunction(function=_replay)])
