"""What a picture of the cell shows: two views, and how far each of them reaches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.replay.moment import Moment

Array = NDArray[np.float64]
Box = tuple[float, float, float, float]  # left, right, bottom and top [m]

BELOW = 0.3  # m under the floor, for the scale
_MARGIN = 0.3  # m around what is drawn


@dataclass(frozen=True)
class View:
    """A direction to look from: rows of `axes` are right, up and towards the eye."""

    name: str
    axes: Array
    from_above: bool

    def project(self, points: NDArray[np.floating]) -> Array:
        """Points (..., 3) as right, up and nearness [m]."""
        return np.asarray(points @ self.axes.T, dtype=np.float64)


@dataclass(frozen=True)
class Stage:
    """Two views and what each of them shows, in the same scale and of the same height."""

    views: tuple[View, View]
    boxes: tuple[Box, Box]


def stage_for(moments: Sequence[Moment], reach: float = np.inf) -> Stage:
    """Make a stage that has room for moments.

    The side view looks across the line from the robot to whoever comes nearest.

    Parameters
    ----------
    moments : sequence of Moment
    reach : float
        Distance from the robot's base beyond which people need not be seen [m].
    """
    nearest = min(moments, key=lambda moment: moment.distance)
    x, y = _line_of_sight(nearest)
    views = (
        View("from above", np.eye(3), from_above=True),
        View("from the side", np.array([[x, y, 0], [0, 0, 1], [y, -x, 0]]), from_above=False),
    )
    points = np.concatenate([_points(moment, reach) for moment in moments])
    above, side = (_extent(points, view) for view in views)
    height = max(top - bottom for _, _, bottom, top in (above, side))
    return Stage(
        views, (_heighten(above, height, share_below=0.5), _heighten(side, height, share_below=0.0))
    )


def _line_of_sight(moment: Moment) -> Array:
    """Horizontal unit vector from the robot to the nearest person; x where one is missing."""
    if moment.robot is None or not moment.people:
        return np.array([1.0, 0.0])
    base = moment.robot[0][0, :2]
    offsets = [np.nanmean(person.positions[:, :2], axis=0) - base for person in moment.people]
    offset = min(offsets, key=lambda v: float(np.hypot(*v)))
    length = float(np.hypot(*offset))
    return np.asarray(offset / length if length > 0.05 else [1.0, 0.0])


def _points(moment: Moment, reach: float) -> Array:
    """What has to be seen of a moment, shape (N, 3) [m]; the origin always."""
    clouds: list[NDArray[np.floating]] = []
    for person in moment.people:
        clouds += [person.positions, person.ahead.reshape(-1, 3)]
    points = np.concatenate([np.zeros((1, 3)), *clouds])
    if moment.robot is not None:
        away = np.linalg.norm(points[:, :2] - moment.robot[0][0, :2], axis=1)
        points = np.concatenate([points[~(away > reach)], *moment.robot[:2]])
    return points[np.isfinite(points).all(axis=1)]


def _extent(points: Array, view: View) -> Box:
    seen = view.project(points)
    low, high = seen.min(axis=0) - _MARGIN, seen.max(axis=0) + _MARGIN
    bottom = float(low[1]) if view.from_above else -BELOW
    return float(low[0]), float(high[0]), bottom, float(high[1])


def _heighten(box: Box, height: float, share_below: float) -> Box:
    left, right, bottom, top = box
    more = height - (top - bottom)
    return left, right, bottom - share_below * more, top + (1 - share_below) * more
