"""Bring up a workcell: pose estimation, forecaster, safety node; a bag, RViz, the demo robot."""

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration

from ses_gcn_ros.bringup import plan_workcell
from ses_gcn_ros.nodes.launching import make_nodes, rviz_node, with_exit_handlers

ARGUMENTS = {
    "namespace": ("", "Namespace of the cell; several cells run side by side in their own."),
    "use_sim_time": ("false", "Follow /clock; a bag implies it."),
    "params_file": ("", "YAML with node parameters; config/workcell.yaml when empty."),
    "rviz": ("false", "Open RViz on the cell."),
    "bag": ("", "Take skeletons from this bag instead of a camera ('sample': ours)."),
    "video": ("", "Take images from this video file instead of a camera."),
    "cameras": ("", "Fuse what several cameras see: their namespaces, such as left,right."),
    "calibration": ("", "File of 'ses-gcn calibrate' for these cameras; TF when empty."),
    "rate": ("1.0", "Recorded seconds per second, for a bag."),
    "demo_robot": ("false", "Simulate the demo cell's robot."),
    "driver": ("", "Carry the speed factor to this robot driver, such as ur or jtc."),
    "record": ("", "Record what the nodes publish to this bag."),
    "actions": ("false", "Recognise what people do."),
    "log_level": ("info", "debug, info, warn, error or fatal."),
}


def _nodes(context: LaunchContext) -> list:
    value = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    plans = plan_workcell(
        bag=value["bag"],
        video=value["video"],
        cameras=value["cameras"],
        calibration=value["calibration"],
        rate=float(value["rate"]),
        demo_robot=value["demo_robot"].lower() == "true",
        driver=value["driver"],
        record=value["record"],
        use_sim_time=value["use_sim_time"].lower() == "true",
        actions=value["actions"].lower() == "true",
    )
    options = {name: value[name] for name in ("params_file", "namespace", "log_level")}
    return with_exit_handlers(make_nodes(plans, **options))


def generate_launch_description() -> LaunchDescription:
    """Arguments, nodes and RViz."""
    rviz = rviz_node(IfCondition(LaunchConfiguration("rviz")))
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in ARGUMENTS.items()
    ]
    # RViz first: where it is missing, the launch ends before anything is started.
    return LaunchDescription([*arguments, rviz, OpaqueFunction(function=_nodes)])
