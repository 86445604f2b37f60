"""The compiled loops answer as the plain formulae do, which `reference` and NumPy spell out."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import highest_speed, moving, segment_distance, stopping_time
from scipy.spatial.transform import Rotation

from ses_gcn_ros.safety import (
    RobotModel,
    RobotState,
    RobotTracker,
    SafetyConfig,
    capsule_distances,
)
from ses_gcn_ros.safety.kernels import NAMES, compile_all, kernel
from ses_gcn_ros.safety.people import LimbCapsules, People, body, limb_capsules, path_lengths
from ses_gcn_ros.safety.separation import STILL, RobotSpeeds, assess_now, braking
from ses_gcn_ros.safety.separation_kernel import reach

LIMBS, LINKS, PEOPLE = 12, 5, 3
BRAKING = {
    "deceleration": {},
    "stopping time": {"stopping_time": 0.4},
    "stopping table": {"stopping_speeds": (0.3, 0.7, 1.2), "stopping_times": (0.1, 0.25, 0.5)},
}
seeds = st.integers(0, 2**32 - 1)


def scene(seed: int) -> tuple[People, RobotModel, RobotState]:
    """People and a robot at random, some limbs without length, some links crossing limbs."""
    rng = np.random.default_rng(seed)
    start = rng.uniform(-1.5, 1.5, (LIMBS, 3)) * rng.choice([1.0, 4.0])  # some too far to matter
    end = start + rng.normal(0, 0.3, (LIMBS, 3)) * rng.integers(0, 2, (LIMBS, 1))
    velocities = rng.normal(0, 1, (2, LIMBS, 3))
    people = People(
        limbs=LimbCapsules(
            start, end, rng.uniform(0, 0.2, LIMBS), tuple(f"limb{n}" for n in range(LIMBS))
        ),
        start_velocity=velocities[0],
        end_velocity=velocities[1],
        fastest=np.linalg.norm(velocities, axis=-1).max(axis=0),
        floor=rng.uniform(0, 2, LIMBS),
        uncertainty=rng.uniform(0, 0.2, LIMBS),
        receding=np.column_stack([rng.normal(0, 1, (LIMBS, 3)), rng.uniform(0, 0.5, LIMBS)]),
        acceleration=np.full(LIMBS, 20.0),
        person=np.repeat(np.arange(PEOPLE), LIMBS // PEOPLE),
        ids=tuple(f"p{n}" for n in range(PEOPLE)),
        unseen=np.zeros(PEOPLE),
    )
    model = RobotModel.from_frames([f"f{n}" for n in range(LINKS + 1)], (0.06,))
    model = dataclasses.replace(model, robot=np.array([0, 0, 0, 1, 1]))
    joints = rng.uniform(-1.0, 1.0, (LINKS + 1, 3))
    if rng.random() < 0.2:
        joints[:2] = start[0], 2 * end[0] - start[0]  # along a limb
    if rng.random() < 0.2:
        end[1] = joints[3] = joints[4] = start[1]  # two points in one place
    velocity = rng.normal(0, 0.5, (LINKS + 1, 3)) * rng.integers(0, 2, (LINKS + 1, 1))
    still = np.zeros((LINKS, 3))
    if rng.random() < 0.2:
        velocity[:] = np.nan
    robot = RobotState(
        stamp=0.0,
        start=joints[:-1].copy(),
        end=joints[1:].copy(),
        start_velocity=velocity[:-1].copy(),
        end_velocity=velocity[1:].copy(),
        start_turn=still,
        end_turn=still,
        poses=np.tile(np.eye(4), (LINKS + 1, 1, 1)),
    )
    return people, model, robot


@settings(max_examples=40)  # of each of which every limb is held against every link
@given(seeds, st.sampled_from(sorted(BRAKING)), st.floats(0, 1), st.floats(0, 0.3))
def test_the_reactive_layer_is_the_standards_formula_for_every_pair(seed, brakes, credit, margin):
    """With two robots: each limb against each link, the brakes being those of its whole robot."""
    slow = "{frames: [a, b], radii: [0.1], deceleration: 0.7}"
    config = SafetyConfig(receding_credit=credit, more_robots=(slow,), **BRAKING[brakes])
    people, model, robot = scene(seed)
    growth = np.random.default_rng(seed).uniform(0, 0.1, LIMBS)
    speeds = RobotSpeeds.of(config, robot.fastest(model.robot)[0])
    answer = assess_now(config, people, growth, model, robot, speeds, 0.0, 0.2, margin)

    limbs, full, t_r = people.limbs, config.robot_speed_max, 0.2
    factor, margins, distances = np.empty((3, LIMBS, LINKS))
    points = {}
    for n in range(LIMBS):
        for m in range(LINKS):
            p, u = limbs.start[n], limbs.end[n] - limbs.start[n]
            q, v = robot.start[m], robot.end[m] - robot.start[m]
            met = capsule_distances(
                p, p + u, limbs.radius[n] + growth[n], q, q + v, model.radius[m]
            )
            assert met.distance + limbs.radius[n] + growth[n] + model.radius[m] == pytest.approx(
                segment_distance(p, u, q, v)[0], abs=1e-6
            )
            s, t = met.a_fraction, met.b_fraction
            human = people.start_velocity[n] * (1 - s) + people.end_velocity[n] * s
            link = robot.start_velocity[m] * (1 - t) + robot.end_velocity[m] * t
            body = people.receding[n]
            away = min(-human @ met.normal, -body[:3] @ met.normal) - body[3]
            v_h = max(human @ met.normal, people.floor[n] - credit * max(away, 0.0), 0.0)
            table = braking(config)[model.robot[m]]
            own = model.robot == model.robot[m]
            ends = np.concatenate([robot.start_velocity[own], robot.end_velocity[own]])
            fastest = np.linalg.norm(ends, axis=1).max()
            towards = -link @ met.normal
            if np.isnan(fastest):
                towards = fastest = full
            t_s = stopping_time(fastest, table.speeds, table.times)
            turn = 0.5 * full / stopping_time(full, table.speeds, table.times) * t_r
            v_r = min(max(towards, 0.0) + turn, fastest)
            fixed = config.intrusion + people.uncertainty[n] + config.robot_uncertainty
            distances[n, m] = met.distance
            margins[n, m] = met.distance - moving(v_h, v_r, fastest, t_r, t_s) - fixed
            share = np.clip((towards + STILL) / (fastest + STILL), 0.0, 1.0)

            def needs(speed, v_h=v_h, share=share, turn=turn, table=table):
                t_s = stopping_time(speed, table.speeds, table.times)
                straight = moving(v_h, speed, speed, t_r, t_s)
                return min(straight, moving(v_h, share * speed, speed, t_r, t_s) + turn * t_r)

            allowed = highest_speed(met.distance - margin - fixed, needs)
            factor[n, m] = 0.0 if margins[n, m] < 0 else min(allowed / full, 1.0)
            points[n, m] = met.a_point, met.b_point

    by_person = factor.reshape(PEOPLE, -1).min(axis=1)
    held = {limit.reason.split(":")[0]: limit.factor for limit in answer.limits}
    assert held == pytest.approx(
        {f"person p{n}": f for n, f in enumerate(by_person.tolist()) if f < 1.0}, abs=1e-6
    )
    nearest = distances.reshape(PEOPLE, -1).min(axis=1)
    assert answer.distances == pytest.approx(
        {f"p{n}": d for n, d in enumerate(nearest.tolist())}, abs=1e-9
    )
    n, m = np.unravel_index(margins.argmin(), margins.shape)
    assert answer.pair.distance - answer.protective_distance == pytest.approx(margins.min())
    assert answer.breakdown.total == pytest.approx(answer.protective_distance, abs=1e-9)
    if np.sort(margins.ravel())[1] > margins.min() + 1e-9:  # else either pair may be named
        assert (answer.pair.limb, answer.pair.frame) == (limbs.names[n], model.names[m])
        np.testing.assert_allclose(answer.pair.human_point, points[n, m][0], atol=1e-6)
        np.testing.assert_allclose(answer.pair.robot_point, points[n, m][1], atol=1e-6)


def test_a_limb_that_nobody_could_place_stops_the_robot():
    people, model, robot = scene(0)
    far = dataclasses.replace(people.limbs, start=people.limbs.start + 50.0)
    far = dataclasses.replace(far, end=people.limbs.end + 50.0)
    config = SafetyConfig(more_robots=("{frames: [a, b], radii: [0.1]}",))
    speeds = RobotSpeeds.of(config, robot.fastest(model.robot)[0])
    case = np.zeros(LIMBS), model, robot, speeds, 0.0, 0.2, 0.1
    calm = assess_now(config, dataclasses.replace(people, limbs=far), *case)
    assert calm.limits == ()
    far.start[5] = np.nan
    answer = assess_now(config, dataclasses.replace(people, limbs=far), *case)
    (limit,) = answer.limits
    assert limit.factor == 0.0
    assert "person p1: limb5 at inf m" in limit.reason


@settings(max_examples=60)
@given(seeds)
def test_a_forecast_is_held_against_the_robot_at_every_step(seed):
    rng = np.random.default_rng(seed)
    steps, before = 6, int(rng.integers(3))
    start = rng.uniform(-1, 1, (3, before + steps, LIMBS, 3))
    start += rng.uniform(0.0, 3.0) * rng.integers(0, 2, (3, 1, LIMBS, 1))  # some too far to matter
    # m, along each axis; of long ones the middle says little
    length = rng.choice([0.05, 0.3, 3.0], 3)
    end = start + rng.normal(0, length, start.shape) * rng.integers(0, 2, (1, LIMBS, 1))
    start[:, before + 2] = np.nan  # a step at which nobody is known
    growth = rng.uniform(0, 0.3, (before + steps, LIMBS))
    radius = np.stack([growth + 0.05] * 3)
    links = rng.uniform(-1, 1, (2, steps, LINKS, 3)) * rng.choice([0.05, 1.0], 3)
    link_radius = rng.uniform(0.02, 0.2, LINKS)
    nearest, urgency, pair = np.empty(steps), np.empty((3, steps)), np.empty((steps, 3), np.int64)
    farthest = 5.0
    kernel("separation").min_distances(
        (start, end, radius),
        (links[0], links[1], link_radius),
        *(growth, before, farthest, nearest, pair, urgency),
    )
    start, end, radius, growth = (
        start[:, before:],
        end[:, before:],
        radius[:, before:],
        growth[before:],
    )
    distance = capsule_distances(
        *(start[..., None, :], end[..., None, :], radius[..., None]),
        *(links[0][:, None], links[1][:, None], link_radius),
    ).distance
    distance[np.isnan(distance)] = np.inf
    others = 1.0 + distance[1:].min(axis=3) / np.maximum(growth, 1e-6)
    expected = np.minimum(others.min(axis=2), farthest)
    np.testing.assert_allclose(urgency[1:], expected, rtol=1e-9, atol=1e-9)
    distance, urgency = distance[0], urgency[0]
    np.testing.assert_allclose(nearest, distance.min(axis=(1, 2)), atol=1e-9)
    of_pair = distance[np.arange(steps), pair[:, 0], pair[:, 1]]
    np.testing.assert_allclose(of_pair, nearest, atol=1e-9)
    radii = 1.0 + distance.min(axis=2) / np.maximum(growth, 1e-6)
    np.testing.assert_allclose(urgency, radii.min(axis=1), rtol=1e-9, atol=1e-9)
    known = np.arange(steps) != 2
    np.testing.assert_allclose(radii[np.arange(steps), pair[:, 2]][known], urgency[known])


@pytest.mark.parametrize("toward", [*np.eye(3), *-np.eye(3)])
@pytest.mark.parametrize("case", ["a long limb points at them", "it is beside the farthest"])
def test_no_limb_is_passed_over_that_is_nearer_to_the_links(toward, case):
    """Though its middle is far, or all other links are."""
    beside = 0.5 * np.roll(toward, 1)  # a limb that comes first
    if case == "a long limb points at them":
        start, end, far = 4.2 * toward, 0.2 * toward, 0.0
    else:
        start, end, far = 3.2 * toward, 3.2 * toward, 3.0
    limbs = np.array([[[beside, start]]]), np.array([[[beside, end]]]), np.full((1, 1, 2), 0.05)
    points = np.array([[0.0 * toward, 0.0 * toward, far * toward]])
    nearest, urgency, pair = np.empty(1), np.empty((1, 1)), np.empty((1, 3), np.int64)
    links, growth = (points, points, np.full(3, 0.02)), np.zeros((1, 2))
    kernel("separation").min_distances(limbs, links, growth, 0, 5.0, nearest, pair, urgency)
    assert nearest[0] == pytest.approx(0.2 - 0.05 - 0.02)
    assert pair[0, 0] == 1


@settings(max_examples=60)
@given(seeds)
def test_unseen_joints_are_put_on_the_nearest_seen_ones(seed):
    rng = np.random.default_rng(seed)
    positions = rng.normal(0, 0.5, (2, 15, 3))
    hidden = rng.random((2, 15)) < 0.4
    positions[hidden] = np.nan
    growth = rng.uniform(0, 0.2, (2, 15))
    shape = body("chico15")
    paths = path_lengths("chico15", rng.uniform(0.1, 0.6, len(shape.edges)))
    capsules = limb_capsules(positions, "chico15", growth=growth, paths=paths)
    for b in range(2):
        seen = np.flatnonzero(~hidden[b])
        if not len(seen):
            assert np.isnan(capsules.start[b]).all()
            continue
        place = seen[paths[:, seen].argmin(axis=1)]
        away = paths[np.arange(15), place]
        slack = away + np.where(away > 0, growth[b][seen].max(), growth[b])
        largest = growth[b].max()  # of all joints, which is no less
        np.testing.assert_array_equal(capsules.start[b], positions[b, place[shape.starts]])
        np.testing.assert_array_equal(capsules.end[b], positions[b, place[shape.ends]])
        least = shape.radii + np.maximum(slack[shape.starts], slack[shape.ends])
        assert (capsules.radius[b] >= least - 1e-12).all()
        assert (capsules.radius[b] <= least + largest).all()


@settings(max_examples=60)
@given(seeds, st.integers(1, 7))
def test_speeds_are_the_median_slopes(seed, frames):
    rng = np.random.default_rng(seed)
    stamps = np.cumsum(rng.uniform(0.01, 0.1, frames))
    positions = rng.normal(0, 1, (frames, 15, 3))
    positions[rng.random((frames, 15)) < 0.3] = np.nan
    velocity = np.empty((15, 3))
    kernel("separation").median_slopes(stamps, positions, velocity)
    first, second = np.triu_indices(frames, k=1)
    slopes = (positions[second] - positions[first]) / (stamps[second] - stamps[first])[
        :, None, None
    ]
    for joint in range(15):
        measured = slopes[:, joint][~np.isnan(slopes[:, joint, 0])]
        expected = np.median(measured, axis=0) if len(measured) else np.zeros(3)
        np.testing.assert_allclose(velocity[joint], expected, atol=1e-12)


@settings(max_examples=150)
@given(
    seeds,
    st.sampled_from([0.0, 1e-13, 1e-9, 1e-5, 0.01, 1.0, 3.0, np.pi - 1e-7, np.pi]),
    st.sampled_from([None, 0, 1, 2]),
)
def test_turn_rates_are_rotation_vectors(seed, angle, coordinate):
    """Of any angle about any axis: a robot whose frames jump may seem to have turned half round."""
    rng = np.random.default_rng(seed)
    axis = rng.normal(size=3) if coordinate is None else np.eye(3)[coordinate]
    axis /= np.linalg.norm(axis)
    old, new = np.tile(np.eye(4), (2, 2, 1, 1))
    before = Rotation.random(random_state=rng)
    old[0, :3, :3] = before.as_matrix()
    new[0, :3, :3] = (Rotation.from_rotvec(angle * axis) * before).as_matrix()
    tracker = RobotTracker(RobotModel.from_frames(("a", "b"), (0.1,)))
    tracker.observe(1.0, old)
    tracker.observe(1.5, new)
    rate = tracker.state.start_turn[0]
    turned = Rotation.from_rotvec(0.5 * rate) * before
    np.testing.assert_allclose(turned.as_matrix(), new[0, :3, :3], atol=1e-9)
    assert np.linalg.norm(0.5 * rate) == pytest.approx(angle, abs=2e-8)


@settings(derandomize=True, max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_what_can_be_reached_is_the_intersection_of_the_balls_at_every_step(seed):
    rng = np.random.default_rng(seed)
    steps, people, limbs, links = 3, 2, 4, 3
    start, end = rng.normal(0.0, 1.0, (2, limbs, 3))
    start_velocity, end_velocity = rng.normal(0.0, 1.0, (2, limbs, 3))
    radius, highest = rng.uniform(0.05, 0.2, limbs), rng.uniform(0.5, 2.0, limbs)
    agility, fixed = rng.uniform(5.0, 50.0, limbs), rng.uniform(0.0, 0.2, limbs)
    person = np.arange(limbs) % people
    first, last = rng.normal(0.0, 1.5, (2, 1 + steps, links, 3))
    thick = rng.uniform(0.05, 0.15, links)
    times = rng.uniform(0.0, 0.5, (steps, 4))
    margin = np.empty(people)
    bodies = (start, end, radius, start_velocity, end_velocity, highest, agility)
    reach(bodies, person, (first, last, thick), times, fixed, margin)

    expected = np.full(people, np.inf)
    for h, (seen, measured, travel, deviation) in enumerate(times, start=1):
        for n in range(limbs):
            to_start, to_end = seen * start_velocity[n], seen * end_velocity[n]
            turned = 0.5 * agility[n] * measured**2
            balls = (
                (start[n], end[n], highest[n] * seen),
                (start[n] + to_start, end[n] + to_end, turned),
            )
            for m in range(links):
                ways = (
                    (first[0, m], last[0, m], travel),
                    (first[h, m], last[h, m], deviation),
                )
                surely = max(
                    segment_distance(a, b - a, c, d - c)[0] - grown - away
                    for a, b, grown in balls
                    for c, d, away in ways
                )
                kept = surely - radius[n] - thick[m] - fixed[n]
                expected[person[n]] = min(expected[person[n]], kept)
    np.testing.assert_allclose(margin, expected, atol=1e-9)


def test_all_loops_are_compiled_beforehand_where_that_is_asked_for():
    kernel.cache_clear()
    compile_all()
    assert kernel.cache_info().currsize == len(NAMES)


@given(st.integers(0, 10_000))
def test_a_body_is_measured_by_the_joints_that_are_seen(seed):
    rng = np.random.default_rng(seed)
    positions = rng.normal(size=(15, 3))
    positions[rng.random(15) < rng.random()] = np.nan
    edges = body("chico15").edges
    seen, longest, size = kernel("separation").measure(positions, edges)
    there = ~np.isnan(positions[:, 0])
    limbs = np.linalg.norm(positions[edges[:, 0]] - positions[edges[:, 1]], axis=1)
    assert seen == there.sum()
    assert longest == pytest.approx(max([0.0, *limbs[~np.isnan(limbs)]]))
    if seen:
        assert size == pytest.approx(np.linalg.norm(np.ptp(positions[there], axis=0)))
    else:
        assert size == 0.0
