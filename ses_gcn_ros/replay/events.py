"""What a bag holds for a replay: events in the order of recording, and what people did when."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.actions.recogniser import ActionConfig, Recogniser, label_changes
from ses_gcn_ros.actions.weights import UNKNOWN, ActionWeights
from ses_gcn_ros.bags.messages import (
    NANO,
    Adapter,
    HriBodies,
    Observation,
    RawMessage,
    adapt,
    header_message,
    message,
)
from ses_gcn_ros.bags.rosbag2 import Bag, PathLike, read_messages, topics_of
from ses_gcn_ros.datasets.actions import ActionSet, LabelledMotion, read_segments, segment_table
from ses_gcn_ros.errors import BagError, ConfigError, InputError, ModelError
from ses_gcn_ros.forecast import Forecast
from ses_gcn_ros.forecast.forecaster import forecasts_from_message
from ses_gcn_ros.pose.config import PoseConfig
from ses_gcn_ros.replay.options import OPTIONAL, Naming, source_of
from ses_gcn_ros.safety import Assessment, Level
from ses_gcn_ros.safety.robot_motion import read_plan
from ses_gcn_ros.safety.separation import Pair
from ses_gcn_ros.skeleton import Skeleton, get_layout, to_seconds
from ses_gcn_ros.transforms import StampedTransform, TransformBuffer, decode_transforms

if TYPE_CHECKING:
    from ses_gcn_ros.pose.camera import Camera
    from ses_gcn_ros.pose.estimator import PoseEstimator


OTHER_CLOCK = 60.0  # s between recording and stamps, from which on they are of different clocks

RobotPoses = tuple[float, NDArray[np.float64]]  # stamp [s] and world_from_frame (F, 4, 4)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a node would hear, at a time [s]."""

    time: float


@dataclass(frozen=True, slots=True)
class PeopleSeen(Event):
    """Everybody seen at `stamp` [s]."""

    stamp: float
    frame_id: str
    people: list[Skeleton]


@dataclass(frozen=True, slots=True)
class PeopleForecast(Event):
    """Everybody's forecasts from observations up to `stamp` [s]."""

    stamp: float
    frame_id: str
    forecasts: list[Forecast]


@dataclass(frozen=True, slots=True)
class Refused(Event):
    """A message that a node refuses, from `source`, and why."""

    source: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Transforms(Event):
    """Transforms of /tf or /tf_static."""

    transforms: list[StampedTransform]
    static: bool


@dataclass(frozen=True, slots=True)
class JointStatesEvent(Event):
    """Positions and velocities of joints at `stamp` [s]."""

    stamp: float
    message: Any


@dataclass(frozen=True, slots=True)
class Trajectory(Event):
    """What is to be driven: joints, times [s] and positions."""

    plan: tuple[Sequence[str], list[float], list[Sequence[float]]]


@dataclass(frozen=True, slots=True)
class Described(Event):
    """The robot's description as it was published."""

    text: str


@dataclass(frozen=True, slots=True)
class RecordedState(Event):
    """A SafetyState that was recorded."""

    state: Assessment


@dataclass(frozen=True, slots=True)
class Diagnostics(Event):
    """A DiagnosticArray that was recorded."""

    message: Any


# What later stages put between those of the bag:


@dataclass(frozen=True, slots=True)
class Tick(Event):
    """A state is due; where the robot is, or why that isn't known.

    None if the robot is not taken from the transforms.
    """

    robot: RobotPoses | str | None = None


@dataclass(frozen=True, slots=True)
class RobotPlaced(Event):
    """Where the robot was at the state that comes next, as in `Tick`."""

    robot: RobotPoses | str | None


@dataclass(frozen=True, slots=True)
class Unplaced(Refused):
    """People or forecasts, as `source` says, that can't be taken to the world, and why."""


@dataclass(frozen=True, slots=True)
class Silence(Event):
    """Nothing was recorded for `length` seconds."""

    length: float


@dataclass(frozen=True, slots=True)
class End(Event):
    """Nothing more comes."""


def state_message(assessment: Assessment, frame_id: str) -> Any:
    """SafetyState of an assessment that was made in `frame_id`."""
    header = header_message(assessment.stamp, frame_id)
    fields = assessment.fields()
    fields["contact_probability"] = np.asarray(fields["contact_probability"], np.float32)
    return message("ses_gcn_ros/msg/SafetyState", header=header, **fields)


def state_from_message(content: Any, frames: Mapping[str, str]) -> Assessment:
    """Assessment of a SafetyState, as far as the message tells.

    Raises InputError if its level is none.

    `frames`: a frame of the bag to the name that it is to have here.
    """
    if content.level not in tuple(Level):
        known = ", ".join(f"{level:d} ({level.name})" for level in Level)
        raise InputError(f"a safety_state has level {content.level}; known are {known}")
    pair = None
    if content.person_id:
        nowhere = np.full(3, np.nan)
        pair = Pair(
            person_id=content.person_id,
            limb=content.human_limb,
            frame=frames.get(content.robot_frame, content.robot_frame),
            distance=content.separation,
            human_point=nowhere,
            robot_point=nowhere,
        )
    told: dict[str, Any] = {
        field.name: getattr(content, field.name, math.nan)  # older messages lack some
        for field in dataclasses.fields(Assessment)
    }
    told |= {
        "stamp": to_seconds(content.header.stamp),
        "level": Level(content.level),
        "reasons": tuple(content.reasons),
        "pair": pair,
        "breakdown": None,
        "predicted": None,
        # states recorded before these fields have none
        "contact_probability": tuple(getattr(content, "contact_probability", ())),
        "contact_person_ids": tuple(getattr(content, "contact_person_ids", ())),
    }
    return Assessment(**told)


class EventReader:
    """Read the events of an open bag, one at a time.

    `world`: frame to give people in who come as frames of TF or in images.
    `pose`: how people are found in images.
    `wanted`: our names of the optional topics to read; the others are not decoded.
    """

    def __init__(
        self,
        bag: Bag,
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
        if kind == "image":
            self._images = ImagePeople(bag, topics, pose, naming.frames, world)
            self._take_static_transforms(self._images, topics)
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
            "joint_states": self._joint_states,
            "trajectory": lambda entry, time: Trajectory(time, read_plan(bag.decode(entry))),
            "robot_description": lambda entry, time: Described(time, str(bag.decode(entry).data)),
            "/tf": self._transforms,
            "/tf_static": self._transforms,
            "/diagnostics": lambda entry, time: Diagnostics(time, bag.decode(entry)),
        }

    @property
    def notes(self) -> list[str]:
        """What has to be said about the bag, its clock and the camera."""
        notes = self._bag.notes + (self._images.notes if self._images else [])
        if self._by_stamps:
            notes.append(
                "messages were recorded on another clock than they are stamped with; "
                "the stamps are taken as the clock"
            )
        return notes

    def __iter__(self) -> Generator[Event]:
        """Events in the order of their recording.

        Raises BagError where the bag turns out to be damaged, or a type to be unknown; ModelError
        if people are to be found in images and the pose model can't be had.
        """
        now = 0.0
        try:
            for entry in self._bag.raw(self._names):
                now = entry.stamp / NANO
                decode = self._decode.get(entry.topic)
                if entry.topic == "image" and self._images:
                    self._images.hear(self._bag.decode(entry), now)
                elif decode is not None:
                    event = self._decoded(decode, entry, now)
                    if entry.topic == "skeletons" or entry.topic in self._wanted:
                        yield self._clocked(event)
                yield from self._in_images(now, now)
            yield from self._in_images(now, math.inf)
        finally:
            if self._images:
                self._images.close()

    def _decoded(
        self, decode: Callable[[RawMessage, float], Event], entry: RawMessage, now: float
    ) -> Event:
        try:
            return decode(entry, now)
        except AttributeError as error:
            if not hasattr(error.obj, "__msgtype__"):
                raise
            lacking = f"{error.obj.__msgtype__} has no '{error.name}' by the bag's definition of it"
            return Refused(now, entry.topic, lacking)

    def _in_images(self, now: float, until: float) -> Iterator[Event]:
        """Events of the images that wait, heard `now` [s], of those that are ready `until` then."""
        for found in self._images.ready(until) if self._images else ():
            if isinstance(found, InputError):
                yield self._clocked(Refused(now, "image", str(found)))
            else:
                yield self._clocked(self._observed(found, now))

    def _clocked(self, event: Event) -> Event:
        if not self._by_stamps:
            return event
        match event:
            case PeopleSeen(stamp=stamp) | PeopleForecast(stamp=stamp):
                self._last = stamp
            case RecordedState(state=state):
                self._last = state.stamp
            case Transforms(static=False, transforms=[_, *_] as transforms):
                self._last = max(item.stamp for item in transforms) / NANO
        return dataclasses.replace(event, time=self._last)

    def _people(self, entry: RawMessage, time: float) -> Event:
        assert self._adapter is not None
        try:
            return self._observed(self._adapter(self._bag.decode(entry)), time)
        except InputError as error:
            return Refused(time, "skeletons", str(error))

    def _observed(self, seen: Observation, time: float) -> PeopleSeen:
        # Nobody, in a type that then has no stamp either, is nobody when that was recorded.
        stamp = time if math.isnan(seen.stamp) else seen.stamp
        if self._last == -math.inf:
            self._by_stamps = abs(stamp - time) > OTHER_CLOCK
            self._last = stamp
        return PeopleSeen(time, stamp, self._frame(seen.frame_id), seen.people)

    def _forecasts(self, entry: RawMessage, time: float) -> Event:
        content = self._bag.decode(entry)
        try:
            forecasts = forecasts_from_message(content)
        except InputError as error:
            return Refused(time, "forecasts", str(error))
        header = content.header
        return PeopleForecast(
            time, to_seconds(header.stamp), self._frame(header.frame_id), forecasts
        )

    def _joint_states(self, entry: RawMessage, time: float) -> Event:
        content = self._bag.decode(entry)
        return JointStatesEvent(time, to_seconds(content.header.stamp), content)

    def _state(self, entry: RawMessage, time: float) -> Event:
        content = self._bag.decode(entry)
        try:
            return RecordedState(time, state_from_message(content, self._naming.frames))
        except InputError as error:
            return Refused(time, "safety_state", str(error))

    def _transforms(self, entry: RawMessage, time: float) -> Event:
        static = entry.topic == "/tf_static"
        try:
            transforms = self._named(decode_transforms(bytes(entry.data)))
        except InputError as error:
            return Refused(time, "tf", str(error))
        if self._images:
            self._images.transforms.add(transforms, static=static)
        if isinstance(self._adapter, HriBodies):
            self._adapter.observe_transforms(transforms, static=static)
        return Transforms(time, transforms, static)

    def _frame(self, name: str) -> str:
        """Our name of a frame; as in tf2, a leading slash is none of it."""
        return self._naming.frames.get(name, name).removeprefix("/")

    def _named(self, transforms: list[StampedTransform]) -> list[StampedTransform]:
        if not self._naming.frames:
            return transforms
        return [
            item._replace(parent=self._frame(item.parent), child=self._frame(item.child))
            for item in transforms
        ]

    def _take_static_transforms(self, images: ImagePeople, topics: Mapping[str, str]) -> None:
        """Those that never move hold at any time, also before they were recorded."""
        names = {there: ours for there, ours in topics.items() if ours == "/tf_static"}
        with contextlib.suppress(BagError, InputError):  # told of when the events come there
            for entry in self._bag.raw(names):
                images.transforms.add(self._named(decode_transforms(entry.data)), static=True)


class ImagePeople:
    """Find everybody in images as the pose node does, each image when its transform is known.

    Positions are in the target frame (the world by default) where transforms or the parameter
    ``camera_pose`` say where the camera is, else in the camera's optical frame. Close it when done.
    Raises ConfigError if the configuration asks for depth images.

    `bag`: its calibration is read at once.
    `topics`: the bag's names to ours.
    `frames`: a frame of the bag to the name that it is to have here.
    `world`: target frame of a configuration that names none.

    Attributes:
    - `transforms`: wants all transforms as they come, with our names of the frames.
    - `notes`: what has to be said about the camera.
    """

    def __init__(
        self,
        bag: Bag,
        topics: Mapping[str, str],
        config: PoseConfig,
        frames: Mapping[str, str],
        world: str,
    ) -> None:
        if config.mode == "rgbd":
            raise ConfigError(
                "pose mode is 'rgbd', but a replay finds people without depth images; "
                "take 'monocular' or 'lifting'"
            )
        self._config, self._frames = config, frames
        self._target = config.target_frame or world
        self._patience = config.tf_timeout if "/tf" in topics.values() else 0.0
        self._waiting: deque[tuple[float, Any]] = deque()
        self._estimator: PoseEstimator | None = None
        self._frame_id, self._adrift = "", False
        self.transforms = TransformBuffer(self._target)
        self.notes: list[str] = []
        self._camera = self._calibration(bag, topics)

    def hear(self, content: Any, now: float) -> None:
        """Take in an Image or CompressedImage message that was recorded at `now` [s]."""
        self._waiting.append((now, content))

    def ready(self, now: float) -> Iterator[Observation | InputError]:
        """Everybody in the images whose transforms have come by `now` [s], or why that failed.

        An image waits for its transform as long as in the pose node (``tf_timeout``). Raises
        ModelError if the pose model can't be had.
        """
        while self._waiting:
            heard, content = self._waiting[0]
            stamp = to_seconds(content.header.stamp) or heard  # 0: in ROS, there is no time
            frame = content.header.frame_id or self._config.camera_frame
            frame = self._frames.get(frame, frame)
            placed = self._pose_of(frame, stamp)
            if isinstance(placed, InputError) and now - heard < self._patience:
                return
            self._waiting.popleft()
            if not isinstance(placed, InputError):
                yield self._people(content, stamp, frame, placed)
            elif self.transforms.joins(frame):
                yield placed
            else:
                yield self._people(content, stamp, frame, None)

    def close(self) -> None:
        """Release the model."""
        if self._estimator is not None:
            self._estimator.close()
            self._estimator = None

    def _pose_of(self, frame: str, stamp: float) -> NDArray[np.float64] | InputError:
        """target_from_camera at a stamp [s], or why it isn't known."""
        if self._config.camera_pose:
            from ses_gcn_ros.pose.camera import target_from_optical

            return target_from_optical(self._config.camera_pose)
        try:
            return self.transforms.pose(frame, stamp)
        except InputError as error:
            return error

    def _people(
        self, content: Any, stamp: float, frame: str, placed: NDArray[np.float64] | None
    ) -> Observation | InputError:
        from ses_gcn_ros.pose.camera import camera_from_view
        from ses_gcn_ros.pose.estimator import PoseEstimator
        from ses_gcn_ros.pose.images import decode_image_message

        if placed is None and not self._adrift:
            self._adrift = True
            self.notes.append(
                f"nothing says where the camera's frame '{frame}' is in '{self._target}'; people "
                "stay in the camera's frame, though forecasts want a frame with z up (record /tf, "
                "or give camera_pose and target_frame of pose_node in a parameter file)"
            )
        frame_id = frame if placed is None else self._target
        if self._estimator is None:
            self._estimator = PoseEstimator(self._config)
        if frame_id != self._frame_id:  # everybody would seem to jump
            self._estimator.restart()
            self._frame_id = frame_id
        try:
            rgb = decode_image_message(content)
            height, width = rgb.shape[:2]
            camera = self._camera or camera_from_view(width, height, self._config.field_of_view)
            return Observation(stamp, frame_id, self._estimator.process(stamp, rgb, camera, placed))
        except InputError as error:
            return error

    def _calibration(self, bag: Bag, topics: Mapping[str, str]) -> Camera | None:
        """Camera of the first camera_info; a note if there is none that can be used."""
        try:
            from ses_gcn_ros.pose.camera import camera_from_info
        except ImportError as error:
            raise ModelError(
                f"the bag has images but no skeletons, and finding people in images needs "
                f"mediapipe and OpenCV ({error}); install requirements/pose.txt"
            ) from error
        reason = "no camera_info was recorded beside the images"
        names = {there: ours for there, ours in topics.items() if ours == "camera_info"}
        found = next((bag.decode(entry) for entry in bag.raw(names)), None) if names else None
        if found is not None:
            try:
                return camera_from_info(found)
            except InputError as error:
                reason = str(error)
        view = self._config.field_of_view
        if not view:
            raise ConfigError(
                f"{reason}, and field_of_view of pose_node is 0; set it to the camera's "
                "horizontal angle of view in degrees"
            )
        self.notes.append(f"{reason}; the camera is assumed to see {view:g}° wide")
        return None


Segment = tuple[str, float, float, str]  # person, start and end [s], label

_LASTS = 0.5  # s for which a label is taken to hold on after it was last told


def recorded_actions(bag: PathLike) -> list[Segment]:
    """Who did what when, from a table of segments beside a bag or from its topic ``actions``.

    Empty where nothing tells. Raises BagError if the bag can't be read; InputError if the table is
    damaged.
    """
    table = segment_table(Path(bag))
    if table.is_file():
        return read_segments(table)
    if not any(topic.rpartition("/")[2] == "actions" for topic in topics_of(bag)):
        return []
    told: dict[str, list[tuple[float, str]]] = {}
    try:
        for entry in read_messages(bag, ["actions"]):
            stamp = to_seconds(entry.content.header.stamp)
            for action in entry.content.actions:
                told.setdefault(action.person_id, []).append((stamp, action.label))
    except BagError:  # cut off: what came before counts
        if not told:
            raise
    return [
        (person, start, end, label)
        for person, labels in told.items()
        for start, end, label in label_changes(labels)
    ]


def label_delays(
    data: ActionSet, weights: ActionWeights, config: ActionConfig
) -> NDArray[np.float64]:
    """Time from each change of what somebody does until its label is told [s].

    Changes are those within a stream to another class of the weights that lasts a second or more;
    NaN where its label is not told before the next. One that is told already, as what was done in
    between went unnoticed, is none. Raises ModelError as `Recogniser`.
    """
    streams: dict[tuple[str, str], list[LabelledMotion]] = defaultdict(list)
    for recording in (*data.recordings, *data.strange):
        streams[recording.subject, recording.name].append(recording)
    layout = get_layout(data.layout)
    columns = [layout.joints.index(name) for name in data.joints.names]
    confidence = np.isin(np.arange(len(layout.joints)), columns).astype(np.float32)
    classes, delays = set(weights.labels) - {UNKNOWN}, []
    for stream in streams.values():
        recogniser, before, end = Recogniser(weights, config), "", -np.inf
        for part in sorted(stream, key=lambda recording: recording.start):
            positions = np.full((len(part.positions), len(confidence), 3), np.nan, np.float32)
            positions[:, columns] = part.positions
            right = []
            for index, pose in enumerate(positions):
                person = Skeleton("", data.layout, pose, confidence)
                recogniser.observe(part.start + index / part.fps, [person])
                right += [action.label == part.label for action in recogniser.recognise()]
            follows, lasted = part.start - end < 2 / part.fps, len(right) / part.fps
            if follows and part.label in classes - {before} and lasted >= 1 and not right[0]:
                delays.append(right.index(True) / part.fps if any(right) else np.nan)
            before, end = part.label, part.start + lasted
    return np.array(delays)


class ActionTimeline:
    """What each person was doing at a time, from segments in any order."""

    def __init__(self, segments: Sequence[Segment] = ()) -> None:
        self.segments = segments
        self._of: dict[str, list[tuple[float, float, str]]] = defaultdict(list)
        for person, start, end, label in sorted(segments):
            self._of[person].append((start, end, label))

    def at(self, person: str, stamp: float) -> str:
        """Label of a person at a time [s]; empty where nothing tells."""
        stretches = self._of.get(person, [])
        index = bisect_right(stretches, stamp, key=lambda stretch: stretch[0]) - 1
        if index < 0 or stamp > stretches[index][1] + _LASTS:
            return ""
        return stretches[index][2]

    def seconds(self) -> dict[str, float]:
        """Time spent on each action by all people together [s]."""
        total: dict[str, float] = defaultdict(float)
        for _, start, end, label in self.segments:
            total[label] += end - start
        return dict(total)
