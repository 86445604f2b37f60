"""The learnt base, and bones that keep their length."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ses_gcn_ros.datasets.sequences import read_recording
from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.forecast.baselines import damped_velocity
from ses_gcn_ros.forecast.engine import build_engine, load
from ses_gcn_ros.forecast.weights import DEFAULT_WEIGHTS, Weights, read_weights
from ses_gcn_ros.models.config import ModelConfig, build_network, parameter_count, tensor_shapes
from ses_gcn_ros.models.framing import hold_bones
from ses_gcn_ros.skeleton import get_layout
from ses_gcn_ros.training.recipe import load_recipe

CONFIG = ModelConfig(
    widths=(8, 4), head="body", origin=True, heading=True, offset=True, gate=8, visibility=True
)


def body(seed: int, people: int = 3) -> np.ndarray:
    """People whose joints move evenly, with a little noise, (N, 10, 15, 3) [m]."""
    rng = np.random.default_rng(seed)
    pose, velocity = rng.normal(1, 0.4, (people, 1, 15, 3)), rng.normal(0, 0.3, (people, 1, 15, 3))
    path = pose + velocity * (np.arange(10) / 25)[:, None, None]
    return (path + rng.normal(0, 0.003, path.shape)).astype(np.float32)


def untrained(config: ModelConfig = CONFIG) -> Weights:
    torch.manual_seed(0)
    state = build_network(config).state_dict()
    tensors = {name: state[name].numpy() for name in tensor_shapes(config)}
    return Weights(config, tensors, "untrained")


def test_untrained_it_continues_a_fading_velocity() -> None:
    history = body(0)
    found = build_engine(untrained(), "eager", "cpu").predict(history)
    np.testing.assert_allclose(found, damped_velocity(history, 25), atol=1e-5)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 1000),
    angle=st.floats(-3.1, 3.1),
    away=st.tuples(st.floats(-5, 5), st.floats(-5, 5)),
)
def test_a_forecast_turns_and_moves_with_the_person(
    seed: int, angle: float, away: tuple[float, float]
) -> None:
    engine, history = load(engine="eager", device="cpu"), body(seed)
    turn = np.array(
        [[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1]],
        np.float32,
    )
    shift = np.array([*away, 0], np.float32)
    expected = engine.predict(history) @ turn + shift
    np.testing.assert_allclose(engine.predict(history @ turn + shift), expected, atol=2e-3)


def test_one_person_says_nothing_of_another() -> None:
    engine, history = load(engine="eager", device="cpu"), body(1, people=5)
    alone = np.concatenate([engine.predict(person[None]) for person in history])
    np.testing.assert_allclose(engine.predict(history), alone, atol=1e-5)


def test_arms_alone_are_forecast(shared_data) -> None:
    sequence = read_recording(shared_data / "motion" / "assembly_dev.npz").sequences[0]
    frames = np.stack([sequence.positions[start : start + 10] for start in range(0, 300, 30)])
    seen = np.isfinite(frames).all(axis=(1, 3))
    frames = np.where(seen[:, None, :, None], frames, np.float32(np.nan))
    found = load().predict(frames)
    np.testing.assert_array_equal(np.isfinite(found).all(axis=(1, 3)), seen)
    assert seen.any()
    assert not seen.all()


def test_bones_keep_their_length_and_feet_that_stand_their_place(shared_data) -> None:
    sequence = read_recording(shared_data / "motion" / "idle_dev.npz").sequences[0]
    window = sequence.positions[None, :35]
    history, path = window[:, :10], window[:, 10:].copy()
    rng = np.random.default_rng(0)
    path += rng.normal(0, 0.01, path.shape).astype(np.float32)
    standing = get_layout("chico15").joints.index("r_foot")
    history = history.copy()
    history[:, :, standing] = history[:, -1:, standing]
    hold_bones(path, history, "chico15")
    for child, parent in enumerate(get_layout("chico15").parents):
        if parent >= 0:
            before = np.linalg.norm(history[0, :, child] - history[0, :, parent], axis=-1).mean()
            after = np.linalg.norm(path[0, -1, child] - path[0, -1, parent])
            assert after == pytest.approx(before, rel=0.01)
    np.testing.assert_array_equal(path[0, :, standing], history[0, [-1] * 25, standing])


def test_holding_bones_brings_a_noisy_pose_nearer_to_the_true_one(shared_data) -> None:
    sequence = read_recording(shared_data / "motion" / "cmu.npz").sequences[5]
    window = sequence.positions[None, :35]
    noise = np.random.default_rng(0).normal(0, 0.03, (1, 25, 15, 3)).astype(np.float32)
    path = window[:, 10:] + noise
    hold_bones(path, window[:, :10], "chico15")
    off = np.linalg.norm(path - window[:, 10:], axis=-1).mean()
    assert off < 0.95 * np.linalg.norm(noise, axis=-1).mean()


def test_the_weights_that_ship_tie_or_beat_every_baseline_on_people_they_never_saw(
    shared_data,
) -> None:
    engine = load()
    for name, subject in (("idle_dev", "010"), ("assembly_dev", "human2"), ("cmu", "07")):
        people = read_recording(shared_data / "motion" / f"{name}.npz").sequences
        errors, last, damped = [], [], []
        for sequence in [s for s in people if s.subject == subject][:4]:
            starts = range(0, len(sequence) - 35, 40)
            windows = np.stack([sequence.positions[start : start + 35] for start in starts])
            seen = np.isfinite(windows).all(axis=(1, 3), keepdims=True)
            windows = np.where(seen, windows, np.float32(np.nan))[seen.any(axis=(1, 2, 3))]
            history, future = windows[:, :10], windows[:, 10:]
            for into, path in (
                (errors, engine.predict(history)),
                (last, history[:, -1:]),
                (damped, damped_velocity(history, 25)),
            ):
                into.append(np.nanmean(np.linalg.norm(path - future, axis=-1)))
        assert np.mean(errors) <= 1.03 * min(np.mean(last), np.mean(damped)), name


@pytest.mark.parametrize(
    "name", ["sesgcn_workcell", "jointformer_workcell", "simlpe_workcell", "stsgcn_workcell"]
)
def test_every_network_has_the_base_and_the_tensors_that_are_said_of_it(name: str) -> None:
    config = load_recipe(name).model
    network = build_network(config)
    shapes = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    known = {key: shape for key, shape in shapes.items() if not key.endswith("batches_tracked")}
    assert known == tensor_shapes(config)
    assert network(torch.ones(2, 10, 15, config.features)).shape == (2, 25, 15, 4)
    assert 30_000 < parameter_count(config) <= 100_000


def test_a_base_needs_an_offset_and_ten_frames() -> None:
    for wrong in ({"offset": False}, {"observed": 8}, {"frequency": True}):
        with pytest.raises(ModelError, match="a learnt base"):
            ModelConfig(**{"gate": 8, "origin": True, "offset": True, **wrong}).check()


def test_the_weights_that_ship_are_small_and_say_who_made_their_data() -> None:
    weights = read_weights(DEFAULT_WEIGHTS)
    assert weights.config.gate
    assert weights.config.bones
    assert "MIT" in weights.about["licences"]
    assert "MIT licence" in (DEFAULT_WEIGHTS.parent / "NOTICE").read_text(encoding="utf-8")
