"""Transforms between TF messages and 4×4 matrices, and looking them up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tf_transformations
from geometry_msgs.msg import TransformStamped
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.time import Time
from scipy.spatial.transform import Rotation
from tf2_msgs.msg import TFMessage
from tf2_ros import Buffer, TransformException

from ses_gcn_ros.errors import InputError, RobotError
from ses_gcn_ros.nodes import qos
from ses_gcn_ros.nodes.conversions import to_seconds, to_time
from ses_gcn_ros.nodes.polling import Mailbox

Array = NDArray[np.float64]

LATEST = Time()
MOVING_KEPT = 20  # messages of moving frames between two looks; a tick's worth at 1 kHz
AUTHORITY = "default_authority"  # what tf2 calls those who don't say who they are


class Frames:
    """The transform tree as a node hears it, brought up to date whenever it is asked.

    tf2's own listener would wake the node for every message.

    Parameters
    ----------
    node : Node
        Hears /tf and /tf_static.
    world : str
        Frame that everything is taken to.
    """

    def __init__(self, node: Node, world: str) -> None:
        self.world = world
        self._node = node
        self._buffer = Buffer(node=node)
        # a short queue: a node that falls behind is to skip poses, not to lag behind them
        self._moving = Mailbox(node, TFMessage, "/tf", QoSProfile(depth=MOVING_KEPT))
        self._static = Mailbox(node, TFMessage, "/tf_static", qos.STATIC_TRANSFORMS)

    def close(self) -> None:
        """Stop listening."""
        for mailbox in (self._moving, self._static):
            self._node.destroy_subscription(mailbox.subscription)

    def _listen(self) -> None:
        for message in self._static.messages():
            for transform in message.transforms:
                self._buffer.set_transform_static(transform, AUTHORITY)
        for message in self._moving.messages():
            for transform in message.transforms:
                self._buffer.set_transform(transform, AUTHORITY)

    def points(self, positions: NDArray[np.float32], frame: str, stamp: float) -> Array:
        """Points (..., 3) of a frame at `stamp` [s], taken to the world.

        Raises
        ------
        InputError
            If the frame is not named, or not known at that time.
        """
        if frame == self.world:
            return np.asarray(positions, np.float64)
        if not frame:
            raise InputError("a message came without a frame_id; its positions can't be placed")
        self._listen()
        try:
            when = Time.from_msg(to_time(stamp))
            found = self._buffer.lookup_transform(self.world, frame, when)
        except TransformException as error:
            raise InputError(f"no transform from '{frame}' to '{self.world}': {error}") from error
        world_from_frame = matrix(found)
        return positions @ world_from_frame[:3, :3].T + world_from_frame[:3, 3]

    def poses(self, frames: Sequence[str], now: float) -> tuple[float, Array]:
        """Latest poses of all frames at one time: its stamp [s] and world_from_frame (F, 4, 4).

        Frames that never move hold at any time; if all are so, the stamp is `now`.

        Raises
        ------
        RobotError
            If a frame is unknown or the frames have no time in common.
        """
        self._listen()
        found = [self._lookup(frame, LATEST) for frame in frames]
        stamps = [to_seconds(transform.header.stamp) for transform in found]
        moving = [stamp for stamp in stamps if stamp > 0.0]
        oldest = min(moving, default=now)
        for index, stamp in enumerate(stamps):
            if stamp > oldest:
                when = Time.from_msg(found[stamps.index(oldest)].header.stamp)
                found[index] = self._lookup(frames[index], when)
        return oldest, matrices(found)

    def _lookup(self, frame: str, when: Time) -> TransformStamped:
        try:
            return self._buffer.lookup_transform(self.world, frame, when)
        except TransformException as error:
            raise RobotError(f"tf of {frame} missing: {error}") from error


def matrix(stamped: TransformStamped) -> Array:
    """Matrix (4, 4) of a transform."""
    turn, shift = stamped.transform.rotation, stamped.transform.translation
    result: Array = tf_transformations.concatenate_matrices(
        tf_transformations.translation_matrix((shift.x, shift.y, shift.z)),
        tf_transformations.quaternion_matrix((turn.x, turn.y, turn.z, turn.w)),
    )
    return result


def matrices(transforms: Sequence[TransformStamped]) -> Array:
    """Matrices (N, 4, 4) of transforms, all at once."""
    rows = []
    for stamped in transforms:
        turn, shift = stamped.transform.rotation, stamped.transform.translation
        rows.append((shift.x, shift.y, shift.z, turn.x, turn.y, turn.z, turn.w))
    values = np.array(rows).reshape(-1, 7)
    x, y, z, w = (values[:, 3:] / np.linalg.norm(values[:, 3:], axis=1, keepdims=True)).T
    result = np.zeros((len(values), 4, 4))
    result[:, 0, 0], result[:, 0, 1] = 1 - 2 * (y * y + z * z), 2 * (x * y - z * w)
    result[:, 0, 2], result[:, 1, 0] = 2 * (x * z + y * w), 2 * (x * y + z * w)
    result[:, 1, 1], result[:, 1, 2] = 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)
    result[:, 2, 0], result[:, 2, 1] = 2 * (x * z - y * w), 2 * (y * z + x * w)
    result[:, 2, 2] = 1 - 2 * (x * x + y * y)
    result[:, :3, 3] = values[:, :3]
    result[:, 3, 3] = 1.0
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
