"""Messages carry arrays there and back without loss."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TransformStamped
from hypothesis import given, settings
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message
from scipy.spatial.transform import Rotation

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.forecast import Forecast
from ses_gcn_ros.msg import ForecastArray, SafetyState, SkeletonArray
from ses_gcn_ros.nodes.conversions import (
    forecasts_from_message,
    forecasts_to_msg,
    skeletons_from_message,
    skeletons_to_msg,
    state_to_msg,
    to_seconds,
    to_time,
)
from ses_gcn_ros.nodes.pose_messages import matrix
from ses_gcn_ros.replay.events import state_message
from ses_gcn_ros.safety import Assessment, RobotModel, SafetyConfig, SeparationMonitor
from ses_gcn_ros.skeleton import Skeleton

STAMP = Time(sec=1_700_000_000, nanosec=40_000_000)


def some_skeleton(seed: int) -> Skeleton:
    random = np.random.default_rng(seed)
    positions = random.normal(size=(15, 3)).astype(np.float32)
    positions[3] = np.nan
    confidence = random.uniform(size=15).astype(np.float32)
    return Skeleton("7", "chico15", positions, confidence)


def some_forecast(seed: int) -> Forecast:
    random = np.random.default_rng(seed)
    positions = random.normal(size=(25, 15, 3)).astype(np.float32)
    radius = random.uniform(size=(25, 15)).astype(np.float32)
    return Forecast("7", "chico15", to_seconds(STAMP), 0.04, positions, radius, 0.95, "sesgcn")


@settings(derandomize=True, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1))
def test_skeletons_come_back_from_the_wire_as_they_were(seed):
    person = some_skeleton(seed)
    wire = serialize_message(skeletons_to_msg(STAMP, "world", [person]))
    message = deserialize_message(wire, SkeletonArray)
    (back,) = skeletons_from_message(message)
    assert (back.person_id, back.layout, message.header.frame_id) == ("7", "chico15", "world")
    np.testing.assert_array_equal(back.positions, person.positions)
    np.testing.assert_array_equal(back.confidence, person.confidence)


@settings(derandomize=True, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1))
def test_forecasts_come_back_from_the_wire_as_they_were(seed):
    forecast = some_forecast(seed)
    wire = serialize_message(forecasts_to_msg(STAMP, "world", [forecast]))
    (back,) = forecasts_from_message(deserialize_message(wire, ForecastArray))
    np.testing.assert_array_equal(back.positions, forecast.positions)
    np.testing.assert_array_equal(back.radius, forecast.radius)
    assert (back.stamp, back.step, back.model) == (forecast.stamp, 0.04, "sesgcn")
    assert back.coverage == pytest.approx(0.95)


def test_stamps_keep_their_microseconds():
    assert to_time(to_seconds(STAMP)) == STAMP


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda f: setattr(f, "layout", "octopus8"), "unknown joint layout 'octopus8'"),
        (lambda f: setattr(f, "steps", 24), "1125 position values and 375 radii; 24 steps"),
        (lambda f: setattr(f.step, "nanosec", 0), "step is 0.0 s; it must be positive"),
    ],
)
def test_a_wrong_forecast_is_refused_with_its_numbers(spoil, sentence):
    message = forecasts_to_msg(STAMP, "world", [some_forecast(1)])
    spoil(message.forecasts[0])
    with pytest.raises(InputError, match=sentence):
        forecasts_from_message(message)


@settings(derandomize=True, max_examples=50)
@given(
    turn=st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: sum(x * x for x in q) > 0.01),
    shift=st.tuples(*[st.floats(-10, 10)] * 3),
)
def test_transforms_become_matrices(turn, shift):
    rotation = Rotation.from_quat(turn)
    stamped = TransformStamped()
    x, y, z, w = (float(value) for value in rotation.as_quat())
    stamped.transform.rotation.x, stamped.transform.rotation.y = x, y
    stamped.transform.rotation.z, stamped.transform.rotation.w = z, w
    stamped.transform.translation.x = shift[0]
    stamped.transform.translation.y = shift[1]
    stamped.transform.translation.z = shift[2]
    expected = np.eye(4)
    expected[:3, :3], expected[:3, 3] = rotation.as_matrix(), shift
    np.testing.assert_allclose(matrix(stamped), expected, atol=1e-12)


def test_a_state_names_every_term_behind_the_protective_distance():
    monitor = SeparationMonitor(SafetyConfig(), RobotModel.from_frames(("low", "high"), (0.07,)))

    def written(assessment: Assessment) -> SafetyState:
        wire = serialize_message(state_to_msg("world", assessment))
        return deserialize_message(wire, SafetyState)

    assert math.isnan(written(monitor.assess(0.5)).human_term)
    poses = np.tile(np.eye(4), (2, 1, 1))
    poses[1, 2, 3] = 1.0
    monitor.observe_robot(1.0, poses)
    joints = np.linspace(1.0, 1.5, 45, dtype=np.float32).reshape(15, 3)
    person = Skeleton("7", "chico15", joints, np.ones(15, np.float32))
    monitor.observe_skeletons(1.0, [person])
    assessment = monitor.assess(1.0)
    state = written(assessment)
    assert (state.header.stamp, state.header.frame_id) == (to_time(1.0), "world")
    terms = ("human_term", "reaction_term", "stopping_term", "intrusion")
    terms += ("human_uncertainty", "robot_uncertainty")
    total = sum(getattr(state, term) for term in terms)
    assert total == pytest.approx(state.protective_distance, rel=1e-6)
    assert state.robot_speed == pytest.approx(1.0)  # as yet unknown: the highest
    assert state.stopping_time == pytest.approx(1.0 / 3.0)
    recorded = state_message(assessment, "world")
    for name in SafetyState.get_fields_and_field_types():
        if name != "header":
            assert getattr(state, name) == pytest.approx(getattr(recorded, name), nan_ok=True), name
    zeros = written(dataclasses.replace(assessment, speed_factor=-0.0, margin=-0.0))
    assert [math.copysign(1.0, value) for value in (zeros.speed_factor, zeros.margin)] == [1.0, 1.0]


def test_a_node_without_loops_of_its_own_loads_no_compiler():
    """It takes half a second and 120 MB, in a process that passes messages on."""
    nodes = ("robot_bridge", "recordings", "demo_robot", "fusion_node")
    program = "; ".join(f"import ses_gcn_ros.nodes.{name}" for name in nodes)
    program += "; import sys; print(sorted({'numba', 'torch'} & sys.modules.keys()))"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=300
    )
    assert run.stdout == "[]\n"
