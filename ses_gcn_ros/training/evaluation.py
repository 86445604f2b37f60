"""How far off forecasts are on recorded motion, in windows and as a stream, and if radii hold.

Errors stand beside those of every baseline, per frame and averaged up to it, because papers mix
them; what a network gains is said against the better baseline of each frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Sequence as Sequences
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.datasets.sequences import Sequence, check_layout, windows
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.forecast.adaptive import AdaptiveRadius
from ses_gcn_ros.forecast.baselines import BASELINES
from ses_gcn_ros.forecast.config import ForecastConfig
from ses_gcn_ros.forecast.engine import Engine
from ses_gcn_ros.forecast.forecaster import Forecaster
from ses_gcn_ros.resources import csv_text
from ses_gcn_ros.skeleton import Skeleton, get_layout

FRAMES = (1, 2, 4, 10, 14, 25)
Table = dict[str, Any]

_BATCH = 256  # windows forecast at once
_PLANTED, _ON_FLOOR = 0.05, 0.15  # m/s and m: a foot that stands
_LABELS = (("at_frame", "at the frame"), ("up_to_frame", "averaged up to the frame"))


@dataclass(frozen=True, eq=False)
class Errors:
    """Distances between forecast and recorded joints."""

    # (W, H, J): by method: the model under its own name, and each baseline [m]; NaN where a joint
    # is not known
    distance: dict[str, NDArray[np.float32]]
    model: str  # name of the model among them
    group: NDArray[np.str_]  # (W,): file and tags of each window's sequence, joined
    # (J,): share of each joint in the mean; they add up to less than 1 where a mean is over joints
    # that are not forecast and count as 0
    weight: NDArray[np.float64]
    # (W,): how far bones are from their length in the history at the last step, in parts of it
    bone_error: NDArray[np.float64]
    # (W,): mean speed of feet that stand, in history and record, in the forecast [m/s]; NaN without
    foot_slide: NDArray[np.float64]
    # (W, H, J): given out with each forecast of the model [m], where its weights carry one
    radius: NDArray[np.float32] | None = None

    def per_step(
        self, method: str, chosen: NDArray[np.bool_] | slice = slice(None)
    ) -> NDArray[np.float64]:
        """Mean error of a method at each step [m], over the chosen windows, shape (H,)."""
        distance = self.distance[method][chosen]
        known = np.isfinite(distance)
        if known.all():
            whole: NDArray[np.float64] = distance.mean(axis=0) @ self.weight
            return whole
        share = known * self.weight
        total = np.where(known, distance, 0).astype(np.float64) * self.weight
        counted = np.maximum(share.sum(axis=(0, 2)), 1e-9)
        mean: NDArray[np.float64] = total.sum(axis=(0, 2)) / counted * self.weight.sum()
        return mean


def measure(engine: Engine, sequences: Sequences[Sequence], stride: int) -> Errors:
    """Forecast every window of some sequences.

    Raises InputError if the sequences have another layout, or none is as long as a window.
    """
    check_layout(sequences, engine.layout, engine.name)
    length = engine.observed + engine.horizon
    return measure_windows(engine, windows(sequences, length, engine.fps, stride))


def measure_windows(
    engine: Engine,
    parts: Iterable[tuple[Sequence, NDArray[np.float32]]],
    weight: NDArray[np.float64] | None = None,
) -> Errors:
    """Forecast windows of sequences in the engine's layout, at its frame rate.

    A joint that is missing in any frame of a history is not forecast in that window. Raises
    InputError if no window has a joint that is seen throughout its history.

    `parts`: sequences with windows of them, (W, T + H, J, 3) [m].
    `weight` (J,): share of each joint in the mean; the same for all if None.
    """
    distance: dict[str, list[NDArray[np.float32]]] = {engine.name: []}
    distance.update({name: [] for name in BASELINES})
    groups: list[str] = []
    bones: list[NDArray[np.float64]] = []
    slides: list[NDArray[np.float64]] = []
    radii: list[NDArray[np.float32]] = []
    for sequence, views in parts:
        group = " ".join([*filter(None, [sequence.group]), *sorted(sequence.tags)])
        for start in range(0, len(views), _BATCH):
            part = np.array(views[start : start + _BATCH])
            seen = np.all(np.isfinite(part[:, : engine.observed]), axis=(1, 3))
            part = np.where(seen[:, None, :, None], part, np.float32(np.nan))[seen.any(axis=1)]
            if not len(part):
                continue
            history, future = part[:, : engine.observed], part[:, engine.observed :]
            path, radius, *_ = engine.predict_with_radius(history)
            answers = {engine.name: path}
            if radius is not None:
                radii.append(radius)
            answers.update({n: f(history, engine.horizon) for n, f in BASELINES.items()})
            for name, answer in answers.items():
                distance[name].append(np.linalg.norm(answer - future, axis=-1))
            groups += [group] * len(part)
            bones.append(bone_error(engine, history, answers[engine.name]))
            slides.append(foot_slide(engine, history, future, answers[engine.name]))
    if not groups:
        raise InputError("no window holds a joint that is seen throughout its history")
    joints = distance[engine.name][0].shape[-1]
    return Errors(
        distance={name: np.concatenate(pieces) for name, pieces in distance.items()},
        model=engine.name,
        group=np.array(groups),
        weight=np.full(joints, 1 / joints) if weight is None else weight,
        bone_error=np.concatenate(bones),
        foot_slide=np.concatenate(slides),
        radius=np.concatenate(radii) if radii else None,
    )


def bone_error(
    engine: Engine, history: NDArray[np.float32], path: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Mean change of bone lengths from the history to the last step, in parts, shape (W,)."""
    layout = get_layout(engine.layout)
    pairs = [(child, parent) for child, parent in enumerate(layout.parents) if parent >= 0]
    child, parent = np.array(pairs).T
    before = np.linalg.norm(history[:, :, child] - history[:, :, parent], axis=-1).mean(axis=1)
    after = np.linalg.norm(path[:, -1, child] - path[:, -1, parent], axis=-1)
    change = np.abs(after - before) / np.maximum(before, 1e-3)
    known = np.isfinite(change)
    return np.where(known, change, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)


def foot_slide(
    engine: Engine,
    history: NDArray[np.float32],
    future: NDArray[np.float32],
    path: NDArray[np.float32],
) -> NDArray[np.float64]:
    """Mean horizontal speed in the forecast of feet that stand throughout [m/s], shape (W,)."""
    names = get_layout(engine.layout).canonical
    feet = [names.index(name) for name in ("r_ankle", "l_ankle") if name in names]
    if not feet:
        return np.full(len(history), np.nan)
    recorded = np.concatenate([history, future], axis=1)[:, :, feet]
    speed = np.linalg.norm(np.diff(recorded[..., :2], axis=1), axis=-1) * engine.fps
    height = recorded[..., 2].max(axis=1)
    stands = (speed.max(axis=1) < 4 * _PLANTED) & (speed.mean(axis=1) < _PLANTED)
    stands &= height < _ON_FLOOR  # False where anything is NaN
    whole = np.concatenate([history[:, -1:], path], axis=1)[:, :, feet, :2]
    slide = np.linalg.norm(np.diff(whole, axis=1), axis=-1).mean(axis=1) * engine.fps
    total = np.where(stands, slide, 0).sum(axis=1)
    return np.where(stands.any(axis=1), total / np.maximum(stands.sum(axis=1), 1), np.nan)


def conformal_radius(distance: NDArray[np.float32], coverage: float) -> NDArray[np.float32]:
    """Radius per step and joint that holds the next unseen error with at least `coverage`.

    Split conformal prediction (Vovk et al. 2005; Lei et al. 2018): the ⌈(n+1)·coverage⌉-th smallest
    of n held-out errors. Raises InputError if there are too few windows for that coverage.

    `distance` (W, H, J): errors on windows that the model was not trained on [m]; NaN where
    unknown.
    `coverage`: share of joints that are to be within the radius.

    Returns (H, J) [m], NaN for joints that are never known.
    """
    count = np.isfinite(distance).sum(axis=0)
    rank = np.ceil((count + 1) * coverage).astype(int)
    few = (rank > count) & (count > 0)
    if few.any() or not count.any():
        raise InputError(
            f"{int(count[few].min(initial=len(distance)))} windows are too few to calibrate a "
            f"coverage of {coverage}; it takes {int(np.ceil(coverage / (1 - coverage)))}"
        )
    ordered = np.sort(distance, axis=0)  # NaN come last
    radius = np.take_along_axis(ordered, np.minimum(rank, len(distance))[None] - 1, axis=0)[0]
    return radius.astype(np.float32)


def coverage_by_step(
    distance: NDArray[np.float32], radius: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Share of known joints within their radius at each step, shape (H,)."""
    known = np.isfinite(distance)
    within: NDArray[np.float64] = ((distance <= radius) & known).sum(axis=(0, 2)) / np.maximum(
        known.sum(axis=(0, 2)), 1
    )
    return within


def summarise(errors: Errors, engine: Engine, frames: tuple[int, ...] = FRAMES) -> Table:
    """Every figure of an evaluation, in millimetres, ready for JSON.

    `frames`: frames to single out, from 1; the last frame is always among them.

    Returns ``frames``; per method ``at_frame`` and ``up_to_frame`` (one value per entry of
    ``frames``), ``mean`` over all frames, and ``every_frame`` with both for all; ``gain_percent``
    of the model on the better baseline of each of those frames, ``worst_ratio`` to it over all
    frames and ``mean_ratio`` to the baseline whose mean is least, ``best_baseline``; ``groups``,
    worst first, with the same ratios, coverage, ``bone_error_percent`` and ``foot_slide_m_per_s``;
    ``group_mean`` (every group counts the same) and ``joints`` of the model; ``radius`` with its
    coverage over steps, if the weights carry one.
    """
    frames = (*[frame for frame in frames if frame < engine.horizon], engine.horizon)
    picked = np.array(frames) - 1
    per_step = {name: errors.per_step(name) for name in errors.distance}
    ours = per_step[errors.model]
    names = sorted(set(errors.group.tolist()))
    figures = [(name, _group(errors, engine, name, picked)) for name in names]
    groups = dict(sorted(figures, key=lambda item: -item[1]["worst_ratio"]))
    # Means of columns of groups, which all have the same keys.
    group_mean = {
        key: _rounded(np.mean([errors_of[key] for errors_of in groups.values()], axis=0))
        for key in ("at_frame", "up_to_frame")
    }
    distance = errors.distance[errors.model]
    joints = get_layout(engine.layout).joints
    summary: Table = {
        "model": errors.model,
        "windows": len(distance),
        "frames": list(frames),
        "methods": {
            name: {
                **_at_and_up_to(steps, picked),
                "mean": _millimetres(steps.mean()),
                "every_frame": _at_and_up_to(steps, np.arange(engine.horizon)),
            }
            for name, steps in per_step.items()
        },
        "gain_percent": _rounded(100 * (1 - (ours / _better(per_step, errors.model))[picked])),
        **_ratios(per_step, errors.model),
        **_body(errors, slice(None)),
        "groups": groups,
        "group_mean": group_mean,
        "joints": {
            joint: {**_at_and_up_to(steps, picked), "mean": _millimetres(steps.mean())}
            for joint, steps in zip(joints, _per_joint(distance), strict=True)
        },
    }
    if errors.radius is not None:
        steps = 100 * coverage_by_step(distance, errors.radius)
        summary["radius"] = {
            "coverage_asked_percent": _rounded([100 * engine.coverage])[0],
            "coverage_percent": _rounded(steps[picked]),
            "coverage_least_percent": _rounded([steps.min()])[0],
            "coverage_most_percent": _rounded([steps.max()])[0],
            "mean": _rounded(1000 * errors.radius.mean(axis=(0, 2), dtype=np.float64)[picked]),
            "mean_of_all": _millimetres(errors.radius.mean(dtype=np.float64)),
        }
    return summary


def _better(per_step: dict[str, NDArray[np.float64]], model: str) -> NDArray[np.float64]:
    """Error of the best baseline at each step."""
    return np.min([steps for name, steps in per_step.items() if name != model], axis=0)


def _ratios(per_step: dict[str, NDArray[np.float64]], model: str) -> Table:
    means = {name: float(steps.mean()) for name, steps in per_step.items() if name != model}
    best = min(means, key=means.__getitem__)
    ratio = per_step[model] / _better(per_step, model)
    return {
        "best_baseline": best,
        "mean_ratio": round(float(per_step[model].mean()) / means[best], 3),
        "worst_ratio": round(float(ratio.max()), 3),
        "worst_frame": int(ratio.argmax()) + 1,
    }


def _body(errors: Errors, chosen: NDArray[np.bool_] | slice) -> Table:
    bones, slides = errors.bone_error[chosen], errors.foot_slide[chosen]
    slides = slides[np.isfinite(slides)]
    return {
        "bone_error_percent": _rounded([100 * bones.mean(), 100 * np.quantile(bones, 0.95)]),
        "foot_slide_m_per_s": round(float(slides.mean()), 3) if len(slides) else None,
    }


def _group(errors: Errors, engine: Engine, name: str, picked: NDArray[np.int64]) -> Table:
    chosen = errors.group == name
    per_step = {method: errors.per_step(method, chosen) for method in errors.distance}
    ours = per_step[errors.model]
    better = _better(per_step, errors.model)
    table = {
        "windows": int(chosen.sum()),
        **_at_and_up_to(ours, picked),
        "mean": _millimetres(ours.mean()),
        "last": _millimetres(ours[-1]),
        "baselines": {
            method: {"mean": _millimetres(steps.mean()), "last": _millimetres(steps[-1])}
            for method, steps in per_step.items()
            if method != errors.model
        },
        "gain_percent_last": _rounded([100 * (1 - ours[-1] / better[-1])])[0],
        **_ratios(per_step, errors.model),
        **_body(errors, chosen),
    }
    if errors.radius is not None:
        within = coverage_by_step(errors.distance[errors.model][chosen], errors.radius[chosen])
        table["coverage_percent"] = _rounded([100 * within.mean()])[0]
        last = errors.radius[chosen, -1].mean(dtype=np.float64)
        table["radius_last"] = _millimetres(last)
    return table


def _per_joint(distance: NDArray[np.float32]) -> list[NDArray[np.float64]]:
    """Mean error of each joint at each step; 0 where it is never known."""
    known = np.isfinite(distance)
    total = np.where(known, distance, 0).sum(axis=0, dtype=np.float64)
    return list((total / np.maximum(known.sum(axis=0), 1)).T)


def _at_and_up_to(steps: NDArray[np.floating], picked: NDArray[np.int64]) -> Table:
    """Errors at frames and averaged up to them [mm], from those at every step [m]."""
    up_to = np.cumsum(steps, dtype=np.float64) / np.arange(1, len(steps) + 1)
    return {
        "at_frame": _rounded(1000 * steps[picked]),
        "up_to_frame": _rounded(1000 * up_to[picked]),
    }


def _millimetres(metres: Any) -> float:
    return _rounded([1000 * metres])[0]


def _rounded(values: Any) -> list[float]:
    return [round(float(value), 3) for value in values]


def as_text(summary: Table) -> str:
    """The figures of `summarise` as a person reads them."""
    frames = "".join(f"{f'f{frame}':>8}" for frame in summary["frames"])
    header = f"{'':28}{frames}{'mean':>8}"

    def row(name: str, values: list[float], last: str = "") -> str:
        line = f"{name:28}" + "".join(f"{value:8.1f}" for value in values) + f"{last:>8}"
        return line.rstrip()

    lines = [
        f"{summary['windows']} windows, MPJPE [mm]: {summary['mean_ratio']:.3f} times the best "
        f"baseline ({summary['best_baseline']}), at worst {summary['worst_ratio']:.3f} times the "
        f"better one of a frame (f{summary['worst_frame']})"
    ]
    if "protocol" in summary:
        protocol = summary["protocol"]
        lines.append(
            f"protocol {protocol['name']}, {protocol['part']} part, windows {protocol['windows']}, "
            f"mean over {protocol['mean_over']}"
        )
    for key, label in _LABELS:
        lines += ["", label, header]
        for name, figures in summary["methods"].items():
            lines.append(row(name, figures[key], f"{figures['mean']:.1f}"))
        if key == "at_frame":
            lines.append(row("gain on best baseline %", summary["gain_percent"]))
    for source in summary.get("quoted", ()):
        lines += ["", f"quoted from the {source['source']}, not measured here [mm]"]
        lines += [f"{name:28}{value:8.1f}" for name, value in source["figures"].items()]
        lines.append(f"({source['note']})")
    if "radius" in summary:
        radius = summary["radius"]
        lines += ["", f"radius for {radius['coverage_asked_percent']:g} % coverage", header]
        lines.append(row("mean radius mm", radius["mean"], f"{radius['mean_of_all']:.1f}"))
        lines.append(row("coverage %", radius["coverage_percent"]))
        least, most = radius["coverage_least_percent"], radius["coverage_most_percent"]
        lines.append(f"over all steps between {least:.1f} and {most:.1f} %")
    columns = f"{header}{'windows':>9}{'gain %':>8}"
    for key, label in _LABELS:
        lines += ["", f"{summary['model']} by group, {label}, worst first", columns]
        for name, figures in summary["groups"].items():
            last = (
                f"{figures['mean']:8.1f}{figures['windows']:9}{figures['gain_percent_last']:8.1f}"
            )
            lines.append(row(name, figures[key], last))
        lines.append(row("mean of groups", summary["group_mean"][key]))
    lines.append("gain: on the best baseline at the last frame")
    lines += ["", "by group, beside every baseline: mean over all frames", _group_header(summary)]
    lines += [_group_line(name, figures) for name, figures in summary["groups"].items()]
    lines += ["", f"{summary['model']} by joint, at the frame", header]
    for joint, figures in summary["joints"].items():
        lines.append(row(joint, figures["at_frame"], f"{figures['mean']:.1f}"))
    return "\n".join(lines)


def _group_header(summary: Table) -> str:
    baselines = next(iter(summary["groups"].values()))["baselines"]
    columns = "".join(f"{name.replace('_', ' '):>19}" for name in baselines)
    rest = f"{'ratio':>8}{'worst':>8}{'bones %':>9}{'slide':>7}{'cov %':>7}"
    return f"{'':28}{'model':>8}{columns}{rest}"


def _group_line(name: str, figures: Table) -> str:
    means = "".join(f"{one['mean']:19.1f}" for one in figures["baselines"].values())
    slide, covered = figures["foot_slide_m_per_s"], figures.get("coverage_percent")
    return (
        f"{name:28}{figures['mean']:8.1f}{means}{figures['mean_ratio']:8.3f}"
        f"{figures['worst_ratio']:8.3f}{figures['bone_error_percent'][0]:9.1f}"
        f"{'-' if slide is None else f'{slide:.2f}':>7}"
        f"{'-' if covered is None else f'{covered:.1f}':>7}"
    )


def as_csv(summary: Table) -> str:
    """One line per method, group or joint and frame; methods at every frame.

    Columns: ``table`` (method, group, joint, quoted), ``name``, ``frame``, ``mpjpe_at_frame_mm``,
    ``mpjpe_up_to_frame_mm``, and for a quoted figure ``quoted_mm`` and ``source``.
    """
    measured = ("mpjpe_at_frame_mm", "mpjpe_up_to_frame_mm")
    rows: list[tuple[object, ...]] = []
    for table in ("method", "group", "joint"):
        for name, figures in summary[f"{table}s"].items():
            every = figures.get("every_frame", figures)
            frames = range(1, len(every["at_frame"]) + 1) if every is not figures else None
            columns = zip(
                frames or summary["frames"], every["at_frame"], every["up_to_frame"], strict=True
            )
            rows += [(table, name, *column, "", "") for column in columns]
    for source in summary.get("quoted", ()):
        said = f"{source['source']}: {source['note']}"
        rows += [("quoted", name, "", "", "", v, said) for name, v in source["figures"].items()]
    return csv_text(("table", "name", "frame", *measured, "quoted_mm", "source"), rows)


# Errors that others published for a protocol, which are quoted, not measured here [mm]: where they
# stand, and what has to be known to compare.
_POSTER = {
    "source": "poster of Sampieri et al., ECCV 2022",
    "note": "10 frames in, 25 out; the table mixes errors at the last frame with averages over "
    "all and does not say which is which",
}
_ABSTRACT = {
    "source": "abstract of Sampieri et al., ECCV 2022",
    "note": "at 1 s, the last frame",
}
QUOTED: dict[str, list[dict[str, Any]]] = {
    "h36m": [
        _POSTER
        | {"figures": {"HisRep": 112.1, "MSR-GCN": 114.1, "STS-GCN": 75.6, "SeS-GCN": 72.9}},
    ],
    "chico": [
        _POSTER | {"figures": {"HisRep": 76.4, "MSR-GCN": 136.5, "STS-GCN": 59.0, "SeS-GCN": 53.0}},
        _ABSTRACT | {"figures": {"SeS-GCN": 85.3}},
    ],
}


_BETWEEN = 1.0  # s between two recordings


@dataclass(frozen=True)
class StreamSchedule:
    """How long each part of a stream is [s]."""

    before: float = 60.0  # motion of the first kind
    settle: float = 30.0  # motion of the second kind that is not measured yet
    measured: float = 120.0  # motion of the second kind that is measured


_SCHEDULE = StreamSchedule()


class _Measured(AdaptiveRadius):
    """Counts, while asked to, what lies within the radius given out and within the calibrated."""

    def __init__(self, engine: Engine, config: ForecastConfig) -> None:
        if engine.radius is None:
            raise InputError(f"{engine.name} carries no calibrated radius that could be followed")
        super().__init__(engine.radius, engine.coverage, config)
        self.counting = False
        # Joints, within, within the calibrated radius, sums of both radii [m].
        self.sums = np.zeros((5, engine.horizon))

    def observe(
        self,
        errors: NDArray[np.floating],
        issued: NDArray[np.floating],
        elapsed: float,
        scores: NDArray[np.floating] | None = None,
    ) -> None:
        scores = errors / self.calibrated if scores is None else scores
        if self.counting:
            known, factors = np.isfinite(errors), issued[..., None]
            held, enough = known & (scores <= factors), known & (scores <= 1)
            # Of round radii a score is the error in units of the one before it was multiplied.
            radius = np.where(known & (scores > 0), errors / np.where(scores > 0, scores, 1), 0)
            parts = known, held, enough, radius * factors, radius
            self.sums += [part.sum(axis=(0, 2), dtype=np.float64) for part in parts]
        super().observe(errors, issued, elapsed, scores)


def measure_stream(
    engine: Engine,
    first: Sequences[Sequence],
    second: Sequences[Sequence],
    *,
    streams: int = 4,
    seed: int = 0,
    schedule: StreamSchedule = _SCHEDULE,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, Any]:
    """Run a forecaster with an adaptive radius over streams that change their kind of motion.

    Raises InputError if the weights carry no radius or a kind of motion is missing.

    `first`, `second`: recordings that a stream is made of, drawn at random, before and after the
    change. People recorded together come together.
    `streams`: how many streams, each with a radius that starts as calibrated.

    Returns ``asked_percent``; per step, over all streams, ``coverage_percent``,
    ``calibrated_percent`` (what the calibrated radius would have held), ``radius_mm`` and
    ``calibrated_radius_mm`` (means over joints); ``lowest_percent`` and ``highest_percent`` per
    stream over steps.
    """
    for name, sequences in (("before", first), ("after", second)):
        if not sequences:
            raise InputError(f"there are no sequences for the stream {name} the change")
    rng, config = np.random.default_rng(seed), ForecastConfig()
    sums = []
    for stream in range(streams):
        radius = _Measured(engine, config)
        forecaster = Forecaster(engine, config, radius)
        clock = 0.0
        for sequences, seconds, counting in (
            (first, schedule.before, False),
            (second, schedule.settle, False),
            (second, schedule.measured, True),
        ):
            radius.counting, end = counting, clock + seconds
            for stamp, people in _frames(sequences, clock, rng):
                if stamp > end:
                    break
                forecaster.observe(stamp, people)
                forecaster.forecast()
            clock = end
        sums.append(radius.sums)
        progress(stream + 1)
    each = np.array([within[1] / within[0] for within in sums])
    joints, within, calibrated, given, before = np.sum(sums, axis=0)
    return {
        "model": engine.name,
        "streams": streams,
        "seconds": {"before": schedule.before, "settle": schedule.settle}
        | {"measured": schedule.measured},
        "asked_percent": round(100 * engine.coverage, 2),
        "coverage_percent": _hundredths(100 * within / joints),
        "calibrated_percent": _hundredths(100 * calibrated / joints),
        "radius_mm": _hundredths(1000 * given / joints),
        "calibrated_radius_mm": _hundredths(1000 * before / joints),
        "lowest_percent": _hundredths(100 * each.min(axis=1)),
        "highest_percent": _hundredths(100 * each.max(axis=1)),
    }


def _hundredths(values: NDArray[np.floating]) -> list[float]:
    return [round(float(value), 2) for value in values]


def _frames(
    sequences: Sequences[Sequence], clock: float, rng: np.random.Generator
) -> Iterator[tuple[float, list[Skeleton]]]:
    """Recordings in random order without an end, as a camera would see them at their own rate."""
    together: dict[int, list[Sequence]] = {}
    for sequence in sequences:
        together.setdefault(sequence.index, []).append(sequence)
    groups = list(together.values())
    while True:
        for number in rng.permutation(len(groups)):
            group = groups[number]
            clock += _BETWEEN
            positions = [sequence.positions for sequence in group]
            for frame in range(min(len(points) for points in positions)):
                clock += 1 / group[0].fps
                yield (
                    clock,
                    [
                        Skeleton(
                            f"{person.name} at {clock - frame / person.fps:.0f}",
                            person.layout,
                            points[frame],
                            np.ones(len(points[frame]), np.float32),
                        )
                        for person, points in zip(group, positions, strict=True)
                    ],
                )
