"""``ses-gcn up`` with several cameras: a pose node for each, and the skeletons of one cell."""

from __future__ import annotations

import signal
import subprocess
import sys
from itertools import count
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

pytest.importorskip("rclpy", reason="these tests need ROS 2")
pytest.importorskip("mediapipe", reason="these tests need mediapipe")

from camera_hands import calibration, image_of, wait_for, wait_for_listeners
from sensor_msgs.msg import CameraInfo, Image

from ses_gcn_ros import msg
from ses_gcn_ros.nodes import qos
from ses_gcn_ros.nodes.conversions import to_seconds
from ses_gcn_ros.pose.calibration import CameraPlace, write_calibration
from ses_gcn_ros.pose.camera import target_from_optical
from ses_gcn_ros.resources import share_path

NAMES = ("left", "right")
APART = 1.0  # m between the cameras, which look along x
AWAY = 3.0  # m to the person
FOCAL_LENGTH = 500.0  # px, that of `calibration`


def parameter_file(path: Path, model: Path) -> Path:
    """The one that ships, with a model that is at hand and patience for a busy machine."""
    content = yaml.safe_load(share_path("config", "workcell.yaml").read_text())
    # each works from when its own skeletons are heard, or the first answer would be lost
    content["/**/pose_node"]["ros__parameters"] |= {"model": str(model), "subscribers": 1}
    content["/**/fusion_node"]["ros__parameters"] |= {"max_wait": 1.0, "camera_timeout": 10.0}
    path.write_text(yaml.safe_dump(content))
    return path


def camera_file(path: Path) -> Path:
    """Where the two cameras are."""
    poses = [target_from_optical((0.0, y, 1.5, 0.0, 0.0, 0.0)) for y in (0.0, -APART)]
    frames = [f"{name}_optical_frame" for name in NAMES]
    places = [CameraPlace(*place, 0.1) for place in zip(NAMES, frames, poses, strict=True)]
    write_calibration(path, "world", places, "board")
    return path


def test_two_cameras_give_one_person_in_the_cell(cell, shared_data: Path, tmp_path: Path):
    media = shared_data / "media"
    _, picture = cv2.VideoCapture(str(media / "one_person.mp4")).read()
    nearer = np.array([[1.0, 0.0, -FOCAL_LENGTH * APART / AWAY], [0.0, 1.0, 0.0]])
    pictures = picture, cv2.warpAffine(picture, nearer, picture.shape[1::-1])

    command = [sys.executable, "-m", "ses_gcn_ros.cli", "up", "--cameras", ",".join(NAMES)]
    command += ["--calibration", str(camera_file(tmp_path / "cameras.yaml"))]
    parameters = parameter_file(tmp_path / "cell.yaml", media / "pose_landmarker_lite.task")
    command += ["--params-file", str(parameters), "--namespace", "cell_1", "--demo-robot"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    cell.processes["up"] = process

    images = [cell.publisher(Image, f"/cell_1/{name}/image", qos.STREAM) for name in NAMES]
    infos = [
        cell.publisher(CameraInfo, f"/cell_1/{name}/camera_info", qos.STREAM) for name in NAMES
    ]
    own = [cell.listen(msg.SkeletonArray, f"/cell_1/{n}/skeletons", qos.STREAM) for n in NAMES]
    fused = cell.listen(msg.SkeletonArray, "/cell_1/skeletons", qos.STREAM)
    forecasts = cell.listen(msg.ForecastArray, "/cell_1/forecasts", qos.STREAM)
    wait_for_listeners(cell, *images, *infos)

    def answered(stamp: float) -> bool:
        return all(o and abs(to_seconds(o[-1].header.stamp) - stamp) < 1e-6 for o in own)

    stamps = count(100.0, 0.04)

    def a_person() -> bool:
        """Show one more picture to both cameras; whether anybody was found in the cell."""
        stamp = next(stamps)
        for number, name in enumerate(NAMES):
            pictures[number][0, 0] = round(25 * stamp) % 256  # no sensor gives the same twice
            infos[number].publish(calibration())
            images[number].publish(image_of(pictures[number], stamp, f"{name}_optical_frame"))
        wait_for(cell, lambda: answered(stamp), "both cameras answer")
        return bool(fused and fused[-1].skeletons)

    wait_for(cell, a_person, "a person is in the cell")
    assert [o[-1].header.frame_id for o in own] == [f"{name}_optical_frame" for name in NAMES]
    assert fused[-1].header.frame_id == "world"
    [person] = fused[-1].skeletons
    assert person.person_id == "p1"
    assert np.nanmedian(np.reshape(person.positions, (-1, 3))[:, 0]) == pytest.approx(AWAY, abs=0.3)
    wait_for(cell, lambda: a_person() and forecasts, "what is fused is forecast")

    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
