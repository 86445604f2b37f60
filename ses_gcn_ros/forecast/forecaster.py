"""From skeletons as they arrive to forecasts of everybody in sight, in one forward pass."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Any, NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from ses_gcn_ros.compiling import array, compiled, real, single
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.forecast.adaptive import (
    METHODS,
    ActionRadii,
    AdaptiveRadius,
    Due,
    PendingForecasts,
    tally,
)
from ses_gcn_ros.forecast.calibration import KINDS, flat_norm, furthest
from ses_gcn_ros.forecast.config import ForecastConfig
from ses_gcn_ros.forecast.engine import Engine
from ses_gcn_ros.forecast.observations import (
    Observation,
    ObservationBuffer,
    Positions,
    SceneSnapshot,
)
from ses_gcn_ros.models.framing import DAMPING, damped_velocity
from ses_gcn_ros.skeleton import Skeleton, get_layout, to_seconds

_LEAP = 0.5  # m in one step, of all joints in the mean; nobody moves so fast
_DOUBTFUL = 0.5  # from which a forecast says that the network is not believed
FAR_OFF = "network far off"

# Of the score on line.
MEMORY = 180.0  # s; time constant of forgetting
SETTLED = 20.0  # s of a kind of motion before it is judged
BEHIND, LEVEL = 1.05, 1.0  # ratio to the better baseline from which it is used, and no longer
GROUPS = ("arms", "legs", "trunk")
_LIMBS = {"arms": ("elbow", "wrist", "hand"), "legs": ("knee", "ankle", "foot", "toe", "heel")}
_LONGEST = 0.5  # s; a gap between observations counts as no more

# Of what somebody does whom the network does not know.
_HABIT = 10.0  # s; time constant of forgetting it, and
_PLACE = 4.0  # s of the mean position
_PRIOR = 1.5  # s of it that the calibration counts as
_HOLDS = 1.8  # radius that holds 95 %, over the root of the mean square error
_FADED = 0.01  # doubt that changes nothing any more
_ASTRAY = 1.5  # m between two observations; what goes farther was seen wrongly, and is left out


@dataclass(frozen=True, eq=False)
class Forecast:
    """Where one person is expected to be."""

    person_id: str  # as in the skeletons
    layout: str  # joint layout of `positions`: the model's
    stamp: float  # time of the last observation used [s]
    step: float  # time between steps [s]; row k is `(k + 1) * step` after `stamp`
    # (H, J, 3): expected positions [m] in the frame of the observations; NaN for unseen joints
    positions: NDArray[np.float32]
    radius: NDArray[np.float32]  # (H, J): radius around each position [m]
    # probability that a joint is within its radius; 0 if the radius is not calibrated
    coverage: float
    # what made it: the name of the weights, followed by what speaks for some joints in their place,
    # as in ``sesgcn_workcell (arms: last_pose)``, or ``unlike known motion`` where it is hardly
    # believed, or ``constant_velocity (<reason>)``
    model: str
    # vertical by horizontal axis of the ellipsoid that holds a joint with that probability; its
    # horizontal axis is the radius
    flatness: float = 1.0


class Answers(NamedTuple):
    """What the network says of N people."""

    names: Sequence[str]
    histories: Positions  # (N, T, J, 3) [m]
    paths: Positions  # (N, H, J, 3) [m]
    radii: NDArray[np.float32]  # (N, H, J) [m]
    kinds: NDArray[np.int64]  # (N,): of motion
    doubts: NDArray[np.float32]  # (N,): of the network, from 0 to 1


@dataclass(frozen=True, eq=False)
class _Made:
    """A forecast by the network, and what it is to be held against."""

    forecast: Forecast
    network: Positions
    history: Positions
    base: NDArray[np.float32]
    factor: NDArray[np.float64]
    kind: int  # of motion, and action


class OnlineScore:
    """Is the network worth listening to here? Its errors lately, beside what needs no training.

    For each kind of motion and each group of joints the errors of the network, of the last pose and
    of the damped velocity are averaged over the last minutes. Where the network is behind, the
    better of the two speaks in its place, until the network, which goes on being scored, has caught
    up.

    Attributes:
    - `members` (3, J), bool: joints of `GROUPS`.
    - `used` (4, 3): number in `adaptive.METHODS` of what speaks for each kind of motion and group
      of joints.
    """

    def __init__(self, layout: str) -> None:
        names = get_layout(layout).canonical
        groups = [
            next((g for g, parts in _LIMBS.items() if any(p in name for p in parts)), "trunk")
            for name in names
        ]
        self._group = np.array([GROUPS.index(group) for group in groups])
        self.members = np.arange(len(GROUPS))[:, None] == self._group
        self.used = np.ones((len(KINDS), len(GROUPS)), np.int64)  # the network
        # Seconds, and seconds times errors [m], of every kind, group and method but the first.
        self._seconds = np.zeros((len(KINDS), len(GROUPS)))
        self._errors = np.zeros((len(KINDS), len(GROUPS), len(METHODS) - 1))

    def observe(self, results: Sequence[Due], kinds: NDArray[np.int64], elapsed: float) -> None:
        """Learn from what became of everybody's forecasts in the last `elapsed` seconds.

        `kinds` (P, H) is the motion that each was made in, -1 where none fell due.
        """
        elapsed = min(elapsed, _LONGEST)
        errors = np.array([due.errors for due in results])  # (P, methods, H, J)
        kept = np.exp(-elapsed / MEMORY)
        tally(errors, kinds, self._group, elapsed, kept, self._seconds, self._errors)
        network, baselines = self._errors[..., 0], self._errors[..., 1:]
        limit = np.where(self.used == 1, BEHIND, LEVEL)
        behind = network > limit * baselines.min(axis=-1)
        judged = np.where(behind, 2 + baselines.argmin(axis=-1), 1)
        self.used = np.where(self._seconds >= SETTLED, judged, self.used)

    def behind(self, kinds: NDArray[np.int64]) -> list[int]:
        """Rows of people moving so (N,) for whom anything speaks in the network's place."""
        return np.flatnonzero((self.used[kinds] > 1).any(axis=1)).tolist()

    def choose(
        self, kind: int, network: NDArray[np.float32], baselines: Sequence[NDArray[np.float32]]
    ) -> tuple[NDArray[np.float32], str]:
        """Path to give out, (H, J, 3), and what speaks in the network's place; '' where nothing.

        `kind`: motion it is made in.
        `network` (H, J, 3): what the network answers.
        `baselines`: last pose and damped velocity, likewise.
        """
        used = self.used[kind]
        if (used == 1).all():
            return network, ""
        path = network.copy()
        for joints, method in zip(self.members, used, strict=True):
            if method > 1:
                path[:, joints] = baselines[method - 2][:, joints]
        said = ", ".join(
            f"{group}: {METHODS[method]}"
            for group, method in zip(GROUPS, used, strict=True)
            if method > 1
        )
        return path, said

    def _mean(self, kind: int, group: int) -> NDArray[np.float64]:
        mean: NDArray[np.float64] = 1000 * self._errors[kind, group] / self._seconds[kind, group]
        return mean  # mm

    def report(self) -> dict[str, str]:
        """Errors by kind of motion and group of joints, for diagnostics."""
        return {
            f"error {GROUPS[group]} {KINDS[kind]}": "network {:.0f} mm, last pose {:.0f} mm, "
            "damped velocity {:.0f} mm".format(*self._mean(kind, group))
            for kind, group in np.argwhere(self._seconds > 0)
        }

    def warning(self) -> str:
        """Where the network is behind, in words; empty where it is nowhere."""
        behind = [
            f"{GROUPS[group]} of people {KINDS[kind]} ({self._mean(kind, group)[0]:.0f} mm, "
            f"{METHODS[self.used[kind, group]].replace('_', ' ')} "
            f"{self._mean(kind, group)[self.used[kind, group] - 1]:.0f} mm)"
            for kind, group in np.argwhere(self.used > 1)
        ]
        return f"the network is behind for {'; '.join(behind)}" if behind else ""


class Habit:
    """What somebody does whom the network does not know, by what was seen of it lately.

    The scale that a network has learnt says little of motion that it has not: it is narrow where
    somebody who exercises turns back. So the radius comes from how far off each joint was at each
    step. And who works or exercises at one place comes back to it: of the way from where joints are
    to their mean position, some share is gone after so many steps (least squares over the body).

    Attributes:
    - `doubt`: of the network, as it was lately, fading; from 0 to 1.
    """

    def __init__(self, steps: int, step: float, positions: Positions) -> None:
        self.doubt = 0.0
        self._mean, self._step, self._seconds = np.array(positions, np.float32), step, 0.0
        self._errors = np.zeros((2, steps, len(positions)))  # s·m² of their squares, and their s
        self._ways = np.zeros((2, steps))  # s·m², of ways to the mean: gone of them, and whole
        # Of the last second: stamps, joints, and their mean then.
        self._stamps, self._past = np.empty(0), np.empty((2, 0, *positions.shape), np.float32)
        self._begin = self._end = 0

    def learn(self, now: Observation, errors: NDArray[np.float32], elapsed: float) -> None:
        """Take in where joints are now, and errors (H, J) [m] of forecasts; NaN if not due."""
        stamp, positions = now
        elapsed = min(elapsed, _LONGEST)
        kept = math.exp(-elapsed / _HABIT)
        self.doubt *= kept
        self._seconds += elapsed
        longest = (len(errors) + 0.49) * self._step
        while self._begin < self._end and stamp - self._stamps[self._begin] > longest:
            self._begin += 1
        if self._end == len(self._stamps):
            self._make_room()
        self._end += 1
        past = slice(self._begin, self._end)
        _learn_habit(
            *(np.ascontiguousarray(positions, np.float32), errors),
            *(stamp, elapsed, kept, elapsed / min(_PLACE, self._seconds), self._step),
            *(self._stamps[past], self._past[0, past], self._past[1, past]),
            *(self._errors, self._ways, self._mean),
        )

    def _make_room(self) -> None:
        past = slice(self._begin, self._end)
        stamps, earlier = self._stamps[past], self._past[:, past]
        self._end -= self._begin
        self._begin = 0
        self._stamps = np.resize(stamps, 2 * self._end + 32)
        self._past = np.empty((2, len(self._stamps), *earlier.shape[2:]), np.float32)
        self._past[:, : self._end] = earlier

    def back(self, last: Positions) -> NDArray[np.float32]:
        """How far (H, J, 3) [m] joints will have come back from where they are; 0 where unseen."""
        gone, whole = self._ways
        known = self._seconds / (self._seconds + _PRIOR)
        share = np.minimum(np.maximum(known * gone / np.maximum(whole, 1e-9), 0), 1)
        way = self._mean - last
        way[np.isnan(way)] = 0
        return share.astype(np.float32)[:, None, None] * way

    def radius(
        self, expected: NDArray[np.float32], calibrated: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Radius (H, J) [m], given the network's and, of the last step, that of all motion (J,).

        Before much is known it goes over from the one to the other, grown to as in a random walk.
        """
        squares, seconds = self._errors
        late = np.arange(1, len(squares) + 1)[:, None] / len(squares)
        prior = (1 - late) * expected**2 + late * (late * calibrated**2)
        square = (_PRIOR * prior + _HOLDS**2 * squares) / (_PRIOR + seconds)
        return np.sqrt(square).astype(np.float32)


@compiled(
    types.void(
        *(array(2, single), array(2, single), real, real, real, real, real),
        *(real[::1], single[:, :, ::1], single[:, :, ::1]),
        *(real[:, :, ::1], real[:, ::1], single[:, ::1]),
    )
)
def _learn_habit(
    positions: Any,
    off: Any,
    stamp: Any,
    elapsed: Any,
    kept: Any,
    share: Any,
    step: Any,
    stamps: Any,
    joints: Any,
    means: Any,
    errors: Any,
    ways: Any,
    mean: Any,
) -> None:
    """Update errors (2, H, J), ways (2, H) and mean (J, 3) of a `Habit`.

    Its past, stamps (K,), joints and means (K, J, 3), ends with a place for what is now. `off`
    (H, J) are the errors that became due, NaN for none.
    """
    steps, count = off.shape
    errors *= kept
    ways *= kept
    last = len(stamps) - 1
    stamps[last], joints[last] = stamp, positions
    for j in range(count):
        way = 0.0
        for c in range(3 if last else 0):
            way += (joints[last, j, c] - joints[last - 1, j, c]) ** 2
        if way > _ASTRAY * _ASTRAY:
            joints[last, j] = math.nan
        # NaN where it was unseen or astray now or before, whose errors are those of who sees it
        for h in range(0 if math.isnan(way) or math.isnan(joints[last, j, 0]) else steps):
            if math.isfinite(off[h, j]):
                errors[0, h, j] += elapsed * off[h, j] * off[h, j]
                errors[1, h, j] += elapsed
    for k in range(last):
        h = max(round((stamp - stamps[k]) / step), 1) - 1
        for j in range(count):
            for c in range(3):
                way = means[k, j, c] - joints[k, j, c]
                gone = (joints[last, j, c] - joints[k, j, c]) * way
                if not math.isnan(gone):
                    ways[0, h] += elapsed * gone
                if not math.isnan(way):
                    ways[1, h] += elapsed * way * way
    for j in range(count):
        for c in range(3):
            moved = mean[j, c] + np.float32(share) * (joints[last, j, c] - mean[j, c])
            if math.isfinite(moved):
                mean[j, c] = moved
            elif math.isnan(mean[j, c]):  # never seen before
                mean[j, c] = joints[last, j, c]
    means[last] = mean


@dataclass
class Counts:
    """What a forecaster has done: people in sight, forecasts made, fallbacks by reason."""

    people: int = 0
    forecasts: int = 0
    fallbacks: Counter[str] = field(default_factory=Counter)


class Forecaster:
    """Histories of all people, and forecasts from them.

    `engine`: from `forecast.load`.
    `config`: limits and the fallback's radius.
    `adaptive`: radius that follows what happens to the forecasts; the calibrated one if None.
    `score`: what was learnt before of how good the forecasts are here; where `config.scored`, a new
    one if None.

    Attributes:
    - `counts`: for diagnostics.
    - `score` or None: how good the forecasts are here.
    - `radii` or None: the adaptive radius, and those of actions.
    - `doing`: action of each person, where it is told; an adaptive radius then learns for each by
      itself.
    """

    def __init__(
        self,
        engine: Engine,
        config: ForecastConfig,
        adaptive: AdaptiveRadius | None = None,
        score: OnlineScore | None = None,
    ) -> None:
        self._engine, self._config = engine, config
        self.radii = None if adaptive is None else ActionRadii(adaptive)
        self.doing: Mapping[str, str] = {}
        self.score = (score or OnlineScore(engine.layout)) if config.scored else None
        self._observations = ObservationBuffer(engine, config)
        self._latest: SceneSnapshot | None = None
        self._learnt = True  # from that snapshot
        self._pending: dict[str, PendingForecasts] = {}
        self._habits: dict[str, Habit] = {}
        self._made: list[_Made] = []  # not yet pending
        self._joints = len(get_layout(engine.layout).joints)
        self.counts = Counts()
        self._seconds = np.arange(1, engine.horizon + 1, dtype=np.float32) / np.float32(engine.fps)
        growing = config.fallback_radius + config.fallback_growth * self._seconds
        self._fallback_radius = np.repeat(growing[:, None].astype(np.float32), self._joints, axis=1)

    def observe(self, stamp: float, skeletons: Sequence[Skeleton]) -> None:
        """Take in what was seen at one instant.

        A skeleton without a single seen joint counts as nobody. A stamp that lies further back
        than `forget_after` means that the clock was set back (a bag started over): everybody is
        forgotten and observing starts anew.

        Raises InputError for a stamp not after the last one, the same person twice or a skeleton
        that `check_skeleton` refuses. Nothing is taken in then.

        `stamp`: when the image was taken [s].
        `skeletons`: everybody seen, in any layout.
        """
        self._take(self._observations.observe(stamp, skeletons))

    def _take(self, snapshot: SceneSnapshot) -> None:
        self.learn()
        if snapshot.anew:
            self._pending.clear()
            self._habits.clear()
        self._latest, self._learnt = snapshot, False
        self._pending = {n: o for n, o in self._pending.items() if n in snapshot.remembered}
        self._habits = {
            n: h for n, h in self._habits.items() if n in snapshot.remembered and h.doubt > _FADED
        }
        self.counts.people = len(snapshot.present)

    def learn(self) -> None:
        """Keep what was forecast, and hold what was seen last against what was forecast for then.

        The next observation does it otherwise; called between the two, it delays no forecast.
        """
        if self._learnt or self._latest is None:
            return
        self._learnt = True
        for made in self._made:
            forecast, name = made.forecast, made.forecast.person_id
            if name not in self._pending:
                pending = PendingForecasts(made.base, forecast.step, forecast.flatness)
                self._pending[name] = pending
            self._pending[name].add(
                forecast.stamp,
                forecast.positions,
                made.factor,
                made.base,
                network=made.network,
                recent=made.history,
                kind=made.kind,
            )
        self._made.clear()
        results = []
        for name, before, now in self._latest.pairs:
            if name in self._pending:
                results.append(self._pending[name].errors(before, now))
                if habit := self._habits.get(name):
                    habit.learn(now, results[-1].errors[0], self._latest.elapsed)
        if not results:
            return
        actions, kinds = np.divmod(np.array([due.kinds for due in results]), len(KINDS))
        if self.radii is not None:
            errors = np.array([due.errors[0] for due in results])
            factors = np.array([due.factors for due in results])
            scores = np.array([due.scores for due in results])
            self.radii.observe(errors, factors, self._latest.elapsed, scores, actions)
        if self.score is not None:
            kinds[actions < 0] = -1
            self.score.observe(results, kinds, self._latest.elapsed)

    def forecast(self) -> list[Forecast]:
        """Forecast everybody present at the last observation."""
        if self._latest is None:
            return []
        (paths,) = self._predict([self._latest])
        return self._forecasts(self._latest, paths)

    def replay(
        self, observations: Iterable[tuple[float, Sequence[Skeleton]]]
    ) -> list[list[Forecast] | InputError]:
        """`observe` and `forecast` for each of many observations in turn.

        The network is asked for all of them at once. What comes out is the same to the bit.

        Returns each observation's forecasts, or the error that `observe` would have raised.
        """
        snapshots: list[SceneSnapshot | InputError] = []
        for stamp, skeletons in observations:
            try:
                snapshots.append(self._observations.observe(stamp, skeletons))
            except InputError as error:
                snapshots.append(error)
        answers = iter(self._predict([s for s in snapshots if isinstance(s, SceneSnapshot)]))
        forecasts: list[list[Forecast] | InputError] = []
        for each in snapshots:
            if isinstance(each, InputError):
                forecasts.append(each)
            else:
                self._take(each)
                forecasts.append(self._forecasts(each, next(answers)))
        return forecasts

    def _predict(self, snapshots: Sequence[SceneSnapshot]) -> list[Answers]:
        """What the network answers for everybody with a history, at each snapshot."""
        nothing = np.zeros((self._joints, 6), np.float32)  # is told of how exact a joint is
        asked = [
            {
                name: (found.history, each.covariances.get(name, nothing))
                for name, found in each.present.items()
                if found.history is not None
            }
            for each in snapshots
        ]
        answers = []
        # Together goes only what does not change the answer.
        for together in [asked] if self._engine.each_alone else [[one] for one in asked]:
            everybody = [both for one in together for both in one.values()]
            shape = -1, self._engine.observed, self._joints, 3
            histories = np.array([h for h, _ in everybody], np.float32).reshape(shape)
            noise = np.array([n for _, n in everybody], np.float32).reshape(-1, self._joints, 6)
            paths, radii, kinds, doubts = self._engine.predict_with_radius(histories, noise)
            if radii is None:
                radii = np.broadcast_to(self._fallback_radius, paths.shape[:3])
            last = 0
            for one in together:
                rows = slice(last, last + len(one))
                last = rows.stop
                own = histories[rows], paths[rows], radii[rows], kinds[rows], doubts[rows]
                answers.append(Answers(tuple(one), *own))
        return answers

    def _forecasts(self, snapshot: SceneSnapshot, answers: Answers) -> list[Forecast]:
        reasons = {name: found.reason for name, found in snapshot.present.items()}
        leaps = flat_norm(answers.paths[:, 0] - answers.histories[:, -1], 1.0).mean(axis=1)
        if (far := leaps > _LEAP).any():  # weights trained in other coordinates
            reasons |= {
                name: f"{FAR_OFF}: it begins {leap:.1f} m away, as weights made for other "
                "coordinates do"
                for name, leap in zip(compress(answers.names, far), leaps[far], strict=True)
            }
            near = (part[~far] for part in answers[1:])
            answers = Answers(tuple(compress(answers.names, ~far)), *near)
        made = self._by_model(snapshot, answers)
        forecasts = [
            self._by_velocity(snapshot, name, reason) if reason else made[name]
            for name, reason in reasons.items()
        ]
        self.counts.forecasts += len(forecasts)
        return forecasts

    def _by_model(self, snapshot: SceneSnapshot, answers: Answers) -> dict[str, Forecast]:
        engine = self._engine
        names, histories, network, radii, kinds, doubts = answers
        said = ["unlike known motion" if doubt >= _DOUBTFUL else "" for doubt in doubts.tolist()]
        self.counts.fallbacks.update(filter(None, said))
        paths, moved = network, set[int]()
        if self.score is not None:
            for row in self.score.behind(kinds):
                paths = network.copy() if paths is network else paths
                baselines = [
                    damped_velocity(histories[row], engine.horizon, damping)
                    for damping in (0.0, DAMPING)
                ]
                paths[row], instead = self.score.choose(int(kinds[row]), network[row], baselines)
                moved.add(row)
                self.counts.fallbacks[f"network behind ({instead})"] += 1
                said[row] = ", ".join(filter(None, [said[row], instead]))
        if self.radii is not None and (doubts.any() or self._habits):
            paths, radii = paths.copy(), radii.copy()
            for row, (name, doubt) in enumerate(zip(names, doubts.tolist(), strict=True)):
                last = histories[row, -1]
                if doubt and name not in self._habits:
                    self._habits[name] = Habit(engine.horizon, 1 / engine.fps, last)
                if (habit := self._habits.get(name)) is None:
                    continue
                habit.doubt = max(doubt, habit.doubt)
                share = np.float32(habit.doubt)
                paths[row] += share * habit.back(last)
                moved.add(row)
                own = habit.radius(radii[row], self.radii.common.calibrated[-1])
                radii[row] += share * (own - radii[row])
        for row in moved:
            engine.hold_bones(paths[row, None], histories[row, None])
        own, actions = radii, np.zeros(len(names), np.int64)
        factors = np.ones((len(names), engine.horizon))
        if self.radii is not None and names:
            found = [self.radii.of(self.doing.get(name, "")) for name in names]
            actions = np.array([action for action, _ in found])
            factors = np.array([adaptive.factor for _, adaptive in found])
            velocity = (histories[:, -1] - histories[:, -2]) * np.float32(engine.fps)
            cap = furthest(paths, histories[:, -1], velocity, 1 / engine.fps, engine.layout)
            cap += np.float32(self._config.fallback_radius)
            radii = np.fmin((own * factors[..., None]).astype(np.float32), cap)
        forecasts = {
            name: Forecast(
                person_id=name,
                layout=engine.layout,
                stamp=snapshot.stamp,
                step=1 / engine.fps,
                positions=path,
                radius=radius,
                coverage=engine.coverage,
                model=f"{engine.name} ({about})" if about else engine.name,
                flatness=engine.flatness,
            )
            for name, path, radius, about in zip(names, paths, radii, said, strict=True)
        }
        if self.radii is not None or self.score is not None:
            numbers = kinds + len(KINDS) * actions
            past = zip(forecasts.values(), network, histories, own, factors, numbers, strict=True)
            self._made += [_Made(*one) for one in past]
        return forecasts

    def _by_velocity(self, snapshot: SceneSnapshot, name: str, reason: str) -> Forecast:
        self.counts.fallbacks[reason.partition(":")[0]] += 1
        history = snapshot.present[name].history
        if history is None:
            last, velocity = snapshot.motions[name]
        else:
            last, velocity = history[-1], (history[-1] - history[-2]) * self._engine.fps
        return Forecast(
            person_id=name,
            layout=self._engine.layout,
            stamp=snapshot.stamp,
            step=1 / self._engine.fps,
            positions=last + self._seconds[:, None, None] * velocity,
            radius=self._fallback_radius,
            coverage=0.0,
            model=f"constant_velocity ({reason})",
        )


def forecasts_from_message(content: Any) -> list[Forecast]:
    """Forecasts of a ForecastArray of rclpy or of a bag; positions (H, J, 3), radii (H, J) [m].

    Raises InputError for an unknown layout, arrays of the wrong length or a step that is not
    positive.
    """
    stamp = to_seconds(content.header.stamp)
    return [_forecast_from_message(stamp, entry) for entry in content.forecasts]


def _forecast_from_message(stamp: float, entry: Any) -> Forecast:
    shape = entry.steps, len(get_layout(entry.layout).joints)
    count, who = shape[0] * shape[1], f"forecast of person '{entry.person_id}'"
    if len(entry.positions) != 3 * count or len(entry.radius) != count:
        raise InputError(
            f"{who} has {len(entry.positions)} position values and {len(entry.radius)} radii; "
            f"{shape[0]} steps of layout {entry.layout} take {3 * count} and {count}"
        )
    step = to_seconds(entry.step)
    if step <= 0.0:
        raise InputError(f"{who}: step is {step} s; it must be positive")
    return Forecast(
        person_id=entry.person_id,
        layout=entry.layout,
        stamp=float(stamp),
        step=step,
        positions=np.asarray(entry.positions, np.float32).reshape(*shape, 3),
        radius=np.asarray(entry.radius, np.float32).reshape(shape),
        coverage=float(entry.coverage),
        model=entry.model,
        flatness=float(getattr(entry, "flatness", 0.0)) or 1.0,  # recordings of before have none
    )
