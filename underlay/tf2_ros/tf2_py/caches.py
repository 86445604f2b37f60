"""What is remembered of one frame: its transforms to its parent over time."""

from bisect import bisect_left, bisect_right
from typing import NamedTuple, TypeAlias

from .exceptions import ExtrapolationException
from .rigid import Rigid, interpolate


class Sample(NamedTuple):
    """One transform as received; `stamp` in nanoseconds."""

    stamp: int
    parent: str
    parent_from_child: Rigid


Bracket: TypeAlias = tuple[Sample, Sample | None]
"""The samples on both sides of a time, older first; one alone where it answers by itself."""


def transform_at(bracket: Bracket, stamp: int) -> Rigid:
    """Give the transform at `stamp` [ns], which the bracket encloses.

    A frame that changes its parent between the two samples keeps the older transform: a blend
    would mix two parents.
    """
    older, newer = bracket
    if newer is None or newer.parent != older.parent:
        return older.parent_from_child
    ratio = (stamp - older.stamp) / (newer.stamp - older.stamp)
    return interpolate(older.parent_from_child, newer.parent_from_child, ratio)


def seconds(stamp: int) -> str:
    """Write nanoseconds as seconds with six decimals, as tf2 does in its messages."""
    return f"{stamp * 1e-9:.6f}"


class StaticCache:
    """A transform that holds for all times; the last one set counts."""

    latest_stamp = 0  # no time of its own, so it never narrows the common time

    def __init__(self, sample: Sample) -> None:
        self._sample = sample

    def insert(self, sample: Sample) -> bool:
        """Replace the transform; always accepted."""
        self._sample = sample
        return True

    def bracket(self, _stamp: int) -> Bracket:
        """Give the transform, whatever the time."""
        return self._sample, None

    @property
    def latest_parent(self) -> str | None:
        """Name of the parent frame."""
        return self._sample.parent

    def clear(self) -> None:
        """Keep the transform: what is static is not sent again."""


class TimeCache:
    """Samples of a moving frame, sorted by time, over at most `max_age` nanoseconds."""

    def __init__(self, max_age: int) -> None:
        self._max_age = max_age
        self._stamps: list[int] = []  # apart from the samples, so that bisect compares integers
        self._samples: list[Sample] = []

    def insert(self, sample: Sample) -> bool:
        """Add a sample in its place; False if it is older than what the cache keeps."""
        stamps, samples = self._stamps, self._samples
        if stamps:
            horizon = stamps[-1] - self._max_age
            expired = bisect_left(stamps, horizon)
            del stamps[:expired], samples[:expired]
            if sample.stamp < horizon:
                return False
        position = bisect_right(stamps, sample.stamp)
        if sample not in samples[bisect_left(stamps, sample.stamp) : position]:
            stamps.insert(position, sample.stamp)
            samples.insert(position, sample)
        return True

    def bracket(self, stamp: int) -> Bracket:
        """Find the samples around `stamp` [ns]; 0 asks for the latest.

        Raises:
            ExtrapolationException: `stamp` lies outside the stored samples.

        """
        stamps, samples = self._stamps, self._samples
        if not stamps:
            raise ExtrapolationException(_only(stamp, 0))
        latest = stamps[-1]
        if stamp in (0, latest):
            return samples[-1], None
        if len(stamps) == 1:
            raise ExtrapolationException(_only(stamp, latest))
        oldest = stamps[0]
        if stamp == oldest:
            return samples[0], None
        if stamp > latest:
            raise ExtrapolationException(
                "Lookup would require extrapolation into the future.  Requested time "
                f"{seconds(stamp)} but the latest data is at time {seconds(latest)}"
            )
        if stamp < oldest:
            raise ExtrapolationException(
                "Lookup would require extrapolation into the past.  Requested time "
                f"{seconds(stamp)} but the earliest data is at time {seconds(oldest)}"
            )
        after = bisect_right(stamps, stamp)
        return samples[after - 1], samples[after]

    @property
    def latest_stamp(self) -> int:
        """Stamp of the last sample [ns]; 0 if there is none."""
        return self._stamps[-1] if self._stamps else 0

    @property
    def latest_parent(self) -> str | None:
        """Name of the parent frame in the last sample; None if there is none."""
        return self._samples[-1].parent if self._samples else None

    def clear(self) -> None:
        """Forget all samples."""
        self._stamps.clear()
        self._samples.clear()


def _only(stamp: int, available: int) -> str:
    return (
        f"Lookup would require extrapolation at time {seconds(stamp)}, "
        f"but only time {seconds(available)} is in the buffer"
    )
