"""What a bag holds for a replay, as one stream of events in the order of their recording."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from ses_gcn_ros.bags.adapters import Adapter, HriBodies, adapt, check_observation
from ses_gcn_ros.bags.bag_messages import (
    NANO,
    Observation,
    forecasts_from_message,
    to_seconds,
)
from ses_gcn_ros.bags.bag_reader import AnyBag
from ses_gcn_ros.bags.bag_types import RawMessage
from ses_gcn_ros.bags.skeleton_codec import TYPE, decode_skeletons
from ses_gcn_ros.errors import BagError, InputError
from ses_gcn_ros.pose.config import PoseConfig
from ses_gcn_ros.replay.image_people import ImagePeople
from ses_gcn_ros.replay.topics import OPTIONAL, Naming, source_of
from ses_gcn_ros.transforms import StampedTransform, decode_transforms
from ses_gcn_ros.transforms.repeated import read_transforms

OTHER_CLOCK = 60.0  # s between recording and stamps, from which on they are of different clocks


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

    Later stages make others of them:

    ==============  ===========================================================================
    "tick"          stamp [s] and poses (F, 4, 4) of the robot when a state is due, or a sentence
                    on why they aren't known; None if they are not taken from the transforms
    "robot"         the same, of a recorded state
    "unplaced"      (source, sentence): people or forecasts that can't be taken to the world
    "silence"       for how long nothing was recorded [s]
    "end"           `Heard`
    ==============  ===========================================================================
    """

    time: float
    kind: str
    content: Any


class Events:
    """Read the events of an open bag, one at a time.

    Parameters
    ----------
    bag : AnyBag
    topics : mapping
        From `find_topics`.
    naming : Naming
    world : str
        Frame to give people in who come as frames of TF or in images.
    pose : PoseConfig
        How people are found in images.
    wanted : collection of str
        Our names of the optional topics to read; the others are not decoded.
    """

    def __init__(
        self,
        bag: AnyBag,
        topics: Mapping[str, str],
        naming: Naming,
        world: str,
        pose: PoseConfig,
        wanted: tuple[str, ...] = OPTIONAL,
    ) -> None:
        self._bag, self._naming, self._wanted = bag, naming, wanted
        source, kind = source_of(topics)
        self._images: ImagePeople | None = None
        self._adapter: Adapter | None = None
        self._ours = bag.topics[source] == TYPE and bag.has_our(TYPE)
        if kind == "image":
            self._images = ImagePeople(bag, topics, pose, naming.frames, world)
            self._hear_fixed_transforms(self._images, topics)
        else:
            self._adapter = adapt(bag.topics[source], layout=naming.layout, frame_id=world)
        read = {"skeletons", "image", *wanted}
        if self._images or isinstance(self._adapter, HriBodies):
            read |= {"/tf", "/tf_static"}
        self._names = {there: ours for there, ours in topics.items() if ours in read}
        self._by_stamps = False  # whether stamps are the clock, and not the times of recording
        self._last = -math.inf
        self._decode: dict[str, Callable[[RawMessage, float], Event]] = {
            "skeletons": self._people,
            "forecasts": self._forecasts,
            "safety_state": self._state,
            "joint_states": self._as_it_is("joint_states"),
            "trajectory": self._as_it_is("trajectory"),
            "/tf": self._transforms,
            "/tf_static": self._transforms,
            "/diagnostics": self._as_it_is("diagnostics"),
        }

    @property
    def notes(self) -> list[str]:
        """What has to be said about the clock and the camera."""
        notes = list(self._images.notes) if self._images else []
        if self._by_stamps:
            notes.append(
                "messages were recorded on another clock than they are stamped with; "
                "the stamps are taken as the clock"
            )
        return notes

    def __iter__(self) -> Generator[Event]:
        """Events in the order of their recording.

        Raises
        ------
        BagError
            Where the bag turns out to be damaged, or a type to be unknown.
        ModelError
            If people are to be found in images and the pose model can't be had.
        """
        now = 0.0
        try:
            for entry in self._bag.raw(self._names):
                now = entry.stamp / NANO
                decode = self._decode.get(entry.topic)
                if entry.topic == "image" and self._images:
                    self._images.hear(self._bag.decode(entry), now)
                elif decode is not None:
                    event = decode(entry, now)
                    if entry.topic == "skeletons" or entry.topic in self._wanted:
                        yield self._clocked(event)
                yield from self._in_images(now, now)
            yield from self._in_images(now, math.inf)
        finally:
            if self._images:
                self._images.close()

    def _in_images(self, now: float, until: float) -> Iterator[Event]:
        """Events of the images that wait, heard `now` [s], of those that are ready `until` then."""
        for found in self._images.ready(until) if self._images else ():
            if isinstance(found, InputError):
                yield self._clocked(Event(now, "refused", ("image", str(found))))
            else:
                yield self._clocked(self._observed(found, now))

    def _clocked(self, event: Event) -> Event:
        return event._replace(time=self._stamped(event)) if self._by_stamps else event

    def _stamped(self, event: Event) -> float:
        stamp = math.nan
        if event.kind == "people":
            stamp = event.content.stamp
        elif event.kind == "forecasts":
            stamp = event.content[0]
        elif event.kind == "state":
            stamp = to_seconds(event.content.header.stamp)
        elif event.kind == "tf":
            stamp = max((item.stamp / NANO for item in event.content), default=math.nan)
        if not math.isnan(stamp):
            self._last = stamp
        return self._last

    def _people(self, entry: RawMessage, time: float) -> Event:
        assert self._adapter is not None
        try:
            observation = decode_skeletons(entry.data) if self._ours else None
            if observation is not None:
                check_observation(observation)
            else:
                observation = self._adapter(self._bag.decode(entry))
        except InputError as error:
            return Event(time, "refused", ("skeletons", str(error)))
        frame = self._naming.frames.get(observation.frame_id, observation.frame_id)
        return self._observed(observation._replace(frame_id=frame), time)

    def _observed(self, observation: Observation, time: float) -> Event:
        if math.isnan(observation.stamp):  # nobody, in a type that then has no stamp either
            observation = observation._replace(stamp=time)
        if self._last == -math.inf:
            self._by_stamps = abs(observation.stamp - time) > OTHER_CLOCK
            self._last = observation.stamp
        return Event(time, "people", observation)

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

    def _state(self, entry: RawMessage, time: float) -> Event:
        content, frames = self._bag.decode(entry), self._naming.frames
        header = content.header
        header = replace(header, frame_id=frames.get(header.frame_id, header.frame_id))
        robot = frames.get(content.robot_frame, content.robot_frame)
        return Event(time, "state", replace(content, header=header, robot_frame=robot))

    def _transforms(self, entry: RawMessage, time: float) -> Event:
        static = entry.topic == "/tf_static"
        if isinstance(self._adapter, HriBodies):
            self._adapter.observe_transforms(self._bag.decode(entry), static=static)
        try:
            heard = read_transforms(bytes(entry.data))
        except InputError as error:
            return Event(time, "refused", ("tf", str(error)))
        transforms = self._named(heard)
        if self._images:
            self._images.transforms.add(transforms, static=static)
        return Event(time, "tf_static" if static else "tf", transforms)

    def _named(self, transforms: list[StampedTransform]) -> list[StampedTransform]:
        frames = self._naming.frames
        if not frames:
            return transforms
        return [
            item._replace(
                parent=frames.get(item.parent, item.parent),
                child=frames.get(item.child, item.child),
            )
            for item in transforms
        ]

    def _hear_fixed_transforms(self, images: ImagePeople, topics: Mapping[str, str]) -> None:
        """Those that never move hold at any time, also before they were recorded."""
        names = {there: ours for there, ours in topics.items() if ours == "/tf_static"}
        with contextlib.suppress(BagError, InputError):  # told of when the events come there
            for entry in self._bag.raw(names):
                images.transforms.add(self._named(decode_transforms(entry.data)), static=True)
