"""How far lifted joints are from the true ones, on people that no network was trained on."""

from __future__ import annotations

from collections.abc import Sequence as Sequences
from dataclasses import dataclass

import numpy as np

from ses_gcn_ros.datasets.sequences import Sequence
from ses_gcn_ros.datasets.windows import windows
from ses_gcn_ros.models.lifting_weights import LiftingWeights
from ses_gcn_ros.pose.lifting import Lifter
from ses_gcn_ros.pose.virtual_cameras import MISSING, NOISE, OUTLIERS
from ses_gcn_ros.training.lifting.views import see

STRIDE = 10  # frames between the windows that are scored


@dataclass(frozen=True)
class LiftingScore:
    """Root-relative error of a network, mean over people, images and all joints but the root.

    Attributes
    ----------
    name : str
        The network.
    parameters : int
        Number of its parameters, running statistics left out.
    frames : int
        Images that it looks at.
    windows : int
        Answers scored.
    error : float
        Mean distance [m].
    error_seen : float
        The same over the joints that the last image shows [m].
    """

    name: str
    parameters: int
    frames: int
    windows: int
    error: float
    error_seen: float


def score_lifter(
    weights: LiftingWeights, sequences: Sequences[Sequence], fps: float, *, seed: int = 0
) -> LiftingScore:
    """Score a network on windows of sequences, each seen by a random virtual camera.

    Every network of as many frames sees the same windows through the same cameras with the same
    noise.

    Raises
    ------
    InputError
        If no sequence is as long as a window.
    """
    lifter = Lifter(weights)
    rng = np.random.default_rng(seed)
    apart, seen_apart = [], []
    for _, found in windows(sequences, lifter.frames, fps, STRIDE):
        seen = see(found, rng, (NOISE, NOISE), OUTLIERS, MISSING)
        lifted = lifter.lift(seen.rays, seen.confidence)
        distance = np.linalg.norm(lifted - seen.joints, axis=-1)[:, 1:]
        apart.append(distance)
        seen_apart.append(distance[seen.confidence[:, -1, 1:] > 0.0])
    count = sum(len(distance) for distance in apart)
    return LiftingScore(
        weights.name,
        lifter.parameters,
        lifter.frames,
        count,
        float(np.concatenate(apart).mean()),
        float(np.concatenate(seen_apart).mean()),
    )
