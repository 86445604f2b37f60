"""Curves of a run, and how pictures look."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnchoredOffsetbox, HPacker, TextArea
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from ses_gcn_ros.actions.weights import UNKNOWN
from ses_gcn_ros.replay.events import Segment
from ses_gcn_ros.replay.recording import Replay
from ses_gcn_ros.replay.summary import pair_of
from ses_gcn_ros.safety import Level

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Theme:
    """Colours of a picture; levels and series after Okabe and Ito (2008)."""

    paper: str
    ink: str
    quiet: str
    grid: str
    line: str
    shade: str
    person: str
    person_fill: str
    person_edge: str
    forecast: str
    forecast_fill: str
    forecast_edge: str
    robot: str
    robot_fill: str
    alarm: str
    clear: str
    reduced: str
    stop: str
    baseline_1: str
    baseline_2: str

    def level(self, name: str) -> str:
        """Colour of CLEAR, REDUCED or STOP."""
        return {"CLEAR": self.clear, "REDUCED": self.reduced, "STOP": self.stop}.get(
            name, self.quiet
        )


_COLOURS = {  # on light and on dark paper
    "paper": ("#ffffff", "#14181e"),
    "ink": ("#1c2430", "#e8ecf1"),
    "quiet": ("#6b7684", "#93a0ae"),
    "grid": ("#e8ebef", "#262d36"),
    "line": ("#c9d0d8", "#46505c"),
    "shade": ("#f1f3f5", "#1c222a"),
    "person": ("#0b5c94", "#7cc4f2"),
    "person_fill": ("#d3e6f3", "#1b3d55"),
    "person_edge": ("#a9cde6", "#356b8f"),
    "forecast": ("#a3337d", "#ea86c4"),
    "forecast_fill": ("#f7e6f1", "#3a2434"),
    "forecast_edge": ("#e6c3da", "#6b3d5c"),
    "robot": ("#3d4550", "#c3cad3"),
    "robot_fill": ("#d3d7dc", "#454e59"),
    "alarm": ("#c2410c", "#ff8a5c"),
    "clear": ("#009e73", "#2cc79b"),
    "reduced": ("#e69f00", "#f2b632"),
    "stop": ("#c2410c", "#ff8a5c"),
    "baseline_1": ("#8a939e", "#8a95a2"),
    "baseline_2": ("#b0762b", "#d9a25a"),
}
LIGHT, DARK = (Theme(*column) for column in zip(*_COLOURS.values(), strict=True))
THEMES = {"light": LIGHT, "dark": DARK}


_FONTS = ("Inter", "Source Sans 3", "Noto Sans", "Liberation Sans", "Arial", "DejaVu Sans")
DPI = 160


@contextmanager
def styled(theme: Theme) -> Iterator[None]:
    """Make figures in a theme."""
    there = {entry.name for entry in font_manager.fontManager.ttflist}
    settings: Any = {
        "font.family": [name for name in _FONTS if name in there] or ["sans-serif"],
        "font.size": 9.0,
        "text.color": theme.ink,
        "axes.edgecolor": theme.quiet,
        "axes.labelcolor": theme.quiet,
        "axes.linewidth": 0.6,
        "xtick.color": theme.quiet,
        "ytick.color": theme.quiet,
        "xtick.major.size": 0,
        "ytick.major.size": 0,
        "figure.facecolor": theme.paper,
        "axes.facecolor": theme.paper,
        "savefig.facecolor": theme.paper,
        "lines.solid_capstyle": "round",
    }
    with matplotlib.rc_context(settings):
        yield


def bare(axes: Axes) -> None:
    """Take away what is not data: the frame, but for the lower edge."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0)


def headline(figure: Figure, theme: Theme, title: str, subtitle: str, level: str = "") -> None:
    """Put a title and, below it, a level in its colour and a subtitle at the upper left."""
    inch = 1 / figure.get_figheight()
    left = 0.15 / figure.get_figwidth()
    figure.text(left, 1 - 0.1 * inch, title, size=13, weight="bold", va="top")
    text: list[Artist] = [TextArea(subtitle, textprops={"color": theme.quiet})]
    if level:
        text.insert(0, TextArea(level, textprops={"color": theme.level(level), "weight": "bold"}))
    figure.add_artist(
        AnchoredOffsetbox(
            "upper left", child=HPacker(children=text, pad=0, sep=8), frameon=False, pad=0,
            borderpad=0, bbox_to_anchor=(left, 1 - 0.36 * inch),
            bbox_transform=figure.transFigure,
        )
    )  # fmt: skip


def png(figure: Figure) -> bytes:
    """Render a figure, the same bytes every time."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


_SHOWN = 2.5  # m; separations beyond don't matter and would flatten what does
_TICKS = (0.08, 0.4, 1.0)  # s ahead
_NAMES = {
    "forecast": "forecast",
    "constant_velocity": "constant velocity",
    "last_pose": "last pose",
}


def highest_shown(replay: Replay) -> float:
    """Upper end of the separations' axis [m]."""
    separation = np.asarray(replay.states.separation, np.float64)
    highest = separation[np.isfinite(separation)].max(initial=0.5)
    return min(float(highest), _SHOWN) * 1.08


def timeline_figure(
    replay: Replay, safety: dict[str, Any], theme: Theme, actions: Sequence[Segment] = ()
) -> Figure:
    """Draw separation and protective distance with the states as bands, and the speed factor.

    `safety` is that part of a summary; below, `actions` says what each person did.
    """
    states, length = replay.states, replay.about.duration
    time = np.asarray(states.time)
    separation, protective = (
        np.asarray(values, np.float64) for values in (states.separation, states.protective)
    )
    with styled(theme):
        figure = Figure(figsize=(10, 4.6))
        grid = figure.add_gridspec(
            2, 1, height_ratios=(3.4, 1), left=0.055, right=0.985, bottom=0.1, top=0.83, hspace=0.12
        )
        upper = figure.add_subplot(grid[0])
        lower = figure.add_subplot(grid[1], sharex=upper)
        upper.set(xlim=(0, length), ylim=(0, highest_shown(replay)))
        for first, last, level in spans(time, np.asarray(states.level, int)):
            for axes in (upper, lower):
                axes.axvspan(first, last, color=theme.level(level), alpha=0.13, lw=0, zorder=0)
            _band_label(upper, max(first, 0), min(last, length), level, theme)
        upper.plot(time, protective, color=theme.ink, lw=1.1, ls=(0, (4, 2)))
        upper.plot(time, separation, color=theme.person, lw=2.0)
        _mark_closest(upper, safety["worst"], length, theme)
        _line_label(upper, time, separation, "separation", theme.person, theme, above=True)
        _line_label(upper, time, protective, "protective distance", theme.ink, theme, above=False)
        upper.set_ylabel("m")
        upper.tick_params(labelbottom=False)
        lower.fill_between(time, states.factor, step="post", color=theme.quiet, alpha=0.35, lw=0)
        lower.plot(time, states.factor, color=theme.quiet, lw=1.2, drawstyle="steps-post")
        lower.set(ylim=(0, 1.08), yticks=(0, 1), yticklabels=("0", "full"), xlabel="s")
        lower.text(
            0.006, 0.93, "speed factor", transform=lower.transAxes, va="top", color=theme.quiet
        )
        for axes in (upper, lower):
            bare(axes)
        if actions:
            _draw_actions(figure, lower, replay, actions, theme)
        headline(figure, theme, "Separation and what was done about it", _timeline_line(safety))
    return figure


def _draw_actions(
    figure: Figure, above: Axes, replay: Replay, actions: Sequence[Segment], theme: Theme
) -> None:
    """A row per person below the speed factor, a block per action; unknown is left empty."""
    people = sorted({person for person, *_ in actions})
    height = 0.22 * len(people) + 0.25  # inches
    width, before = figure.get_size_inches()
    for axes in figure.axes:  # what is drawn keeps its size; the page grows below it
        box = axes.get_position()
        bottom, top = (box.y0 * before + height, box.y1 * before + height)
        axes.set_position(
            (box.x0, bottom / (before + height), box.width, (top - bottom) / (before + height))
        )
    figure.set_size_inches(width, before + height)
    box = above.get_position()
    axes = figure.add_axes(
        (box.x0, 0.1 / (before + height), box.width, (height - 0.15) / (before + height))
    )
    labels = sorted({label for *_, label in actions if label != UNKNOWN})
    colours = (theme.person, theme.forecast, theme.baseline_1, theme.baseline_2, theme.robot)
    for person, start, end, label in actions:
        if label == UNKNOWN:
            continue
        first, row = start - replay.about.start, people.index(person)
        colour = colours[labels.index(label) % len(colours)]
        axes.barh(row, end - start, left=first, height=0.8, color=colour, alpha=0.35, lw=0)
        if end - start > 0.009 * len(label) * replay.about.duration:
            axes.text(first + (end - start) / 2, row, label, ha="center", va="center", size=7)
    axes.set(xlim=above.get_xlim(), ylim=(len(people) - 0.5, -0.5), yticks=range(len(people)))
    axes.set_yticklabels(people, size=7)
    axes.set_title("what each person did", loc="left", size=7, pad=2)
    axes.tick_params(labelbottom=False, length=0)
    bare(axes)


def _timeline_line(safety: dict[str, Any]) -> str:
    text = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in safety["seconds"].items())
    worst = safety["worst"]
    if worst and worst["stopped_for_s"] is not None and worst["had_moved"]:
        text += f"  ·  stopped {worst['stopped_for_s']:.1f} s before the closest approach"
    return text


def _band_label(axes: Axes, first: float, last: float, level: str, theme: Theme) -> None:
    width = axes.get_xlim()[1]
    if last - first > 0.011 * len(level) * width:  # otherwise the word is wider than its band
        axes.text(
            (first + last) / 2, 0.97, level, transform=axes.get_xaxis_transform(), ha="center",
            va="top", size=8, weight="bold", color=theme.level(level),
        )  # fmt: skip


def _mark_closest(axes: Axes, worst: dict[str, Any] | None, length: float, theme: Theme) -> None:
    if worst is None:
        return
    at, low = worst["at_s"], worst["separation_m"]
    axes.plot(at, low, "o", color=theme.alarm, ms=5.5, zorder=5, clip_on=False)
    text = ", ".join(part for part in (f"{low:.2f} m", pair_of(worst)) if part)
    right = at > 0.6 * length
    axes.annotate(
        text, (at, low), (-9 if right else 9, -3), textcoords="offset points",
        ha="right" if right else "left", va="top", color=theme.alarm, weight="bold", size=9,
        path_effects=halo(theme),
    )  # fmt: skip


def _line_label(
    axes: Axes, time: Array, values: Array, text: str, colour: str, theme: Theme, *, above: bool
) -> None:
    """Name a line where it is visible, a little way in."""
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    visible = (time > left + 0.02 * (right - left)) & (values > bottom) & (values < 0.85 * top)
    if visible.any():
        at = int(np.flatnonzero(visible)[0])
        axes.annotate(
            text, (time[at], values[at]), (4, 6 if above else -5), textcoords="offset points",
            va="bottom" if above else "top", color=colour, path_effects=halo(theme),
        )  # fmt: skip


def horizon_figure(forecasts: dict[str, Any], theme: Theme) -> Figure:
    """Draw the error of the forecasts over the horizon, against the baselines.

    `forecasts` is that part of a summary.
    """
    colours = {
        "forecast": theme.person,
        "constant_velocity": theme.baseline_2,
        "last_pose": theme.baseline_1,
    }
    horizons = forecasts["horizons_s"]
    found = {name: np.array(forecasts["mpjpe_mm"]["at"][name], np.float64) for name in colours}
    with styled(theme):
        figure = Figure(figsize=(6.8, 4.0))
        axes = figure.add_axes((0.085, 0.115, 0.6, 0.69))
        ends = {name: float(errors[-1]) for name, errors in found.items()}
        heights = apart(
            {k: v for k, v in ends.items() if np.isfinite(v)}, 0.06 * max(ends.values())
        )
        for name, colour in colours.items():
            wide = name == "forecast"
            axes.plot(
                np.append(0, horizons), np.append(0, found[name]), color=colour,
                lw=2.4 if wide else 1.5, zorder=3 if wide else 2,
            )  # fmt: skip
            if name in heights:
                axes.annotate(
                    f"{_NAMES[name]}  {ends[name]:.0f} mm", (1.02, heights[name]),
                    xycoords=("axes fraction", "data"), va="center", color=colour,
                    weight="bold" if wide else "normal", annotation_clip=False,
                )  # fmt: skip
        axes.set(xlim=(0, horizons[-1]), ylim=(0, None), xlabel="s ahead")
        axes.set_xticks([h for h in _TICKS if h <= horizons[-1] + 1e-9])
        axes.grid(axis="y", color=theme.grid, lw=0.6)
        axes.set_axisbelow(True)
        bare(axes)
        line = f"MPJPE in mm over {forecasts['compared']} forecasts, on the same moments"
        headline(figure, theme, "How far off the forecasts were", line)
    return figure


def apart(heights: dict[str, float], gap: float) -> dict[str, float]:
    """Move labels upwards until each has `gap` to the one below."""
    placed: dict[str, float] = {}
    lowest = -np.inf
    for name, height in sorted(heights.items(), key=lambda item: item[1]):
        lowest = placed[name] = max(height, lowest + gap)
    return placed


def halo(theme: Theme) -> list[withStroke]:
    """Effect that keeps text apart from what it lies on."""
    return [withStroke(linewidth=2.5, foreground=theme.paper)]


def spans(time: Array, level: NDArray[np.int_]) -> list[tuple[float, float, str]]:
    """Stretches of one level: start and end [s], and its name."""
    if not len(time):
        return []
    changes = np.flatnonzero(np.diff(level)) + 1
    starts = np.concatenate([[0], changes])
    ends = np.concatenate([changes, [len(time) - 1]])
    return [
        (float(time[a]), float(time[b]), Level(level[a]).name)
        for a, b in zip(starts, ends, strict=True)
    ]
