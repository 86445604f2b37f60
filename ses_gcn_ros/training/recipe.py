"""Recipes: everything that decides what a training run gives, as a YAML file.

A recipe may be `like` another one, of which it then gives what differs.

A recipe has sections, each a dataclass of options. What is trained decides which sections there are
and which options have a use; `read_sections` refuses any other.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from ses_gcn_ros.config import build, option
from ses_gcn_ros.errors import ConfigError, InputError
from ses_gcn_ros.models.config import ModelConfig
from ses_gcn_ros.resources import parse_yaml, share_path
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
    shares: tuple[str, ...] = option(
        (), "share of each file in a batch, such as 'cmu 0.5'; none: by their length"
    )
    core_weight: float = option(
        1.0, "how much likelier windows of sequences tagged 'core' are drawn", minimum=0.01
    )
    stride: int = option(2, "frames between windows in evaluation", minimum=1)

    def share_of(self) -> dict[str, float]:
        """Share of each file by its name.

        Raises ConfigError if an entry is no name and positive number.
        """
        shares = {}
        for entry in self.shares:
            name, _, number = entry.rpartition(" ")
            try:
                shares[name.strip()] = float(number)
            except ValueError:
                shares[""] = 0.0
            if not name.strip() or not shares.get(name.strip(), 0) > 0:
                raise ConfigError(f"data.shares has '{entry}'; it takes a name and a share above 0")
        return shares


@dataclass(frozen=True)
class TrainingRecipe:
    """How the network is trained."""

    seed: int = option(0, "of everything drawn at random", minimum=0)
    after: str = option("", "recipe that is trained first, and whose weights this one goes on from")
    members: tuple[str, ...] = option(
        (), "recipes whose networks this one is the mean of; nothing else here has a use then"
    )
    teacher: str = option(
        "", "weights (shipped, or a file) whose answers are learnt beside what happened"
    )
    taught: float = option(
        0.5, "what the teacher's answers count; what happened counts the rest", minimum=0, maximum=1
    )
    freeze: tuple[str, ...] = option((), "parts of the network that stay as they are: layers, base")
    steps: int = option(1000, "optimiser steps", minimum=1)
    epochs: int = option(
        0, "instead, how often every window of the grid is seen; 0: random windows", minimum=0
    )
    batch: int = option(64, "windows per step", minimum=2)
    optimiser: str = option(
        "adamw",
        "adamw spares biases and scales the decay; sgd with Nesterov's momentum of 0.9",
        choices=("adamw", "adam", "sgd"),
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
    relative: bool = option(
        False, "errors count in parts of what the better baseline errs by, per file and frame"
    )
    caution: float = option(
        0.0, "what a metre away from the last pose costs beside one of error", minimum=0, maximum=1
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
    noise: float = option(0.0, "largest deviation of white noise [m]", minimum=0, maximum=0.2)
    noise_share: float = option(0.5, "share of windows with noise", minimum=0, maximum=1)
    camera_share: float = option(
        0.0, "share of windows with what cameras and trackers add", minimum=0, maximum=1
    )
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
    camera_share: float = option(
        0.0,
        "share of windows that calibrate once more, with what cameras and trackers add",
        minimum=0,
        maximum=1,
    )


@dataclass(frozen=True)
class Recipe:
    """Everything about the training of a forecaster but its data's place."""

    name: str  # name of the recipe and of the weights it gives
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


def find_recipe(name: str, folder: str) -> tuple[str, Any]:
    """Name and content of a recipe that ships in ``config/FOLDER``, or of a YAML file.

    Raises ConfigError if there is no such recipe, it is no YAML, or it is like itself.
    """
    return _find(name, folder, ())


def _find(name: str, folder: str, after: tuple[str, ...]) -> tuple[str, Any]:
    """Recipe that `after` are like; see `find_recipe`."""
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        shipped = share_path("config", folder)
        path = shipped / f"{name}.yaml"
        if not path.is_file():
            known = ", ".join(sorted(file.stem for file in shipped.glob("*.yaml")))
            raise ConfigError(
                f"there is no recipe '{name}'; known are {known}, or give a .yaml file"
            )
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"recipe '{path}' can't be read: {error}") from error
    if name in after:
        raise ConfigError(f"recipe '{name}' is like itself ({' → '.join((*after, name))})")
    if isinstance(content, dict) and "like" in content:
        other = str(content.pop("like"))
        _, whole = _find(other, folder, (*after, name))
        if not isinstance(whole, dict):
            raise ConfigError(f"recipe '{path}' is like '{other}', which is no mapping of sections")
        for section, values in content.items():
            both = isinstance(values, dict) and isinstance(whole.get(section), dict)
            whole[section] = {**whole[section], **values} if both else values
        content = whole
    return path.stem, content


def read_sections(
    name: str, content: Any, sections: Mapping[str, type[Any]], unused: Collection[str] = ()
) -> dict[str, Any]:
    """Sections of a recipe as the dataclasses that describe them.

    Raises ConfigError if a section, name, type or value is wrong, or an option has no use.

    `sections`: dataclass by section; a section that is left out has its defaults.
    `unused`: options, as 'training.after', that what is trained has no use for.
    """
    known = ", ".join(sections)
    if not isinstance(content, dict):
        raise ConfigError(f"recipe '{name}' is no mapping of sections {known}")
    unknown = sorted(str(section) for section in set(content) - set(sections))
    if unknown:
        raise ConfigError(
            f"recipe '{name}' has an unknown section '{unknown[0]}'; known are {known}"
        )
    parts = {}
    for section, kind in sections.items():
        values = content.get(section) or {}
        if not isinstance(values, dict):
            raise ConfigError(f"section '{section}' of recipe '{name}' is no mapping")
        idle = next((f"{section}.{key}" for key in values if f"{section}.{key}" in unused), None)
        if idle is not None:
            raise ConfigError(f"recipe '{name}' gives {idle}, which has no use here; remove it")
        try:
            parts[section] = build(kind, values)
        except ConfigError as error:
            raise ConfigError(f"recipe '{name}', section '{section}': {error}") from error
    return parts


def load_recipe(name: str) -> Recipe:
    """Load the recipe of a forecaster; see `find_recipe` and `make_recipe`."""
    return make_recipe(*find_recipe(name, "training"))


def make_recipe(name: str, content: Any) -> Recipe:
    """Recipe of a forecaster from plain values.

    Raises ConfigError if something in it is wrong or contradicts something else.
    """
    recipe = Recipe(name=name, **read_sections(name, content, _SECTIONS))
    if "taught" in (content.get("training") or {}) and not recipe.training.teacher:
        raise ConfigError(
            f"recipe '{name}' gives training.taught, but no training.teacher; give that one, too, "
            "or remove it"
        )
    if recipe.training.members:
        recipe = replace(recipe, model=_mean(recipe))
    _check(recipe)
    return recipe


def in_order(recipe: Any, load: Callable[[str], Any]) -> list[Any]:
    """Recipes that one goes on from, first to last, then itself.

    Raises ConfigError if one goes on from itself.
    """
    chain = [recipe]
    while after := chain[0].training.after:
        if after in [one.training.after for one in chain[1:]]:
            raise ConfigError(f"recipe '{after}' goes on from itself")
        chain.insert(0, load(after))
    return chain


def _mean(recipe: Recipe) -> ModelConfig:
    """The mean of the networks of a recipe's members."""
    models = []
    for member in recipe.training.members:
        name, content = find_recipe(member, "training")
        if isinstance(content, dict) and (content.get("training") or {}).get("members"):
            raise ConfigError(f"recipe '{recipe.name}' is a mean over '{member}', itself a mean")
        models.append(make_recipe(name, content).model)
    named = tuple(" ".join([model.network, *map(str, model.widths)]) for model in models)
    means = [replace(m, network="mean", widths=(), members=named) for m in models]
    if any(mean != means[0] for mean in means):
        raise ConfigError(
            f"recipe '{recipe.name}' is a mean over networks that see motion differently; only "
            "model.network and model.widths of its members may differ"
        )
    return means[0]


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
    data.share_of()
    for key, value in (
        ("training.caution", plan.caution),
        ("calibration.camera_share", recipe.calibration.camera_share),
    ):
        if value and not recipe.model.gate:
            raise ConfigError(
                f"recipe '{name}' gives {key}, which only a network with a learnt base "
                "(model.gate) has a use for; remove it"
            )
    strange = sorted(set(plan.freeze) - {"layers", "base", "decoder"})
    if strange:
        raise ConfigError(
            f"recipe '{name}' freezes '{strange[0]}'; it takes layers, base or decoder"
        )
    if not plan.epochs and plan.milestones:
        raise ConfigError(f"recipe '{name}' gives milestones in epochs; give training.epochs too")
    if plan.epochs and (data.shares or plan.relative):
        raise ConfigError(
            f"recipe '{name}' takes every window once an epoch, so that data.shares and "
            "training.relative have no use; remove them, or training.epochs"
        )
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


def flat(recipe: Any) -> dict[str, Any]:
    """Every value of a recipe of any kind by 'section.name', to tell two recipes apart."""
    values = {field.name: getattr(recipe, field.name) for field in fields(recipe)}
    told: dict[str, Any] = {}
    for section, value in values.items():
        if is_dataclass(value):
            told |= {f"{section}.{part.name}": getattr(value, part.name) for part in fields(value)}
        elif section != "name":
            told[section] = value
    return told
