"""A person who sways on the spot, as a camera would see them; also a process that plays the camera.

Run as ``python distant_person.py``, it publishes until it is killed.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any

import numpy as np

from ses_gcn_ros.bags.rosbag2 import read_skeletons
from ses_gcn_ros.msg import SkeletonArray
from ses_gcn_ros.nodes import process, qos
from ses_gcn_ros.nodes.conversions import skeletons_to_msg, to_time
from ses_gcn_ros.resources import share_path
from ses_gcn_ros.skeleton import Skeleton

RATE = 30.0  # Hz
FAR = 4.0  # m from the robot's base


class DistantPerson:
    """Publish one person's skeletons, well or in a way that is wrong.

    Attributes:
    - `distance`: of the person from the robot's base [m].
    - `delay`: by which stamps are older than the moment of publishing [s].
    - `burst`: messages at once, their stamps spread over the time since the last ones.
    - `broken`: '' (well), 'frozen' (the same joints again), 'nan' (no joint), 'infinite' or
      'nobody'.
    """

    def __init__(self, node: Any) -> None:
        self._node = node
        bag = share_path("config", "demo", "visitor")
        first = next(iter(read_skeletons(bag))).people[0].positions
        self._pose = first - np.array([*first[0, :2], 0.0], np.float32)
        self._rng = np.random.default_rng(3)
        self._last = self._pose
        self._publisher: Any = None
        self._timer: Any = None
        self.well()

    def well(self) -> None:
        """Publish as a good camera does."""
        self.distance, self.delay, self.burst, self.broken = FAR, 0.0, 1, ""

    def start(self) -> None:
        """Begin, or go on."""
        self.stop()
        self._publisher = self._node.create_publisher(SkeletonArray, "skeletons", qos.STREAM)
        self._timer = self._node.create_timer(1.0 / RATE, self._shoot)

    def stop(self) -> None:
        """Leave the topic to others."""
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
            self._node.destroy_publisher(self._publisher)
            self._timer = self._publisher = None

    def _shoot(self) -> None:
        now = self._node.get_clock().now().nanoseconds * 1e-9 - self.delay
        for ago in reversed(range(self.burst)):
            self._publish(now - ago / (RATE * self.burst))

    def _publish(self, stamp: float) -> None:
        if self.broken != "frozen":
            sway = self._rng.normal(0.0, 0.001, self._pose.shape)
            self._last = (self._pose + sway).astype(np.float32)
        joints = self._last + np.array([self.distance, 0.0, 0.0], np.float32)
        if self.broken == "nan":
            joints[:] = np.nan
        elif self.broken == "infinite":
            joints[3, 1] = np.inf
        person = Skeleton("1", "chico15", joints, np.ones(len(joints), np.float32))
        people = [] if self.broken == "nobody" else [person]
        self._publisher.publish(skeletons_to_msg(to_time(stamp), "world", people))


def main() -> int:
    """Play the camera until ended or killed."""
    import rclpy
    from rclpy.executors import ExternalShutdownException

    # Killed with shared memory, it could take along the lock of the tester's and make that deaf for
    # a second: late would be who listens, not the safety node.
    process.avoid_shared_memory(os.environ)
    rclpy.init()
    node = rclpy.create_node("camera")
    DistantPerson(node).start()
    with contextlib.suppress(ExternalShutdownException):
        rclpy.spin(node)
    node.destroy_node()
    return 0


if __name__ == "__main__":
    sys.exit(main())
