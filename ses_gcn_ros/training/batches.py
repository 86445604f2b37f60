"""Batches as the network takes them: augmented, framed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.models.config import ModelConfig
from ses_gcn_ros.models.framing import frame, offset_scale
from ses_gcn_ros.training import augment
from ses_gcn_ros.training.recipe import AugmentRecipe


@dataclass(frozen=True, eq=False)
class Batch:
    """Windows, framed.

    Attributes
    ----------
    features : NDArray, shape (N, T, J, C), float32
        Input of the network.
    target : NDArray, shape (N, H, J, 3), float32
        What it should answer, such that the distance to its answer times `scale` is metres.
    weight : NDArray, shape (N, 1, J), float32
        One for joints to learn from, zero for unseen ones.
    """

    features: NDArray[np.float32]
    target: NDArray[np.float32]
    weight: NDArray[np.float32]

    def part(self, which: int, of: int) -> Batch:
        """Every `of`-th window from the `which`-th on: a process's share."""
        return Batch(self.features[which::of], self.target[which::of], self.weight[which::of])


def answer_scale(config: ModelConfig) -> NDArray[np.float32]:
    """Metres per unit of the network's answer, shape (H, 1, 1)."""
    if config.offset:
        return offset_scale(config.horizon, config.fps)
    return np.full((config.horizon, 1, 1), 1e-3 if config.unit == "mm" else 1.0, np.float32)


def augmented_batch(
    windows: NDArray[np.float32],
    rng: np.random.Generator,
    config: ModelConfig,
    recipe: AugmentRecipe,
) -> Batch:
    """Augment windows (N, T+H, J, 3) [m] as a recipe says, and frame them for the network."""
    if recipe.mirror:
        windows = augment.mirror(windows, rng, config.layout)
    if recipe.size or recipe.proportions:
        windows = augment.resize(windows, rng, config.layout, recipe.size, recipe.proportions)
    if recipe.slow_share:
        now = config.observed - 1
        windows = augment.slow_travel(windows, rng, config.layout, now, recipe.slow_share)
    if recipe.misplaced_share:
        windows = augment.misplace_joints(windows, rng, recipe.misplaced, recipe.misplaced_share)
    history, future = windows[:, : config.observed], windows[:, config.observed :]
    if recipe.noise:
        history = augment.camera_noise(history, rng, recipe.noise, recipe.noise_share)
    if recipe.unseen_share:
        history = augment.drop_joints(history, rng, recipe.unseen_share)
    batch = framed_batch(history, future, config)
    return turned(batch, rng, recipe.turn) if recipe.turn else batch


def framed_batch(
    history: NDArray[np.float32], future: NDArray[np.float32], config: ModelConfig
) -> Batch:
    """Frame histories (N, T, J, 3) [m] and what followed (N, H, J, 3) [m]."""
    units = np.float32(1000.0 if config.unit == "mm" else 1.0)
    framed = frame(history * units, config)
    target = future * units - framed.origin
    if config.heading:
        target = target @ framed.world_from_person[:, None]
    if framed.base is not None:
        target = (target - framed.base) / answer_scale(config)
    weight = framed.seen[:, None, :].astype(np.float32)
    return Batch(framed.features, target.astype(np.float32), weight)


def turned(batch: Batch, rng: np.random.Generator, angle: float) -> Batch:
    """Turn everything about the vertical, by up to ±angle [rad], each window its own."""
    angles = rng.uniform(-angle, angle, len(batch.features))
    rotation = np.zeros((len(angles), 1, 3, 3), np.float32)
    rotation[:, 0, 0, 0] = rotation[:, 0, 1, 1] = np.cos(angles)
    rotation[:, 0, 0, 1], rotation[:, 0, 1, 0] = np.sin(angles), -np.sin(angles)
    rotation[:, 0, 2, 2] = 1
    features = batch.features.copy()
    vectors = 3 * (features.shape[-1] // 3)  # what is left over is the flag of visibility
    for start in range(0, vectors, 3):
        features[..., start : start + 3] = features[..., start : start + 3] @ rotation
    return Batch(features, batch.target @ rotation, batch.weight)
