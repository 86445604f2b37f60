"""Training of networks that lift joints of an image to space, and how far off they are."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence as Sequences
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ses_gcn_ros.config import option
from ses_gcn_ros.datasets.sequences import RandomWindows, Recording, Sequence, windows
from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.models.lifting import (
    LiftingConfig,
    LiftingWeights,
    make_network,
    write_lifting_weights,
)
from ses_gcn_ros.pose.lifting import MIN_JOINTS, Lifter, frame_rays
from ses_gcn_ros.pose.virtual_cameras import MISSING, NOISE, OUTLIERS, observe, sample_view
from ses_gcn_ros.training import augment
from ses_gcn_ros.training.recipe import DataRecipe, TrainingRecipe, find_recipe, flat, read_sections
from ses_gcn_ros.training.sources import fingerprint_of, held_out_rule, split
from ses_gcn_ros.training.trainer import Processes, Progress, Trainer, tensors_of

STRIDE = 10  # frames between the windows that are scored
_SHARED_VIEW = 8  # windows that a virtual camera sees; one each takes as long as the network

# What the paper takes away from its network (CVPR 2019, Tab. 2), the fully connected baseline, and
# what each looks like without what we add to the paper.
VARIANTS: dict[str, dict[str, Any]] = {
    "no_nonlocal": {"nonlocal_blocks": False},
    "no_semgconv": {"semantic": False},
    "resgcn": {"semantic": False, "nonlocal_blocks": False},
    "linear": {"kind": "linear", "width": 1024, "blocks": 2, "dropout": 0.5},
    "published": {"identity": False, "flat": False},
    "one_image": {"frames": 1},
    "linear_one_image": {"kind": "linear", "width": 1024, "blocks": 2, "dropout": 0.5, "frames": 1},
}


@dataclass(frozen=True)
class ViewsRecipe:
    """How motion is seen in training: other bodies through virtual cameras with a detector."""

    fps: float = option(25.0, "images a second", minimum=1)
    noise: tuple[float, ...] = option((1.0, 5.0), "least and greatest deviation [px]", minimum=0)
    outliers: float = option(0.05, "share of joints found elsewhere", minimum=0, maximum=0.5)
    missing: float = option(0.10, "share of joints not found", minimum=0, maximum=0.9)
    mirror: bool = option(True, "swap left and right in half of the windows")
    size: float = option(0.0, "change of body size, within exp(±size)", minimum=0, maximum=1)
    proportions: float = option(0.0, "change of each bone, within exp(±p)", minimum=0, maximum=1)


@dataclass(frozen=True)
class LiftingRecipe:
    """Everything about a training run but its data's place."""

    name: str  # name of the recipe and of the weights it gives
    model: LiftingConfig
    data: DataRecipe
    training: TrainingRecipe
    views: ViewsRecipe


_SECTIONS: dict[str, type[Any]] = {
    "model": LiftingConfig,
    "data": DataRecipe,
    "training": TrainingRecipe,
    "views": ViewsRecipe,
}
# Windows are drawn at random, one answer each; dropout is the linear network's own.
_UNUSED = (
    *("data.stride", "data.shares"),
    *("training.after", "training.freeze", "training.epochs", "training.milestones"),
    *("training.dropout", "training.horizon_weight", "training.relative", "training.caution"),
)


def load_lifting_recipe(name: str) -> LiftingRecipe:
    """Load a recipe by the name of one that ships, or by the path of a YAML file.

    Raises ConfigError if there is no such recipe, something in it is wrong, or an option has no use
    in lifting.
    """
    name, content = find_recipe(name, "lifting")
    recipe = LiftingRecipe(name, **read_sections(name, content, _SECTIONS, _UNUSED))
    if len(recipe.views.noise) != 2 or recipe.views.noise[0] > recipe.views.noise[1]:
        raise ConfigError(
            f"recipe '{name}' gives views.noise {list(recipe.views.noise)}; it takes the least and "
            "the greatest deviation"
        )
    return recipe


def variant(recipe: LiftingRecipe, name: str) -> LiftingRecipe:
    """A recipe with another network, trained in the same way.

    Raises ConfigError if there is no such variant.
    """
    if name not in VARIANTS:
        raise ConfigError(f"there is no variant '{name}'; known are {', '.join(VARIANTS)}")
    model = replace(recipe.model, **VARIANTS[name])
    return replace(recipe, name=f"{recipe.name}_{name}", model=model)


@dataclass(frozen=True, eq=False)
class SeenWindows:
    """Windows seen by a camera each."""

    # (N, F, J, 2): joints found, undistorted, at unit depth; NaN where not
    rays: NDArray[np.float64]
    confidence: NDArray[np.float64]  # (N, F, J): 0 where not found
    # (N, J, 3): True joints in the last image [m], optical axes, about the root
    joints: NDArray[np.float64]


def see(
    windows: NDArray[np.float32],
    rng: np.random.Generator,
    noise: tuple[float, float],
    outliers: float,
    missing: float,
    *,
    group: int = 1,
) -> SeenWindows:
    """Look at windows with virtual cameras, aimed at the body in the last image.

    `windows` (N, F, J, 3): positions [m], z up.
    `noise`: range of the standard deviation [px], drawn per camera.
    `group`: windows that share a camera, each turned about the vertical at random. It saves time.

    Returns views without the windows whose last image shows too few joints to lift.
    """
    middle = windows[:, -1].mean(axis=1, dtype=np.float64)
    shift = middle * (1.0, 1.0, 0.0)  # everybody to one place; the floor stays where it is
    angles = rng.uniform(-np.pi, np.pi, len(windows))
    centred = (windows - shift[:, None, None]) @ augment.turns(angles).astype(np.float64)
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
    return SeenWindows(rays, confidence, joints)


def as_training(seen: SeenWindows) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Features (N, J, C) of a network and the answers (N, J, 3) [m] that it should give."""
    framed = frame_rays(seen.rays, seen.confidence > 0.0)
    return framed.features, (seen.joints @ framed.camera_from_facing).astype(np.float32)


class LiftingTask:
    """A lifting network to be trained; see `trainer.Task`.

    Raises InputError if the recipe's split leaves a part empty, or sequences are shorter than a
    window.
    """

    per_epoch = 0

    def __init__(self, recipe: LiftingRecipe, sequences: Sequences[Sequence]) -> None:
        self.recipe, self.plan = recipe, recipe.training
        self._parts = split(sequences, recipe.data)
        likely = {"core": recipe.data.core_weight}
        frames, fps = recipe.model.frames, recipe.views.fps
        self._source = RandomWindows(self._parts.train, frames, fps, likely)

    def network(self) -> nn.Module:
        """See `trainer.Task`."""
        return make_network(self.recipe.model)

    def identity(self) -> dict[str, str]:
        """See `trainer.Task`."""
        values = {name: str(value) for name, value in flat(self.recipe).items()}
        return {**values, "data": fingerprint_of(self._parts.train)}

    def batch(
        self, step: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See `trainer.Task`; features and joints."""
        views, layout = self.recipe.views, self.recipe.model.layout
        drawn = self._source.sample(rng, self.plan.batch)
        if views.mirror:
            drawn = augment.mirror(drawn, rng, layout)
        drawn = augment.resize(drawn, rng, layout, views.size, views.proportions)
        low, high = views.noise
        seen = see(drawn, rng, (low, high), views.outliers, views.missing, group=_SHARED_VIEW)
        return as_training(seen)

    def loss(
        self,
        network: nn.Module,
        batch: tuple[NDArray[np.float32], NDArray[np.float32]],
        processes: Processes,
    ) -> tuple[Tensor, Tensor]:
        """Mean distance of the joints [m]."""
        mine = slice(processes.rank, None, processes.count)
        features, joints = (torch.from_numpy(a[mine]).to(processes.device) for a in batch)
        apart = torch.linalg.vector_norm(network(features).float() - joints, dim=-1)
        loss = apart.sum() / batch[1][..., 0].size
        return loss, loss

    def validate(self, network: nn.Module) -> float:
        """Error on the calibration part [m]."""
        weights = self.weights(tensors_of(network.state_dict()))
        return score_lifter(weights, self._parts.calibrate, self.recipe.views.fps).error

    def weights(self, tensors: dict[str, NDArray[np.generic]]) -> LiftingWeights:
        """Weights of the recipe's name."""
        return LiftingWeights(self.recipe.model, tensors, self.recipe.name)


def train_lifter(
    recipe: LiftingRecipe,
    recording: Recording,
    out: Path,
    progress: Progress = lambda step, steps, loss: None,
) -> LiftingWeights:
    """Train a recipe and write the weights.

    A run that was killed goes on where its last checkpoint, ``OUT.checkpoint``, was made. The
    checkpoint goes when the weights are written; the log, ``OUT.csv``, stays. Raises InputError if
    the recipe's split leaves a part empty, or sequences are shorter than a window; ConfigError if
    there is a checkpoint of another run; ModelError if the loss is no longer a number; the last
    checkpoint stays.
    """
    task = LiftingTask(recipe, recording.sequences)
    trainer = Trainer(task, out.with_suffix(".checkpoint"))
    trainer.run(progress)
    about = {
        "data": f"{recording.name}, without {held_out_rule(recipe.data)}",
        "recipe": recipe.name,
        "seed": str(recipe.training.seed),
        "steps": str(trainer.step),
        **recording.about,
    }
    weights = dataclasses.replace(task.weights(trainer.tensors()), about=about)
    write_lifting_weights(out, weights)
    trainer.forget()
    return weights


@dataclass(frozen=True)
class LiftingScore:
    """Root-relative error of a network, mean over people, images and all joints but the root."""

    name: str  # the network
    parameters: int  # number of its parameters, running statistics left out
    frames: int  # images that it looks at
    windows: int  # answers scored
    error: float  # mean distance [m]
    error_seen: float  # the same over the joints that the last image shows [m]


def score_lifter(
    weights: LiftingWeights, sequences: Sequences[Sequence], fps: float
) -> LiftingScore:
    """Score a network on windows of sequences, each seen by a random virtual camera.

    Every network of as many frames sees the same windows through the same cameras with the same
    noise. Raises InputError if no sequence is as long as a window.
    """
    lifter = Lifter(weights)
    rng = np.random.default_rng(0)
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
