"""The numbers of a run: as files, in words, and against another run's."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from ses_gcn_ros.errors import MISSHAPEN, InputError
from ses_gcn_ros.resources import csv_text, parse_json, write_atomically


def write_json(path: Path, content: Any) -> None:
    """Write JSON with sorted keys; the file appears when it is whole."""
    write_atomically(path, json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def metrics(summary: dict[str, Any]) -> tuple[Sequence[str], list[tuple[Any, ...]]]:
    """Headings and a row for every number: where it is found, index within a list, value."""
    sections = sorted(summary.keys() - {"parameters", "versions", "format"})
    rows = [row for section in sections for row in _rows(section, summary[section])]
    return ("name", "index", "value"), rows


def write_csv(path: Path, summary: dict[str, Any]) -> None:
    """Write every number of a summary as a row, see `metrics`."""
    write_atomically(path, csv_text(*metrics(summary)))


def _rows(name: str, value: Any) -> Iterator[tuple[str, int | str, Any]]:
    if isinstance(value, dict):
        for key in sorted(value):
            yield from _rows(f"{name}.{key}", value[key])
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, (dict, list)):
                yield from _rows(f"{name}.{index}", item)
            else:
                yield name, index, item
    else:
        yield name, "", value


_OUTER_JOINTS = {  # of a limb, and what people call it
    "upper arm": ("elbow",),
    "forearm": ("wrist",),
    "hand": ("hand", "hand_tip", "fingers", "thumb", "index", "middle", "pinky"),
    "hip": ("hip",),
    "thigh": ("knee",),
    "lower leg": ("ankle", "foot"),
    "foot": ("heel", "toe", "toe_base", "big_toe", "small_toe"),
    "shoulder": ("shoulder", "clavicle", "collar"),
    "head": ("nose", "head", "head_top", "ear"),
}
_LIMB_WORDS = {joint: word for word, joints in _OUTER_JOINTS.items() for joint in joints}


OUT_OF_SIGHT = "people out of sight; the parameter `cell` says where they may have left"


def limb_words(limb: str) -> str:
    """What people call a limb: ``r_elbow-r_wrist`` is the right forearm, most others the trunk."""
    first, _, last = limb.partition("-")
    side = {"r_": "right ", "l_": "left "}.get(last[:2], "")
    word = _LIMB_WORDS.get(last.removeprefix("r_").removeprefix("l_"), "trunk")
    if (first[2:], word) == ("ankle", "lower leg"):
        word = "foot"
    if not limb or word == "trunk":
        return word if limb else ""
    return word if {first[:2], last[:2]} == {"r_", "l_"} else f"{side}{word}"


def pair_of(moment: dict[str, Any]) -> str:
    """Limb and link of a moment, as people call them."""
    return " to ".join(name for name in (limb_words(moment["limb"]), moment["frame"]) if name)


HORIZONS = (0.08, 0.4, 1.0)  # s ahead, of the table


def summary_table(summary: dict[str, Any]) -> Table:
    """Table of a summary."""
    title = summary["bag"] + (" (partial)" if summary["partial"] else "")
    table = Table(title=title, title_justify="left", show_header=False, box=None)
    table.add_column(style="dim", overflow="fold")
    table.add_column(overflow="fold")
    for label, text in summary_lines(summary):
        table.add_row(label, text)
    return table


def summary_lines(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """Label and text of each line."""
    stream = summary["stream"]
    lines = [
        ("observations", f"{summary['frames']} in {summary['duration_s']:.1f} s"),
        ("people", str(summary["people"])),
        (
            "stream",
            f"{stream['gaps']} gaps, the longest {stream['longest_gap_s']:.2f} s; "
            f"{stream['dropped']} frames missing",
        ),
    ]
    lines += _forecast_lines(summary["forecasts"])
    if summary["collision"]:
        lines += _collision_lines(summary["collision"])
    if summary["safety"]:
        lines += _safety_lines(summary["safety"])
    for label, told in summary.get("actions", {}).items():
        lines.append((f"while '{label}'", action_words(told, summary["forecasts"])))
    agreement = summary.get("agreement")
    if agreement:
        lines.append(
            (
                "nodes and core",
                f"forecasts within {text_of(agreement['forecast_m'], '.2g')} m, "
                f"separation within {text_of(agreement['separation_m'], '.2g')} m "
                f"({agreement['forecasts']} forecasts, {agreement['states']} states)",
            )
        )
    return lines


def action_words(told: dict[str, Any], forecasts: dict[str, Any]) -> str:
    """Time, error at the end of the horizon, coverage and stops of one action, in words."""
    words = [f"{told['seconds']:.1f} s", f"{told['stops']} stops"]
    if "mpjpe_mm" in told:
        words.append(f"{text_of(told['mpjpe_mm'][-1])} mm at {forecasts['horizons_s'][-1]:g} s")
        words.append(f"{text_of(told['coverage'], '.0%')} within the radius")
    return ", ".join(words)


def _forecast_lines(forecasts: dict[str, Any]) -> list[tuple[str, str]]:
    count, compared = forecasts["count"], forecasts["compared"]
    lines = [("forecasts", f"{count}, {compared} held against what came")]
    lines += [("  fallback", f"{n} × {why}") for why, n in sorted(forecasts["fallbacks"].items())]
    doubted = {name: n for name, n in forecasts.get("models", {}).items() if "(" in name}
    lines += [("  of these", f"{n} × {name}") for name, n in sorted(doubted.items())]
    for index, ahead in enumerate(forecasts.get("horizons_s", ())):
        if not any(abs(ahead - horizon) < 1e-3 for horizon in HORIZONS):
            continue
        errors = forecasts["mpjpe_mm"]
        at = {name: values[index] for name, values in errors["at"].items()}
        mean = {name: values[index] for name, values in errors["up_to"].items()}
        others = ", ".join(
            f"{name.replace('_', ' ')} {text_of(at[name])} ({text_of(mean[name])})"
            for name in at
            if name != "forecast"
        )
        text = f"{text_of(at['forecast'])} mm (mean up to it {text_of(mean['forecast'])}); {others}"
        lines.append((f"MPJPE at {ahead * 1e3:.0f} ms", text))
    coverage = forecasts.get("coverage")
    if coverage and coverage["measured"] is not None:
        text = f"{coverage['measured']:.1%} of joints within, {coverage['promised']:.1%} promised"
        lines.append(("radius", f"{text}; {text_of(coverage['radius_mm'][-1])} mm at the end"))
    return lines


def _collision_lines(found: dict[str, Any]) -> list[tuple[str, str]]:
    if not found["windows"]:
        return []
    lead = found.get("lead_time_s")
    names = {"precision": "precision", "recall": "recall", "F1": "f1"}
    shares = ", ".join(f"{label} {text_of(found[n], '.2g')}" for label, n in names.items())
    text = (
        f"{shares} of {found['windows']} windows; {found['collisions_warned']} of "
        f"{found['collisions']} foreseen"
    )
    if lead:
        text += f", {lead['median']:.2f} s before (median)"
    return [(f"nearer than {found['threshold_m'] * 1e3:.0f} mm", text)]


def _safety_lines(safety: dict[str, Any]) -> list[tuple[str, str]]:
    times = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in safety["seconds"].items())
    lines = [
        ("states", times),
        (
            "availability",
            f"full speed {text_of(safety['availability'], '.0%')} of the time, "
            f"mean speed factor {text_of(safety['mean_factor'], '.2g')}",
        ),
        (
            "stops",
            f"{safety['stops']}, {safety['stops_by_people']} for people; "
            f"{safety['false_stops']} false, {safety['missed_stops']} missed",
        ),
    ]
    lost = safety.get("out_of_sight_s") or 0.0  # summaries of older versions have none
    if lost > 0.0:
        lines.append(("out of sight", f"stopped {lost:.1f} s for {OUT_OF_SIGHT}"))
    worst = safety["worst"]
    if worst:
        lines.append(
            (
                "worst separation",
                f"{worst['separation_m']:.2f} m at {worst['at_s']:.2f} s, "
                f"{limb_words(worst['limb'])} to {worst['frame']}, {worst['level']}",
            )
        )
    return lines


def text_of(value: float | None, form: str = ".0f") -> str:
    """A number in a form such as ``.1%``; a dash where it is unknown."""
    return "–" if value is None else f"{value:{form}}"


# What a number is called, where it is found, whether more (1) or less (-1) of it is better, and the
# change of its own unit that is never a regression: the last digit that means something.
METRICS = (
    ("precision of collisions", ("collision", "precision"), 1, 0.01),
    ("recall of collisions", ("collision", "recall"), 1, 0.01),
    ("F1 of collisions", ("collision", "f1"), 1, 0.01),
    ("lead time, median [s]", ("collision", "lead_time_s", "median"), 1, 0.02),
    ("availability", ("safety", "availability"), 1, 0.01),
    ("mean speed factor", ("safety", "mean_factor"), 1, 0.01),
    ("false stops", ("safety", "false_stops"), -1, 0.0),
    ("missed stops", ("safety", "missed_stops"), -1, 0.0),
    ("worst separation [m]", ("safety", "worst", "separation_m"), 1, 0.01),
    ("dropped frames", ("stream", "dropped"), -1, 0.0),
    ("age of skeletons, p99 [ms]", ("ages_ms", "skeleton", "p99"), -1, 2.0),
    ("age of forecasts, p99 [ms]", ("ages_ms", "forecast", "p99"), -1, 2.0),
)


@dataclass(frozen=True)
class Change:
    """A number in both runs."""

    name: str
    # None where a run doesn't have it
    before: float | None
    after: float | None
    # by how much it got worse, as a share of what it was; negative if it got better, NaN where it
    # can't be said
    worse: float
    regressed: bool  # whether that is beyond the tolerance

    @property
    def change(self) -> float | None:
        """How much was added to the number, as a share of it; None where it can't be said."""
        if self.before is None or self.after is None:
            return None
        if self.before == 0:
            return None if self.after else 0.0
        return (self.after - self.before) / abs(self.before)

    @property
    def verdict(self) -> str:
        """Whether it is worse beyond the tolerance, or better at all."""
        return "worse" if self.regressed else "better" if self.worse < 0 else ""


def read_summary(path: str | Path) -> dict[str, Any]:
    """Read a ``summary.json``, or that of a folder.

    Raises InputError if there is none, or it is of another kind, or damaged.
    """
    path = Path(path)
    file = path / "summary.json" if path.is_dir() else path
    try:
        summary: dict[str, Any] = parse_json(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"'{file}' is no summary of ses-gcn evaluate: {error}") from error
    if not isinstance(summary, dict):
        raise InputError(f"'{file}' is no summary of ses-gcn evaluate: it holds no object")
    for name in ("forecasts", "safety", "collision", "stream", "ages_ms"):
        part = summary.get(name, {})
        if not isinstance(part, dict) and (part is not None or name == "forecasts"):
            raise InputError(f"'{file}' is damaged: its '{name}' is no object but {part!r}")
    if "forecasts" not in summary:
        raise InputError(f"'{file}' is no summary of ses-gcn evaluate: it has no forecasts")
    try:
        compare(summary, summary)
    except MISSHAPEN as error:
        raise InputError(f"'{file}' is damaged: {error!r} where a number is looked for") from error
    return summary


def compare(before: dict[str, Any], after: dict[str, Any], tolerance: float = 0.05) -> list[Change]:
    """Compare two summaries; one that only `before` has is a regression.

    `before`, `after`: from `evaluate` or `merge`.
    `tolerance`: share of a number by which it may get worse.
    """
    changes = [
        _change(f"MPJPE {convention} {horizon:g} s [mm]", old, new, -1, 0.1, tolerance)
        for convention, key in (("at", "at"), ("up to", "up_to"))
        for horizon in HORIZONS
        for old, new in [(_error(before, key, horizon), _error(after, key, horizon))]
    ]
    short, shorter = _shortfall(before), _shortfall(after)
    changes.append(_change("shortfall of coverage", short, shorter, -1, 0.01, tolerance))
    changes += [
        _change(name, _find(before, path), _find(after, path), better, slack, tolerance)
        for name, path, better, slack in METRICS
    ]
    return [each for each in changes if each.before is not None or each.after is not None]


def _change(
    name: str,
    before: float | None,
    after: float | None,
    better: int,
    slack: float,
    tolerance: float,
) -> Change:
    if before is None or after is None:
        return Change(name, before, after, float("nan"), before is not None and after is None)
    loss = better * (before - after)
    worse = loss / abs(before) if before else (0.0 if loss == 0 else float("inf") * loss)
    return Change(name, before, after, worse, loss > max(slack, tolerance * abs(before)))


def _find(summary: dict[str, Any], path: tuple[str, ...]) -> float | None:
    value: Any = summary
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return None if value is None else float(value)


def _error(summary: dict[str, Any], convention: str, horizon: float) -> float | None:
    forecasts = summary["forecasts"]
    for index, ahead in enumerate(forecasts.get("horizons_s", ())):
        if abs(ahead - horizon) < 1e-3:
            value = forecasts["mpjpe_mm"][convention]["forecast"][index]
            return None if value is None else float(value)
    return None


def _shortfall(summary: dict[str, Any]) -> float | None:
    coverage = summary["forecasts"].get("coverage") or {}
    promised, measured = coverage.get("promised"), coverage.get("measured")
    if promised is None or measured is None:
        return None
    return max(float(promised) - float(measured), 0.0)
