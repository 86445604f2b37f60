"""The launch files bring up what ``ses-gcn up`` and ``ses-gcn demo`` do."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess

import pytest

pytest.importorskip("launch_ros", reason="launch and launch_ros are not installed")
if shutil.which("ros2") is None:
    pytest.skip("the command ros2 is not installed", allow_module_level=True)

from ses_gcn_ros.bringup import demo_environment
from ses_gcn_ros.replay.evaluate import evaluate
from ses_gcn_ros.replay.options import Options
from ses_gcn_ros.resources import share_path


@pytest.fixture
def environment() -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name != "ROS_DOMAIN_ID"}
    return {**inherited, **demo_environment()}


@pytest.mark.parametrize("name", ["workcell", "demo", "replay"])
def test_arguments_are_documented(name):
    command = ["ros2", "launch", "ses_gcn_ros", f"{name}.launch.py", "--show-args"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "'params_file':" in shown
    assert "no description given" not in shown


def test_the_demo_reports_and_ends(tmp_path, environment):
    command = ["ros2", "launch", "ses_gcn_ros", "demo.launch.py", f"out:={tmp_path}"]
    run = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=180, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["forecasts"]["count"] > 0
    assert (tmp_path / "report.html").stat().st_size > 10_000


@pytest.mark.parametrize("player", ["bag_player", "rosbag2"])
def test_a_replay_gives_the_table_of_an_evaluation(player, tmp_path, environment):
    """The same forecasts to the millimetre, through DDS, as `ses-gcn evaluate` computes."""
    if player == "rosbag2":
        pytest.importorskip("rosbag2_py", reason="rosbag2 is not installed")
    command = ["ros2", "launch", "ses_gcn_ros", "replay.launch.py", f"out:={tmp_path / 'replay'}"]
    command += ["demo_robot:=true", "namespace:=cell_1", f"player:={player}"]
    run = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    replayed = json.loads((tmp_path / "replay" / "summary.json").read_text())
    sample = share_path("config", "demo", "visitor")
    evaluated = evaluate(sample, tmp_path / "core", Options(replay_data=False))
    assert replayed["frames"] == evaluated["frames"]
    there, here = (s["forecasts"]["mpjpe_mm"]["at"]["forecast"] for s in (replayed, evaluated))
    assert there == pytest.approx(here, abs=1.0)
    assert replayed["safety"]["states"] > 0
    assert (tmp_path / "replay" / "report.html").stat().st_size > 10_000


@pytest.mark.skipif(shutil.which("rviz2") is not None, reason="RViz is installed")
@pytest.mark.parametrize("name", ["workcell", "replay"])
def test_a_missing_rviz_is_said_before_anything_is_started(name, tmp_path, environment):
    command = ["ros2", "launch", "ses_gcn_ros", f"{name}.launch.py", "rviz:=true"]
    command += [f"out:={tmp_path}"] if name == "replay" else ["bag:=sample", "demo_robot:=true"]
    run = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert run.returncode != 0
    said = run.stdout + run.stderr
    assert "rviz2" in said
    assert "process started" not in said


def test_an_unknown_player_is_refused(tmp_path, environment):
    command = ["ros2", "launch", "ses_gcn_ros", "replay.launch.py", f"out:={tmp_path}"]
    run = subprocess.run(
        [*command, "player:=vlc"], env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode != 0
    assert "it takes bag_player or rosbag2" in run.stdout + run.stderr


def test_the_workcell_ends_when_one_of_its_nodes_does(tmp_path, environment):
    command = ["ros2", "launch", "ses_gcn_ros", "workcell.launch.py", "bag:=sample"]
    command += ["demo_robot:=true", f"params_file:={tmp_path / 'missing.yaml'}"]
    run = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert run.returncode != 0
    assert "missing.yaml' does not exist" in run.stdout + run.stderr


def test_a_node_that_fails_makes_the_launch_fail(tmp_path, environment):
    parameters = tmp_path / "cell.yaml"
    parameters.write_text("/**/safety_node:\n  ros__parameters:\n    rte: 50.0\n")
    command = ["ros2", "launch", "ses_gcn_ros", "workcell.launch.py", "bag:=sample"]
    command += ["demo_robot:=true", f"params_file:={parameters}"]
    run = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert run.returncode == 1
    assert "has no parameter 'rte'" in run.stdout + run.stderr
    assert "safety_node failed with exit code 1" in run.stdout + run.stderr
    assert "failed to terminate" not in run.stdout + run.stderr


def test_ctrl_c_ends_every_process(environment):
    command = ["ros2", "launch", "ses_gcn_ros", "workcell.launch.py", "bag:=sample"]
    command += ["demo_robot:=true"]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "forecaster_node" in line and "frames in" in line:
            break
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "failed to terminate" not in rest
    assert rest.count("process has finished cleanly") >= 3
