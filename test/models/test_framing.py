"""Motion framed for a network does not depend on where the cell's origin and heading are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ses_gcn_ros.models.config import ModelConfig
from ses_gcn_ros.models.framing import body_line, damped_velocity, frame, unframe

OURS = ModelConfig(origin=True, heading=True, offset=True, motion=True, visibility=True)


def walking(seed: int = 0, people: int = 3) -> np.ndarray:
    """Histories of people who differ and drift, (people, 10, 15, 3)."""
    rng = np.random.default_rng(seed)
    bodies = rng.normal(0, 0.4, (people, 1, 15, 3))
    drift = rng.normal(0, 0.02, (people, 10, 15, 3)).cumsum(axis=1)
    return (bodies + drift).astype(np.float32)


def turned(points: np.ndarray, angle: float) -> np.ndarray:
    cosine, sine = np.cos(angle), np.sin(angle)
    rotation = np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]])
    return (points @ rotation).astype(np.float32)


def widths(history: np.ndarray) -> np.ndarray:
    """Length of the line across each body, which tells where it faces [m]."""
    right, left, weight = body_line(OURS.layout)
    across = history[:, -1, left, :2] - history[:, -1, right, :2]
    return np.linalg.norm(np.einsum("p,npk->nk", weight, across), axis=1)


@example(angle=0.0, shift=(17.0, 0.0, 0.0), seed=862)  # of whom one is 3 mm wide
@given(
    angle=st.floats(-np.pi, np.pi),
    shift=st.tuples(*[st.floats(-20, 20)] * 3),
    seed=st.integers(0, 1000),
)
def test_features_are_the_same_wherever_the_person_stands_and_faces(angle, shift, seed):
    history = walking(seed)
    moved = turned(history, angle) + np.float32(shift)
    off = np.abs(frame(moved, OURS).features - frame(history, OURS).features)
    # Rounded positions, 20 m from the origin, turn a body the further the narrower it is.
    assert np.all(off.max(axis=(1, 2, 3)) * widths(history) < 1e-4)


@given(angle=st.floats(-np.pi, np.pi), shift=st.tuples(*[st.floats(-20, 20)] * 3))
def test_the_same_answer_moves_with_the_person(angle, shift):
    history = walking()
    answer = np.random.default_rng(1).normal(size=(3, 25, 15, 3)).astype(np.float32)
    there = unframe(answer, frame(turned(history, angle) + np.float32(shift), OURS), OURS)
    here = unframe(answer, frame(history, OURS), OURS)
    np.testing.assert_allclose(there, turned(here, angle) + np.float32(shift), atol=5e-4)


def test_an_answer_of_zero_is_the_damped_velocity_path():
    history = walking()
    answer = np.zeros((3, 25, 15, 3), np.float32)
    path = unframe(answer, frame(history, OURS), OURS)
    np.testing.assert_allclose(path, damped_velocity(history, 25), atol=1e-5)


def test_damped_velocity_fades_by_its_factor_each_frame():
    history = np.zeros((1, 2, 1, 3), np.float32)
    history[0, 1, 0, 0] = 1
    path = damped_velocity(history, 3, damping=0.5)[0, :, 0, 0]
    np.testing.assert_allclose(path, [1.5, 1.75, 1.875])


def test_the_published_network_gets_positions_as_they_are():
    history = walking()
    framed = frame(history, ModelConfig())
    np.testing.assert_array_equal(framed.features, history)
    answer = history[:, :1].repeat(25, axis=1)
    np.testing.assert_array_equal(unframe(answer, framed, ModelConfig()), answer)


@pytest.mark.parametrize("unseen", [[11], [0], [0, 1, 4], [1, 4, 9, 12]])
def test_unseen_joints_are_flagged_and_come_back_as_nan(unseen):
    history = walking()
    history[1, :, unseen] = np.nan
    framed = frame(history, OURS)
    assert np.isfinite(framed.features).all()
    flags = framed.features[..., -1]
    assert (flags[1][:, unseen] == 0).all()
    assert flags.sum() == flags.size - 10 * len(unseen)
    path = unframe(np.zeros((3, 25, 15, 3), np.float32), framed, OURS)
    assert np.isnan(path[1][:, unseen]).all()
    assert np.isfinite(np.delete(path[1], unseen, axis=1)).all()
    assert np.isfinite(path[[0, 2]]).all()
