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


WORKCELL = ("workcell", "bag:=sample", "demo_robot:=true")


def command(name: str, *arguments: str) -> list[str]:
    return ["ros2", "launch", "ses_gcn_ros", f"{name}.launch.py", *arguments]


def launch(environment: dict[str, str], name: str, *arguments: str) -> tuple[int, str]:
    """Exit code of a launch, and what it said."""
    run = subprocess.run(
        command(name, *arguments), env=environment, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=240, check=False,
    )  # fmt: skip
    return run.returncode, run.stdout


@pytest.mark.parametrize("name", ["workcell", "demo", "replay"])
def test_arguments_are_documented(name, environment):
    code, shown = launch(environment, name, "--show-args")
    assert code == 0
    assert "'params_file':" in shown
    assert "no description given" not in shown


def test_the_demo_reports_and_ends(tmp_path, environment):
    code, said = launch(environment, "demo", f"out:={tmp_path}")
    assert code == 0, said
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["forecasts"]["count"] > 0
    assert (tmp_path / "report.html").stat().st_size > 10_000


@pytest.mark.parametrize("player", ["bag_player", "rosbag2"])
def test_a_replay_gives_the_table_of_an_evaluation(player, tmp_path, environment):
    """The same forecasts to the millimetre, through DDS, as `ses-gcn evaluate` computes."""
    if player == "rosbag2":
        pytest.importorskip("rosbag2_py", reason="rosbag2 is not installed")
    arguments = ("demo_robot:=true", "namespace:=cell_1", f"player:={player}")
    code, said = launch(environment, "replay", f"out:={tmp_path / 'replay'}", *arguments)
    assert code == 0, said
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
    cell = ("replay", f"out:={tmp_path}") if name == "replay" else WORKCELL
    code, said = launch(environment, *cell, "rviz:=true")
    assert code != 0
    assert "rviz2" in said
    assert "process started" not in said


def test_an_unknown_player_is_refused(tmp_path, environment):
    code, said = launch(environment, "replay", f"out:={tmp_path}", "player:=vlc")
    assert code != 0
    assert "it takes bag_player or rosbag2" in said


def test_the_workcell_ends_when_one_of_its_nodes_does(tmp_path, environment):
    code, said = launch(environment, *WORKCELL, f"params_file:={tmp_path / 'missing.yaml'}")
    assert code != 0
    assert "missing.yaml' does not exist" in said


def test_a_node_that_fails_makes_the_launch_fail(tmp_path, environment):
    parameters = tmp_path / "cell.yaml"
    parameters.write_text("/**/safety_node:\n  ros__parameters:\n    rte: 50.0\n")
    code, said = launch(environment, *WORKCELL, f"params_file:={parameters}")
    assert code == 1
    assert "has no parameter 'rte'" in said
    assert "safety_node failed with exit code 1" in said
    assert "failed to terminate" not in said


def test_ctrl_c_ends_every_process(environment):
    process = subprocess.Popen(
        command(*WORKCELL),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
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
