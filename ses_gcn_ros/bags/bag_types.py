"""What bags say about their topics: names, message definitions, quality of service."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from ses_gcn_ros.bags.foreign_types import DEFINITIONS
from ses_gcn_ros.errors import BagError
from ses_gcn_ros.resources import share_path

_LATCHED = ("tf_static", "speed_scaling", "robot_description")  # topics of transient durability
_FOREVER = QosTime(9_223_372_036, 854_775_807)  # RMW_DURATION_INFINITE


class RawMessage(NamedTuple):
    """One message as it went over the network: topic, type, time of recording [ns], CDR bytes."""

    topic: str
    type: str
    stamp: int
    data: bytes


class Topics(dict[str, str]):
    """Type of each topic of a bag; a relative name finds the one topic that ends in it."""

    def __missing__(self, name: str) -> str:
        return self[self.resolve(name)]

    def resolve(self, name: str) -> str:
        """Full name of a topic.

        Raises
        ------
        BagError
            If no topic or more than one has this name; the message lists those there are.
        """
        for exact in (name, f"/{name}"):
            if exact in self:
                return exact
        found = [topic for topic in self if topic.endswith(f"/{name.lstrip('/')}")]
        if len(found) == 1 and not name.startswith("/"):
            return found[0]
        if len(found) > 1:
            raise BagError(f"'{name}' may be any of {', '.join(found)}; give the full name")
        there = ", ".join(f"{topic} ({kind})" for topic, kind in sorted(self.items()))
        raise BagError(f"the bag has no topic '{name}'; it has {there or 'no topic at all'}")


@cache
def typestore() -> Typestore:
    """Message definitions of ROS 2 Kilted, of this package and of those it reads skeletons from."""
    store = get_typestore(Stores.ROS2_KILTED)
    types = {}
    for name, text in DEFINITIONS.items():
        types.update(get_types_from_msg(text, name))
    for path in sorted(share_path("msg").glob("*.msg")):
        types.update(get_types_from_msg(path.read_text(), f"ses_gcn_ros/msg/{path.stem}"))
    store.register(types)
    return store


def message(type_name: str, /, **fields: Any) -> Any:
    """Make a message object that `BagWriter.write_message` takes.

    Parameters
    ----------
    type_name : str
        Such as ``std_msgs/msg/Float64``.
    **fields
        Every field of the type: numbers, strings, arrays and message objects.
    """
    return typestore().types[type_name](**fields)


def offered_qos(topic: str) -> Qos:
    """Quality of service that a topic of a workcell is published with."""
    latched = topic.rsplit("/", 1)[-1] in _LATCHED
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=1 if latched else 10,
        reliability=QosReliability.RELIABLE,
        durability=QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        deadline=_FOREVER,
        lifespan=_FOREVER,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=_FOREVER,
        avoid_ros_namespace_conventions=False,
    )
