"""Messages read from their bytes say what the messages say, and bad ones are refused alike."""

from __future__ import annotations

from array import array

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from hypothesis import given, settings
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import JointState

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.forecast import Forecast
from ses_gcn_ros.msg import Forecast as ForecastMsg
from ses_gcn_ros.msg import ForecastArray
from ses_gcn_ros.nodes import wire
from ses_gcn_ros.nodes.conversions import (
    flat,
    forecasts_from_msg,
    skeletons_from_msg,
    skeletons_to_msg,
    to_duration,
    to_seconds,
)
from ses_gcn_ros.nodes.wire import read_forecasts, read_joints, read_skeletons
from ses_gcn_ros.nodes.wire_writers import write_forecasts
from ses_gcn_ros.skeleton import Skeleton

names = st.text(max_size=9).filter(lambda text: "\0" not in text)
times = st.builds(
    lambda sec, nanosec: Time(sec=sec, nanosec=nanosec),
    st.integers(0, 2**31 - 1),
    st.integers(0, 10**9 - 1),
)
seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(autouse=True)
def without_rclpys_objects(monkeypatch):
    """Good bytes are read without making an object."""

    def refuse(*_: object) -> None:
        raise AssertionError("left to rclpy")

    monkeypatch.setattr(wire, "deserialize_message", refuse)


def skeleton(person_id: str, seed: int) -> Skeleton:
    random = np.random.default_rng(seed)
    positions = random.normal(size=(15, 3)).astype(np.float32)
    positions[seed % 15] = np.nan
    return Skeleton(person_id, "chico15", positions, random.uniform(size=15).astype(np.float32))


def forecast(person_id: str, seed: int, model: str, time: Time) -> Forecast:
    random = np.random.default_rng(seed)
    steps = 1 + seed % 26
    positions = random.normal(size=(steps, 15, 3)).astype(np.float32)
    radius = random.uniform(size=(steps, 15)).astype(np.float32)
    return Forecast(person_id, "chico15", to_seconds(time), 0.04, positions, radius, 0.75, model)


def forecasts_message(time: Time, frame: str, forecasts: list[Forecast]) -> ForecastArray:
    message = ForecastArray()
    message.header.stamp, message.header.frame_id = time, frame
    message.forecasts = [
        ForecastMsg(
            person_id=forecast.person_id,
            layout=forecast.layout,
            step=to_duration(forecast.step),
            steps=len(forecast.positions),
            positions=flat(forecast.positions),
            radius=flat(forecast.radius),
            coverage=forecast.coverage,
            model=forecast.model,
        )
        for forecast in forecasts
    ]
    return message


def same(ours: object, theirs: object, *, arrays: tuple[str, ...]) -> None:
    for name in arrays:
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    rest = {name: value for name, value in vars(ours).items() if name not in arrays}
    assert rest == {name: value for name, value in vars(theirs).items() if name not in arrays}


@settings(derandomize=True, max_examples=60)
@given(time=times, frame=names, people=st.dictionaries(names, seeds, max_size=3))
def test_skeletons(time, frame, people):
    message = skeletons_to_msg(time, frame, [skeleton(*person) for person in people.items()])
    heard = read_skeletons(serialize_message(message))
    assert (heard.time, heard.frame_id, heard.stamp) == (time, frame, to_seconds(time))
    for ours, theirs in zip(heard.items, skeletons_from_msg(message), strict=True):
        same(ours, theirs, arrays=("positions", "confidence"))


@settings(derandomize=True, max_examples=60)
@given(time=times, frame=names, people=st.dictionaries(names, seeds, max_size=3), model=names)
def test_forecasts(time, frame, people, model):
    made = [forecast(person_id, seed, model, time) for person_id, seed in people.items()]
    message = forecasts_message(time, frame, made)
    assert deserialize_message(write_forecasts(time, frame, made), ForecastArray) == message
    heard = read_forecasts(serialize_message(message))
    assert (heard.time, heard.frame_id) == (time, frame)
    for ours, theirs in zip(heard.items, forecasts_from_msg(message), strict=True):
        same(ours, theirs, arrays=("positions", "radius"))


@settings(derandomize=True, max_examples=60)
@given(
    time=times,
    frame=names,
    joints=st.lists(names, max_size=8),
    lengths=st.tuples(*[st.integers(0, 8)] * 3),
)
def test_joint_states_of_whatever_lengths(time, frame, joints, lengths):
    position, velocity, effort = (np.arange(n, dtype=float) + 0.5 for n in lengths)
    message = JointState(name=joints, position=position, velocity=velocity, effort=effort)
    message.header.stamp, message.header.frame_id = time, frame
    heard = read_joints(serialize_message(message))
    assert heard.stamp == to_seconds(time)
    assert heard.names == joints
    assert heard.positions == tuple(position)
    assert heard.velocities == tuple(velocity)


def spoilt(**fields: object) -> bytes:
    message = skeletons_to_msg(Time(sec=1), "world", [skeleton("7", 1), skeleton("8", 2)])
    for name, value in fields.items():
        setattr(message.skeletons[1], name, value)
    return serialize_message(message)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"person_id": "7"}, "appears twice"),
        ({"layout": "octopus"}, "octopus"),
        ({"positions": array("f", [0.0] * 44)}, "44 position values"),
        ({"positions": array("f", [float("inf")] * 45)}, "infinite"),
        ({"confidence": array("f", [2.0] * 15)}, "confidences"),
    ],
)
def test_bad_skeletons_are_refused_with_what_is_wrong(monkeypatch, fields, complaint):
    monkeypatch.undo()
    with pytest.raises(InputError, match=complaint):
        read_skeletons(spoilt(**fields))


def test_bad_forecasts_are_refused_with_what_is_wrong(monkeypatch):
    monkeypatch.undo()
    message = forecasts_message(Time(sec=1), "world", [forecast("7", 3, "m", Time(sec=1))])
    message.forecasts[0].step.sec = -1
    with pytest.raises(InputError, match="must be positive"):
        read_forecasts(serialize_message(message))


def test_bytes_cut_off_are_left_to_rclpy():
    one = Time(sec=1)
    for read, message in (
        (read_skeletons, skeletons_to_msg(one, "world", [skeleton("7", 1)])),
        (read_forecasts, forecasts_message(one, "world", [forecast("7", 1, "model", one)])),
        (read_joints, JointState(name=["a"], position=[1.0], velocity=[2.0], effort=[3.0])),
    ):
        whole = serialize_message(message)
        for end in range(len(whole) - 4):
            with pytest.raises(AssertionError, match="left to rclpy"):
                read(whole[:end])
