"""How far off the eyes are: recorded people seen through virtual cameras."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.datasets.sequences import Recording
from ses_gcn_ros.pose.multiview import MultiviewFusion
from ses_gcn_ros.pose.multiview_config import FusionConfig
from ses_gcn_ros.pose.rgbd import place_with_depth
from ses_gcn_ros.pose.virtual_cameras import estimate_shape, observe
from ses_gcn_ros.pose.virtual_depth import measured_depth, render_depth
from ses_gcn_ros.skeleton import get_layout
from ses_gcn_ros.studies.pose_scenes import LAYOUT, Scene, draw_crossing, draw_scene

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Accuracy:
    """Errors of one way of seeing.

    Attributes
    ----------
    mode : str
        How people were placed in space.
    errors : NDArray, shape (F, J)
        Distance of each joint from where it was, in every frame [m]; NaN where it was not given.
    counted : NDArray of bool, shape (F, J)
        Joints that the mode promises something about.
    identities : list of int
        Names given to the one person of each scene.
    """

    mode: str
    errors: Array
    counted: NDArray[np.bool_]
    identities: list[int]

    def as_dict(self, layout: str = "chico15") -> dict[str, Any]:
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
            "joint_mean_mm": dict(zip(get_layout(layout).joints, per_joint, strict=True)),
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
        for frame, sightings in enumerate(scene.sightings(rng)):
            people = fusion.fuse(float(scene.stamps[frame]), sightings)
            names |= {person.person_id for person in people}
            errors.append(_nearest_error(people, scene.people[frame, 0]))
        counted.append(scene.in_picture()[:, :, 0].sum(0) >= 2)
        identities.append(len(names))
        progress()
    return Accuracy("multiview", np.stack(errors), np.concatenate(counted), identities)


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
            positions, _ = place_with_depth(
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


def keeps_identities(scene: Scene, rng: np.random.Generator) -> bool:
    """Whether each of the scene's people has one name throughout, and no name is another's."""
    fusion = MultiviewFusion(FusionConfig())
    names: list[set[str]] = [set() for _ in range(scene.people.shape[1])]
    for frame, sightings in enumerate(scene.sightings(rng)):
        people = fusion.fuse(float(scene.stamps[frame]), sightings)
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
