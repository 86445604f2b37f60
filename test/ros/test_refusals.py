"""A node that can't do what it is told says so in one sentence and exits with 1."""

from __future__ import annotations

import signal

import pytest
import torch

from ses_gcn_ros.msg import SafetyState
from ses_gcn_ros.nodes import qos
from ses_gcn_ros.resources import share_path

URDF = str(share_path("config", "demo", "cell.urdf"))


@pytest.mark.parametrize(
    ("executable", "parameters", "sentence"),
    [
        ("forecaster_node", {"weights": "/nowhere/w.safetensors"}, "/nowhere/w.safetensors"),
        ("forecaster_node", {"devise": "cpu"}, "has no parameter 'devise'; `ses-gcn params`"),
        ("forecaster_node", {"device": "tpu"}, "parameter 'device' is 'tpu'; it takes one of"),
        ("safety_node", {"rate": "fast"}, "parameter 'rate' is 'fast' (str); it takes a float: "),
        ("safety_node", {"rate": 1.0e6}, "parameter 'rate' is 1000000.0; it must lie in [5"),
        ("safety_node", {"robot_description": "/nowhere/r.urdf"}, "/nowhere/r.urdf"),
        ("safety_node", {"robot_description": URDF, "zones": ["{name: a}"]}, "zone 'a': size is"),
        (
            "safety_node",
            {
                "robot_description": URDF,
                "trajectory": "plan",
                "trajectory_type": "moveit_msgs/msg/DisplayTrajectory",
            },
            "install the package moveit_msgs",
        ),
        ("bag_player", {"bag": "/nowhere/bag"}, "/nowhere/bag"),
        (
            "bag_player",
            {"topics": "skeletons"},
            "parameter 'topics' is 'skeletons'; it takes a list",
        ),
        ("bag_recorder", {}, "parameter 'bag' is empty; give the folder"),
        ("pose_node", {"source": "video"}, "source is 'video', but parameter 'video' names no"),
    ],
)
def test_a_wrong_parameter_is_named_with_the_way_out(cell, executable, parameters, sentence):
    process = cell.start(executable, **parameters)
    _, stderr = process.communicate(timeout=120)
    text = stderr.decode()
    assert process.returncode == 1
    assert sentence in text
    assert "Traceback" not in text


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_cuda_without_a_gpu_is_refused_not_replaced(cell):
    process = cell.start("forecaster_node", device="cuda")
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "cuda" in stderr.decode()
    assert "Traceback" not in stderr.decode()


@pytest.mark.parametrize(
    ("yaml", "sentence"),
    [
        ("/**/safety_node:\n  ros__parameters:\n    rte: 50.0\n", "has no parameter 'rte'"),
        ("/**/safety_node:\n  ros__parameters:\n    rate: [1.0]\n", "parameter 'rate'"),
        ("/**/safety_node:\n  ros__parameters: [", "ROS 2 does not start"),
    ],
)
def test_a_parameter_file_with_a_mistake_is_refused(cell, tmp_path, yaml, sentence):
    path = tmp_path / "cell.yaml"
    path.write_text(yaml)
    process = cell.start("safety_node", params_file=path)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 1
    assert sentence in stderr.decode()
    assert "Traceback" not in stderr.decode()


def test_sections_for_all_nodes_are_taken_and_ones_that_miss_their_node_are_named(cell, tmp_path):
    path = tmp_path / "cell.yaml"
    path.write_text(
        "/**:\n  ros__parameters:\n    horizon: 3\n    rate: 50\n"
        "safty_node:\n  ros__parameters:\n    rate: 20.0\n"
        "/left/safety_node:\n  ros__parameters:\n    rate: 20.0\n"
    )
    process = cell.start("safety_node", params_file=path, robot_description="demo")
    states = cell.listen(SafetyState, "safety_state", qos.STREAM)
    cell.wait_for(lambda: states, "a state")
    process.send_signal(signal.SIGINT)
    text = process.communicate(timeout=120)[1].decode()
    for section in ("safty_node", "/left/safety_node"):
        assert f"section '{section}' of {path} is not for '/safety_node'" in text
    assert "/**" not in text
