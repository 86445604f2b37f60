"""A camera in a test's hands: images, depth and calibration over DDS, and what comes of them."""

from __future__ import annotations

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import CameraInfo, Image

from ses_gcn_ros import msg
from ses_gcn_ros.nodes import qos
from ses_gcn_ros.nodes.conversions import to_time


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

    def connect(self) -> None:
        self.cell.wait_for_listeners(self.images, self.infos)

    def show(self, message) -> msg.SkeletonArray:
        """The answer to an image."""
        before = len(self.skeletons)
        self.images.publish(message)
        self.cell.wait_for(lambda: len(self.skeletons) > before, "an answer to an image")
        return self.skeletons[-1]

    def calibrate(self, width: int = 640, height: int = 360) -> None:
        """Send camera_info, again and again as cameras do, until it has been taken."""

        def send() -> bool:
            self.infos.publish(calibration(width, height))
            return self.last("camera") == "calibrated"

        self.cell.wait_for(send, "the calibration to be taken")

    def last(self, key: str) -> str:
        """A value of the node's latest diagnostics, empty if there is none."""
        values = [v for r in self.reports for s in r.status for v in s.values if v.key == key]
        return values[-1].value if values else ""

    def reported(self, key: str, wanted: str) -> None:
        """Wait until the node's diagnostics say so."""
        self.cell.wait_for(lambda: self.last(key) == wanted, f"{key} {wanted} in the diagnostics")


def depth_of(size: tuple[int, int], stamp: float, metres: float = 2.5) -> Image:
    """A wall as a depth image of millimetres."""
    width, height = size
    message = Image(width=width, height=height, encoding="16UC1", step=2 * width)
    message.header.stamp = to_time(stamp)
    message.data = np.full((height, width), 1000 * metres, "<u2").tobytes()
    return message
