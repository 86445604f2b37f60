"""Messages to the core's arrays and back, without a Python object per joint."""

from __future__ import annotations

import importlib
from array import array
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from builtin_interfaces.msg import Duration, Time
from numpy.typing import NDArray

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.forecast import Forecast
from ses_gcn_ros.msg import Forecast as ForecastMsg
from ses_gcn_ros.msg import ForecastArray, SafetyState, SkeletonArray
from ses_gcn_ros.msg import Skeleton as SkeletonMsg
from ses_gcn_ros.skeleton import Skeleton, check_skeletons, get_layout

if TYPE_CHECKING:
    from ses_gcn_ros.safety import Assessment


def message_type(name: str) -> Any:
    """Message or service class of a name such as ``std_msgs/msg/Float64``.

    Raises
    ------
    InputError
        If its package is not installed or has no such message or service.
    """
    package, _, rest = name.partition("/")
    module, _, kind = rest.partition("/")
    try:
        return getattr(importlib.import_module(f"{package}.{module}"), kind)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"message type '{name}' is not known; install the package {package}"
        ) from error


def to_seconds(stamp: Time | Duration) -> float:
    """Stamp or duration in seconds; float64 keeps a stamp of today to 0.3 µs."""
    return float(stamp.sec + stamp.nanosec * 1e-9)


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


def skeletons_from_msg(message: SkeletonArray) -> list[Skeleton]:
    """People of a message; positions (J, 3) [m] in the frame of its header.

    Raises
    ------
    InputError
        For an unknown layout, an array of the wrong length, infinite positions or two people of
        the same id.
    """
    people = [_skeleton_from_msg(entry) for entry in message.skeletons]
    check_skeletons(people)
    ids = [person.person_id for person in people]
    if len(set(ids)) != len(ids):
        twice = next(person_id for person_id in ids if ids.count(person_id) > 1)
        raise InputError(f"person_id '{twice}' appears twice in one message; ids must be unique")
    return people


def _skeleton_from_msg(entry: SkeletonMsg) -> Skeleton:
    joints = len(get_layout(entry.layout).joints)
    if len(entry.positions) != 3 * joints or len(entry.confidence) != joints:
        raise InputError(
            f"person '{entry.person_id}': {len(entry.positions)} position values and "
            f"{len(entry.confidence)} confidences; layout '{entry.layout}' has {joints} joints "
            f"and takes {3 * joints} and {joints}"
        )
    return Skeleton(
        person_id=entry.person_id,
        layout=entry.layout,
        positions=np.frombuffer(entry.positions, dtype=np.float32).reshape(joints, 3),
        confidence=np.frombuffer(entry.confidence, dtype=np.float32),
        covariance=_covariance_from_msg(entry, joints),
        liveness=entry.liveness,
    )


def _covariance_from_msg(entry: SkeletonMsg, joints: int) -> NDArray[np.float32] | None:
    if not len(entry.covariance):
        return None
    if len(entry.covariance) != 6 * joints:
        raise InputError(
            f"person '{entry.person_id}': {len(entry.covariance)} covariance values; layout "
            f"'{entry.layout}' has {joints} joints and takes {6 * joints}, or none"
        )
    return np.frombuffer(entry.covariance, dtype=np.float32).reshape(joints, 6)


def skeletons_to_msg(stamp: Time, frame_id: str, people: Iterable[Skeleton]) -> SkeletonArray:
    """Message of everybody seen at `stamp`, positions in `frame_id`."""
    message = SkeletonArray()
    message.header.stamp = stamp
    message.header.frame_id = frame_id
    message.skeletons = [
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
    return message


def forecasts_from_msg(message: ForecastArray) -> list[Forecast]:
    """Forecasts of a message; positions (H, J, 3), radii (H, J) [m] in the frame of its header.

    Raises
    ------
    InputError
        For an unknown layout, arrays of the wrong length or a step that is not positive.
    """
    return [_forecast_from_msg(message, entry) for entry in message.forecasts]


def _forecast_from_msg(message: ForecastArray, entry: ForecastMsg) -> Forecast:
    joints, steps = len(get_layout(entry.layout).joints), entry.steps
    if len(entry.positions) != 3 * joints * steps or len(entry.radius) != joints * steps:
        raise InputError(
            f"forecast of '{entry.person_id}': {len(entry.positions)} position values and "
            f"{len(entry.radius)} radii; {steps} steps of layout '{entry.layout}' take "
            f"{3 * joints * steps} and {joints * steps}"
        )
    step = to_seconds(entry.step)
    if step <= 0.0:
        raise InputError(f"forecast of '{entry.person_id}': step is {step} s; it must be positive")
    return Forecast(
        person_id=entry.person_id,
        layout=entry.layout,
        stamp=to_seconds(message.header.stamp),
        step=step,
        positions=np.frombuffer(entry.positions, dtype=np.float32).reshape(steps, joints, 3),
        radius=np.frombuffer(entry.radius, dtype=np.float32).reshape(steps, joints),
        coverage=entry.coverage,
        model=entry.model,
        flatness=entry.flatness or 1.0,
    )


def forecasts_to_msg(stamp: Time, frame_id: str, forecasts: Iterable[Forecast]) -> ForecastArray:
    """Message of everybody's forecast, made from observations up to `stamp`, in `frame_id`."""
    message = ForecastArray()
    message.header.stamp = stamp
    message.header.frame_id = frame_id
    message.forecasts = [
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
    return message


def state_to_msg(frame_id: str, assessment: Assessment) -> SafetyState:
    """Message of an assessment made in the frame `frame_id`."""
    fields = assessment.fields()
    # + 0.0, since a negative zero is a fright to whoever reads it
    message = SafetyState(**{k: v + 0.0 if type(v) is float else v for k, v in fields.items()})
    message.header.stamp = to_time(assessment.stamp)
    message.header.frame_id = frame_id
    return message
