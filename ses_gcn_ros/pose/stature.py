"""A person's size, which a single camera can't tell from the distance."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.skeleton import get_layout

# Shank, thigh and trunk (hip to shoulder) are 0.246, 0.245 and 0.288 of stature
# (Drillis and Contini, Body segment parameters, 1966).
_CHAIN_OF_STATURE = 0.246 + 0.245 + 0.288
_REMEMBERED = 60  # frames that a person's size is taken from


def stature(positions: NDArray[np.floating], layout: str = "mediapipe33") -> NDArray[np.float64]:
    """Height of people standing upright [m], shape (...), from joints (..., J, 3) of a layout.

    From the lengths of trunk, thighs and shanks; needs all of them, hidden ones as estimated.
    """
    names = get_layout(layout).canonical

    def joint(name: str) -> NDArray[np.floating]:
        return positions[..., names.index(name), :]

    def length(a: str, b: str) -> NDArray[np.float64]:
        sides = [np.linalg.norm(joint(s + a) - joint(s + b), axis=-1) for s in ("l_", "r_")]
        return 0.5 * (sides[0] + sides[1])

    shoulders = 0.5 * (joint("l_shoulder") + joint("r_shoulder"))
    hips = 0.5 * (joint("l_hip") + joint("r_hip"))
    trunk = np.linalg.norm(shoulders - hips, axis=-1)
    return (trunk + length("hip", "knee") + length("knee", "ankle")) / _CHAIN_OF_STATURE


class SizeKeeper:
    """Scale one person to a known height about the camera, which leaves the image as it is.

    The factor comes from the median of the heights estimated lately. Scaling every frame by its own
    estimate would be worse than none: where limbs point at the camera they are estimated too short,
    and somebody who squats would seem to step back.

    Parameters
    ----------
    height : float
        The person's height [m]; 0 leaves everything as estimated.
    """

    def __init__(self, height: float) -> None:
        self._height = height
        self._sizes: deque[float] = deque(maxlen=_REMEMBERED)

    def fit(
        self, positions: NDArray[np.float64], camera: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Joints (33, 3) [m] at the person's height; `camera` (3,) is the camera's place."""
        if self._height == 0.0:
            return positions
        self._sizes.append(float(stature(positions)))
        return camera + (positions - camera) * (self._height / float(np.median(self._sizes)))
