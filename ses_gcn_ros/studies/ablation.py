"""What pieces and sparser masks are worth: the recipe without one, students of a teacher."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from collections.abc import Sequence as Sequences
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ses_gcn_ros.datasets.sequences import Recording, Sequence, windows
from ses_gcn_ros.errors import ConfigError, ModelError
from ses_gcn_ros.forecast.engine import build_engine
from ses_gcn_ros.forecast.weights import Weights, read_weights
from ses_gcn_ros.replay.figures import Theme, bare, headline, styled
from ses_gcn_ros.training import augment
from ses_gcn_ros.training.forecasting import train
from ses_gcn_ros.training.recipe import Recipe, flat
from ses_gcn_ros.training.sources import split
from ses_gcn_ros.training.students import CurvePoint
from ses_gcn_ros.training.trainer import Progress

# What is changed, by section and name; what a recipe has set so already is passed over.
VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "complete": {},
    "no origin invariance": {"model": {"origin": False}},
    "no heading invariance": {"model": {"heading": False}},
    "neither": {"model": {"origin": False, "heading": False}},
    "no offset from damped velocity": {"model": {"offset": False}},
    "no velocity input": {"model": {"motion": False}},
    "no flag of visibility": {"model": {"visibility": False}, "augment": {"unseen_share": 0.0}},
    "cosine transform along time": {"model": {"frequency": True}},
    "no mirroring": {"augment": {"mirror": False}},
    "no change of tempo": {"augment": {"tempo": 0.0}},
    "no change of body size": {"augment": {"size": 0.0, "proportions": 0.0}},
    "no turning": {"augment": {"turn": 0.0}},
    "no shorter strides": {"augment": {"slow_share": 0.0}},
    "no camera noise": {"augment": {"noise": 0.0}},
    "no misplaced joints": {"augment": {"misplaced_share": 0.0}},
    "no unseen joints": {"augment": {"unseen_share": 0.0}},
    "near frames weigh more": {"training": {"horizon_weight": 0.5}},
    "no average of weights": {"training": {"average": 0.0}},
}

Condition = Callable[[NDArray[np.float32], np.random.Generator], NDArray[np.float32]]


def _moved(windows: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Seen from a frame whose origin lies 2 m away and whose x axis is turned at random."""
    angle = rng.uniform(-np.pi, np.pi, len(windows))
    return windows @ augment.turns(angle) + np.array([2, 0, 0], np.float32)


def _noisy(history: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    return augment.camera_noise(history, rng, deviation=0.01, share=1.0)


def _hidden(history: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    return augment.drop_joints(history, rng, share=1.0)


@dataclass(frozen=True)
class AblationRow:
    """Errors of one variant on held-out motion."""

    variant: str  # what was changed
    # MPJPE at the second and the last frame and over all [mm]
    frame_2: float
    last: float
    mean: float
    # mean MPJPE [mm] with the cell's origin 2 m away and turned, with 10 mm of camera noise, and
    # with up to a third of the joints hidden; NaN where a network takes no hidden joints
    moved: float
    noisy: float
    unseen: float
    # MPJPE on another recording; NaN without one
    other_mean: float
    other_last: float


def variants_of(recipe: Recipe) -> dict[str, Recipe]:
    """Recipes that differ from one by a piece each, by name of the variant."""
    chosen: dict[str, Recipe] = {}
    values = flat(recipe)
    for name, sections in VARIANTS.items():
        changes = {f"{s}.{key}": v for s, part in sections.items() for key, v in part.items()}
        if changes and all(values[key] == value for key, value in changes.items()):
            continue
        parts = {s: dataclasses.replace(getattr(recipe, s), **v) for s, v in sections.items()}
        chosen[name] = dataclasses.replace(recipe, **parts)
    return chosen


def ablate(
    recipe: Recipe,
    recording: Recording,
    folder: Path,
    *,
    steps: int,
    stride: int,
    other: Sequences[Sequence] = (),
    device: str = "cpu",
    progress: Callable[[str], Progress],
) -> Iterator[AblationRow]:
    """Train every variant for as many steps and measure it; what is trained already is kept.

    Raises ConfigError if weights in the folder were trained otherwise.

    `recording`: what it is trained on, by its split.
    `folder`: weights of the variants; a run that was interrupted goes on from what lies there.
    `progress`: gives what to call for each variant by its name.
    """
    held_out = split(recording.sequences, recipe.data).held_out
    plan = dataclasses.replace(recipe.training, after="", steps=steps, epochs=0, milestones=())
    short = dataclasses.replace(recipe, training=plan)
    for name, variant in variants_of(short).items():
        path = folder / f"{name.replace(' ', '_')}.safetensors"
        weights = _trained_already(path, variant, steps)
        if weights is None:
            show = progress(name)
            weights = train(variant, recording, path, device=device, progress=show)
        yield measure_variant(name, weights, held_out, other, stride)


def _trained_already(path: Path, variant: Recipe, steps: int) -> Weights | None:
    if not path.is_file():
        return None
    try:
        weights = read_weights(path)
    except ModelError as error:
        raise ConfigError(f"{error}; remove it to train that variant anew") from error
    if weights.about.get("steps") != str(steps) or weights.config != variant.model:
        raise ConfigError(
            f"'{path}' was trained for {weights.about.get('steps')} steps or as another network; "
            "remove it, or take another folder"
        )
    return weights


def measure_variant(
    name: str,
    weights: Weights,
    held_out: Sequences[Sequence],
    other: Sequences[Sequence],
    stride: int,
) -> AblationRow:
    """Measure one variant under all conditions of the table."""
    plain = _errors(weights, held_out, stride)
    moved = _errors(weights, held_out, stride, window=_moved)
    noisy = _errors(weights, held_out, stride, history=_noisy)
    unseen = np.full(1, np.nan)
    if weights.config.visibility:
        unseen = _errors(weights, held_out, stride, history=_hidden)
    elsewhere = _errors(weights, other, stride) if other else np.full(1, np.nan)
    second = plain[min(1, len(plain) - 1)]
    means = [plain.mean(), moved.mean(), noisy.mean(), unseen.mean(), elsewhere.mean()]
    values = [second, plain[-1], *means, elsewhere[-1]]
    return AblationRow(name, *(round(float(value), 1) for value in values))


def _errors(
    weights: Weights,
    sequences: Sequences[Sequence],
    stride: int,
    *,
    window: Condition | None = None,
    history: Condition | None = None,
) -> NDArray[np.float64]:
    """MPJPE per frame of the joints that are seen [mm], shape (H,)."""
    engine = build_engine(weights, "eager", "cpu")
    rng = np.random.default_rng(0)
    length = engine.observed + engine.horizon
    distances = []
    for _, views in windows(sequences, length, engine.fps, stride):
        views = np.ascontiguousarray(views)
        if window is not None:
            views = window(views, rng)
        past, future = views[:, : engine.observed], views[:, engine.observed :]
        if history is not None:
            past = history(past, rng)
        distances.append(np.linalg.norm(engine.predict(past) - future, axis=-1))
    return 1000 * np.nanmean(np.concatenate(distances), axis=(0, 2))


_NAMES = {"keep": "share of each adjacency", "threshold": "one threshold for all"}


def mask_figure(points: Sequences[CurvePoint], steps: int, theme: Theme) -> Figure:
    """Draw mean errors of students against their teacher's.

    `points`: from `mask_curve`, the teacher first.
    """
    colours = {"keep": theme.person, "threshold": theme.forecast}
    teacher = points[0]
    with styled(theme):
        figure = Figure(figsize=(6.8, 4.0))
        axes = figure.add_axes((0.085, 0.115, 0.88, 0.69))
        for level, text in ((1.0, "teacher"), (1.02, "2 % more")):
            axes.axhline(level * teacher.mean_mm, color=theme.baseline_1, lw=0.9, zorder=1)
            axes.annotate(
                text, (0.01, level * teacher.mean_mm), (0, 2), xycoords=("axes fraction", "data"),
                textcoords="offset points", color=theme.quiet, size=8,
            )  # fmt: skip
        for way, colour in colours.items():
            line = sorted((p.kept, p.mean_mm, bool(p.emptied)) for p in points if p.way == way)
            kept = [100 * share for share, _, _ in line]
            axes.plot(kept, [mean for _, mean, _ in line], color=colour, lw=1.8, label=_NAMES[way])
            for share, (_, mean, empty) in zip(kept, line, strict=True):
                fill = theme.paper if empty else colour
                axes.plot(share, mean, "o", color=colour, mfc=fill, ms=5)
        axes.set(xlim=(0, 102), xlabel="% of adjacency entries kept")
        axes.grid(axis="y", color=theme.grid, lw=0.6)
        axes.set_axisbelow(True)
        axes.legend(frameon=False, loc="upper right")
        bare(axes)
        trained = f"trained on for {steps} steps" if steps else "not trained on"
        subtitle = f"MPJPE in mm over all frames, students {trained}"
        if any(point.emptied for point in points):
            subtitle += "; hollow: a layer is emptied"
        headline(figure, theme, "What sparser masks cost", subtitle)
    return figure
