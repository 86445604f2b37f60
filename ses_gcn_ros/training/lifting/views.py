"""Motion as a camera's landmarks show it, and where the joints really are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.pose.lifting import MIN_JOINTS, frame_rays
from ses_gcn_ros.pose.virtual_cameras import observe, sample_view


@dataclass(frozen=True, eq=False)
class Seen:
    """Windows seen by a camera each.

    Attributes
    ----------
    rays : NDArray, shape (N, F, J, 2)
        Joints found, undistorted, at unit depth; NaN where not.
    confidence : NDArray, shape (N, F, J)
        0 where not found.
    joints : NDArray, shape (N, J, 3)
        True joints in the last image [m], optical axes, about the root.
    """

    rays: NDArray[np.float64]
    confidence: NDArray[np.float64]
    joints: NDArray[np.float64]


def see(
    windows: NDArray[np.float32],
    rng: np.random.Generator,
    noise: tuple[float, float],
    outliers: float,
    missing: float,
    *,
    group: int = 1,
) -> Seen:
    """Look at windows with virtual cameras, aimed at the body in the last image.

    Parameters
    ----------
    windows : NDArray, shape (N, F, J, 3)
        Positions [m], z up.
    rng : Generator
        Chance.
    noise : (float, float)
        Range of the standard deviation [px], drawn per camera.
    outliers, missing : float
        Shares of joints found elsewhere, and not found.
    group : int
        Windows that share a camera, each turned about the vertical at random. It saves time.

    Returns
    -------
    Seen
        Without the windows whose last image shows too few joints to lift.
    """
    middle = windows[:, -1].mean(axis=1, dtype=np.float64)
    shift = middle * (1.0, 1.0, 0.0)  # everybody to one place; the floor stays where it is
    centred = (windows - shift[:, None, None]) @ _turns(rng.uniform(-np.pi, np.pi, len(windows)))
    parts = []
    for start in range(0, len(windows), group):
        part = centred[start : start + group]
        view = sample_view(rng, (0.0, 0.0, middle[start : start + group, 2].mean()))
        deviation = rng.uniform(*noise)
        pixels, trust = observe(
            view, part, rng, noise=deviation, outliers=outliers, missing=missing
        )
        truth = view.to_camera(part[:, -1])
        enough = (trust[:, -1] > 0.0).sum(axis=-1) >= MIN_JOINTS
        rays = view.camera.normalise(pixels)
        parts.append((rays[enough], trust[enough], (truth - truth[:, :1])[enough]))
    rays, confidence, joints = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Seen(rays, confidence, joints)


def _turns(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Matrices (N, 1, 3, 3) that turn row vectors about the vertical."""
    turns = np.zeros((len(angles), 1, 3, 3))
    turns[:, 0, 0, 0] = turns[:, 0, 1, 1] = np.cos(angles)
    turns[:, 0, 0, 1], turns[:, 0, 1, 0] = np.sin(angles), -np.sin(angles)
    turns[:, 0, 2, 2] = 1.0
    return turns


def as_training(seen: Seen) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Features (N, J, C) of a network and the answers (N, J, 3) [m] that it should give."""
    framed = frame_rays(seen.rays, seen.confidence > 0.0)
    return framed.features, (seen.joints @ framed.camera_from_facing).astype(np.float32)
