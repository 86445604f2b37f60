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
) -> Seen:
    """Look at each window with a camera of its own, aimed at the body in the last image.

    Parameters
    ----------
    windows : NDArray, shape (N, F, J, 3)
        Positions [m], z up.
    rng : Generator
        Chance.
    noise : (float, float)
        Range of the standard deviation [px], drawn per window.
    outliers, missing : float
        Shares of joints found elsewhere, and not found.

    Returns
    -------
    Seen
        Without the windows whose last image shows too few joints to lift.
    """
    rays, confidence, joints = [], [], []
    for window in windows.astype(np.float64):
        view = sample_view(rng, window[-1].mean(axis=0))
        deviation = rng.uniform(*noise)
        pixels, trust = observe(
            view, window, rng, noise=deviation, outliers=outliers, missing=missing
        )
        if (trust[-1] > 0.0).sum() >= MIN_JOINTS:
            truth = view.to_camera(window[-1])
            rays.append(view.camera.normalise(pixels))
            confidence.append(trust)
            joints.append(truth - truth[0])
    return Seen(np.stack(rays), np.stack(confidence), np.stack(joints))


def as_training(seen: Seen) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Features (N, J, C) of a network and the answers (N, J, 3) [m] that it should give."""
    framed = frame_rays(seen.rays, seen.confidence > 0.0)
    return framed.features, (seen.joints @ framed.camera_from_facing).astype(np.float32)
