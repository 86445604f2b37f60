"""Zones limit the robot while somebody, or the robot itself, is inside."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safety_scenes import Scene, settled
from scipy.optimize import minimize_scalar
from scipy.spatial.transform import Rotation

from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.safety import Level, SafetyConfig
from ses_gcn_ros.safety.geometry import Solids, solid_distances
from ses_gcn_ros.safety.zones import read_zones

DOOR = "{name: door, position: [6, 0, 1], size: [1, 2, 2], factor: 0.3}"
coordinates = st.tuples(*[st.floats(-3, 3)] * 3)


def outside(point, half, is_round) -> float:
    """Distance of a point from a box or a cylinder, by the definition of each."""
    if is_round:
        out = np.array([np.hypot(point[0], point[1]) - half[0], abs(point[2]) - half[2]])
    else:
        out = np.abs(point) - half
    return float(np.linalg.norm(np.maximum(out, 0.0)))


@settings(max_examples=100, derandomize=True)
@given(
    coordinates,
    coordinates,
    st.tuples(*[st.floats(0.1, 2)] * 3),
    st.booleans(),
    st.tuples(*[st.floats(-3, 3)] * 3),
    coordinates,
)
def test_the_distance_of_a_segment_is_the_least_of_its_points(
    start, end, half, is_round, rpy, shift
):
    half = np.array((half[0], half[0], half[2]) if is_round else half)
    world_from_solid = np.eye(4)
    world_from_solid[:3, :3] = Rotation.from_euler("xyz", rpy).as_matrix()
    world_from_solid[:3, 3] = shift
    local = [world_from_solid[:3, :3].T @ (np.array(end) - shift) for end in (start, end)]

    def at(fraction: float) -> float:
        return outside(local[0] + fraction * (local[1] - local[0]), half, is_round)

    least = min(at(0.0), at(1.0), minimize_scalar(at, bounds=(0, 1), method="bounded").fun)
    distance, fraction, normal = solid_distances(
        Solids(half[None], np.array([is_round])),
        np.linalg.inv(world_from_solid)[None],
        np.array([start]),
        np.array([end]),
    )
    assert distance[0, 0] <= least + 1e-6
    assert distance[0, 0] == pytest.approx(at(fraction[0, 0]), abs=1e-9)
    if distance[0, 0] > 1e-6:
        nearest = np.array(start) + fraction[0, 0] * (np.array(end) - start)
        inward = world_from_solid[:3, :3].T @ (
            nearest + (distance[0, 0] + 1e-6) * normal[0, 0] - shift
        )
        assert outside(inward, half, is_round) == pytest.approx(0.0, abs=1e-5)


def test_a_segment_that_comes_nearest_with_an_end_does_so_with_all_of_it():
    """Fractions of exactly 0 and 1, not within the last halving of them."""
    cube = Solids(np.full((1, 3), 0.5), np.array([False]))
    start, end = (
        np.array([[3.0, 0.3, 0.2], [1.0, 0.3, 0.2]]),
        np.array([[1.0, 0.1, 0.1], [3.0, 1, 1]]),
    )
    distance, fraction, _ = solid_distances(cube, np.eye(4)[None], start, end)
    assert fraction.tolist() == [[1.0, 0.0]]
    assert distance.tolist() == [[0.5, 0.5]]


def test_a_person_in_a_zone_slows_the_robot_to_its_factor_and_the_zone_is_named():
    scene = settled(6.0, zones=(DOOR,))
    assessment = scene.tick()
    assert assessment.level is Level.REDUCED
    assert assessment.speed_factor == pytest.approx(0.3)
    assert assessment.zone == "door"
    assert assessment.reasons[0].startswith("zone door: person p1: ")
    scene.speed = 1.5
    clear = scene.run(2.0)
    assert (clear.level, clear.zone) == (Level.CLEAR, "")


def test_a_zone_of_factor_0_stops_the_robot():
    zone = "{name: pit, shape: cylinder, position: [6, 0, 1], radius: 0.5, height: 2}"
    assert settled(6.0, zones=(zone,)).tick().level is Level.STOP
    assert settled(7.5, zones=(zone,)).tick().level is Level.CLEAR


def test_a_zone_may_raise_the_floor_of_the_speed():
    zone = "{name: run, position: [2, 0, 1], size: [2, 2, 2], factor: 1.0, human_speed: 3.0}"
    plain, fast = settled(2.0).tick(), settled(2.0, zones=(zone,)).tick()
    assert plain.breakdown.human_speed <= 2.0
    assert fast.breakdown.human_speed == pytest.approx(3.0)
    assert fast.speed_factor <= plain.speed_factor


def test_who_is_lost_in_a_zone_grows_as_fast_as_people_are_there():
    zone = "{name: run, position: [4, 0, 1], size: [2, 2, 2], factor: 1.0, human_speed: 3.0}"
    scene = settled(4.0, zones=(zone,))
    before, scene.x = scene.tick().separation, None
    assert scene.run(0.5).separation <= before - 0.95 * 3.0 * 0.5


def test_a_zone_moves_with_its_frame():
    """The frame `low` stands in the robot's column, which is 5 m away from the person."""
    zone = "{name: cart, frame: low, position: [5, 0, 0.7], size: [1, 1, 2], factor: 0.2}"
    scene = settled(5.0, zones=(zone,))
    assert scene.tick().zone == "cart"
    scene.robot_x = 1.5
    scene.run(2.5)
    assert scene.tick().zone == ""


def test_a_zone_in_a_frame_that_nobody_publishes_is_a_frame_to_look_up():
    scene = Scene(zones=("{name: cart, frame: agv, size: [1, 1, 1]}",))
    assert scene.monitor.model.frames == ("low", "high", "agv")


@pytest.mark.parametrize("ramp_down", [0.0, 1.0])
def test_the_robot_comes_to_rest_before_a_zone_that_keeps_it_out(ramp_down):
    zone = "{name: shelf, applies_to: robot, position: [2.57, 0, 1], size: [1, 1, 2]}"
    # it is jogged out of there
    scene = settled(None, zones=(zone,), obedience_tolerance=0.0, ramp_down=ramp_down)
    factor = 1.0
    for _ in range(1200):
        before = factor
        scene.robot_speed = max(before, scene.robot_speed - scene.config.deceleration * 0.02)
        factor = scene.tick().speed_factor
        assert scene.robot_x < 2.0
    assert scene.robot_x > 1.8
    assert scene.tick().zone == "shelf"
    scene.robot_speed = -0.3
    assert scene.run(2.0).level is not Level.STOP  # away from it, it may move


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("door", r"zones\[0\] is 'door'; it takes a mapping"),
        ("{name: door", r"zones\[0\] '.name: door' is no YAML"),
        ("{name: door, shape: ball}", r"zones\[0\]: parameter 'shape' is 'ball'; it takes one of"),
        ("{name: door, siz: [1, 1, 1]}", r"zones\[0\]: unknown parameter 'siz'"),
        ("{name: door, size: [1, 1]}", r"zone 'door': size is \[1.0, 1.0\]; it takes 3 numbers"),
        ("{name: door, size: [1, 1, 0]}", "zone 'door' has no volume; a box takes size"),
        ("{name: d, shape: cylinder, radius: 1}", "zone 'd' has no volume; a cylinder takes rad"),
        ("{size: [1, 1, 1]}", "a zone has no name"),
        ("{name: d, size: [1, 1, 1], factor: 2}", r"parameter 'factor' is 2.0; it must lie in"),
    ],
)
def test_a_zone_that_makes_no_sense_is_refused_with_its_number(entry, sentence):
    with pytest.raises(ConfigError, match=sentence):
        Scene(zones=(entry,))


def test_two_zones_of_one_name_are_refused():
    with pytest.raises(ConfigError, match="two entries 'door'"):
        read_zones([DOOR, DOOR], SafetyConfig().world_frame)
