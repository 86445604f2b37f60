"""From joints in the images of one camera to joints in space, by a trained network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.models.lifting import LiftingWeights, build_lifter, read_lifting_weights
from ses_gcn_ros.pose.camera import homogeneous
from ses_gcn_ros.pose.placement import facing
from ses_gcn_ros.pose.tracking import BARRED, assign

DEFAULT_WEIGHTS = Path(__file__).resolve().parents[1] / "weights" / "semgcn_workcell.safetensors"
MIN_JOINTS = 4  # seen in the last image, to lift it at all
_FARTHEST = 6.0  # clip for joints far from the body, in units of the body's mean extent


@dataclass(frozen=True, eq=False)
class FramedImages:
    """People's joints as a network takes them: about the person, as seen looking straight at it."""

    # (N, J, 3 F + 1): per image two coordinates and 1, or zeros for a joint not seen; then the
    # body's extent
    features: NDArray[np.float32]
    # (N, 3, 3): rotation that turns the optical axis to the person; it undoes what the place in the
    # image does to how a body looks (as in CLIFF, Li et al., ECCV 2022)
    camera_from_facing: NDArray[np.float64]


def frame_rays(rays: NDArray[np.float64], seen: NDArray[np.bool_]) -> FramedImages:
    """Frame joints for a network.

    `rays` (N, F, J, 2): joints in F images one after the other, undistorted, at unit depth.
    `seen` (N, F, J): which of them were found; at least one in the last image.
    """
    found = np.where(seen[..., None], rays, np.nan)
    centre = np.nanmedian(found[:, -1], axis=1)
    camera_from_facing = facing(homogeneous(centre))
    turned = homogeneous(found) @ camera_from_facing[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        ahead = turned[..., :2] / np.where(turned[..., 2:] > 0.0, turned[..., 2:], np.nan)
    extent = np.nanmean(np.abs(ahead[:, -1]), axis=(1, 2))
    extent = np.maximum(extent, 1e-3)[:, None, None, None]
    scaled = np.clip(ahead / extent, -_FARTHEST, _FARTHEST)
    there = np.isfinite(scaled).all(axis=-1, keepdims=True)
    per_image = np.concatenate([np.where(there, scaled, 0.0), there], axis=-1)  # (N, F, J, 3)
    people, _, joints = seen.shape
    features = np.moveaxis(per_image, 1, 2).reshape(people, joints, -1)
    size = np.broadcast_to(np.log(extent[:, 0]) + 2.0, (people, joints, 1))  # about zero at 3 m
    return FramedImages(
        np.concatenate([features, size], axis=-1, dtype=np.float32), camera_from_facing
    )


class Lifter:
    """Lifts people seen by one camera."""

    def __init__(self, weights: LiftingWeights | None = None) -> None:
        import torch

        self.weights = weights or read_lifting_weights(DEFAULT_WEIGHTS)
        self._network = build_lifter(self.weights)
        self._torch = torch

    @property
    def frames(self) -> int:
        """Images that it looks at."""
        return self.weights.config.frames

    @property
    def parameters(self) -> int:
        """Number of trained values."""
        return sum(parameter.numel() for parameter in self._network.parameters())

    @property
    def layout(self) -> str:
        """Joints that it takes and gives."""
        return self.weights.config.layout

    def lift(
        self, rays: NDArray[np.float64], confidence: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Joints in space about the root.

        `rays` (N, F, J, 2): joints in the last F images, oldest first, undistorted, at unit depth.
        `confidence` (N, F, J): 0 for a joint that was not found.

        Returns (N, J, 3): positions in the last image [m], axes of the optical frame, the root at
        zero; NaN for a person of whom it shows fewer than four joints.
        """
        seen = (confidence > 0.0) & np.isfinite(rays).all(axis=-1)
        enough = seen[:, -1].sum(axis=1) >= MIN_JOINTS
        joints = np.full((len(rays), rays.shape[2], 3), np.nan)
        if not enough.any():
            return joints
        framed = frame_rays(rays[enough], seen[enough])
        with self._torch.inference_mode():
            answer = self._network(self._torch.from_numpy(framed.features)).double().numpy()
        answer = answer - answer[:, :1]
        joints[enough] = answer @ framed.camera_from_facing.transpose(0, 2, 1)
        return joints


_SAME = 1.0  # mean distance of the joints, in units of the body's extent, that is still one person


# Stamps, rays and confidences of one person, oldest first
_Past = list[tuple[float, NDArray[np.float64], NDArray[np.float64]]]


class ImageHistory:
    """Rays to the joints of everybody in the last images, on a grid of times.

    People are followed by where they are in the picture. It need not be right for long: it looks
    back a third of a second, and who is taken for somebody new starts with an empty past.

    `frames`: length F of the grid.
    `fps`: its frame rate [Hz]; each point of the grid has the image next to it in time, so that of
    somebody who has just come in the first image stands for what was before.
    """

    def __init__(self, frames: int, fps: float) -> None:
        self._frames, self._period = frames, 1.0 / fps
        self._people: list[_Past] = []

    def add(
        self, stamp: float, rays: NDArray[np.float64], confidence: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Take one more image; the pasts of the people in it.

        `stamp`: when it was taken [s]. One not after the last starts over.
        `rays` (N, J, 2): joints, undistorted, at unit depth.
        `confidence` (N, J): 0 where a joint is not seen.

        Returns `rays` (N, F, J, 2): the image itself last; `confidence` (N, F, J).
        """
        horizon = (self._frames - 0.5) * self._period
        self._people = [past for past in self._people if 0.0 < stamp - past[-1][0] <= horizon]
        people = self._assign(np.where(confidence[..., None] > 0.0, rays, np.nan))
        shape = (len(people), self._frames, rays.shape[1])
        all_rays, all_confidence = np.empty((*shape, 2)), np.empty(shape)
        grid = stamp - self._period * np.arange(self._frames)[::-1]
        for index, past in enumerate(people):
            past.append((stamp, rays[index], confidence[index]))
            past[:] = [image for image in past if stamp - image[0] <= horizon]
            stamps, seen, trust = map(np.array, zip(*past, strict=True))
            apart = np.abs(grid[:, None] - stamps)
            nearest = len(past) - 1 - apart[:, ::-1].argmin(axis=1)  # the later of two
            all_rays[index], all_confidence[index] = seen[nearest], trust[nearest]
        return all_rays, all_confidence

    def _assign(self, rays: NDArray[np.float64]) -> list[_Past]:
        """Whose each detections (N, J, 2) is; people not known before are made."""
        people: list[_Past | None] = [None] * len(rays)
        if self._people and len(rays):
            latest = [past[-1] for past in self._people]
            last = np.stack([np.where(c[:, None] > 0.0, seen, np.nan) for _, seen, c in latest])
            apart = np.linalg.norm(rays[:, None] - last[None], axis=-1)  # (N, people, J)
            common = np.isfinite(apart)
            mean = np.where(common, apart, 0.0).sum(-1) / np.maximum(common.sum(-1), 1)
            extent = np.array([_extent(one) for one in rays])[:, None]
            cost = np.where(common.any(-1) & (mean <= _SAME * extent), mean, BARRED)
            for row, column in assign(cost):
                people[row] = self._people[column]
        found: list[_Past] = [person or [] for person in people]
        self._people += [past for past in found if not past]
        return found


def _extent(rays: NDArray[np.float64]) -> float:
    """Mean distance of joints (J, 2) from their middle; NaN joints left out."""
    seen = rays[np.isfinite(rays).all(axis=-1)]
    if not len(seen):
        return 0.0
    return float(np.linalg.norm(seen - seen.mean(axis=0), axis=1).mean())
