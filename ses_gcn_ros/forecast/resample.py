"""From a jittery stream of observations onto the time grid that a network was trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# A clock that jitters may leave the oldest grid point a little before the oldest observation.
_EDGE = 0.25  # steps


@dataclass(frozen=True, eq=False)
class Resampled:
    """A history on the grid, or why there is none.

    Attributes
    ----------
    history : NDArray, shape (T, J, 3), float32, or None
        Positions on the grid, which ends at the last observation; NaN throughout for joints in
        `unseen`.
    unseen : NDArray, shape (J,), bool
        Joints that were unseen for too long to be interpolated.
    reason : str
        Why there is no history; empty if there is one.
    """

    history: NDArray[np.float32] | None
    unseen: NDArray[np.bool_]
    reason: str = ""


def resample(
    stamps: NDArray[np.float64],
    positions: NDArray[np.float32],
    frames: int,
    fps: float,
    *,
    gap: float = 0.2,
    joint_gap: float = 0.2,
    kind: str = "linear",
) -> Resampled:
    """Resample one person's observations; `resample_people` for one with positions (M, J, 3)."""
    (resampled,) = resample_people(
        stamps, positions[:, None], frames, fps, gap=gap, joint_gap=joint_gap, kind=kind
    )
    return resampled


def resample_people(
    stamps: NDArray[np.float64],
    positions: NDArray[np.float32],
    frames: int,
    fps: float,
    *,
    gap: float = 0.2,
    joint_gap: float = 0.2,
    kind: str = "linear",
) -> list[Resampled]:
    """Resample observations of people seen together onto a grid that ends at the last of them.

    Parameters
    ----------
    stamps : NDArray, shape (M,)
        Times of the observations [s], rising.
    positions : NDArray, shape (M, P, J, 3)
        Positions of P people; NaN where a joint was unseen. A joint unseen at the last
        observation is carried on from where it was last seen.
    frames : int
        Length T of the grid.
    fps : float
        Its rate [Hz].
    gap : float
        Longest time between two observations that is interpolated [s].
    joint_gap : float
        Longest time that a single joint may be unseen [s].
    kind : str
        'linear', or 'cubic' (Catmull-Rom).

    Returns
    -------
    list of Resampled
        One of each person.
    """
    people, joints = positions.shape[1:3]
    nobody = np.ones(joints, bool)
    grid = stamps[-1] - np.arange(frames - 1, -1, -1) / fps
    needed = (frames - 1) / fps
    available = stamps[-1] - stamps[0]
    if available + _EDGE / fps < needed or len(stamps) < 2:
        reason = f"history too short: {available:.1f} s of {needed:.1f} s"
        return [Resampled(None, nobody, reason)] * people
    first = max(np.searchsorted(stamps, grid[0], side="right") - 1, 0)
    longest = float(np.diff(stamps[first:]).max())
    if longest > gap:
        reason = f"gap too long: {longest:.2f} s, limit {gap:.2f} s"
        return [Resampled(None, nobody, reason)] * people

    # Keep one observation more at the old end for the cubic's slope there.
    first = max(first - 1, 0)
    stamps, positions = stamps[first:], positions[first:].reshape(-1, people * joints, 3)
    seen = np.all(np.isfinite(positions), axis=-1)
    unseen = _longest_unseen(stamps, seen, grid[0]) > joint_gap
    if not seen.all():
        positions = _fill(stamps, positions, seen)
    history = _interpolate(stamps, positions, grid, kind)
    history[:, unseen] = np.nan
    by_person = history.reshape(frames, people, joints, 3).swapaxes(0, 1)
    nothing = f"no joint seen throughout, limit {joint_gap:.2f} s"
    return [
        Resampled(None, gone, nothing) if gone.all() else Resampled(motion, gone)
        for motion, gone in zip(by_person, unseen.reshape(people, joints), strict=True)
    ]


def _longest_unseen(
    stamps: NDArray[np.float64], seen: NDArray[np.bool_], start: float
) -> NDArray[np.float64]:
    """Longest time [s] within the grid that each joint was unseen for, shape (J,)."""
    if seen.all():
        return np.zeros(seen.shape[1])
    start = max(start, stamps[0])
    times = np.where(seen, stamps[:, None], -np.inf)
    last_seen = np.maximum.accumulate(times, axis=0)  # (M, J), up to and including each stamp
    edge = np.maximum(last_seen[:-1], start)
    gaps = np.where(seen[1:], stamps[1:, None] - edge, 0)
    # A joint that was seen one observation earlier has no gap, only the stream's own step.
    gaps = np.where(seen[1:] & seen[:-1], 0, gaps)
    tail = np.where(seen[-1], 0, stamps[-1] - np.maximum(last_seen[-1], start))
    never = ~np.isfinite(last_seen[-1])
    longest: NDArray[np.float64] = np.maximum(gaps.max(axis=0), tail)
    return np.where(never, np.inf, longest)


def _fill(
    stamps: NDArray[np.float64], positions: NDArray[np.float32], seen: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Unseen joints from the observations before and after; at the ends from the nearest one."""
    count, joints = seen.shape
    index = np.arange(count)[:, None]
    before = np.maximum.accumulate(np.where(seen, index, -1), axis=0)
    after = np.minimum.accumulate(np.where(seen, index, count)[::-1], axis=0)[::-1]
    low = np.clip(np.where(before < 0, after, before), 0, count - 1)
    high = np.clip(np.where(after >= count, before, after), 0, count - 1)
    span = stamps[high] - stamps[low]
    share = np.where(span > 0, (stamps[:, None] - stamps[low]) / np.where(span > 0, span, 1), 0)
    columns = np.arange(joints)
    start, end = positions[low, columns], positions[high, columns]
    filled: NDArray[np.float32] = start + share[..., None].astype(np.float32) * (end - start)
    return filled


def _interpolate(
    stamps: NDArray[np.float64],
    positions: NDArray[np.float32],
    grid: NDArray[np.float64],
    kind: str,
) -> NDArray[np.float32]:
    """Positions on the grid, shape (T, J, 3)."""
    low = np.clip(np.searchsorted(stamps, grid, side="right") - 1, 0, len(stamps) - 2)
    span = stamps[low + 1] - stamps[low]
    share = np.clip((grid - stamps[low]) / span, 0, 1)[:, None, None]
    start, end = positions[low], positions[low + 1]
    if kind == "linear":
        return (start + share * (end - start)).astype(np.float32)
    # Cubic Hermite with slopes from the neighbours (Catmull-Rom for uneven steps).
    slopes = np.gradient(positions.astype(np.float64), stamps, axis=0)
    span = span[:, None, None]
    square, cube = share**2, share**3
    return (
        (2 * cube - 3 * square + 1) * start
        + (cube - 2 * square + share) * span * slopes[low]
        + (3 * square - 2 * cube) * end
        + (cube - square) * span * slopes[low + 1]
    ).astype(np.float32)
