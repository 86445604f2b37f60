"""Forecasts of people as one camera guesses them: never much worse than doing nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ses_gcn_ros.datasets.sequences import read_recording
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.forecast import build_engine, read_weights
from ses_gcn_ros.forecast.baselines import cautious, damped_velocity, last_pose
from ses_gcn_ros.forecast.config import ForecastConfig
from ses_gcn_ros.forecast.observations import ObservationBuffer
from ses_gcn_ros.pose.config import PoseConfig
from ses_gcn_ros.pose.estimator import SkeletonEstimator
from ses_gcn_ros.pose.landmarker import Landmarks
from ses_gcn_ros.pose.virtual_cameras import landmarks_like_mediapipe
from ses_gcn_ros.studies.pose_accuracy import FPS, draw_scene

SCENES, AHEAD = 10, 3  # scenes of three seconds; steps that are compared


@pytest.fixture(scope="module")
def engine():
    return build_engine(read_weights())


def guessed(path: Path, every: int, engine) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Histories and what followed, of people before virtual cameras with FPS / `every` pictures."""
    rng = np.random.default_rng(8)
    recording, scenes = read_recording(path), 0
    while scenes < SCENES:
        try:
            scene = draw_scene(recording, rng, 1, (2.0, 5.0), (55.0, 75.0))
        except InputError:  # some recordings lack joints
            continue
        scenes += 1
        stamps, bodies = scene.stamps[::every], scene.people[::every, 0]
        seen = landmarks_like_mediapipe(scene.views[0], bodies, rng, FPS / every)
        estimator = SkeletonEstimator(PoseConfig(), engine.layout)
        buffer, path_of, histories = ObservationBuffer(engine, ForecastConfig()), [], []
        for frame, stamp in enumerate(stamps.tolist()):
            one = Landmarks(
                seen.pixels[frame, None],
                seen.world[frame, None],
                seen.visibility[frame, None],
                seen.layout,
            )
            people = estimator.update(stamp, one, scene.views[0].camera, None)
            if len(people) != 1 or not np.isfinite(people[0].positions).all():
                continue
            [found] = buffer.observe(stamp, people).present.values()
            path_of.append((stamp, people[0].positions))
            if found.history is not None and found.whole:
                histories.append((stamp, found.history))
        times, positions = np.array([t for t, _ in path_of]), np.array([p for _, p in path_of])
        for stamp, history in histories:
            ahead = stamp + np.arange(1, AHEAD + 1) / engine.fps
            if ahead[-1] > times[-1]:
                break
            flat = positions.reshape(len(positions), -1)
            future = np.stack([np.interp(ahead, times, column) for column in flat.T], axis=-1)
            yield history, future.reshape(AHEAD, -1, 3)


@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize(("motion", "limit"), [("idle_dev", 1.02), ("cmu", 1.08)])
def test_what_is_doubted_goes_on_hardly_worse_than_the_better_baseline(
    shared_data, engine, motion, limit, every
):
    windows = list(guessed(shared_data / "motion" / f"{motion}.npz", every, engine))
    history, future = (np.array(part, np.float32) for part in zip(*windows, strict=True))
    doubted = engine.doubt(history) > 0.5
    assert doubted.sum() > 30
    error = {
        way: np.linalg.norm(way(history[doubted], AHEAD) - future[doubted], axis=-1).mean((0, 2))
        for way in (cautious, last_pose, damped_velocity)
    }
    better = np.minimum(error[last_pose], error[damped_velocity])
    ratio = error[cautious] / better
    assert ratio.max() <= limit, (ratio, error)
