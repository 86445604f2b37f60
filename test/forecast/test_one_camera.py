"""Forecasts of people as one camera guesses them: never much worse than doing nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from ses_gcn_ros.datasets.sequences import read_recording
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.forecast import AdaptiveRadius, Forecaster, build_engine, read_weights
from ses_gcn_ros.forecast.baselines import beyond_noise, cautious, damped_velocity, last_pose
from ses_gcn_ros.forecast.config import ForecastConfig
from ses_gcn_ros.forecast.forecaster import Habit
from ses_gcn_ros.forecast.observations import ObservationBuffer
from ses_gcn_ros.pose.camera import camera_from_view
from ses_gcn_ros.pose.config import PoseConfig
from ses_gcn_ros.pose.estimator import PoseEstimator, SkeletonEstimator
from ses_gcn_ros.pose.landmarker import Landmarks
from ses_gcn_ros.pose.sources import VideoFile
from ses_gcn_ros.pose.tracking import packed_covariance
from ses_gcn_ros.pose.virtual_cameras import landmarks_like_mediapipe
from ses_gcn_ros.replay.chain import with_forecasts
from ses_gcn_ros.replay.events import PeopleSeen
from ses_gcn_ros.replay.forecast_scores import ForecastScores
from ses_gcn_ros.skeleton import Skeleton, convert, get_layout
from ses_gcn_ros.studies.pose_accuracy import FPS, draw_scene

SCENES, AHEAD = 10, 12  # scenes of three seconds; steps that are compared


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


def told(covariance: np.ndarray, positions: np.ndarray, layout: str = "chico15") -> np.ndarray:
    """One covariance (3, 3) for every joint, as a skeleton carries it."""
    joints = len(get_layout(layout).joints)
    return packed_covariance(np.tile(covariance, (joints, 1, 1)), positions, layout, layout)


def beyond(path: np.ndarray, last: np.ndarray, noise: np.ndarray) -> np.ndarray:
    return beyond_noise(path[None], last[None], noise[None])[0]


@given(st.integers(0, 2**32 - 1))
def test_a_sensor_s_noise_takes_displacements_back_and_never_adds_or_turns_any(seed):
    rng = np.random.default_rng(seed)
    last = rng.normal(size=(15, 3)).astype(np.float32)
    path = (last + rng.normal(size=(25, 15, 3)) * 10 ** rng.uniform(-4, 0)).astype(np.float32)
    axes = Rotation.random(random_state=rng).as_matrix()
    deviation = 10 ** rng.uniform(-4, 0, 3)
    kept = beyond(path, last, told(axes * deviation**2 @ axes.T, last)) - last
    before, after = (path - last) @ axes, kept @ axes
    assert (np.abs(after) <= np.abs(before) + 1e-5).all()
    assert (before * after >= -1e-5).all()
    unchanged = beyond(path, last, np.zeros((15, 6), np.float32))
    np.testing.assert_allclose(unchanged, path, atol=1e-5)


def test_depth_that_wanders_is_not_forecast_and_who_walks_towards_the_camera_is():
    last = np.zeros((15, 3), np.float32)
    noise = told(np.diag([0.02, 0.02, 0.3]) ** 2, last)  # m; along z, the viewing ray
    steps = np.arange(1, 26, dtype=np.float32)[:, None, None] / 25
    wanders = beyond(steps * np.float32([0.03, 0.0, 0.03]) + last, last, noise)
    walks = beyond(steps * np.float32([0.0, 0.0, 1.2]) + last, last, noise)
    assert np.allclose(wanders[-1, :, 0], 0.03, atol=1e-3)
    assert (wanders[-1, :, 2] < 0.006).all()
    assert (walks[:, :, 2] > 0.99 * 1.2 * steps[..., 0]).all()


def test_the_forecaster_reads_the_noise_in_any_layout_and_unseen_joints_stay_unseen(engine):
    rng = np.random.default_rng(4)
    pose = rng.normal(size=(33, 3)).astype(np.float32)
    drift = np.float32([0.01, -0.02, 0.01])  # m from frame to frame
    unseen = get_layout("mediapipe33").canonical.index("l_wrist")

    def forecast(deviation: float) -> np.ndarray:
        forecaster = Forecaster(engine, ForecastConfig(adaptive=False, scored=False))
        for frame in range(12):
            positions = pose + frame * drift
            positions[unseen] = np.nan
            noise = told(np.eye(3) * deviation**2, positions, "mediapipe33")
            one = Skeleton("p1", "mediapipe33", positions, np.ones(33, np.float32), noise)
            forecaster.observe(1 + frame / 25, [one])
        [made] = forecaster.forecast()
        last, _ = convert(positions, one.confidence, "mediapipe33", engine.layout)
        return made.positions - last

    exact, doubtful = forecast(1e-6), forecast(10.0)
    assert (np.isnan(exact) == np.isnan(doubtful)).all()
    assert np.isnan(exact).any()
    assert np.nanmax(np.abs(doubtful)) < 0.1 * np.nanmax(np.abs(exact))


@pytest.mark.parametrize("missed", [(), (7,)])
def test_who_swings_to_and_fro_comes_back_and_who_walks_on_does_not(missed):
    """A joint that some pictures miss keeps its place."""
    rng = np.random.default_rng(0)
    stamps = np.arange(150) / 25
    pose = rng.normal(size=(15, 3))
    told = list(missed or range(15))
    ways = {
        "swings": 0.3 * np.sin(2 * np.pi * stamps / 2.0),  # m; a second ahead is the other side
        "walks": 1.2 * stamps,
        "stands": np.zeros_like(stamps),
    }
    left = {}
    for name, way in ways.items():
        bodies = pose + way[:, None, None] * (1.0, 0.0, 0.0) + rng.normal(0, 0.01, (150, 15, 3))
        bodies = bodies.astype(np.float32)
        habit = Habit(25, 1 / 25, bodies[0])
        nothing_due = np.full((25, 15), np.nan, np.float32)
        error, before = 0.0, 0.0  # m, over all steps a second ahead
        for frame in range(1, 125):
            now, later = bodies[frame], bodies[frame + 25]
            seen = now.copy()
            seen[list(missed) if frame % 10 == 0 else []] = np.nan
            habit.learn((stamps[frame], seen), nothing_due, 1 / 25)
            if frame >= 75:
                gone = now + habit.back(now)[-1]
                error += np.linalg.norm((gone - later)[told], axis=-1).mean()
                before += np.linalg.norm((now - later)[told], axis=-1).mean()
        left[name] = error / before
    assert left["swings"] < 0.7, left
    assert left["walks"] == 1.0, left
    assert left["stands"] < 0.95, left  # the mean of noisy places is a better one than the last


def test_who_was_doubted_once_is_forecast_as_anybody_a_minute_later(shared_data, engine):
    rng, config = np.random.default_rng(0), ForecastConfig(scored=False)
    body = read_recording(shared_data / "motion" / "idle_dev.npz").sequences[0].positions
    paths = []
    for noise in (0.03, 0.0):  # m, in the first two seconds
        adaptive = AdaptiveRadius(engine.radius, engine.coverage, config)
        forecaster, doubted = Forecaster(engine, config, adaptive), set()
        for frame in range(25 * 60):
            pose = np.array(body[frame % len(body)])
            pose += rng.normal(0, noise * (frame < 50), pose.shape).astype(np.float32)
            one = Skeleton("p1", "chico15", pose, np.ones(15, np.float32))
            forecaster.observe(frame / 25, [one])
            [made] = forecaster.forecast()
            doubted.add("unlike" in made.model)
        assert (True in doubted) == (noise > 0)
        paths.append(made.positions)
    np.testing.assert_array_equal(*paths)


def test_one_joint_seen_astray_once_makes_nobody_come_back_and_no_radius_wide():
    """65.5 m is what depth cameras give where they see none."""
    rng = np.random.default_rng(0)
    way = np.arange(150)[:, None, None] / 25 * (1.2, 0.0, 0.0)  # m
    bodies = rng.normal(size=(15, 3)) + way + rng.normal(0, 0.01, (150, 15, 3))
    radii = []
    for astray in (0.0, 65.5):
        seen = bodies.astype(np.float32)
        seen[75, 7, 2] += astray
        habit = Habit(25, 1 / 25, seen[0])
        for frame in range(1, 125):
            due = np.full((25, 15), np.nan, np.float32)
            due[0] = np.linalg.norm(seen[frame] - seen[frame - 1], axis=-1)
            habit.learn((frame / 25, seen[frame]), due, 1 / 25)
        assert not habit.back(seen[124]).any()
        radii.append(habit.radius(np.full((25, 15), 0.1, np.float32), np.full(15, 0.5)))
    np.testing.assert_allclose(radii[1], radii[0], rtol=0.05)


EXERCISE = pytest.param("exercise.avi", marks=pytest.mark.slow)
# MediaPipe smooths somebody who is followed alone, so that the network is doubted less, and its
# wide radius counts more: 699 mm.
TOO_WIDE = pytest.mark.xfail(strict=True, reason="699 mm on one_person.mp4, 600 wanted")


@pytest.fixture(scope="module")
def on_video(request, media, model, engine):
    """What the forecasts from a video's skeletons are worth."""
    pytest.importorskip("mediapipe", reason="this test needs mediapipe")
    estimator = PoseEstimator(PoseConfig(model=model))
    seen, camera = [], None
    for frame in VideoFile(str(media / request.param)):
        camera = camera or camera_from_view(*frame.rgb.shape[1::-1], 60.0)
        people = estimator.process(frame.stamp, frame.rgb, camera)
        seen.append(PeopleSeen(frame.stamp, frame.stamp, "camera", people))
    estimator.close()
    scores = ForecastScores()
    for event in with_forecasts(seen, engine, ForecastConfig()):
        (scores.observe if isinstance(event, PeopleSeen) else scores.forecast)(event)
    scores.finish()
    return scores.summary()


@pytest.mark.parametrize("on_video", ["one_person.mp4", EXERCISE], indirect=True)
def test_the_radius_of_what_is_doubted_holds_on_a_video(on_video):
    assert on_video["coverage"]["measured"] >= 0.94
    at = on_video["mpjpe_mm"]["at"]
    better = np.minimum(at["last_pose"], at["damped_velocity"])
    assert (np.array(at["forecast"]) <= 1.02 * better).all()


@pytest.mark.parametrize(
    "on_video", [pytest.param("one_person.mp4", marks=TOO_WIDE), EXERCISE], indirect=True
)
def test_the_radius_of_what_is_doubted_is_narrow_on_a_video(on_video):
    assert on_video["coverage"]["radius_mm"][-1] <= 600.0


@pytest.mark.slow
@pytest.mark.parametrize(("motion", "least"), [("idle_dev", 0.97), ("handover_dev", 0.89)])
def test_the_radius_holds_before_virtual_cameras(shared_data, engine, motion, least):
    """Three seconds each: it held 89.4 % of the handovers."""
    rng = np.random.default_rng(5)
    recording = read_recording(shared_data / "motion" / f"{motion}.npz")
    scores = ForecastScores()
    for number in range(30):
        scene = draw_scene(recording, rng, 1, (2.0, 5.0), (55.0, 75.0))
        [view] = scene.views
        found = landmarks_like_mediapipe(view, scene.people[:, 0], rng, FPS)
        estimator, seen = SkeletonEstimator(PoseConfig(), engine.layout), []
        for frame, stamp in enumerate((10.0 * number + scene.stamps).tolist()):
            parts = (found.pixels, found.world, found.visibility)
            one = Landmarks(*(part[frame, None] for part in parts), found.layout)
            people = estimator.update(stamp, one, view.camera, None)
            people = [replace(person, person_id=f"{number}") for person in people]
            seen.append(PeopleSeen(stamp, stamp, "camera", people))
        for event in with_forecasts(seen, engine, ForecastConfig()):
            (scores.observe if isinstance(event, PeopleSeen) else scores.forecast)(event)
    scores.finish()
    assert scores.summary()["coverage"]["measured"] >= least
