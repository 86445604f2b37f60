"""Capsules around people: every limb inside, seen or not, in every layout."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safety_scenes import STANDING
from scipy.stats import chi

from ses_gcn_ros.safety import SafetyConfig, limb_capsules, people
from ses_gcn_ros.safety.people import (
    LIMB_LENGTH,
    PeopleTracks,
    body,
    joint_velocities,
    quantile,
)
from ses_gcn_ros.safety.separation_kernel import approach_floor
from ses_gcn_ros.skeleton import Skeleton, convert, get_layout, layout_names


def holds(capsules, limb: int, point) -> bool:
    start, end = capsules.start[limb], capsules.end[limb]
    axis = end - start
    t = np.clip((point - start) @ axis / max(axis @ axis, 1e-12), 0, 1)
    return np.linalg.norm(point - start - t * axis) <= capsules.radius[limb] + 1e-9


@settings(max_examples=200)
@given(st.sets(st.integers(0, 14), max_size=14), st.integers(0, 10**6))
def test_a_limb_is_inside_its_capsule_whichever_joints_are_unseen(hidden, seed):
    """As long as no limb is longer than a tall adult's, wherever the unseen joints are."""
    rng = np.random.default_rng(seed)
    layout = get_layout("chico15")
    true = np.zeros((15, 3))
    order = sorted(range(15), key=lambda j: len(path_to_root(layout, j)))
    for joint in order:
        parent = layout.parents[joint]
        if parent >= 0:
            direction = rng.normal(size=3)
            length = rng.uniform(0.05, 0.45)
            true[joint] = true[parent] + length * direction / np.linalg.norm(direction)
    seen = true.copy()
    seen[list(hidden)] = np.nan
    capsules = limb_capsules(seen, "chico15")
    for limb, (a, b) in enumerate(layout.limbs):
        for share in (0.0, 0.3, 1.0):
            assert holds(capsules, limb, true[a] + share * (true[b] - true[a]))


def path_to_root(layout, joint):
    path = [joint]
    while layout.parents[path[-1]] >= 0:
        path.append(layout.parents[path[-1]])
    return path


def test_a_person_of_whom_nothing_is_seen_has_no_capsules_to_rely_on():
    capsules = limb_capsules(np.full((15, 3), np.nan), "chico15")
    assert np.isnan(capsules.start).all()


@pytest.mark.parametrize("name", layout_names())
def test_every_layout_has_a_body(name):
    ones = np.ones(15, np.float32)
    positions, _ = convert(STANDING.astype(np.float32), ones, "chico15", name)
    if np.isnan(positions).all():
        pytest.fail(f"nothing of {name} can be made from chico15")
    capsules = limb_capsules(positions.astype(np.float64), name, hand_reach=0.18)
    assert capsules.start.shape == (len(get_layout(name).limbs), 3)
    assert np.isfinite(capsules.start).all()
    assert (capsules.radius >= body(name).radii).all()


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("chico15", {"l_wrist": 1.0, "r_wrist": 1.0}),
        ("mediapipe33", dict.fromkeys(("l_index", "r_index", "l_pinky", "r_pinky"), 0.5)),
        ("kinect20", {"l_hand": 0.5, "r_hand": 0.5}),
        ("zed38", {}),
        ("kinect32", {}),
    ],
)
def test_what_a_layout_lacks_of_a_hand_is_added_to_its_limbs(name, ends):
    layout, shape = get_layout(name), body(name)
    added = {layout.joints[shape.ends[n]]: shape.hands[n] for n in np.flatnonzero(shape.hands)}
    assert added == ends


@pytest.mark.parametrize("name", layout_names())
def test_no_edge_of_two_metres_of_person_is_longer_than_is_reckoned_with(name):
    tall = 1.15 * STANDING.astype(np.float32)
    positions, _ = convert(tall, np.ones(15, np.float32), "chico15", name)
    shape = body(name)
    lengths = np.linalg.norm(positions[shape.edges[:, 0]] - positions[shape.edges[:, 1]], axis=1)
    assert (lengths[~np.isnan(lengths)] <= shape.longest[~np.isnan(lengths)]).all()


def test_a_hand_is_as_long_as_asked_for():
    bare = limb_capsules(STANDING, "chico15")
    with_hand = limb_capsules(STANDING, "chico15", hand_reach=0.18)
    forearm = get_layout("chico15").limb_names().index("r_elbow-r_wrist")
    longer = np.linalg.norm(with_hand.end[forearm] - bare.end[forearm])
    assert longer == pytest.approx(0.18)
    np.testing.assert_array_equal(with_hand.start, bare.start)


def test_a_hand_is_kept_also_where_the_wrist_is_unseen():
    hidden = STANDING.copy()
    hidden[11] = np.nan
    forearm = get_layout("chico15").limb_names().index("r_elbow-r_wrist")
    capsules = limb_capsules(hidden, "chico15", hand_reach=0.18)
    radius = body("chico15").radii[forearm]
    assert capsules.radius[forearm] == pytest.approx(radius + LIMB_LENGTH + 0.18)


def test_capsules_grow_by_the_radius_of_a_forecast():
    radius = np.linspace(0.0, 0.3, 25)[:, None] * np.ones(15)
    steps = np.tile(STANDING, (25, 1, 1))
    capsules = limb_capsules(steps, "chico15", growth=radius)
    assert capsules.radius.shape == (25, 14)
    np.testing.assert_allclose(capsules.radius - body("chico15").radii, radius[:, :14], atol=1e-12)


def test_a_radius_that_is_unknown_counts_as_unseen():
    radius = np.zeros(15)
    radius[11] = np.nan
    forearm = get_layout("chico15").limb_names().index("r_elbow-r_wrist")
    capsules = limb_capsules(STANDING, "chico15", growth=radius)
    assert capsules.radius[forearm] > LIMB_LENGTH


class TestSpeed:
    def test_a_steady_walk_is_measured_exactly(self):
        stamps = np.arange(5) / 30.0
        path = stamps[:, None, None] * np.array([1.2, -0.3, 0.0]) + np.ones((5, 15, 3))
        np.testing.assert_allclose(joint_velocities(stamps, path)[7], (1.2, -0.3, 0.0))

    def test_one_bad_frame_does_not_move_it(self):
        stamps = np.arange(6) / 30.0
        path = stamps[:, None, None] * np.array([1.0, 0.0, 0.0]) + np.zeros((6, 15, 3))
        path[3] += 0.5
        assert np.abs(joint_velocities(stamps, path) - (1.0, 0.0, 0.0)).max() < 0.01

    def test_what_was_hardly_seen_has_no_speed(self):
        path = np.full((4, 2, 3), np.nan)
        path[0, 0] = 1.0
        np.testing.assert_array_equal(joint_velocities(np.arange(4) / 30, path), 0.0)

    @given(st.floats(-5, 5), st.floats(0, 3), st.floats(0, 1), st.floats(0, 3))
    def test_the_speed_to_reckon_with_never_falls_as_the_approach_rises(
        self, approach, floor, credit, more
    ):
        now = approach_floor(approach, floor, credit * max(-approach, 0.0))
        later = approach + more
        assert approach_floor(later, floor, credit * max(-later, 0.0)) >= now - 1e-12
        assert now >= max(approach, 0.0)
        if approach >= 0:
            assert now >= floor

    def test_without_credit_the_floor_holds_always(self):
        assert approach_floor(-3.0, 1.6, 0.0) == 1.6


def test_joints_may_lie_in_memory_in_any_order():
    tracks = PeopleTracks(SafetyConfig())
    for stamp in (1.0, 1.1):
        joints = np.asfortranarray(STANDING.astype(np.float32))
        tracks.observe(stamp, [Skeleton("a", "chico15", joints, np.ones(15, np.float32))])
    assert tracks.present["a"].whole


@pytest.mark.parametrize("name", layout_names())
def test_every_joint_is_tied_to_the_one_that_it_hangs_on(name):
    edges = {frozenset(edge) for edge in body(name).edges.tolist()}
    for child, parent in enumerate(get_layout(name).parents):
        assert parent < 0 or {parent, child} in edges


@pytest.mark.parametrize("axis", range(3))
def test_a_joint_without_one_of_its_coordinates_is_unseen(axis):
    partly, hidden = STANDING.copy(), STANDING.copy()
    partly[11, axis], hidden[11] = np.nan, np.nan
    found, expected = limb_capsules(partly, "chico15"), limb_capsules(hidden, "chico15")
    for name in ("start", "end", "radius"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_the_axes_of_a_body_that_is_seen_go_from_joint_to_joint_and_hands_beyond_their_wrists():
    shape, reach = body("chico15"), 0.2
    capsules = limb_capsules(STANDING, "chico15", hand_reach=reach)
    along = STANDING[shape.ends] - STANDING[shape.starts]
    beyond = reach * along / np.linalg.norm(along, axis=1)[:, None]
    expected = STANDING[shape.ends] + shape.hands[:, None] * beyond
    assert shape.hands.sum() == 2
    np.testing.assert_array_equal(capsules.start, STANDING[shape.starts])
    np.testing.assert_allclose(capsules.end, expected, atol=1e-12)


@pytest.mark.parametrize("coverage", [1e-9, 1e-3, 0.1, 0.5, 0.9, 0.999, 1.0 - 1e-12])
def test_the_length_that_a_share_stays_below_is_the_chi_distributions(coverage):
    assert quantile(coverage) == pytest.approx(chi(3).ppf(coverage), rel=1e-6)


class TestTracks:
    """What is remembered of people, image by image."""

    def seen(self, joints, name: str = "a") -> Skeleton:
        return Skeleton(name, "chico15", joints.astype(np.float32), np.ones(15, np.float32))

    @pytest.mark.parametrize("rate", [3.0, 5.0, 30.0, 200.0])
    def test_a_speed_is_known_at_any_rate_of_images(self, rate):
        tracks = PeopleTracks(SafetyConfig())
        for image in range(40):
            step = image / rate
            tracks.observe(step, [self.seen(STANDING + step * np.array([0.8, 0.1, 0.0]))])
        velocities = tracks.present["a"].velocities
        np.testing.assert_allclose(velocities, np.tile([0.8, 0.1, 0.0], (15, 1)), atol=1e-3)

    def test_somebody_of_whom_nothing_was_ever_seen_is_nowhere(self):
        tracks = PeopleTracks(SafetyConfig())
        tracks.observe(1.0, [self.seen(np.full((15, 3), np.nan))])
        assert not tracks.present["a"].seen
        assert len(tracks.people().person) == 0
        tracks.observe(1.1, [])
        assert not tracks.lost

    def test_forty_are_held_and_one_more_is_said(self):
        tracks = PeopleTracks(SafetyConfig())
        for crowd, overflow in ((40, False), (41, True)):
            tracks.release()
            apart = [np.array([3.0 * number, 0.0, 0.0]) for number in range(crowd)]
            stamp = (tracks.stamp or 0.0) + 100.0
            tracks.observe(stamp, [self.seen(STANDING + x, f"{x[0]}") for x in apart])
            tracks.observe(stamp + 0.1, [])
            assert (len(tracks.lost), tracks.overflow) == (40, overflow)

    def test_whoever_leaves_a_name_to_a_stranger_gets_one_that_nobody_has(self):
        tracks, stamp = PeopleTracks(SafetyConfig()), 1.0
        for x in (0.0, 2.0, 4.0, 6.0):
            tracks.observe(stamp, [self.seen(STANDING + np.array([x, 0.0, 0.0]))])
            stamp += 0.6  # in which nobody goes 2 m, and nobody is known by their place
        assert set(tracks.lost) == {"a (2)", "a (3)", "a (4)"}

    @settings(max_examples=25)
    @given(
        st.integers(0, 2**32 - 1),
        st.lists(st.integers(0, 14), max_size=10, unique=True),
        st.floats(3.05, 60.0),
        st.floats(0.0, 3.0),
        st.booleans(),
    )
    def test_the_ball_around_who_was_lost_long_ago_holds_every_limb(
        self, seed, hidden, gone, speed, told
    ):
        """And is expected to be as fast, to accelerate as much and to be as uncertain."""
        rng = np.random.default_rng(seed)
        joints = STANDING + rng.normal(0, 0.05, (15, 3))
        joints[hidden] = np.nan
        velocity = rng.normal(0, 1, (15, 3)) * speed / 2
        covariance = np.zeros((15, 6), np.float32)
        covariance[:, [0, 3, 5]] = rng.uniform(1e-4, 1e-2, (15, 3))
        tracks = PeopleTracks(SafetyConfig())
        for step in (0.0, 0.04, 0.08):
            seen = self.seen(joints + step * velocity)
            covered = dataclasses.replace(seen, covariance=covariance if told else None)
            tracks.observe(1.0 + step, [covered])
        for stamp in (1.1, 1.08 + gone):
            tracks.observe(stamp, [])
        ball = tracks.people()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(people, "LIMBS_TOLD", np.inf)
            tracks._people = None
            each = tracks.people()
        assert ball.limbs.names == ("body",)
        assert len(each.limbs.names) > 10
        assert each.unseen == ball.unseen
        growth = ball.growth()
        ends = np.stack([each.limbs.start, each.limbs.end]) - ball.limbs.start[0]
        farthest = np.linalg.norm(ends, axis=-1).max(axis=0) + each.limbs.radius + each.growth()
        assert np.nanmax(farthest) <= ball.limbs.radius + growth + 1e-6
        assert (each.floor <= ball.floor).all()
        assert (each.uncertainty <= ball.uncertainty + 1e-9).all()
        assert (each.acceleration <= ball.acceleration).all()

    def test_a_ball_is_forgotten_when_somebody_is_seen_again(self):
        tracks = PeopleTracks(SafetyConfig())
        for x in (0.0, 3.0):
            tracks.observe(1.0 + 10.0 * x, [self.seen(STANDING + np.array([x, 0.0, 0.0]))])
            tracks.observe(1.1 + 10.0 * x, [])
            tracks.observe(6.0 + 10.0 * x, [])
            assert tracks.people().limbs.start[0, 0] == pytest.approx(x, abs=0.2)

    def test_a_ball_is_made_anew_by_a_node_with_other_parameters(self):
        """Tracks outlive a deactivation, in which somebody may have asked for larger bodies."""
        radii = []
        earlier = PeopleTracks(SafetyConfig())
        earlier.observe(1.0, [self.seen(STANDING)])
        earlier.observe(1.1, [])
        for stamp, scale in ((6.0, 1.0), (12.0, 1.5)):
            tracks = PeopleTracks(SafetyConfig(body_scale=scale))
            tracks.take_over(earlier, stamp)
            tracks.observe(stamp + 4.0, [])
            radii += tracks.people().limbs.radius.tolist()
            earlier = tracks
        assert radii[1] > radii[0] + 0.01

    def test_who_has_a_limb_that_nobody_could_place_is_in_no_ball(self, monkeypatch):
        """An unknown radius stops the robot, as an unknown limb does."""
        apart = np.where(np.eye(15, dtype=bool), 0.0, np.inf)
        monkeypatch.setattr(people.Track, "paths", lambda track: apart)
        joints = STANDING.copy()
        joints[14] = np.nan
        tracks = PeopleTracks(SafetyConfig())
        tracks.observe(1.0, [self.seen(joints)])
        tracks.observe(6.0, [])
        assert np.isnan(tracks.people().limbs.radius).all()

    def test_half_a_body_may_be_as_small_as_a_hand(self):
        """Of 18 joints 9 are seen close together; of 10 it would have to be a body."""
        for count, refused in ((9, False), (10, True)):
            joints = np.full((18, 3), np.nan, np.float32)
            joints[:count] = np.random.default_rng(0).uniform(0, 0.1, (count, 3))
            tracks = PeopleTracks(SafetyConfig())
            tracks.observe(1.0, [Skeleton("a", "openpose18", joints, np.ones(18, np.float32))])
            assert bool(tracks.faults) == refused
