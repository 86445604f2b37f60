"""The benchmark of pose estimation: figures of a real model, memory watched, notes for the rest."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

pytest.importorskip("mediapipe", reason="these tests need mediapipe")

from ses_gcn_ros.cli import app
from ses_gcn_ros.studies.benchmarks import pose


def test_a_model_is_timed_and_its_memory_watched(media: Path, model):
    row = pose.measure(str(media / "one_person.mp4"), model, (320, 180), 20, max_people=1)
    assert row["seen"] > 0.9
    assert 0.0 < row["median"] <= row["p99"]
    assert 0.0 < row["rate"] <= 2.0 / row["median"]  # half of the images took the median or longer
    assert abs(row["memory_growth"]) < row["memory"]


def test_without_a_video_or_a_model_a_note_says_so(shared_data: Path):
    told: list[str] = []
    section = pose.pose(True, told.append)
    assert section.rows == []
    assert "name a video" in section.notes[0]
    video = shared_data / "media" / "one_person.mp4"
    section = pose.pose(True, told.append, video, ["/nowhere/model.task"])
    assert "model was not measured: pose model '/nowhere/model.task' is neither" in section.notes[0]
    assert told == ["pose /nowhere/model.task, 640×360"]


def test_the_benchmark_has_pose_estimation_where_a_video_is_named(shared_data: Path, monkeypatch):
    monkeypatch.delenv("ROS_DOMAIN_ID", raising=False)  # the node takes a domain of its own
    monkeypatch.setattr(pose, "SIZES", pose.SIZES[:1])
    media = shared_data / "media"
    command = ["bench", "--quick", "--section", "pose", "--json"]
    [section] = json.loads(CliRunner().invoke(app, command).stdout)["sections"]
    assert section["rows"] == []
    assert "--video" in section["notes"][0]
    command += ["--video", str(media / "one_person.mp4")]
    command += ["--pose-model", str(media / "pose_landmarker_lite.task")]
    said = CliRunner().invoke(app, command)
    assert said.exit_code == 0, said.exception
    [section] = json.loads(said.stdout)["sections"]
    assert [row["size"] for row in section["rows"]] == ["640×360"]
    assert section["notes"] == []
    if importlib.util.find_spec("rclpy"):
        for row in section["rows"]:
            assert min(row["node_median"], row["median_alone"]) > 0.0
            assert 0.0 < row["node_rate"] <= 2.0 / row["node_median"]
