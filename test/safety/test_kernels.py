"""The compiled loops answer as the plain formulae do, which `separation` and NumPy spell out."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from ses_gcn_ros.safety import (
    RobotModel,
    RobotState,
    RobotTracker,
    SafetyConfig,
    capsule_distances,
)
from ses_gcn_ros.safety.kernels import kernel
from ses_gcn_ros.safety.people import LimbCapsules, People, body, limb_capsules, path_lengths
from ses_gcn_ros.safety.separation import (
    STILL,
    allowed_speed,
    assess_now,
    braking,
    protective_terms,
)

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
    start = rng.uniform(-1.5, 1.5, (LIMBS, 3))
    end = start + rng.normal(0, 0.3, (LIMBS, 3)) * rng.integers(0, 2, (LIMBS, 1))
    people = People(
        limbs=LimbCapsules(
            start, end, rng.uniform(0, 0.2, LIMBS), tuple(f"limb{n}" for n in range(LIMBS))
        ),
        start_velocity=rng.normal(0, 1, (LIMBS, 3)),
        end_velocity=rng.normal(0, 1, (LIMBS, 3)),
        floor=rng.uniform(0, 2, LIMBS),
        person=np.repeat(np.arange(PEOPLE), LIMBS // PEOPLE),
        ids=tuple(f"p{n}" for n in range(PEOPLE)),
        last_seen=np.zeros(PEOPLE),
    )
    model = RobotModel.from_frames([f"f{n}" for n in range(LINKS + 1)], (0.06,))
    joints = rng.uniform(-1.0, 1.0, (LINKS + 1, 3))
    if rng.random() < 0.2:
        joints[:2] = start[0], 2 * end[0] - start[0]  # along a limb
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


@settings(max_examples=150)
@given(seeds, st.sampled_from(sorted(BRAKING)), st.floats(0, 1), st.floats(0, 0.3))
def test_the_reactive_layer_is_the_standards_formula_for_every_pair(seed, brakes, credit, margin):
    config = SafetyConfig(receding_credit=credit, **BRAKING[brakes])
    people, model, robot = scene(seed)
    growth = np.random.default_rng(seed).uniform(0, 0.1, LIMBS)
    answer = assess_now(config, people, growth, model, robot, 0.0, 0.2, margin)

    limbs = people.limbs
    reach = (limbs.radius + growth)[:, None]
    link_radius = model.radius
    met = capsule_distances(
        *(limbs.start[:, None], limbs.end[:, None], reach, robot.start, robot.end, link_radius),
        backend="numpy",
    )
    at, on = met.a_fraction[..., None], met.b_fraction[..., None]
    human = people.start_velocity[:, None] * (1 - at) + people.end_velocity[:, None] * at
    link = robot.start_velocity * (1 - on) + robot.end_velocity * on
    approach = (human * met.normal).sum(axis=-1)
    expected = people.floor[:, None] + credit * np.minimum(approach, 0.0)
    v_h = np.maximum(approach, np.maximum(expected, 0.0))
    towards, speed = -(link * met.normal).sum(axis=-1), np.linalg.norm(link, axis=-1)
    fastest = config.robot_speed_max
    towards, speed = (np.where(np.isnan(v), fastest, v) for v in (towards, speed))
    share = np.clip((towards + STILL) / (speed + STILL), 0.0, 1.0)
    case = {
        "reaction_time": 0.2,
        "intrusion": config.intrusion,
        "human_uncertainty": config.human_uncertainty,
        "robot_uncertainty": config.robot_uncertainty,
    }
    terms = protective_terms(human_speed=v_h, robot_speed=towards, **case, **braking(config))
    required = np.where(share > 0, terms.total, 0.0)
    allowed = allowed_speed(met.distance - margin, human_speed=v_h, **case, **braking(config))
    factor = np.minimum(allowed / (fastest * np.maximum(share, 1e-9)), 1.0)
    factor = np.where(share > 0, factor, 1.0)
    factor = np.where(met.distance < required, 0.0, factor)

    by_person = factor.reshape(PEOPLE, -1).min(axis=1)
    held = {limit.reason.split(":")[0]: limit.factor for limit in answer.limits}
    assert held == pytest.approx(
        {f"person p{n}": f for n, f in enumerate(by_person.tolist()) if f < 1.0}, abs=1e-9
    )
    nearest = met.distance.reshape(PEOPLE, -1).min(axis=1)
    assert answer.distances == pytest.approx(
        {f"p{n}": d for n, d in enumerate(nearest.tolist())}, abs=1e-9
    )
    margins = met.distance - required
    n, m = np.unravel_index(margins.argmin(), margins.shape)
    assert answer.pair.distance - answer.protective_distance == pytest.approx(margins.min())
    assert answer.breakdown.total == pytest.approx(answer.protective_distance, abs=1e-9)
    if np.sort(margins.ravel())[1] > margins.min() + 1e-9:  # else either pair may be named
        assert (answer.pair.limb, answer.pair.frame) == (limbs.names[n], model.names[m])
        np.testing.assert_allclose(answer.pair.human_point, met.a_point[n, m], atol=1e-6)
        np.testing.assert_allclose(answer.pair.robot_point, met.b_point[n, m], atol=1e-6)


def test_a_limb_that_nobody_could_place_stops_the_robot():
    people, model, robot = scene(0)
    far = dataclasses.replace(people.limbs, start=people.limbs.start + 50.0)
    far = dataclasses.replace(far, end=people.limbs.end + 50.0)
    calm = assess_now(
        *(SafetyConfig(), dataclasses.replace(people, limbs=far), np.zeros(LIMBS)),
        *(model, robot, 0.0, 0.2, 0.1),
    )
    assert calm.limits == ()
    far.start[5] = np.nan
    answer = assess_now(
        *(SafetyConfig(), dataclasses.replace(people, limbs=far), np.zeros(LIMBS)),
        *(model, robot, 0.0, 0.2, 0.1),
    )
    (limit,) = answer.limits
    assert limit.factor == 0.0
    assert "person p1: limb5 at inf m" in limit.reason


@settings(max_examples=60)
@given(seeds)
def test_foreseeing_takes_the_least_distance_of_every_step(seed):
    rng = np.random.default_rng(seed)
    steps = 6
    start = rng.uniform(-1, 1, (steps, LIMBS, 3))
    start += rng.uniform(0.0, 3.0) * rng.integers(0, 2, (1, LIMBS, 1))  # some too far to matter
    end = start + rng.normal(0, 0.3, start.shape) * rng.integers(0, 2, (1, LIMBS, 1))
    start[2] = np.nan  # a step at which nobody is known
    growth = rng.uniform(0, 0.3, (steps, LIMBS))
    radius = growth + 0.05
    links = rng.uniform(-1, 1, (2, steps, LINKS, 3))
    link_radius = rng.uniform(0.02, 0.2, LINKS)
    quantile = rng.uniform(0.5, 3.0, LIMBS)
    nearest, pair = np.empty(steps), np.empty((steps, 2), np.int64)
    least, touching = kernel("separation").min_distances(
        *((start, end, radius), (links[0], links[1], link_radius), growth, quantile, nearest, pair)
    )
    distance = capsule_distances(
        *(start[:, :, None], end[:, :, None], radius[:, :, None]),
        *(links[0][:, None], links[1][:, None], link_radius),
        backend="numpy",
    ).distance
    distance[np.isnan(distance)] = np.inf
    np.testing.assert_allclose(nearest, distance.min(axis=(1, 2)), atol=1e-9)
    of_pair = distance[np.arange(steps), pair[:, 0], pair[:, 1]]
    np.testing.assert_allclose(of_pair, nearest, atol=1e-9)
    close = np.flatnonzero(nearest <= 0.0)
    assert touching == (close[0] if len(close) else -1)
    lengths = quantile * np.maximum(1.0 + distance.min(axis=2) / np.maximum(growth, 1e-6), 0.0)
    assert least == pytest.approx(lengths.min(), abs=1e-9)


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
@given(seeds, st.sampled_from([0.0, 1e-13, 1e-9, 1e-5, 0.01, 1.0, 3.0, np.pi - 1e-7, np.pi]))
def test_turn_rates_are_rotation_vectors(seed, angle):
    """Of any angle: a robot whose frames jump may seem to have turned half round."""
    rng = np.random.default_rng(seed)
    axis = rng.normal(size=3)
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
