"""What ROS4HRI (REP-155) asks of a body detector: ids, frames of bodies, skeletons in pictures."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from rclpy.publisher import Publisher
from tf2_msgs.msg import TFMessage

from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.nodes import qos
from ses_gcn_ros.nodes.conversions import to_seconds
from ses_gcn_ros.nodes.frames import TransformSender
from ses_gcn_ros.nodes.managed_node import ManagedNode
from ses_gcn_ros.pose.camera import Detections
from ses_gcn_ros.pose.ros4hri import frames_of, key_points
from ses_gcn_ros.skeleton import Skeleton


class FramesOutlet:
    """Everybody's body frame on /tf, and the joints' where asked for.

    Parameters
    ----------
    node : ManagedNode
        Publishes, while it is active.
    joints : bool
        Whether joints get frames too.
    """

    def __init__(self, node: ManagedNode, joints: bool) -> None:
        self._joints = joints
        self._transforms = node.while_active(
            node.create_publisher(TFMessage, "/tf", qos.TRANSFORMS)
        )

    def publish(self, header: Any, people: Sequence[Skeleton]) -> None:
        """Send the frames of people in the frame and at the stamp of a header."""
        names, poses = frames_of(people, self._joints)
        if names:
            sender = TransformSender([(header.frame_id, name) for name in names])
            self._transforms.publish(sender.fill(to_seconds(header.stamp), poses))


class HriOutlet:
    """``humans/bodies/tracked`` and everybody's ``humans/bodies/ID/skeleton2d``.

    Parameters
    ----------
    node : ManagedNode
        Publishes, while it is active.

    Raises
    ------
    ConfigError
        If hri_msgs is not installed.
    """

    def __init__(self, node: ManagedNode) -> None:
        try:
            self._msg: Any = importlib.import_module("hri_msgs.msg")
        except ImportError as error:
            raise ConfigError(
                f"parameter 'ros4hri' needs the package hri_msgs ({error}); install "
                "ros-<distribution>-hri-msgs, or set it to false"
            ) from error
        self._node = node
        self._ids = node.while_active(
            node.create_publisher(self._msg.IdsList, "humans/bodies/tracked", qos.STREAM)
        )
        self._skeletons: dict[str, Publisher] = {}

    def publish(self, header: Any, picture: Any, detections: Detections) -> None:
        """Send who is there, and where in the picture.

        Parameters
        ----------
        header : Header
            Of the skeletons.
        picture : Header
            Of the picture.
        detections : Detections
            Everybody in it, by the same names.
        """
        self._ids.publish(self._msg.IdsList(header=header, ids=list(detections.names)))
        for name in [name for name in self._skeletons if name not in detections.names]:
            self._node.destroy_publisher(self._skeletons.pop(name))
        camera = detections.view.camera
        for name, pixels, confidence in zip(
            detections.names, detections.pixels, detections.confidence, strict=True
        ):
            points = key_points(
                pixels, confidence, detections.layout, (camera.width, camera.height)
            )
            message = self._msg.Skeleton2D(
                header=picture,
                skeleton=[
                    self._msg.NormalizedPointOfInterest2D(x=x, y=y, c=c)
                    for x, y, c in points.tolist()
                ],
            )
            if name not in self._skeletons:
                self._skeletons[name] = self._node.create_publisher(
                    self._msg.Skeleton2D, f"humans/bodies/{name}/skeleton2d", qos.STREAM
                )
            self._skeletons[name].publish(message)

    def close(self) -> None:
        """Withdraw everybody's topic."""
        while self._skeletons:
            self._node.destroy_publisher(self._skeletons.popitem()[1])
