"""Colour and depth: the nearest in time, waited for, and never just the latest."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ses_gcn_ros.pose.sources import Pairer


def test_images_of_one_stamp_are_paired_at_once_in_either_order():
    pairer = Pairer(0.02)
    assert pairer.add_colour(1.0, "c1") == []
    assert pairer.add_depth(1.0, "d1") == [("c1", "d1")]
    assert pairer.add_depth(1.04, "d2") == []
    assert pairer.add_colour(1.04, "c2") == [("c2", "d2")]


def test_an_image_waits_for_a_depth_that_may_be_nearer():
    pairer = Pairer(0.02)
    pairer.add_depth(0.985, "early")
    assert pairer.add_colour(1.0, "c") == []  # the latest is near enough, the next may be nearer
    assert pairer.add_depth(1.005, "near") == [("c", "near")]


def test_an_image_without_depth_near_its_time_is_given_up():
    pairer = Pairer(0.02)
    pairer.add_colour(1.0, "c1")
    assert pairer.add_depth(1.05, "late") == []
    assert pairer.unpaired == 1
    assert pairer.add_colour(1.04, "c2") == [("c2", "late")]


def test_without_any_depth_images_are_given_up_oldest_first():
    pairer = Pairer(0.02)
    for number in range(8):
        assert pairer.add_colour(1.0 + 0.04 * number, number) == []
    assert pairer.unpaired == 3
    assert pairer.add_depth(1.0 + 0.04 * 7, "d") == [(7, "d")]
    assert pairer.unpaired == 7


def test_a_recording_that_starts_over_is_paired_anew():
    pairer = Pairer(0.02)
    pairer.add_colour(100.0, "old")
    pairer.add_depth(101.0, "old depth")
    assert pairer.add_colour(5.0, "new") == []
    assert pairer.add_depth(5.0, "new depth") == [("new", "new depth")]


@given(st.lists(st.floats(-0.015, 0.015), min_size=20, max_size=20), st.randoms())
@settings(max_examples=40)
def test_jittery_streams_are_paired_one_to_one_whatever_the_order(jitter, random):
    arrivals = [(0.05 * i, "colour", i) for i in range(20)]
    arrivals += [(0.05 * i + off, "depth", i) for i, off in enumerate(jitter)]
    arrivals.sort(key=lambda arrival: arrival[0] + random.uniform(0.0, 0.04))
    arrivals.sort(key=lambda arrival: arrival[1] == "depth" and arrival[2])  # each in its order
    pairer = Pairer(0.02)
    pairs = []
    for stamp, kind, number in arrivals:
        add = pairer.add_colour if kind == "colour" else pairer.add_depth
        pairs += add(1.0 + stamp, number)
    assert all(colour == depth for colour, depth in pairs)
