"""A radius that keeps its coverage on line: adaptive conformal inference, one state per step.

Gibbs and Candès, *Adaptive Conformal Inference Under Distribution Shift*, NeurIPS 2021: the share
of misses α that a radius is asked for is moved by what was missed, α ← α + γ (α* − missed), and
the radius is the (1 − α)-quantile of recent scores. A score is an error in units of the calibrated
radius of its step and joint, so one factor per step scales the radii of all joints. Scores are kept
as a histogram that forgets, so that neither memory nor time grow.
"""

from __future__ import annotations

import copy
import io
import math
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from ses_gcn_ros.compiling import array, compiled, real, single, whole
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.forecast.config import ForecastConfig
from ses_gcn_ros.models.framing import DAMPING, reach
from ses_gcn_ros.npz import load_arrays
from ses_gcn_ros.resources import write_atomically

RECENT = 60.0  # s that coverage and error are averaged over
SETTLED = 30.0  # s of data before coverage can be judged
_LONGEST = 0.5  # s; a gap between observations counts as no more
_EDGES = np.geomspace(1 / 50, 50, 161)  # of the histogram's bins
_RATIOS = _EDGES[1:] / _EDGES[:-1]
_PRIOR = 10.0  # s of data that the calibration counts as
_FEWEST, _MOST = 0.002, 0.3  # limits of α
_FORMAT = 1
_CLOSEST = 0.5  # steps between forecasts that are kept
_ACTIONS = 32  # with a radius of their own, at most
EVERY = 30.0  # s between two writings of what was learnt
_DROPPED = 19  # bits of a float32 that its place in `starts_of` does without
_PLACES = 1 << (31 - _DROPPED)


class AdaptiveRadius:
    """Radius per step and joint that follows what happens.

    `radius` (H, J): calibrated radius [m], a factor of 1.
    `coverage`: share of joints that are to be within it, 1 − α*.
    `config`: how fast and how far it may change.

    Attributes:
    - `calibrated` (H, J): the radius that it began with [m].
    - `factor` (H,): by which the calibrated radius of each step is multiplied.
    - `radius` (H, J): the radius as it is now [m].
    - `seconds`: how much has been learnt from, in all [s].
    """

    def __init__(
        self, radius: NDArray[np.float32], coverage: float, config: ForecastConfig
    ) -> None:
        self._starts = starts_of(_EDGES)
        self.calibrated = np.ascontiguousarray(radius, np.float32)
        self._target = 1 - coverage
        self._config = config
        steps = len(radius)
        self._alpha = np.full(steps, self._target)
        # Before anything is known: heavy-tailed, and the calibrated radius holds as it says.
        below = 1 - self._target**_EDGES  # share of scores below each edge
        share = np.diff(np.concatenate([[0.0], below[1:]]))
        self._counts = np.tile(_PRIOR * share / share.sum(), (steps, 1))
        # Sums over recent time, decaying: seconds seen, seconds covered, errors times seconds.
        self._recent = np.zeros((3, steps))
        self.seconds = 0.0
        self._rescale()

    def observe(
        self,
        errors: NDArray[np.floating],
        issued: NDArray[np.floating],
        elapsed: float,
        scores: NDArray[np.floating] | None = None,
    ) -> None:
        """Learn from what became of forecasts.

        `errors` (P, H, J): distance of each joint from where it was forecast [m], of each person
        and step; NaN where there was no forecast or no joint.
        `issued` (P, H): `factor` that each of these forecasts was given out with.
        `elapsed`: time since the last call [s].
        `scores` (P, H, J): errors in units of the radius that each had before it was multiplied; of
        the calibrated one if None.
        """
        elapsed = min(elapsed, _LONGEST)
        scores = errors / self.calibrated if scores is None else scores
        config = self._config
        anything = _learn(
            np.ascontiguousarray(errors, np.float32),
            np.ascontiguousarray(scores, np.float32),
            np.ascontiguousarray(issued, np.float64),
            *(_EDGES, self._starts),
            *(elapsed, config.adaptive_rate * elapsed, self._target, _FEWEST, _MOST),
            *(np.exp(-elapsed / config.adaptive_memory), np.exp(-elapsed / RECENT)),
            *(self._alpha, self._counts, self._recent),
        )
        if anything:
            self.seconds += elapsed
            self._rescale()

    def _rescale(self) -> None:
        """Quantile of the recent scores at each step."""
        place, share = np.empty(len(self._alpha), np.int64), np.empty(len(self._alpha))
        _quantiles(self._counts, self._alpha, place, share)
        factor = _EDGES[place] * _RATIOS[place] ** share
        config = self._config
        # Not np.clip, which takes three times as long for so few.
        self.factor = np.minimum(np.maximum(factor, config.adaptive_least), config.adaptive_most)
        self.radius = (self.calibrated * self.factor[:, None]).astype(np.float32)

    @property
    def coverage(self) -> NDArray[np.float64]:
        """Share of joints that were within the radius given out, recently, shape (H,)."""
        return self._recent[1] / np.where(self._recent[0] > 0, self._recent[0], np.nan)

    @property
    def error(self) -> NDArray[np.float64]:
        """Mean error of recent forecasts at each step [m], shape (H,)."""
        return self._recent[2] / np.where(self._recent[0] > 0, self._recent[0], np.nan)

    def warning(self) -> str:
        """Where coverage has left its band, in words; empty if it has not or can't be judged."""
        away = self.coverage - (1 - self._target)
        judged = self._recent[0] > RECENT * (1 - np.exp(-SETTLED / RECENT)) * (1 - 1e-6)
        outside = np.where(judged, np.abs(away), 0) > self._config.coverage_band
        if not outside.any():
            return ""
        worst = int(np.argmax(np.where(outside, np.abs(away), 0)))
        return (
            f"coverage {self.coverage[worst]:.3f} at step {worst + 1}, asked "
            f"{1 - self._target:.3f} ± {self._config.coverage_band:.3f}"
        )

    def report(self) -> dict[str, str]:
        """Coverage, error and factor lately at the first, middle and last step, for diagnostics."""
        steps = sorted({0, (len(self.factor) - 1) // 2, len(self.factor) - 1})
        values = {"radius learnt from": f"{self.seconds:.0f} s"}
        if not self.seconds:
            return values
        for step in steps:
            values[f"coverage step {step + 1}"] = f"{self.coverage[step]:.3f}"
            values[f"mpjpe step {step + 1}"] = f"{1000 * self.error[step]:.1f} mm"
            values[f"radius factor step {step + 1}"] = f"{self.factor[step]:.2f}"
        values["coverage least"] = f"{np.nanmin(self.coverage):.3f}"
        values["coverage most"] = f"{np.nanmax(self.coverage):.3f}"
        return values

    def packed(self) -> bytes:
        """What was learnt, as the content of a file for `restore`."""
        arrays: dict[str, Any] = {
            "format": np.array(_FORMAT),
            "base": self.calibrated,
            "target": np.array(self._target),
            "alpha": self._alpha,
            "counts": self._counts,
            "recent": self._recent,
            "seconds": np.array(self.seconds),
        }
        content = io.BytesIO()
        np.savez(content, **arrays)
        return content.getvalue()

    def restore(self, path: Path) -> None:
        """Go on from what was learnt before; does nothing if there is no such file.

        Raises InputError if the file is damaged or belongs to other weights; nothing is changed
        then.
        """
        if not path.exists():
            return
        arrays = load_arrays(path)
        shapes = {"alpha": self._alpha, "counts": self._counts, "recent": self._recent}
        usable = int(arrays.get("format", 0)) == _FORMAT and all(
            name in arrays
            and arrays[name].shape == own.shape
            and np.isfinite(arrays[name]).all()
            and (arrays[name] >= 0).all()
            for name, own in (*shapes.items(), ("seconds", np.zeros(())))
        )
        if not usable or not (arrays["counts"].sum(axis=1) > 0).all():
            raise InputError(f"'{path}' holds no state of an adaptive radius")
        if not np.array_equal(arrays["base"], self.calibrated) or arrays["target"] != self._target:
            raise InputError(f"'{path}' was learnt with other weights or another coverage")
        self._alpha = np.clip(arrays["alpha"], _FEWEST, _MOST)
        self._counts, self._recent = np.array(arrays["counts"]), np.array(arrays["recent"])
        self.seconds = float(arrays["seconds"])
        self._rescale()


class ActionRadii:
    """The radius of each action beside the common one, where it is told what people do.

    Mondrian conformal prediction (Vovk, Gammerman, Shafer, *Algorithmic Learning in a Random
    World*, 2005): what is right on average is too wide for one action and too narrow for another,
    so each keeps the coverage by itself. An action begins with what the common radius has learnt.

    `common`: of everybody, used where no action is told.
    """

    def __init__(self, common: AdaptiveRadius) -> None:
        self.common = common
        self._own: dict[str, AdaptiveRadius] = {}

    def of(self, action: str) -> tuple[int, AdaptiveRadius]:
        """Number of an action, 0 for none, and its radius."""
        if not action or (action not in self._own and len(self._own) >= _ACTIONS):
            return 0, self.common
        if action not in self._own:
            self._own[action] = copy.deepcopy(self.common)
        return 1 + list(self._own).index(action), self._own[action]

    def observe(
        self,
        errors: NDArray[np.floating],
        issued: NDArray[np.floating],
        elapsed: float,
        scores: NDArray[np.floating],
        actions: NDArray[np.integer],
    ) -> None:
        """Learn as `AdaptiveRadius.observe`; `actions` (P, H) are what each was forecast in."""
        self.common.observe(errors, issued, elapsed, scores)
        for number, own in enumerate(self._own.values(), start=1):
            among: NDArray[np.bool_] = actions == number
            if among.any():
                own.observe(np.where(among[..., None], errors, np.nan), issued, elapsed, scores)

    def report(self) -> dict[str, str]:
        """Coverage and factor of each action at the last step, for diagnostics."""
        return {
            f"radius of {action}": f"factor {own.factor[-1]:.2f}, coverage {own.coverage[-1]:.3f}"
            for action, own in self._own.items()
        }


METHODS = ("forecast", "network", "last_pose", "damped_velocity")  # that are scored


@dataclass(frozen=True, eq=False)
class Due:
    """What became of one person's forecasts that fell due between two observations."""

    # (4, H, J): distance of `METHODS` at each step [m]; NaN where none fell due
    errors: NDArray[np.float32]
    # (H, J): of the forecast, in units of the radius before it was multiplied, flattened as that is
    scores: NDArray[np.float32]
    factors: NDArray[np.float64]  # (H,): what the radii given out were multiplied by
    kinds: NDArray[np.int64]  # (H,): as each was kept with; -1 where none fell due


class PendingForecasts:
    """The latest forecasts of one person, until their last step is past.

    `base` (H, J): a radius of the shape that all will have [m].
    `step`: time between steps [s].
    `flatness`: vertical by horizontal axis of the ellipsoid that a radius stands for.
    """

    def __init__(self, base: NDArray[np.float32], step: float, flatness: float = 1.0) -> None:
        steps, joints = base.shape
        capacity = int(np.ceil((steps + 1) / _CLOSEST)) + 1
        self._step, self._next, self._flatness = step, 0, np.float32(1 / flatness)
        self._stamps = np.full(capacity, -np.inf)
        self._paths = np.zeros((2, capacity, steps, joints, 3), np.float32)  # given out, network's
        self._motions = np.zeros((2, capacity, joints, 3), np.float32)  # last pose, last velocity
        self._bases = np.ones((capacity, steps, joints), np.float32)
        self._factors = np.ones((capacity, steps))
        self._kinds = np.zeros(capacity, np.int64)
        self._ahead = step * np.arange(1, steps + 1)

    def add(
        self,
        stamp: float,
        positions: NDArray[np.float32],
        factor: NDArray[np.float64],
        base: NDArray[np.float32],
        *,
        network: NDArray[np.float32] | None = None,
        recent: NDArray[np.float32] | None = None,
        kind: int = 0,
    ) -> None:
        """Keep a forecast.

        `stamp`: when it was made [s].
        `positions` (H, J, 3): as it was given out [m].
        `factor` (H,): by which its radii were multiplied.
        `base` (H, J): those radii before [m].
        `network` (H, J, 3): what the network answered [m], where that is something else.
        `recent` (T, J, 3): history [m], whose last two frames the baselines go on from.
        `kind`: number, from 0, of what it was made in.
        """
        if stamp - self._stamps[self._next - 1] < (_CLOSEST - 1e-6) * self._step:
            return
        at = self._next
        self._stamps[at] = stamp
        self._paths[0, at], self._paths[1, at] = (
            positions,
            positions if network is None else network,
        )
        if recent is not None:
            self._motions[0, at], self._motions[1, at] = recent[-1], recent[-1] - recent[-2]
        self._bases[at], self._factors[at], self._kinds[at] = base, factor, kind
        self._next = (at + 1) % len(self._stamps)

    def errors(
        self,
        before: tuple[float, NDArray[np.float32]],
        now: tuple[float, NDArray[np.float32]],
    ) -> Due:
        """How far off the forecasts were that fell due between two observations.

        `before`, `now` (J, 3): stamps [s] and positions [m] of two observations, one after the
        other; NaN for unseen joints. Where the joints were when a forecast fell due is
        interpolated.
        """
        (earlier, start), (later, end) = before, now
        steps, joints = self._bases.shape[1:]
        errors = np.empty((len(METHODS), steps, joints), np.float32)
        scores, factors = np.empty((steps, joints), np.float32), np.empty(steps)
        kinds = np.empty(steps, np.int64)
        _errors_between(
            *(self._stamps, self._paths, self._motions, self._bases, self._factors, self._kinds),
            *(self._ahead, reach(steps, DAMPING), self._flatness, earlier, later, start, end),
            *(errors, scores, factors, kinds),
        )
        return Due(errors, scores, factors, kinds)


class RadiusStore:
    """Reads the state of a radius at start and writes it now and then, on a thread of its own.

    `path`: file of its state; None: it is kept nowhere.

    Attributes:
    - `problem`: why the state could not be read or last be written; empty if it could.
    """

    def __init__(self, radius: AdaptiveRadius, path: Path | None) -> None:
        self._radius, self._path = radius, path
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="radius")
        self._written: Future[None] | None = None
        self._last = time.monotonic()
        self.problem = ""
        if path is not None:
            try:
                radius.restore(path)
            except (InputError, OSError) as error:
                self.problem = f"the radius starts as calibrated: {error}"

    def keep(self) -> None:
        """Write the state if it is time to, and don't wait for the disk."""
        idle = self._written is None or self._written.done()
        if self._path is None or not idle or time.monotonic() - self._last < EVERY:
            return
        self._look()
        self._last = time.monotonic()
        self._written = self._writer.submit(_write, self._path, self._radius.packed())

    def close(self) -> None:
        """Write the state a last time and wait for it."""
        if self._path is not None and self._radius.seconds:
            self._written = self._writer.submit(_write, self._path, self._radius.packed())
        self._writer.shutdown()
        self._look()

    def _look(self) -> None:
        error = self._written.exception() if self._written is not None else None
        self.problem = f"the radius can't be kept in '{self._path}': {error}" if error else ""


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content)


def starts_of(edges: Any) -> Any:
    """Lowest bin that a float32 can be in, by its sign-less leading bits, shape (4096,).

    Those bits are its exponent and four digits: steps of 3 to 6 %.
    """
    least = (np.arange(_PLACES, dtype=np.int64) << _DROPPED).astype(np.int32).view(np.float32)
    with np.errstate(invalid="ignore"):
        return np.clip(np.searchsorted(edges, least) - 1, 0, len(edges) - 2)


@compiled(
    types.void(
        *(array(1), array(5, single), array(4, single), array(3, single), array(2)),
        *(array(1, whole), array(1), array(1, single), single, real, real),
        *(array(2, single), array(2, single)),
        *(single[:, :, ::1], single[:, ::1], real[::1], whole[::1]),
    )
)
def _errors_between(
    stamps: Any,
    paths: Any,
    motions: Any,
    bases: Any,
    factors: Any,
    kinds: Any,
    ahead: Any,
    reached: Any,
    upright: Any,
    earlier: Any,
    later: Any,
    start: Any,
    end: Any,
    errors: Any,
    scores: Any,
    issued: Any,
    kind: Any,
) -> None:
    """Fill the last four with what `Due` holds.

    `stamps`, `paths`, `motions`, `bases`, `factors`, `kinds`: forecasts, as `PendingForecasts`
    keeps them.
    `ahead`, `reached` (H,): their steps [s], and the frames' worth of the last velocity that damped
    velocity covers.
    `upright`: what vertical errors count by in scores.
    `earlier`, `later`: two observations [s].
    `start`, `end` (J, 3): what was seen then [m].
    """
    made, steps, joints = bases.shape
    off = np.empty(3, np.float32)
    for h in range(steps):
        which, newest = -1, -np.inf
        for n in range(made):
            due = stamps[n] + ahead[h]
            if due > earlier and due <= later and stamps[n] > newest:
                which, newest = n, stamps[n]
        if which < 0:
            issued[h], kind[h] = factors[0, h], -1
            errors[:, h] = np.nan
            scores[h] = np.nan
            continue
        issued[h], kind[h] = factors[which, h], kinds[which]
        share = np.float32((stamps[which] + ahead[h] - earlier) / (later - earlier))
        for j in range(joints):
            for m in range(4):
                total = np.float32(0)
                for k in range(3):
                    seen = start[j, k] + share * (end[j, k] - start[j, k])
                    if m < 2:
                        off[k] = paths[m, which, h, j, k] - seen
                    else:
                        damped = reached[h] * motions[1, which, j, k] if m == 3 else np.float32(0)
                        off[k] = motions[0, which, j, k] + damped - seen
                    total += off[k] * off[k]
                errors[m, h, j] = math.sqrt(total)
                if m == 0:
                    high = off[2] * off[2]
                    flat = total - high + high * upright * upright
                    scores[h, j] = math.sqrt(max(flat, np.float32(0))) / bases[which, h, j]


@compiled(
    types.boolean(
        *(array(3, single), array(3, single), array(2), array(1), array(1, whole)),
        *(real, real, real, real, real, real, real),
        *(real[::1], real[:, ::1], real[:, ::1]),
    )
)
def _learn(
    errors: Any,
    scores: Any,
    issued: Any,
    edges: Any,
    starts: Any,
    elapsed: Any,
    rate: Any,
    target: Any,
    fewest: Any,
    most: Any,
    kept: Any,
    recently_kept: Any,
    alpha: Any,
    counts: Any,
    recent: Any,
) -> Any:
    """Update alpha (H,), counts (H, bins) and recent (3, H) of an `AdaptiveRadius`.

    `errors` (P, H, J), `scores` (P, H, J), `issued` (P, H): as for `AdaptiveRadius.observe`.
    `edges` (bins + 1,), `starts` (4096,): of the histogram, and `starts_of` them.
    `elapsed`: time that this stands for [s].
    `rate`: by which α moves for a whole miss; it stays from `fewest` to `most`.
    `target`: share of misses asked for.
    `kept`, `recently_kept`: what is left of the counts and of the recent sums after that time.

    Returns whether anything was known.
    """
    people, steps, joints = errors.shape
    bins = counts.shape[1]
    score = np.empty(joints, np.float32)
    bits = score.view(np.int32)
    found = np.empty(people * joints, np.int64)
    anything = False
    for h in range(steps):
        count, within, total = 0, 0, 0.0
        for p in range(people):
            for j in range(joints):
                score[j] = scores[p, h, j]
            for j in range(joints):
                error = errors[p, h, j]
                if not math.isfinite(error):
                    continue
                place = starts[(bits[j] >> _DROPPED) & (_PLACES - 1)]
                while place < bins - 1 and not score[j] <= edges[place + 1]:
                    place += 1
                found[count] = place
                count += 1
                total += error
                within += score[j] <= issued[p, h]
        if count == 0:
            continue
        anything = True
        covered = within / count
        moved = alpha[h] + rate * (target - (1 - covered))
        alpha[h] = min(max(moved, fewest), most)
        for b in range(bins):
            counts[h, b] *= kept
        weight = elapsed / count
        heap = np.zeros(bins)
        for n in range(count):
            heap[found[n]] += weight
        for b in range(bins):
            counts[h, b] += heap[b]
        recent[0, h] = recently_kept * recent[0, h] + elapsed
        recent[1, h] = recently_kept * recent[1, h] + elapsed * covered
        recent[2, h] = recently_kept * recent[2, h] + elapsed * (total / count)
    return anything


@compiled(
    types.void(
        *(array(4, single), array(2, whole), array(1, whole), real, real),
        *(real[:, ::1], real[:, :, ::1]),
    )
)
def tally(
    errors: Any, kinds: Any, group: Any, elapsed: Any, kept: Any, seconds: Any, total: Any
) -> None:
    """Add mean errors by kind of motion and group of joints to what is left of those before.

    `errors` (P, 1 + M, H, J): distances [m]; of a joint all those after the first have to be
    finite.
    `kinds` (P, H): number of the kind of motion, -1 for none.
    `group` (J,): number of each joint's group.
    `elapsed`, `kept`: time that this stands for [s], and what is left of the sums after it.
    `seconds` (K, G), `total` (K, G, M): seconds, and seconds times mean errors; updated.
    """
    people, _, steps, joints = errors.shape
    count, sums = np.zeros(seconds.shape), np.zeros(total.shape)
    for p in range(people):
        for h in range(steps):
            k = kinds[p, h]
            for j in range(joints if k >= 0 else 0):
                known = True
                for m in range(total.shape[2]):
                    known &= math.isfinite(errors[p, 1 + m, h, j])
                count[k, group[j]] += known
                for m in range(total.shape[2] if known else 0):
                    sums[k, group[j], m] += errors[p, 1 + m, h, j]
    for k in range(len(count)):
        for g in range(count.shape[1]):
            if count[k, g] > 0:
                seconds[k, g] = kept * seconds[k, g] + elapsed
                for m in range(total.shape[2]):
                    total[k, g, m] = kept * total[k, g, m] + elapsed * sums[k, g, m] / count[k, g]


@compiled(types.void(array(2), array(1), whole[::1], real[::1]))
def _quantiles(counts: Any, alpha: Any, place: Any, share: Any) -> None:
    """Bin (H,) of each step's (1 − α)-quantile, and how far into it that lies (H,)."""
    steps, bins = counts.shape
    for h in range(steps):
        everything = 0.0
        for b in range(bins):
            everything += counts[h, b]
        wanted = (1 - alpha[h]) * everything
        above, b = counts[h, 0], 0
        while above < wanted and b < bins - 1:
            b += 1
            above += counts[h, b]
        below = above - counts[h, b]
        place[h] = b
        share[h] = min(max((wanted - below) / max(above - below, 1e-12), 0.0), 1.0)
