"""What a bag holds for a replay, as one stream of events in the order of their recording."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ses_gcn_ros.errors import BagError, InputError
from ses_gcn_ros.evaluation.adapters import ADAPTED, HriBodies, adapt
from ses_gcn_ros.evaluation.bag_messages import NANO, forecasts_from_message, to_seconds
from ses_gcn_ros.evaluation.bag_reader import AnyBag
from ses_gcn_ros.evaluation.bag_types import RawMessage, Topics
from ses_gcn_ros.evaluation.offline.transform_codec import decode_transforms

OTHER_CLOCK = 60.0  # s between recording and stamps, from which on they are of different clocks
_OPTIONAL = (
    "forecasts",
    "safety_state",
    "robot_description",
    "joint_states",
    "trajectory",
    "/tf",
    "/tf_static",
    "/diagnostics",
)
_AMBIGUOUS = ("visualization_msgs/msg/MarkerArray", "geometry_msgs/msg/PoseArray")


class Event(NamedTuple):
    """Something that a node would hear: when [s], what it is, and its content.

    ==============  ===========================================================================
    kind            content
    ==============  ===========================================================================
    "people"        `Observation`
    "refused"       (source, sentence): a message that the nodes refuse
    "forecasts"     (stamp [s], frame_id, list of Forecast)
    "state"         recorded SafetyState message
    "joint_states"  recorded JointState message
    "trajectory"    recorded JointTrajectory or DisplayTrajectory message
    "tf"            list of StampedTransform
    "tf_static"     list of StampedTransform
    "diagnostics"   recorded DiagnosticArray message
    ==============  ===========================================================================
    """

    time: float
    kind: str
    content: Any


@dataclass(frozen=True)
class Naming:
    """How the names of a bag become ours.

    Attributes
    ----------
    topics : mapping
        Our name of a topic ("skeletons", "/tf", …) to the bag's.
    frames : mapping
        A frame of the bag to the name that it is to have here.
    layout : str
        Joint layout of messages that don't say theirs (PoseArray).
    usual : mapping
        Our name of an optional topic to what it is usually called; empty: not to be read.
    """

    topics: Mapping[str, str] = field(default_factory=dict)
    frames: Mapping[str, str] = field(default_factory=dict)
    layout: str = ""
    usual: Mapping[str, str] = field(default_factory=dict)


def find_topics(there: Topics, naming: Naming) -> dict[str, str]:
    """Topics of a bag that a replay takes: the bag's name to ours.

    Raises
    ------
    BagError
        If nothing in the bag holds people, or a topic that was named is not there; the message
        lists those there are.
    """
    found: dict[str, str] = {}
    for ours in ("skeletons", *_OPTIONAL):
        named = naming.topics.get(ours)
        name = named or naming.usual.get(ours, ours)
        try:
            if name:
                found[there.resolve(name)] = ours
        except BagError:
            if named:
                raise
    if "skeletons" not in found.values():
        people = [t for t, k in there.items() if k in ADAPTED and k not in _AMBIGUOUS]
        if len(people) != 1:
            there.resolve("skeletons")  # says what is there instead
        found[people[0]] = "skeletons"
    return found


def description_of(bag: AnyBag, topics: Mapping[str, str]) -> str:
    """URDF that was recorded in a bag; empty if none was."""
    names = {there: ours for there, ours in topics.items() if ours == "robot_description"}
    if not names:
        return ""
    return next((str(bag.decode(entry).data) for entry in bag.raw(names)), "")


class Events:
    """Read the events of an open bag, one at a time.

    Parameters
    ----------
    bag : AnyBag
    topics : mapping
        From `find_topics`.
    naming : Naming
    world : str
        Frame to give people in who come as frames of TF.
    wanted : collection of str
        Our names of the optional topics to read; the others are not decoded.
    """

    def __init__(
        self,
        bag: AnyBag,
        topics: Mapping[str, str],
        naming: Naming,
        world: str,
        wanted: tuple[str, ...] = _OPTIONAL,
    ) -> None:
        self._bag, self._naming = bag, naming
        self._names = {t: ours for t, ours in topics.items() if ours in ("skeletons", *wanted)}
        source = next(topic for topic, ours in topics.items() if ours == "skeletons")
        self._adapter = adapt(bag.topics[source], layout=naming.layout, frame_id=world)
        self._by_stamps = False  # whether stamps are the clock, and not the times of recording
        self._last = -math.inf
        self._decode: dict[str, Callable[[RawMessage, float], Event]] = {
            "skeletons": self._people,
            "forecasts": self._forecasts,
            "safety_state": self._as_it_is("state"),
            "joint_states": self._as_it_is("joint_states"),
            "trajectory": self._as_it_is("trajectory"),
            "/tf": self._transforms,
            "/tf_static": self._transforms,
            "/diagnostics": self._as_it_is("diagnostics"),
        }

    @property
    def note(self) -> str:
        """What has to be said about the clock; empty if nothing."""
        if not self._by_stamps:
            return ""
        return (
            "messages were recorded on another clock than they are stamped with; "
            "the stamps are taken as the clock"
        )

    def __iter__(self) -> Iterator[Event]:
        """Events in the order of their recording.

        Raises
        ------
        BagError
            Where the bag turns out to be damaged, or a type to be unknown.
        """
        for entry in self._bag.raw(self._names):
            decode = self._decode.get(entry.topic)
            if decode is None:
                continue
            event = decode(entry, entry.stamp / NANO)
            if self._by_stamps:
                event = event._replace(time=self._stamped(event))
            yield event

    def _stamped(self, event: Event) -> float:
        stamp = math.nan
        if event.kind == "people":
            stamp = event.content.stamp
        elif event.kind == "forecasts":
            stamp = event.content[0]
        elif event.kind == "state":
            stamp = to_seconds(event.content.header.stamp)
        elif event.kind == "tf" and event.content:
            stamp = max(item.stamp for item in event.content) / NANO
        if not math.isnan(stamp):
            self._last = stamp
        return self._last

    def _people(self, entry: RawMessage, time: float) -> Event:
        try:
            observation = self._adapter(self._bag.decode(entry))
        except InputError as error:
            return Event(time, "refused", ("skeletons", str(error)))
        if math.isnan(observation.stamp):  # nobody, in a type that then has no stamp either
            observation = observation._replace(stamp=time)
        if self._last == -math.inf:
            self._by_stamps = abs(observation.stamp - time) > OTHER_CLOCK
            self._last = observation.stamp
        frame = self._naming.frames.get(observation.frame_id, observation.frame_id)
        return Event(time, "people", observation._replace(frame_id=frame))

    def _forecasts(self, entry: RawMessage, time: float) -> Event:
        content = self._bag.decode(entry)
        try:
            forecasts = forecasts_from_message(content)
        except InputError as error:
            return Event(time, "refused", ("forecasts", str(error)))
        frame = self._naming.frames.get(content.header.frame_id, content.header.frame_id)
        return Event(time, "forecasts", (to_seconds(content.header.stamp), frame, forecasts))

    def _as_it_is(self, kind: str) -> Callable[[RawMessage, float], Event]:
        return lambda entry, time: Event(time, kind, self._bag.decode(entry))

    def _transforms(self, entry: RawMessage, time: float) -> Event:
        static = entry.topic == "/tf_static"
        if isinstance(self._adapter, HriBodies):
            self._adapter.observe_transforms(self._bag.decode(entry), static=static)
        try:
            transforms = decode_transforms(entry.data)
        except InputError as error:
            return Event(time, "refused", ("tf", str(error)))
        frames = self._naming.frames
        if frames:
            transforms = [
                item._replace(
                    parent=frames.get(item.parent, item.parent),
                    child=frames.get(item.child, item.child),
                )
                for item in transforms
            ]
        return Event(time, "tf_static" if static else "tf", transforms)
