"""Transforms between TF messages and 4×4 matrices, and looking them up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tf_transformations
from geometry_msgs.msg import TransformStamped
from numpy.typing import NDArray
from rclpy.clock import JumpThreshold
from rclpy.duration import Duration
from rclpy.qos import QoSProfile
from scipy.spatial.transform import Rotation
from tf2_msgs.msg import TFMessage

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.nodes import qos
from ses_gcn_ros.nodes.conversions import to_time
from ses_gcn_ros.nodes.managed_node import ManagedNode
from ses_gcn_ros.transforms import TransformBuffer
from ses_gcn_ros.transforms.repeated import read_transforms

Array = NDArray[np.float64]

MOVING_KEPT = 20  # messages of moving frames in the queue; a tick's worth at 1 kHz


class Frames:
    """The transform tree as the safety node hears it, from serialised messages.

    Parameters
    ----------
    node : ManagedNode
        Hears /tf and /tf_static while it is active.
    world : str
        Frame that everything is taken to.
    """

    def __init__(self, node: ManagedNode, world: str) -> None:
        self.world = world
        self._node = node
        self._buffer = TransformBuffer(world)
        # a short queue: a node that falls behind is to skip poses, not to lag behind them
        moving = QoSProfile(depth=MOVING_KEPT)
        for topic, handler, profile in (
            ("/tf", self._on_moving, moving),
            ("/tf_static", self._on_static, qos.STATIC_TRANSFORMS),
        ):
            node.while_active(
                node.create_subscription(TFMessage, topic, handler, profile, raw=True)
            )
        # after a jump, what is known of moving frames belongs to another run
        self._jumps = node.get_clock().create_jump_callback(
            JumpThreshold(
                min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True
            ),
            post_callback=lambda _: self._buffer.forget(),
        )
        node.when_inactive(self._jumps.unregister)

    def points(self, positions: NDArray[np.float32], frame: str, stamp: float) -> Array:
        """Points (..., 3) of a frame at `stamp` [s], taken to the world.

        Raises
        ------
        InputError
            If the frame is not named, or not known at that time.
        """
        return self._buffer.points(positions, frame, stamp)

    def poses(self, frames: Sequence[str], now: float) -> tuple[float, Array]:
        """Latest poses of all frames at one time: its stamp [s] and world_from_frame (F, 4, 4).

        Frames that never move hold at any time; if all are so, the stamp is `now`.

        Raises
        ------
        RobotError
            If a frame is unknown or the frames have no time in common.
        """
        return self._buffer.poses(frames, now)

    def _on_moving(self, data: bytes) -> None:
        self._add(data, static=False)

    def _on_static(self, data: bytes) -> None:
        self._add(data, static=True)

    def _add(self, data: bytes, *, static: bool) -> None:
        try:
            left_out = self._buffer.add(read_transforms(data), static=static)
        except InputError as error:
            left_out = [str(error)]
        for sentence in left_out:
            self._node.get_logger().error(sentence, throttle_duration_sec=2.0)


def matrix(stamped: TransformStamped) -> Array:
    """Matrix (4, 4) of a transform."""
    turn, shift = stamped.transform.rotation, stamped.transform.translation
    result: Array = tf_transformations.concatenate_matrices(
        tf_transformations.translation_matrix((shift.x, shift.y, shift.z)),
        tf_transformations.quaternion_matrix((turn.x, turn.y, turn.z, turn.w)),
    )
    return result


class TransformSender:
    """A message of transforms whose frames stay the same, filled anew each time.

    Making a message object costs more than filling one.

    Parameters
    ----------
    frames : sequence of (str, str)
        Parent and child of each of the N transforms.
    """

    def __init__(self, frames: Sequence[tuple[str, str]]) -> None:
        self.message = TFMessage(transforms=[TransformStamped() for _ in frames])
        for transform, (parent, child) in zip(self.message.transforms, frames, strict=True):
            transform.header.frame_id, transform.child_frame_id = parent, child

    def fill(self, stamp: float, parent_from_child: Array) -> TFMessage:
        """Message of the matrices (N, 4, 4) at a stamp [s]."""
        turns = Rotation.from_matrix(parent_from_child[:, :3, :3]).as_quat().tolist()
        shifts, when = parent_from_child[:, :3, 3].tolist(), to_time(stamp)
        for message, turn, shift in zip(self.message.transforms, turns, shifts, strict=True):
            message.header.stamp = when
            place = message.transform
            place.translation.x, place.translation.y, place.translation.z = shift
            rotation = place.rotation
            rotation.x, rotation.y, rotation.z, rotation.w = turn
        return self.message
