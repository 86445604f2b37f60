"""How far off pose estimation is: recorded people before virtual cameras, alone and crossing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from scipy.stats import norm

from ses_gcn_ros.datasets.sequences import Recording, Sequence, between_frames
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.pose.camera import Detections, View
from ses_gcn_ros.pose.config import FusionConfig, PoseConfig
from ses_gcn_ros.pose.depth import place_with_depth
from ses_gcn_ros.pose.estimator import SkeletonEstimator
from ses_gcn_ros.pose.landmarker import Landmarks
from ses_gcn_ros.pose.multiview import MultiviewFusion
from ses_gcn_ros.pose.placement import ANKLE_HEIGHT, UPRIGHT, stature
from ses_gcn_ros.pose.virtual_cameras import (
    DISTANCE,
    FIELD_OF_VIEW,
    estimate_shape,
    landmarks_like_mediapipe,
    measured_depth,
    observe,
    render_depth,
    sample_views,
)
from ses_gcn_ros.skeleton import Skeleton, get_layout, whole_covariance

LAYOUT = "chico15"
FPS = 25.0
FRAMES = 75  # of a scene
_TILT = 0.005  # rad, standard deviation of a calibrated camera's pose about each axis
_ANKLES = [get_layout(LAYOUT).canonical.index(f"{side}_ankle") for side in "lr"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PoseScene:
    """People before cameras."""

    stamps: Array  # (T,): [s]
    people: Array  # (T, N, J, 3): joints in the cell [m]
    views: list[View]  # the cameras

    def in_picture(self) -> NDArray[np.bool_]:
        """Which camera has which joint in its picture, shape (V, T, N, J)."""
        return np.stack([view.camera.shows(view.project(self.people)) for view in self.views])

    def detections(self, rng: np.random.Generator) -> Iterator[dict[int, Detections]]:
        """What the cameras find, frame by frame; people in any order, without names."""
        found = [observe(view, self.people, rng) for view in self.views]
        count = self.people.shape[1]
        for frame in range(len(self.stamps)):
            detections = {}
            for number, (view, (pixels, confidence)) in enumerate(
                zip(self.views, found, strict=True)
            ):
                order = rng.permutation(count)
                detections[number] = Detections(
                    view, LAYOUT, pixels[frame][order], confidence[frame][order], ("",) * count
                )
            yield detections


def draw_scene(
    recording: Recording,
    rng: np.random.Generator,
    cameras: int,
    distance: tuple[float, float] = DISTANCE,
    field_of_view: tuple[float, float] = FIELD_OF_VIEW,
) -> PoseScene:
    """Three seconds of one person's recorded motion before cameras that look at its middle."""
    sequence = recording.sequences[rng.integers(len(recording.sequences))]
    people = _clip(sequence, rng)[:, None]
    low, high = people.min((0, 1, 2)), people.max((0, 1, 2))
    views = sample_views(
        rng, 0.5 * (low + high), cameras, distance=distance, field_of_view=field_of_view
    )
    return PoseScene(1.0 + np.arange(len(people)) / FPS, people, views)


def draw_crossing(
    recording: Recording, rng: np.random.Generator, cameras: int, gap: float = 0.5
) -> PoseScene:
    """Two recorded walkers who pass each other at `gap` metres, in the middle of the cell.

    Raises InputError if the recording has nobody who walks.
    """
    walks = [s for s in recording.sequences if "walk" in s.tags and len(s) >= FRAMES]
    if not walks:
        raise InputError(f"recording '{recording.name}' has no sequence with the tag 'walk'")
    heading = rng.uniform(0.0, 2.0 * math.pi)
    right = np.array([math.cos(heading), math.sin(heading), 0.0])
    forth = np.array([-right[1], right[0], 0.0])
    along = np.linspace(-1.5, 1.5, FRAMES)
    speeds = rng.uniform(0.8, 1.2, 2) * (1.0, -1.0)
    offset = rng.uniform(-0.3, 0.3)  # m from the middle at which they meet
    people = []
    for speed, side in zip(speeds.tolist(), (0.5, -0.5), strict=True):
        body = _clip(walks[rng.integers(len(walks))], rng)
        body = body - body[:, :1] * (1.0, 1.0, 0.0)  # the walk itself is laid along the line
        turned = _turned(body, math.atan2(right[1], right[0]) + (0.0 if speed > 0 else math.pi))
        path = (speed * along + offset)[:, None] * right + side * gap * forth
        people.append(turned + path[:, None])
    views = sample_views(rng, (0.0, 0.0, 0.9), cameras, distance=(3.0, 4.0))
    return PoseScene(1.0 + np.arange(FRAMES) / FPS, np.stack(people, axis=1), views)


def _clip(sequence: Sequence, rng: np.random.Generator) -> Array:
    """Some `FRAMES` of a sequence at `FPS`, shape (T, J, 3)."""
    step = sequence.fps / FPS
    length = min(FRAMES, int((len(sequence) - 1) / step) + 1)
    start = rng.uniform(0.0, len(sequence) - 1 - (length - 1) * step)
    clip = between_frames(sequence.positions.astype(np.float64), start + step * np.arange(length))
    missing = np.flatnonzero(~np.isfinite(clip).all((0, 2)))
    if len(missing):
        names = [get_layout(sequence.layout).joints[joint] for joint in missing]
        raise InputError(
            f"sequence '{sequence.name}' lacks {', '.join(names[:3])} in some frames; virtual "
            "cameras look at whole bodies, give motion in which all joints are seen"
        )
    return clip


def _turned(body: Array, heading: float) -> Array:
    """Body (T, J, 3) that faces a direction about the vertical [rad] in its first frame."""
    hips = body[0, 4] - body[0, 1]  # right hip to left hip
    angle = heading - math.atan2(-hips[0], hips[1])
    return np.asarray(body @ Rotation.from_euler("z", angle).as_matrix().T)


@dataclass(frozen=True, eq=False)
class Accuracy:
    """Errors of one way of seeing."""

    mode: str  # how people were placed in space
    # (F, J): distance of each joint from where it was, in every frame [m]; NaN where it was not
    # given
    errors: Array
    counted: NDArray[np.bool_]  # (F, J): joints that the mode promises something about
    identities: list[int]  # names given to the one person of each scene

    def as_dict(self) -> dict[str, Any]:
        """Figures for people and scripts; millimetres and shares of one."""
        counted = np.where(self.counted, self.errors, np.nan)
        found = np.isfinite(self.errors)
        per_joint = [_mean_mm(column) for column in counted.T]
        return {
            "mode": self.mode,
            "frames": len(self.errors),
            "scenes": len(self.identities),
            "mean_mm": _mean_mm(counted),
            "median_mm": round(1e3 * float(np.nanmedian(counted)), 2),
            "p95_mm": round(1e3 * float(np.nanpercentile(counted, 95)), 2),
            "found_share": round(float(found[self.counted].mean()), 4),
            "counted_share": round(float(self.counted.mean()), 4),
            "all_joints_mean_mm": _mean_mm(self.errors),
            "all_joints_found_share": round(float(found.mean()), 4),
            "scenes_with_one_identity": sum(n == 1 for n in self.identities),
            "joint_mean_mm": dict(zip(get_layout(LAYOUT).joints, per_joint, strict=True)),
        }


def measure_multiview(
    recording: Recording,
    *,
    scenes: int = 60,
    cameras: int = 3,
    seed: int = 0,
    config: FusionConfig | None = None,
    progress: Callable[[], None] = lambda: None,
) -> Accuracy:
    """Fuse what cameras around a person see; joints in the pictures of two or more count."""
    rng = np.random.default_rng(seed)
    errors, counted, identities = [], [], []
    for _ in range(scenes):
        scene = draw_scene(recording, rng, cameras)
        fusion = MultiviewFusion(config or FusionConfig())
        names = set()
        for frame, detections in enumerate(scene.detections(rng)):
            people = fusion.fuse(float(scene.stamps[frame]), detections)
            names |= {person.person_id for person in people}
            errors.append(_nearest_error(people, scene.people[frame, 0]))
        counted.append(scene.in_picture()[:, :, 0].sum(0) >= 2)
        identities.append(len(names))
        progress()
    return Accuracy("multiview", np.stack(errors), np.concatenate(counted), identities)


@dataclass(frozen=True)
class Fault:
    """What one camera is told that isn't so, to either side by chance."""

    turned: float = 0.0  # its pose, about any axis [deg]
    shifted: float = 0.0  # its pose, anywhere [m]
    focal: float = 0.0  # share of the focal length
    centre: float = 0.0  # its principal point, anywhere [px]
    floor: float = 0.0  # the floor is lower or higher [m]
    raised: float = 0.0  # the person stands so much above it [m], and
    rolls: float = 0.0  # is moved level so fast, as on a chair with castors [m/s]


FAULTS = {
    "none": Fault(),
    "pose": Fault(turned=2.0, shifted=0.03),
    "focal": Fault(focal=0.05),
    "centre": Fault(centre=10.0),
    "floor": Fault(floor=0.05),
    "step": Fault(raised=0.1),
    "rolling": Fault(raised=0.1, rolls=0.5),
}


@dataclass(frozen=True, eq=False)
class MonocularAccuracy:
    """Errors of one camera, over all scenes; F pictures."""

    mode: str  # how people were placed in space
    root: Array  # (F,): error of the hips' distance from the camera over that distance
    # (F, J): distance of each joint from where it was, both about the hips [m]; NaN where not given
    relative: Array
    # (F, J): errors along and across the viewing ray over what the covariance states as the bound
    # of 95 % of them (1.96 standard deviations; 2.45 of the circle's)
    along: Array
    across: Array

    def as_dict(self) -> dict[str, Any]:
        """Figures for people and scripts; millimetres and shares of one."""
        given = np.isfinite(self.relative)
        return {
            "mode": self.mode,
            "frames": len(self.root),
            "root_depth_mean_share": round(float(np.nanmean(self.root)), 4),
            "root_depth_p95_share": round(float(np.nanpercentile(self.root, 95)), 4),
            "relative_mean_mm": _mean_mm(self.relative),
            "covered_along_share": round(float((self.along <= 1.0)[given].mean()), 4),
            "covered_across_share": round(float((self.across <= 1.0)[given].mean()), 4),
            "beyond_3_sigma_share": round(float((self.along > 3.0 / 1.96)[given].mean()), 4),
            "found_share": round(float(given.mean()), 4),
        }


def measure_monocular(
    recording: Recording,
    *,
    scenes: int = 60,
    known: str = "place",
    fault: str = "none",
    stated: bool = False,
    seed: int = 0,
    config: PoseConfig = PoseConfig(),  # noqa: B008 (it is frozen)
    progress: Callable[[], None] = lambda: None,
) -> MonocularAccuracy:
    """Follow a person before one camera, given its "place", their "height", "both" or "nothing".

    `fault` is one of `FAULTS`; `stated`, whether the settings say how large it may be.

    Pictures are counted from one second on, when the person's size is known a little.
    """
    rng, chance = np.random.default_rng(seed), np.random.default_rng((seed, 1))
    wrong = FAULTS[fault]
    if stated:
        config = replace(
            config,
            camera_tilt_sigma=math.hypot(_TILT, math.radians(wrong.turned) / math.sqrt(3.0)),
            floor_sigma=math.hypot(wrong.floor, wrong.raised),
        )
    rows: list[tuple[Array, Array, Array, Array]] = []
    # Evenly over the quantiles: one draw per scene would leave the figures to a few tall people.
    statures = norm.ppf((rng.permutation(scenes) + rng.random(scenes)) / scenes)
    for tall in statures.tolist():
        scene = draw_scene(recording, rng, 1, (2.0, 5.0), (55.0, 75.0))
        [view] = scene.views
        # Some recordings have their floor elsewhere than at 0.
        ankles = scene.people[:, 0, _ANKLES, 2].min(axis=1)
        side, heading = chance.choice((-1.0, 1.0)), chance.uniform(0.0, 2.0 * math.pi)
        settings = replace(
            config, floor_height=float(np.median(ankles)) - ANKLE_HEIGHT + side * wrong.floor
        )
        way = np.array([math.cos(heading), math.sin(heading), 0.0])
        passed = scene.stamps - scene.stamps.mean()
        moved = wrong.rolls * passed[:, None, None] * way + wrong.raised * np.array((0.0, 0.0, 1.0))
        bodies = scene.people[:, 0] + moved
        camera = replace(
            view.camera,
            fx=view.camera.fx * (1.0 + side * wrong.focal),
            fy=view.camera.fy * (1.0 + side * wrong.focal),
            cx=view.camera.cx + wrong.centre * way[0],
            cy=view.camera.cy + wrong.centre * way[1],
        )
        seen = landmarks_like_mediapipe(view, bodies, rng, FPS, tall)
        if known in ("height", "both"):
            height = np.percentile(stature(scene.people[:, 0], LAYOUT), UPRIGHT)
            settings = replace(settings, body_height=float(height))
        estimator = SkeletonEstimator(settings, LAYOUT)
        place = None
        if known in ("place", "both"):  # as well as a calibration tells it
            place = view.base_from_camera.copy()
            place[:3, :3] @= Rotation.from_rotvec(rng.normal(0.0, _TILT, 3)).as_matrix()
            axes = Rotation.random(2, chance).as_matrix()[:, 0]
            place[:3, :3] @= Rotation.from_rotvec(math.radians(wrong.turned) * axes[0]).as_matrix()
            place[:3, 3] += wrong.shifted * axes[1]
        for frame, body in enumerate(bodies):
            one = Landmarks(
                seen.pixels[frame, None], seen.world[frame, None], seen.visibility[frame, None],
                seen.layout,
            )  # fmt: skip
            people = estimator.update(float(scene.stamps[frame]), one, camera, place)
            if frame >= FPS:
                truth = view.to_camera(body) if place is None else body
                eye = np.zeros(3) if place is None else view.place
                rows.append(_monocular_errors(people, truth, eye))
        progress()
    return MonocularAccuracy(
        f"monocular, {known} known", *(np.array(column) for column in zip(*rows, strict=True))
    )


def _monocular_errors(
    people: list[Skeleton], truth: Array, eye: Array
) -> tuple[Array, Array, Array, Array]:
    """One row of `MonocularAccuracy`."""
    nothing = np.full(len(truth), np.nan)
    if len(people) != 1 or people[0].covariance is None:
        return np.array(np.nan), nothing, nothing, nothing
    [person] = people
    positions = person.positions.astype(np.float64)
    error = positions - truth
    ray = truth - eye
    distance = np.linalg.norm(ray, axis=-1)
    ray = ray / distance[:, None]
    covariance = whole_covariance(np.asarray(person.covariance, np.float64))
    variance = np.einsum("ja,jab,jb->j", ray, covariance, ray)
    toward = np.einsum("ja,ja->j", error, ray)
    # The covariance across the ray has the ray as its null space.
    beside = np.eye(3) - ray[:, :, None] * ray[:, None, :]
    inverse = np.linalg.pinv(np.nan_to_num(beside @ covariance @ beside), rcond=1e-6)
    across = np.sqrt(np.einsum("ja,jab,jb->j", error, inverse, error))
    along = np.abs(toward) / np.sqrt(variance)
    relative = np.linalg.norm(error - error[:1], axis=-1)
    relative[0] = np.nan  # the hips are their own origin
    return np.abs(toward[0]) / distance[0], relative, along / 1.96, across / 2.4477


def measure_rgbd(
    recording: Recording,
    *,
    scenes: int = 60,
    frames: int = 8,
    noise: float = 0.01,
    seed: int = 0,
    progress: Callable[[], None] = lambda: None,
) -> Accuracy:
    """Place a person by one noisy depth camera, frame by frame; joints that it sees count."""
    rng = np.random.default_rng(seed)
    errors, counted = [], []
    for _ in range(scenes):
        scene = draw_scene(recording, rng, 1)
        [view] = scene.views
        stoutness = rng.uniform(0.55, 0.85)
        for body in scene.people[:: max(1, len(scene.people) // frames)][:frames]:
            exact, visible = render_depth(view, body, stoutness=stoutness)
            pixels, found = observe(view, body, rng)
            positions, _, *_ = place_with_depth(
                estimate_shape(view, body, rng),
                pixels,
                found,
                measured_depth(exact, rng, noise),
                view.camera,
                layout=LAYOUT,
            )
            off = np.linalg.norm(view.to_base(positions[0]) - body[0], axis=-1)
            errors.append(off)
            counted.append(visible[0])
        progress()
    return Accuracy("rgbd", np.stack(errors), np.stack(counted), [1] * scenes)


def measure_crossings(
    recording: Recording,
    *,
    crossings: int = 100,
    cameras: int = 3,
    gap: float = 0.5,
    seed: int = 0,
    progress: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """How many pairs who cross keep their identities from the first frame to the last."""
    rng = np.random.default_rng(seed)
    kept = 0
    for _ in range(crossings):
        kept += keeps_identities(draw_crossing(recording, rng, cameras, gap), rng)
        progress()
    return {"crossings": crossings, "cameras": cameras, "gap_m": gap, "kept": kept}


def keeps_identities(scene: PoseScene, rng: np.random.Generator) -> bool:
    """Whether each of the scene's people has one name throughout, and no name is another's."""
    fusion = MultiviewFusion(FusionConfig())
    names: list[set[str]] = [set() for _ in range(scene.people.shape[1])]
    for frame, detections in enumerate(scene.detections(rng)):
        people = fusion.fuse(float(scene.stamps[frame]), detections)
        for person in people:
            apart = np.linalg.norm(scene.people[frame] - person.positions, axis=-1)
            names[int(np.nanmean(apart, axis=-1).argmin())].add(person.person_id)
    return all(len(one) == 1 for one in names) and len(set.union(*names)) == len(names)


def _nearest_error(people: list[Any], truth: Array) -> Array:
    """Errors (J,) of whoever is nearest to the true joints (J, 3); NaN for nobody."""
    errors = [np.linalg.norm(person.positions - truth, axis=-1) for person in people]
    return min(errors, key=np.nanmean, default=np.full(len(truth), np.nan))


def _mean_mm(errors: Array) -> float:
    return round(1e3 * float(np.nanmean(errors)), 2) if np.isfinite(errors).any() else float("nan")
