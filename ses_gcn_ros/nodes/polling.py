"""Subscriptions whose messages wait until somebody looks, instead of waking the node.

Each wake-up of a node costs more than a message; a robot's transforms and joint states come a
hundred times a second and more, and are wanted only when there is something to answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.qos import QoSProfile


class Unattended(CallbackGroup):
    """Group of entities that no executor waits for."""

    def can_execute(self, entity: Any) -> bool:
        """Never."""
        return False

    def beginning_execution(self, entity: Any) -> bool:
        """Never."""
        return False

    def ending_execution(self, entity: Any) -> None:
        """Nothing has begun."""


class Mailbox:
    """A subscription that is emptied by hand.

    Parameters
    ----------
    node : Node
        Opens it.
    kind : type
        Message type.
    topic : str
    profile : QoSProfile
        Its depth is how many messages are kept until they are looked at; older ones give way.
    raw : bool
        Whether to give messages as they are serialised, instead of as objects.
    """

    def __init__(
        self, node: Node, kind: type[Any], topic: str, profile: QoSProfile, *, raw: bool = False
    ) -> None:
        # a node keeps weak references to the groups of its entities only
        self._group = Unattended()
        self._depth, self._raw = profile.depth, raw
        self.subscription = node.create_subscription(
            kind, topic, _never_called, profile, callback_group=self._group, raw=raw
        )

    def messages(self) -> list[Any]:
        """What has come since the last time, oldest first.

        No more than are kept at once: whoever sends faster than this is read must not hold it up.
        """
        handle, kind, raw = self.subscription.handle, self.subscription.msg_type, self._raw
        found: list[Any] = []
        with handle:
            while len(found) < self._depth:
                taken = handle.take_message(kind, raw)
                if taken is None:
                    break
                found.append(taken[0])
        return found

    def latest(self) -> Iterable[bytes]:
        """Of raw messages, the last one of each kind, the last of all at the end.

        What tells kinds apart is their length: an arm's joint states are not as long as those of
        its gripper.
        """
        last: dict[int, bytes] = {}
        for data in self.messages():
            last.pop(len(data), None)
            last[len(data)] = data
        return last.values()


def _never_called(_: Any) -> None:
    raise RuntimeError("an unattended subscription was called back")
