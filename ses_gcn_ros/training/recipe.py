"""Recipes: everything that decides what a training run gives, as a YAML file."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from ses_gcn_ros.config import build, option
from ses_gcn_ros.errors import ConfigError, InputError
from ses_gcn_ros.models.config import ModelConfig
from ses_gcn_ros.resources import share_path
from ses_gcn_ros.skeleton import get_layout


@dataclass(frozen=True)
class DataRecipe:
    """Which sequences train, which calibrate and which test."""

    held_out_subjects: tuple[str, ...] = option(
        (), "subjects kept from training; their recordings in turn calibrate and test"
    )
    calibrate_subjects: tuple[str, ...] = option(
        (), "of those, the ones that calibrate and validate; the others test, none in turn"
    )
    held_out_every: int = option(
        0, "keep every n-th recording from training instead; 0: by subject", minimum=0
    )
    left_out: tuple[str, ...] = option(
        (), "sequences used for nothing, by the beginning of their names"
    )
    left_out_tags: tuple[str, ...] = option((), "and by their tags")
    core_weight: float = option(
        1.0, "how much likelier windows of sequences tagged 'core' are drawn", minimum=0.01
    )
    stride: int = option(2, "frames between windows in evaluation", minimum=1)


@dataclass(frozen=True)
class TrainingRecipe:
    """How the network is trained."""

    seed: int = option(0, "of everything drawn at random", minimum=0)
    after: str = option("", "recipe that is trained first, and whose weights this one goes on from")
    steps: int = option(1000, "optimiser steps", minimum=1)
    epochs: int = option(
        0, "instead, how often every window of the grid is seen; 0: random windows", minimum=0
    )
    batch: int = option(64, "windows per step", minimum=2)
    optimiser: str = option(
        "adamw", "adamw spares biases and scales the decay", choices=("adamw", "adam")
    )
    learning_rate: float = option(3e-3, "highest rate", minimum=0)
    warm_up: int = option(200, "steps until it is reached", minimum=1)
    milestones: tuple[int, ...] = option(
        (), "epochs after which the rate falls to a tenth; none: it falls as a cosine", minimum=1
    )
    weight_decay: float = option(1e-2, "of the weights", minimum=0)
    dropout: float = option(
        0.0, "share of features a window goes without, per layer", minimum=0, maximum=0.9
    )
    clip: float = option(1.0, "longest gradient; 0: any", minimum=0)
    precision: str = option(
        "float32", "of products; sums and weights stay float32", choices=("float32", "bfloat16")
    )
    average: float = option(0.998, "decay of the moving average of weights", minimum=0, maximum=1)
    horizon_weight: float = option(
        0.0, "frame k of the loss counts k^-w: above 0 stresses near frames", minimum=0, maximum=2
    )
    checkpoint_every: int = option(250, "steps between checkpoints and log lines", minimum=1)
    patience: int = option(
        0, "checkpoints without a better validation until it ends; 0: no validation", minimum=0
    )


@dataclass(frozen=True)
class AugmentRecipe:
    """What is done to recorded windows before the network sees them."""

    mirror: bool = option(True, "swap left and right in half of the windows")
    tempo: float = option(0.0, "change of tempo, within exp(±tempo)", minimum=0, maximum=1)
    size: float = option(0.0, "change of body size, within exp(±size)", minimum=0, maximum=1)
    proportions: float = option(0.0, "change of each bone, within exp(±p)", minimum=0, maximum=1)
    turn: float = option(0.0, "random turn about the vertical, ± radians", minimum=0, maximum=3.2)
    slow_share: float = option(
        0.0, "share of windows in which people get less far over the ground", minimum=0, maximum=1
    )
    noise: float = option(0.0, "largest deviation of camera noise [m]", minimum=0, maximum=0.2)
    noise_share: float = option(0.5, "share of windows with noise", minimum=0, maximum=1)
    misplaced: float = option(0.0, "largest offset of wrong joints [m]", minimum=0, maximum=1)
    misplaced_share: float = option(0.0, "share of windows with any", minimum=0, maximum=1)
    unseen_share: float = option(0.0, "share of windows with unseen joints", minimum=0, maximum=1)


@dataclass(frozen=True)
class CalibrationRecipe:
    """The radius around forecasts."""

    coverage: float = option(0.95, "share of joints within it", minimum=0.5, maximum=0.999)
    margin: float = option(
        0.0,
        "added to the share at calibration: windows of one recording tell less than as many others",
        minimum=0,
        maximum=0.2,
    )


@dataclass(frozen=True)
class Recipe:
    """Everything about a training run but its data's place.

    Attributes
    ----------
    name : str
        Name of the recipe and of the weights it gives.
    model, data, training, augment, calibration
        See each.
    """

    name: str
    model: ModelConfig
    data: DataRecipe
    training: TrainingRecipe
    augment: AugmentRecipe
    calibration: CalibrationRecipe


_SECTIONS: dict[str, type[Any]] = {
    "model": ModelConfig,
    "data": DataRecipe,
    "training": TrainingRecipe,
    "augment": AugmentRecipe,
    "calibration": CalibrationRecipe,
}


def load_recipe(name: str) -> Recipe:
    """Load a recipe by the name of one that ships, or by the path of a YAML file.

    Raises
    ------
    ConfigError
        If there is no such recipe, or a section, name, type or value in it is wrong.
    """
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        folder = share_path("config", "training")
        path = folder / f"{name}.yaml"
        if not path.is_file():
            known = ", ".join(sorted(file.stem for file in folder.glob("*.yaml")))
            raise ConfigError(
                f"there is no recipe '{name}'; known are {known}, or give a .yaml file"
            )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"recipe '{path}' can't be read: {error}") from error
    return make_recipe(path.stem, content)


def make_recipe(name: str, content: Any) -> Recipe:
    """Recipe from plain values; see `load_recipe`."""
    if not isinstance(content, dict):
        raise ConfigError(f"recipe '{name}' is no mapping of sections {', '.join(_SECTIONS)}")
    unknown = sorted(set(content) - set(_SECTIONS))
    if unknown:
        raise ConfigError(
            f"recipe '{name}' has an unknown section '{unknown[0]}'; known are "
            f"{', '.join(_SECTIONS)}"
        )
    parts = {}
    for section, kind in _SECTIONS.items():
        values = content.get(section) or {}
        if not isinstance(values, dict):
            raise ConfigError(f"section '{section}' of recipe '{name}' is no mapping")
        try:
            parts[section] = build(kind, values)
        except ConfigError as error:
            raise ConfigError(f"recipe '{name}', section '{section}': {error}") from error
    recipe = Recipe(name=name, **parts)
    _check(recipe)
    return recipe


def _check(recipe: Recipe) -> None:
    """Check what ranges alone can't."""
    name, data, plan = recipe.name, recipe.data, recipe.training
    recipe.model.check()
    try:
        joints = len(get_layout(recipe.model.layout).joints)
    except InputError as error:
        raise ConfigError(f"recipe '{name}': {error}") from error
    if joints != recipe.model.joints:
        raise ConfigError(
            f"recipe '{name}' gives {recipe.model.joints} joints; layout {recipe.model.layout} has "
            f"{joints}"
        )
    if not data.held_out_subjects and not data.held_out_every:
        raise ConfigError(
            f"recipe '{name}' keeps nothing from training; give data.held_out_subjects or "
            "data.held_out_every"
        )
    foreign = sorted(set(data.calibrate_subjects) - set(data.held_out_subjects))
    if foreign:
        raise ConfigError(
            f"recipe '{name}' calibrates on subject {foreign[0]}, which is not among "
            "data.held_out_subjects"
        )
    if not plan.epochs and plan.milestones:
        raise ConfigError(f"recipe '{name}' gives milestones in epochs; give training.epochs too")
    if recipe.calibration.coverage + recipe.calibration.margin >= 1:
        raise ConfigError(
            f"recipe '{name}' calibrates a share of {recipe.calibration.coverage:g} with a margin "
            f"of {recipe.calibration.margin:g}; together they must stay below 1"
        )
    if plan.epochs and recipe.augment.tempo:
        raise ConfigError(
            f"recipe '{name}' changes the tempo of windows on a grid; set augment.tempo or "
            "training.epochs to 0"
        )


def flat(recipe: Recipe) -> dict[str, Any]:
    """Every value of a recipe by 'section.name', to tell two recipes apart."""
    return {
        f"{section}.{field.name}": getattr(getattr(recipe, section), field.name)
        for section, kind in _SECTIONS.items()
        for field in fields(kind)
    }
