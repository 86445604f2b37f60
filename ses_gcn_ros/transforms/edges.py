"""What is known of one frame over time: where it was in its parent."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from typing import NamedTuple

Pose = tuple[float, ...]  # translation xyz [m] and quaternion xyzw

KEPT = 10 * 10**9  # ns of moving transforms, as tf2 keeps
STRAIGHT = 1e-6  # rad; two turns as close as that are as good as on a line


class StampedTransform(NamedTuple):
    """Parent, child, stamp [ns], translation xyz [m] and quaternion xyzw (7 numbers)."""

    parent: str
    child: str
    stamp: int
    pose: Pose


class Edge:
    """A frame that moves in its parent.

    Attributes
    ----------
    static : bool
        Whether the frame never moves; a `StaticEdge` then.
    stamps : list of int
        When something was heard [ns], rising.
    known : list of StampedTransform
        What was heard then.
    """

    static = False

    def __init__(self, item: StampedTransform) -> None:
        self.stamps = [item.stamp]
        self.known = [item]

    @property
    def latest(self) -> StampedTransform:
        """The last one in time."""
        return self.known[-1]

    def add(self, item: StampedTransform) -> None:
        """Take in what was heard; one that comes late finds its place."""
        stamps, known = self.stamps, self.known
        if item.stamp > stamps[-1]:
            stamps.append(item.stamp)
            known.append(item)
            if stamps[0] < item.stamp - 2 * KEPT:
                old = bisect_left(stamps, item.stamp - KEPT)
                del stamps[:old], known[:old]
        elif item.stamp < stamps[-1] - KEPT:  # the clock was set back: what was is yet to come
            self.stamps, self.known = [item.stamp], [item]
        else:
            place = bisect_left(stamps, item.stamp)
            if stamps[place] == item.stamp:
                known[place] = item
            else:
                stamps.insert(place, item.stamp)
                known.insert(place, item)

    def at(self, stamp: int) -> StampedTransform | None:
        """Transform at a stamp [ns], interpolated; None where nothing is known around it.

        Where the parent changes in between, the one before holds.
        """
        stamps = self.stamps
        if stamp == stamps[-1]:
            return self.known[-1]
        after = bisect_right(stamps, stamp)
        if after == len(stamps) or after == 0 or stamp < stamps[-1] - KEPT:
            return None
        first, second = self.known[after - 1], self.known[after]
        if first.stamp == stamp or first.parent != second.parent:
            return first
        share = (stamp - first.stamp) / (second.stamp - first.stamp)
        return first._replace(stamp=stamp, pose=between(first.pose, second.pose, share))


class StaticEdge(Edge):
    """A frame that never moves in its parent; what was heard last holds at all times."""

    static = True

    def add(self, item: StampedTransform) -> None:
        """Take in what was heard."""
        self.known = [item]

    def at(self, stamp: int) -> StampedTransform:
        """What holds, whatever the stamp."""
        return self.known[-1]


def between(first: Pose, second: Pose, share: float) -> Pose:
    """Pose between two: straight in translation, on the shorter great arc in rotation.

    Quaternions may be of any length; a handful of numbers is done sooner without NumPy.
    """
    *p, pi, pj, pk, pw = first
    *q, qi, qj, qk, qw = second
    p_norm = math.sqrt(pi * pi + pj * pj + pk * pk + pw * pw)
    q_norm = math.sqrt(qi * qi + qj * qj + qk * qk + qw * qw)
    cosine = (pi * qi + pj * qj + pk * qk + pw * qw) / (p_norm * q_norm)
    angle = math.acos(min(abs(cosine), 1.0))
    if angle < STRAIGHT:
        a, b = 1.0 - share, share
    else:
        a, b = math.sin((1.0 - share) * angle), math.sin(share * angle)
    a, b = a / p_norm, math.copysign(b, cosine) / q_norm
    x, y, z = (start + share * (end - start) for start, end in zip(p, q, strict=True))
    return x, y, z, a * pi + b * qi, a * pj + b * qj, a * pk + b * qk, a * pw + b * qw
