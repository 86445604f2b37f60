"""A camera in a test's hands: images, depth and calibration over DDS, and what comes of them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import CameraInfo, Image

from ses_gcn_ros import msg
from ses_gcn_ros.nodes import qos
from ses_gcn_ros.nodes.conversions import to_time

# s: a busy machine takes its time, and a node that has failed is told at once
PATIENCE = 120.0


def wait_for(cell, condition: Callable[[], Any], what: str) -> Any:
    """Wait as long as a busy machine needs, but not for a node that has failed."""

    def look() -> Any:
        for name, process in cell.processes.items():
            if process.poll() not in (None, 0):
                complaint = process.stderr.read().decode()[-2000:]
                pytest.fail(f"{name} ended with {process.returncode} before {what}: {complaint}")
        return condition()

    return cell.wait_for(look, what, PATIENCE)


def wait_for_listeners(cell, *publishers: Any) -> None:
    """Wait until somebody hears each publisher."""
    for publisher in publishers:
        wait_for(cell, publisher.get_subscription_count, f"a listener on {publisher.topic_name}")


def image_of(picture: np.ndarray, stamp: float, frame_id: str = "world") -> Image:
    height, width = picture.shape[:2]
    message = Image(height=height, width=width, encoding="bgr8", step=3 * width)
    message.header.stamp = to_time(stamp)
    message.header.frame_id = frame_id
    message.data = picture.tobytes()
    return message


def calibration(width: int = 640, height: int = 360) -> CameraInfo:
    info = CameraInfo(width=width, height=height, distortion_model="plumb_bob")
    info.k = [500.0, 0.0, width / 2, 0.0, 500.0, height / 2, 0.0, 0.0, 1.0]
    info.d = [0.0] * 5
    return info


class Camera:
    """A camera in the test's hands."""

    def __init__(self, cell, kind=Image, topic: str = "image") -> None:
        self.cell = cell
        self.images = cell.publisher(kind, topic, qos.STREAM)
        self.infos = cell.publisher(CameraInfo, "camera_info", qos.STREAM)
        self.skeletons = cell.listen(msg.SkeletonArray, "skeletons", qos.STREAM)
        self.reports = cell.listen(DiagnosticArray, "/diagnostics", 10)

    def start(self, **parameters) -> subprocess.Popen[bytes]:
        """A pose node that hears the camera.

        It works from when its skeletons are heard on, or the answer to the first image would be
        lost where the node finds the camera before it finds the test.
        """
        process = self.cell.start("pose_node", subscribers=1, **parameters)
        wait_for_listeners(self.cell, self.images, self.infos)
        return process

    def show(self, message) -> msg.SkeletonArray:
        """The answer to an image."""
        stamp = message.header.stamp
        self.images.publish(message)
        return wait_for(
            self.cell,
            lambda: next((s for s in reversed(self.skeletons) if s.header.stamp == stamp), None),
            "an image is answered",
        )

    def calibrate(self, width: int = 640, height: int = 360) -> None:
        """Send camera_info, again and again as cameras do, until it has been taken."""

        def send() -> bool:
            self.infos.publish(calibration(width, height))
            return self.last("camera") == "calibrated"

        wait_for(self.cell, send, "the calibration is taken")

    def tell(self, sentence: str, **fields: Any) -> None:
        """Send a camera_info until it is refused with a sentence, or, without one, taken."""
        self.reports.clear()
        info = calibration()
        for name, value in fields.items():
            setattr(info, name, value)

        def send() -> bool:
            self.infos.publish(info)
            if not sentence:
                return self.last("camera") == "calibrated"
            return self.says(sentence)

        wait_for(self.cell, send, f"camera_info that is said to have {sentence or 'no fault'}")

    def last(self, key: str) -> str:
        """A value of the node's latest diagnostics, empty if there is none."""
        values = [v for r in self.reports for s in r.status for v in s.values if v.key == key]
        return values[-1].value if values else ""

    def reported(self, key: str, wanted: str) -> None:
        """Wait until the node's diagnostics say so."""
        wait_for(self.cell, lambda: self.last(key) == wanted, f"{key} {wanted} is diagnosed")

    def says(self, sentence: str) -> bool:
        """Whether the node's diagnostics have said something in words."""
        return any(sentence in s.message for r in self.reports for s in r.status)

    def said(self, sentence: str) -> None:
        """Wait until the node's diagnostics say something in words."""
        wait_for(self.cell, lambda: self.says(sentence), f"'{sentence}' is diagnosed")


def depth_of(size: tuple[int, int], stamp: float, metres: float = 2.5) -> Image:
    """A wall as a depth image of millimetres."""
    width, height = size
    message = Image(width=width, height=height, encoding="16UC1", step=2 * width)
    message.header.stamp = to_time(stamp)
    message.data = np.full((height, width), 1000 * metres, "<u2").tobytes()
    return message
