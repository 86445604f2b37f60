"""The plan of a workcell says which nodes run, and with which parameters."""

import pytest
import yaml

from ses_gcn_ros.bringup import (
    fresh_recording,
    plan_demo,
    plan_workcell,
    ros_arguments,
    targeted_parameters,
)
from ses_gcn_ros.errors import ConfigError


def executables(plans):
    return [plan.executable for plan in plans]


def test_a_cell_with_a_camera_has_pose_estimation_forecaster_and_safety():
    assert executables(plan_workcell()) == ["forecaster_node", "safety_node", "pose_node"]


def test_several_cameras_have_a_pose_node_each_and_one_node_that_fuses(tmp_path):
    calibration = tmp_path / "cell.yaml"
    calibration.touch()
    plans = plan_workcell(cameras="left, right", calibration=str(calibration), use_sim_time=True)
    assert [plan.name for plan in plans] == [
        "forecaster_node", "safety_node", "left/pose_node", "right/pose_node", "fusion_node",
    ]  # fmt: skip
    left, right, fusion = plans[2:]
    assert [left.parameters["camera_frame"], right.parameters["camera_frame"]] == [
        "left_optical_frame", "right_optical_frame",
    ]  # fmt: skip
    assert fusion.parameters["cameras"] == [left.namespace, right.namespace]
    assert fusion.parameters["calibration"] == str(calibration)
    assert all(plan.parameters["use_sim_time"] is True for plan in plans)


def test_a_camera_s_namespace_is_within_the_cell_s():
    *_, left, _, fusion = plan_workcell(cameras="left,right")
    assert [left.namespace_in(cell) for cell in ("", "cell_1", "/cell_1/")] == [
        "left", "cell_1/left", "/cell_1/left",
    ]  # fmt: skip
    assert [fusion.namespace_in(cell) for cell in ("", "cell_1")] == ["", "cell_1"]
    assert "calibration" not in fusion.parameters  # the parameter file may say it


def test_several_cameras_need_several_processes():
    with pytest.raises(ConfigError, match="left/pose_node has a namespace of its own"):
        targeted_parameters(plan_workcell(cameras="left,right"))


def test_a_bag_takes_the_place_of_the_camera_and_its_clock_that_of_the_machine():
    plans = {plan.executable: plan for plan in plan_workcell(bag="sample", rate=2.0)}
    assert "pose_node" not in plans
    assert plans["bag_player"].ends_run
    assert plans["bag_player"].parameters["rate"] == 2.0
    assert plans["safety_node"].parameters["use_sim_time"] is True
    assert "use_sim_time" not in plans["bag_player"].parameters


def test_the_demo_records_what_a_simulated_robot_and_the_nodes_publish(tmp_path):
    plans = {plan.executable: plan for plan in plan_demo(tmp_path / "bag")}
    assert {"demo_robot", "bag_recorder", "bag_player"} <= set(plans)
    assert plans["safety_node"].parameters["robot_description"] == "demo"


def test_an_earlier_recording_makes_room_for_the_new_one_and_other_files_stay(tmp_path):
    fresh_recording(tmp_path).mkdir()
    (tmp_path / "bag" / "old.mcap").touch()
    (tmp_path / "notes.txt").write_text("keep me")
    assert not fresh_recording(tmp_path).exists()
    assert (tmp_path / "notes.txt").read_text() == "keep me"


def test_parameters_keep_their_type_on_the_command_line():
    arguments = ros_arguments(
        {"name": "1", "rate": 1.0, "wait": True},
        params_file="",
        namespace="cell_1",
        log_level="warn",
    )
    given = dict(pair.split(":=", 1) for pair in arguments if ":=" in pair)
    assert given["__ns"] == "/cell_1"
    values = {name: yaml.safe_load(given[name]) for name in ("name", "rate", "wait")}
    assert values == {"name": "1", "rate": 1.0, "wait": True}
    assert isinstance(values["rate"], float)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"bag": "sample", "video": "x.mp4"}, "bag and video are both given"),
        ({"bag": "/nowhere/bag"}, "bag '/nowhere/bag' does not exist"),
        ({"video": "/nowhere/x.mp4"}, "video '/nowhere/x.mp4' does not exist"),
        ({"bag": "sample", "cameras": "a,b"}, "bag and cameras are both given"),
        ({"cameras": "left"}, "cameras is 'left'; it takes two different names at least"),
        ({"cameras": "a,b,a"}, "cameras is 'a,b,a'; it takes two different names at least"),
        ({"cameras": "a,,b"}, "cameras is 'a,,b', but '' is no name for a namespace"),
        ({"cameras": "a,/b"}, "cameras is 'a,/b', but '/b' is no name for a namespace"),
        ({"calibration": "/nowhere.yaml"}, "calibration '/nowhere.yaml' does not exist"),
        ({"calibration": __file__}, "cameras is ''; it takes two different names at least"),
    ],
)
def test_a_source_that_cannot_be_is_named(options, sentence):
    with pytest.raises(ConfigError, match=sentence):
        plan_workcell(**options)


def test_a_parameter_file_that_is_missing_is_named():
    with pytest.raises(ConfigError, match=r"params_file '/nowhere.yaml' does not exist"):
        ros_arguments({}, params_file="/nowhere.yaml", namespace="", log_level="info")
