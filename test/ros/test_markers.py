"""Drawings for RViz have stable ids, end by themselves, and are deleted when their subject goes."""

from __future__ import annotations

import dataclasses
import itertools
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from builtin_interfaces.msg import Time
from std_msgs.msg import Header
from test_conversions import some_forecast, some_skeleton
from visualization_msgs.msg import Marker

from ses_gcn_ros.nodes.markers import (
    LIFETIME,
    MarkerBoard,
    SafetyDrawing,
    capsule_markers,
    closest_pair_markers,
    forecast_markers,
    skeleton_markers,
)
from ses_gcn_ros.skeleton import get_layout

sys.path.append(str(Path(__file__).parents[1] / "safety"))
from safety_scenes import settled

HEADER = Header(frame_id="world")


def keys(message, action):
    return {(marker.ns, marker.id) for marker in message.markers if marker.action == action}


def test_a_person_keeps_the_same_markers_from_frame_to_frame():
    board = MarkerBoard()
    first = board.show(HEADER, skeleton_markers([some_skeleton(1)]))
    second = board.show(HEADER, skeleton_markers([some_skeleton(2)]))
    assert keys(first, Marker.ADD) == keys(second, Marker.ADD)
    assert not keys(second, Marker.DELETE)
    assert all(marker.lifetime == LIFETIME for marker in second.markers)
    assert all(marker.header.frame_id == "world" for marker in second.markers)


def test_a_person_who_is_gone_is_deleted_once():
    board = MarkerBoard()
    shown = keys(board.show(HEADER, skeleton_markers([some_skeleton(1)])), Marker.ADD)
    assert keys(board.show(HEADER, []), Marker.DELETE) == shown
    assert not board.show(HEADER, []).markers


def test_unseen_joints_are_not_drawn():
    points = [p for marker in skeleton_markers([some_skeleton(1)]) for p in marker.points]
    assert points
    assert np.isfinite([(p.x, p.y, p.z) for p in points]).all()


def test_a_forecast_fades_with_the_horizon():
    lines = [m for m in forecast_markers([some_forecast(1)]) if m.type == Marker.LINE_LIST]
    alphas = [marker.color.a for marker in lines]
    assert len(lines) > 2
    assert alphas == sorted(alphas, reverse=True)
    assert alphas[-1] < 0.5 * alphas[0]


def test_tubes_hold_the_way_of_hands_feet_and_head():
    forecast = some_forecast(1)
    tubes = [m for m in forecast_markers([forecast]) if m.ns.endswith("/tube")]
    caps = [m for m in tubes if m.type == Marker.SPHERE_LIST]
    ends = {"nose", "r_wrist", "l_wrist", "r_foot", "l_foot"}
    assert len(caps) % len(ends) == 0
    assert len({(m.ns, m.id) for m in tubes}) == len(tubes)
    widest = max(cap.scale.x for cap in caps)
    joints = [get_layout(forecast.layout).joints.index(end) for end in ends]
    drawn = np.minimum(forecast.radius[:, joints], 0.25)  # a wider one would hide the cell
    assert np.isclose(drawn, widest / 2).any()
    assert keys(MarkerBoard().show(HEADER, tubes), Marker.ADD)


def test_a_forecast_without_a_joint_has_no_tube_for_it():
    forecast = some_forecast(1)
    forecast.positions[:, get_layout(forecast.layout).joints.index("r_wrist")] = np.nan
    markers = forecast_markers([forecast])
    points = [(p.x, p.y, p.z) for marker in markers for p in marker.points]
    assert np.isfinite(points).all()


def test_a_capsule_is_a_cylinder_along_its_axis():
    starts, ends = np.array([[0.0, 0.0, 1.0]]), np.array([[0.3, 0.0, 1.4]])
    markers = capsule_markers("robot", starts, ends, np.array([0.1]), (0.5, 0.5, 0.5))
    (body,) = (marker for marker in markers if marker.type == Marker.CYLINDER)
    assert np.isclose(body.scale.z, 0.5)
    assert np.isclose(body.scale.x, 0.2)
    centre = (body.pose.position.x, body.pose.position.y, body.pose.position.z)
    np.testing.assert_allclose(centre, (0.15, 0.0, 1.2))


def test_the_closest_pair_is_drawn_with_its_distance():
    line, text = closest_pair_markers(np.zeros(3), np.array([0.0, 0.4, 0.3]), 0.5, 2)
    assert len(line.points) == 2
    assert text.text == "0.50 m"


def test_what_the_safety_node_draws_is_of_one_moment_and_hides_nothing_of_itself():
    scene = settled(1.0)
    answer = scene.tick()
    place = (answer.pair.human_point + answer.pair.robot_point) / 2.0
    answer = dataclasses.replace(answer, predicted=SimpleNamespace(place=place))
    header = Header(frame_id="world", stamp=Time(sec=7))
    drawn = SafetyDrawing(scene.monitor).draw(header, answer).markers
    assert all(marker.header == header for marker in drawn)
    robot = [m for m in drawn if m.ns == "robot"]
    assert robot
    # wider than the robot itself, through whose surfaces they would flicker
    assert min(m.scale.x for m in robot) > 2 * scene.monitor.model.radius.min() + 0.005
    texts = {m.ns: m for m in drawn if m.type == Marker.TEXT_VIEW_FACING}
    assert texts.keys() == {"state", "closest", "predicted"}
    for one, other in itertools.combinations(texts.values(), 2):
        apart = abs(one.pose.position.z - other.pose.position.z)
        aside = abs(one.pose.position.x - other.pose.position.x)
        assert max(apart, aside / 3) > max(one.scale.z, other.scale.z)
