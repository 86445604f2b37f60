"""A person on film, far from the robot: images for a pose node, as a camera would send them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
from camera_hands import image_of
from sensor_msgs.msg import Image

from ses_gcn_ros.nodes import qos

RATE = 12.0  # Hz; what a busy machine's pose node keeps up with
CAMERA_POSE = [6.0, 0.0, 1.4, 0.0, 0.0, 0.0]  # looks away from the robot, at nothing nearer
SHOWN = 60  # frames of the film, shown to and fro so that nobody leaps


class FilmedPerson:
    """Publish a film's images with fresh stamps."""

    def __init__(self, node: Any, film: Path) -> None:
        self._node = node
        capture = cv2.VideoCapture(str(film))
        frames = [capture.read()[1] for _ in range(SHOWN)]
        self._frames = frames + frames[-2:0:-1]
        self._next = 0
        self._timer: Any = None
        self._publisher = node.create_publisher(Image, "image", qos.STREAM)

    def start(self) -> None:
        """Begin to send images."""
        self._timer = self._node.create_timer(1.0 / RATE, self._shoot)

    def _shoot(self) -> None:
        now = self._node.get_clock().now().nanoseconds * 1e-9
        picture = self._frames[self._next % len(self._frames)]
        self._next += 1
        self._publisher.publish(image_of(picture, now, "camera_optical_frame"))
