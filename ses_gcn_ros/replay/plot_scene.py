"""Picture of a moment from above and from the side: body, forecast, robot, the closest pair."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from ses_gcn_ros.replay.moment import Capsules, Moment, Person
from ses_gcn_ros.replay.plot_stage import BELOW, Box, Stage, View, stage_for
from ses_gcn_ros.replay.plot_style import headline, styled
from ses_gcn_ros.replay.themes import Theme
from ses_gcn_ros.skeleton import get_layout

Array = NDArray[np.float64]
Colour = str | tuple[float, ...]

_ARC = np.linspace(-np.pi / 2, np.pi / 2, 15)
_LEGS = ("knee", "ankle", "toe", "toe_base", "small_toe", "heel")


def scene_figure(moment: Moment, theme: Theme, title: str, stage: Stage | None = None) -> Figure:
    """Draw a moment from above and from the side.

    Parameters
    ----------
    moment : Moment
    theme : Theme
    title : str
        What makes the moment worth a picture.
    stage : Stage, optional
        What both views show; by default what this moment needs.

    Returns
    -------
    Figure
        Both views have the same scale.
    """
    stage = stage or stage_for([moment])
    widths = [right - left for left, right, _, _ in stage.boxes]
    _, _, bottom, top = stage.boxes[0]
    height = top - bottom
    page, head = 10.0, 0.72  # inches
    scale = (page - 0.35) / (sum(widths) + 0.12)
    with styled(theme):
        figure = Figure(figsize=(page, height * scale + head + 0.1))
        left = 0.15
        for view, box, width in zip(stage.views, stage.boxes, widths, strict=True):
            wide, high = figure.get_size_inches()
            inches = width * scale, height * scale
            axes = figure.add_axes((left / wide, 0.1 / high, inches[0] / wide, inches[1] / high))
            _draw(axes, moment, view, box, theme)
            left += (width + 0.12) * scale
        rest = "  ·  ".join(part for part in (f"{moment.at:.2f} s", moment.reason) if part)
        headline(figure, theme, title, rest, moment.level)
    return figure


def _draw(axes: Axes, moment: Moment, view: View, box: Box, theme: Theme) -> None:
    axes.set(xlim=box[:2], ylim=box[2:], xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)
    _ground(axes, box, theme, view)
    if moment.robot is not None and not view.from_above:
        _stand(axes, moment.robot, view, theme)
    for person in moment.people:
        if view.from_above:
            trail = view.project(person.trail)
            axes.plot(*trail[:, :2].T, color=theme.quiet, lw=1.0, ls=(0, (1, 2.5)), zorder=1)
        limbs = person.limbs
        shape = (limbs.start, limbs.end, limbs.radius)
        _capsules(axes, shape, view, theme.person_fill, theme.person_fill, zorder=2)
        _ghosts(axes, person, view, theme)
        _bones(axes, person.positions, person.layout, view, theme.person, 2.4, zorder=4.5)
    if moment.robot is not None:
        _capsules(axes, moment.robot, view, theme.robot_fill, theme.robot, zorder=5)
    _closest(axes, moment, view, theme)
    _labels(axes, moment, view, theme)
    axes.text(
        0.0, 1.0, view.name, transform=axes.transAxes, va="top", color=theme.quiet,
        path_effects=_halo(theme), zorder=8,
    )  # fmt: skip


def _ground(axes: Axes, box: Box, theme: Theme, view: View) -> None:
    """Half-metre grid or floor, and a scale of one metre."""
    left, right, bottom, top = box
    if view.from_above:
        axes.vlines(np.arange(np.ceil(left * 2) / 2, right, 0.5), bottom, top, theme.grid, lw=0.6)
        axes.hlines(np.arange(np.ceil(bottom * 2) / 2, top, 0.5), left, right, theme.grid, lw=0.6)
        return
    axes.plot([left, right], [0, 0], color=theme.quiet, lw=0.8, zorder=0)
    y = -0.6 * BELOW
    axes.plot([right - 1.0, right], [y, y], color=theme.ink, lw=1.4, solid_capstyle="butt")
    axes.text(right - 1.06, y, "1 m", ha="right", va="center", size=8.5)


def _stand(axes: Axes, robot: Capsules, view: View, theme: Theme) -> None:
    """A post under the robot's base, whatever it really stands on."""
    base, radius = view.project(robot[0][0]), float(robot[2][0])
    post = Rectangle((base[0] - radius, 0), 2 * radius, max(base[1], 0), color=theme.grid, zorder=1)
    axes.add_patch(post)


def _ghosts(axes: Axes, person: Person, view: View, theme: Theme) -> None:
    """Skeletons of the forecast, paler with the time ahead."""
    steps = len(person.steps)
    for step in range(steps - 1, -1, -1):
        share = (step + 1) / steps
        colour = _mix(theme.forecast, theme.paper, 0.1 + 0.5 * share)
        _bones(axes, person.ahead[step], person.layout, view, colour, 1.4, zorder=4 - 0.9 * share)


def _bones(
    axes: Axes,
    positions: NDArray[np.float32],
    layout_name: str,
    view: View,
    colour: Colour,
    width: float,
    zorder: float,
) -> None:
    """Limbs as lines; from above the legs are left out, they lie under the body."""
    layout = get_layout(layout_name)
    points = view.project(positions)[:, :2]
    lines = [
        points[[a, b]]
        for a, b in layout.limbs
        if np.isfinite(points[[a, b]]).all()
        and not (view.from_above and _of_leg(layout.canonical[b]))
    ]
    axes.add_collection(
        LineCollection(lines, colors=[colour], linewidths=width, capstyle="round", zorder=zorder)
    )


def _of_leg(joint: str) -> bool:
    return joint.split("_", 1)[-1] in _LEGS


def _capsules(
    axes: Axes, capsules: Capsules, view: View, fill: str, edge: str, zorder: float
) -> None:
    """Outlines of capsules, the farther ones first."""
    start, end, radius = capsules
    known = np.isfinite(start).all(axis=1) & np.isfinite(end).all(axis=1)
    a, b, r = view.project(start[known]), view.project(end[known]), radius[known]
    order = np.argsort(a[:, 2] + b[:, 2])
    outlines = [stadium(a[i, :2], b[i, :2], float(r[i])) for i in order]
    axes.add_collection(
        PolyCollection(outlines, facecolors=fill, edgecolors=edge, linewidths=0.7, zorder=zorder)
    )


def stadium(a: Array, b: Array, radius: float) -> Array:
    """Outline (30, 2) of a capsule between `a` and `b`, shape (2,), seen from one side."""
    heading = np.arctan2(*(b - a)[::-1])
    cap = radius * np.stack([np.cos(heading + _ARC), np.sin(heading + _ARC)], axis=1)
    return np.concatenate([b + cap, a - cap])


def _closest(axes: Axes, moment: Moment, view: View, theme: Theme) -> None:
    if moment.closest is None:
        return
    line = view.project(np.stack(moment.closest))[:, :2]
    axes.plot(*line.T, color=theme.alarm, lw=1.8, marker="o", ms=3.5, zorder=6)
    along = line[1] - line[0]
    across = np.array([-along[1], along[0]]) / max(float(np.hypot(*along)), 1e-6)
    at = line.mean(axis=0) + 0.13 * across * (1 if across[1] >= 0 else -1)
    text = f"{moment.distance:.2f} m"
    _label(axes, at, text, theme.alarm, theme, weight="bold", size=11)


def _labels(axes: Axes, moment: Moment, view: View, theme: Theme) -> None:
    if moment.robot is not None:
        points = view.project(np.concatenate(moment.robot[:2]))
        at = points[0, 0], points[:, 1].min() - 0.2
        if not view.from_above:
            at = points[:, 0].mean(), points[:, 1].max() + 0.2
        _label(axes, at, "robot", theme.robot, theme)
    for person in moment.people:
        points = view.project(person.positions)
        middle, high = np.nanmean(points, axis=0), np.nanmax(points, axis=0)
        at = (middle[0], np.nanmin(points[:, 1]) - 0.3) if view.from_above else (
            points[np.nanargmax(points[:, 1]), 0], high[1] + 0.2
        )  # fmt: skip
        _label(axes, at, "now", theme.person, theme)
        if person.foreseen:
            _label_horizon(axes, person, view, theme)


def _label_horizon(axes: Axes, person: Person, view: View, theme: Theme) -> None:
    """Say at the joint that is to move most how far ahead the palest skeleton is."""
    now, ahead = view.project(person.positions)[:, :2], view.project(person.ahead[-1])[:, :2]
    way = np.nan_to_num(np.linalg.norm(ahead - now, axis=1))
    if view.from_above:
        way[[_of_leg(joint) for joint in get_layout(person.layout).canonical]] = 0
    joint = int(way.argmax())
    if way[joint] > 0.3:
        at = ahead[joint] + 0.13 * (ahead[joint] - now[joint]) / way[joint]
        text = f"in {person.steps[-1]:.1f} s"
        _label(axes, at, text, theme.forecast, theme)


def _label(
    axes: Axes,
    at: tuple[float, float] | Array,
    text: str,
    colour: Colour,
    theme: Theme,
    **font: Any,
) -> None:
    x, y = at
    axes.text(
        float(x), float(y), text, ha="center", va="center", color=colour, zorder=7,
        path_effects=_halo(theme), clip_on=True, **font,
    )  # fmt: skip


def _halo(theme: Theme) -> list[withStroke]:
    return [withStroke(linewidth=2.5, foreground=theme.paper)]


def _mix(colour: str, other: str, share: float) -> tuple[float, ...]:
    a, b = np.array(to_rgb(colour)), np.array(to_rgb(other))
    return tuple((1 - share) * a + share * b)
