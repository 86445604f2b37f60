"""Recipes of lifting networks: everything that decides what a training run gives."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml

from ses_gcn_ros.config import build, option
from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.models.lifting_config import LiftingConfig
from ses_gcn_ros.resources import share_path
from ses_gcn_ros.training.recipe import DataRecipe, TrainingRecipe

# What the paper takes away from its network (CVPR 2019, Tab. 2), the fully connected baseline, and
# what each looks like without what we add to the paper.
VARIANTS: dict[str, dict[str, Any]] = {
    "no_nonlocal": {"nonlocal_blocks": False},
    "no_semgconv": {"semantic": False},
    "resgcn": {"semantic": False, "nonlocal_blocks": False},
    "linear": {"kind": "linear", "width": 1024, "blocks": 2, "dropout": 0.5},
    "published": {"identity": False, "flat": False},
    "one_image": {"frames": 1},
    "linear_one_image": {
        "kind": "linear",
        "width": 1024,
        "blocks": 2,
        "dropout": 0.5,
        "frames": 1,
    },
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
    """Everything about a training run but its data's place.

    Attributes
    ----------
    name : str
        Name of the recipe and of the weights it gives.
    model, data, training, views
        See each.
    """

    name: str
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


def load_lifting_recipe(name: str) -> LiftingRecipe:
    """Load a recipe by the name of one that ships, or by the path of a YAML file.

    Raises
    ------
    ConfigError
        If there is no such recipe, or a section, name, type or value in it is wrong.
    """
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        path = share_path("config", "lifting") / f"{name}.yaml"
    if not path.is_file():
        known = sorted(file.stem for file in share_path("config", "lifting").glob("*.yaml"))
        raise ConfigError(
            f"there is no lifting recipe '{name}'; known are {', '.join(known)}, or give a .yaml "
            "file"
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"recipe '{path}' can't be read: {error}") from error
    if not isinstance(content, dict) or set(content) - set(_SECTIONS):
        raise ConfigError(f"recipe '{path}' is no mapping of sections {', '.join(_SECTIONS)}")
    parts = {}
    for section, kind in _SECTIONS.items():
        try:
            parts[section] = build(kind, content.get(section) or {})
        except ConfigError as error:
            raise ConfigError(f"recipe '{path}', section '{section}': {error}") from error
    return LiftingRecipe(path.stem, **parts)


def variant(recipe: LiftingRecipe, name: str) -> LiftingRecipe:
    """A recipe with another network, trained in the same way.

    Raises
    ------
    ConfigError
        If there is no such variant.
    """
    if name not in VARIANTS:
        raise ConfigError(f"there is no variant '{name}'; known are {', '.join(VARIANTS)}")
    model = replace(recipe.model, **VARIANTS[name])
    return replace(recipe, name=f"{recipe.name}_{name}", model=model)


def values(recipe: LiftingRecipe) -> dict[str, str]:
    """Every value of a recipe by 'section.name', to tell two recipes apart."""
    return {
        f"{section}.{field.name}": str(getattr(getattr(recipe, section), field.name))
        for section, kind in _SECTIONS.items()
        for field in fields(kind)
    }
