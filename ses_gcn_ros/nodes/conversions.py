"""Between ROS messages and the core: stamps, skeletons, forecasts, states, transforms."""

from __future__ import annotations

import functools
import importlib
import math
import time
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from builtin_interfaces.msg import Duration, Time
from geometry_msgs.msg import TransformStamped
from numpy.typing import NDArray
from rclpy.qos import QoSProfile
from rclpy.topic_endpoint_info import TopicEndpointInfo
from scipy.spatial.transform import Rotation
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.msg import Forecast as ForecastMsg
from ses_gcn_ros.msg import ForecastArray, SafetyState, SkeletonArray
from ses_gcn_ros.msg import Skeleton as SkeletonMsg
from ses_gcn_ros.nodes import qos
from ses_gcn_ros.nodes.managed_node import ManagedNode
from ses_gcn_ros.skeleton import Skeleton

# the way back is found here, too: the core reads messages by their fields alone
from ses_gcn_ros.skeleton import skeletons_from_message as skeletons_from_message
from ses_gcn_ros.skeleton import to_seconds as to_seconds
from ses_gcn_ros.transforms import TransformBuffer, decode_transforms

if TYPE_CHECKING:  # half a second of compiled loops, which most nodes have no use for
    from ses_gcn_ros.forecast import Forecast
    from ses_gcn_ros.safety import Assessment

Array = NDArray[np.float64]

MOVING_KEPT = 20  # messages of moving frames in the queue; a tick's worth at 1 kHz
PUBLISHES_FOR = 1.0  # s for which whoever published a frame counts as its publisher
GID = 16  # bytes that tell a publisher in every message and in the graph


def message_type(name: str) -> Any:
    """Message or service class of a name such as ``std_msgs/msg/Float64``.

    Raises InputError if its package is not installed or has no such message or service.
    """
    package, _, rest = name.partition("/")
    module, _, kind = rest.partition("/")
    try:
        return getattr(importlib.import_module(f"{package}.{module}"), kind)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"message type '{name}' is not known; install the package {package}"
        ) from error


def to_time(seconds: float) -> Time:
    """Seconds since the epoch as a stamp."""
    whole, rest = divmod(round(seconds * 1e9), 10**9)
    return Time(sec=whole, nanosec=rest)


def to_duration(seconds: float) -> Duration:
    """Seconds as a duration."""
    whole, rest = divmod(round(seconds * 1e9), 10**9)
    return Duration(sec=whole, nanosec=rest)


def flat(values: NDArray[np.floating]) -> array[float]:
    """An array as the float32 sequence that message fields hold, in one copy."""
    flattened = array("f")
    flattened.frombytes(np.ascontiguousarray(values, dtype=np.float32).tobytes())
    return flattened


def skeletons_to_msg(stamp: Time, frame_id: str, people: Iterable[Skeleton]) -> SkeletonArray:
    """Message of everybody seen at `stamp`, positions in `frame_id`."""
    skeletons = [
        SkeletonMsg(
            person_id=person.person_id,
            layout=person.layout,
            positions=flat(person.positions),
            confidence=flat(person.confidence),
            covariance=array("f") if person.covariance is None else flat(person.covariance),
            liveness=person.liveness,
        )
        for person in people
    ]
    return SkeletonArray(header=Header(stamp=stamp, frame_id=frame_id), skeletons=skeletons)


def forecasts_to_msg(stamp: Time, frame_id: str, forecasts: Iterable[Forecast]) -> ForecastArray:
    """Message of everybody's forecast, made from observations up to `stamp`, in `frame_id`."""
    entries = [
        ForecastMsg(
            person_id=forecast.person_id,
            layout=forecast.layout,
            step=to_duration(forecast.step),
            steps=len(forecast.positions),
            positions=flat(forecast.positions),
            radius=flat(forecast.radius),
            coverage=float(forecast.coverage),
            model=forecast.model,
            flatness=float(forecast.flatness),
        )
        for forecast in forecasts
    ]
    return ForecastArray(header=Header(stamp=stamp, frame_id=frame_id), forecasts=entries)


def forecasts_from_message(message: ForecastArray) -> list[Forecast]:
    """The way back; it loads the forecaster's loops, which most nodes have no use for."""
    from ses_gcn_ros.forecast import forecaster

    return forecaster.forecasts_from_message(message)


def state_to_msg(frame_id: str, assessment: Assessment) -> SafetyState:
    """Message of an assessment made in the frame `frame_id`."""
    fields = assessment.fields()
    # + 0.0, since a negative zero is a fright to whoever reads it
    fields = {k: v + 0.0 if type(v) is float else v for k, v in fields.items()}
    header = Header(stamp=to_time(assessment.stamp), frame_id=frame_id)
    return SafetyState(header=header, **fields)


def node_of(info: TopicEndpointInfo) -> str:
    """Full name of an endpoint's node, which tells the cells on one domain apart."""
    return f"{info.node_namespace.rstrip('/')}/{info.node_name}"


class Frames(TransformBuffer):
    """The transform tree as the safety node receives it, in serialised messages.

    `node`: subscribes to /tf and /tf_static while it is active.
    `world`: frame that everything is taken to.
    `tolerance`: how far ahead of the clock a stamp may be [s].
    """

    def __init__(self, node: ManagedNode, world: str, tolerance: float = math.inf) -> None:
        super().__init__(world)
        self._node, self._tolerance = node, tolerance
        # by frame: until when each counts as its publisher; of static frames, while it is there
        self._publishers: dict[str, dict[bytes, float]] = {}
        # a short queue: a node that falls behind is to skip poses, not to lag behind them
        moving = QoSProfile(depth=MOVING_KEPT)
        for topic, handler, profile in (
            ("/tf", functools.partial(self._receive, static=False), moving),
            ("/tf_static", functools.partial(self._receive, static=True), qos.STATIC_TRANSFORMS),
        ):
            node.while_active(
                node.create_subscription(TFMessage, topic, _with_info(handler), profile, raw=True)
            )
        # after a jump, what is known of moving frames belongs to another run
        node.when_clock_jumps(self.forget)

    def doubled(self, frames: Sequence[str]) -> dict[str, list[str]]:
        """Frames between the given ones and the world that several publish; whose nodes."""
        found: dict[str, list[str]] = {}
        for frame in self.chain(frames):
            received, now = self._publishers.get(frame, {}), time.monotonic()
            alive = [gid for gid, until in received.items() if until >= now]
            if len(alive) < 2:
                continue
            ask = self._node.get_publishers_info_by_topic
            infos = [info for topic in ("/tf", "/tf_static") for info in ask(topic)]
            names = {_gid(info.endpoint_gid): node_of(info) for info in infos}
            alive = [gid for gid in alive if gid in names or received[gid] < math.inf]
            if len(alive) > 1:
                found[frame] = sorted(names.get(gid, "one that is gone") for gid in alive)
        return found

    def _receive(self, data: bytes, info: Mapping[str, Any], *, static: bool) -> None:
        try:
            received = decode_transforms(data)
            now = self._node.now()
            # before the first time on /clock, which is a stop of its own name, all is ahead
            latest = now + self._tolerance if now > 0.0 else math.inf
            left_out = self.add(received, static=static, latest=latest)
        except InputError as error:
            received, left_out = [], [str(error)]
        for sentence in left_out:
            self._node.get_logger().error(sentence, throttle_duration_sec=2.0)
        if "publisher_gid" in info:  # since ROS Jazzy
            until = math.inf if static else time.monotonic() + PUBLISHES_FOR
            publisher = _gid(info["publisher_gid"]["data"])
            for item in received:
                self._publishers.setdefault(item.child.removeprefix("/"), {})[publisher] = until


def _with_info(handler: Callable[[bytes, Mapping[str, Any]], None]) -> Callable[..., None]:
    """A callback that also takes who sent a message; the events executor gives both as one."""

    @functools.wraps(handler)  # whose two arguments ask rclpy for them
    def handle(*taken: Any) -> None:
        handler(*(taken[0] if len(taken) == 1 else taken))

    return handle


def _gid(data: Iterable[int]) -> bytes:
    """What a publisher goes by, as long as in both places that tell it."""
    return bytes(data)[:GID]


class TransformSender:
    """A message of transforms whose frames stay the same, filled anew each time.

    Making a message object costs more than filling one. `frames`: parent and child of each of the N
    transforms.
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
