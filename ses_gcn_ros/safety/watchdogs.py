"""Watchdogs: what is missing, old, frozen or impossible, each as a limit with its reason."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from collections import deque
from collections.abc import Iterable, Mapping, Set

import numpy as np

from ses_gcn_ros.errors import ConfigError, InputError, shortened
from ses_gcn_ros.safety.config import SafetyConfig
from ses_gcn_ros.safety.decision import Limit
from ses_gcn_ros.safety.geometry import within
from ses_gcn_ros.safety.people import MOST_LOST, PeopleTracks
from ses_gcn_ros.safety.robot_model import FARTHEST, RobotModel
from ses_gcn_ros.safety.robot_motion import RobotState

REFUSALS, REFUSAL_WINDOW = 3, 1.0  # messages within seconds that are a fault
FLOOD_WINDOW = 0.5  # s over which the rate of an input is measured
FLOOD_SLACK = 1.1  # times the highest rate, as messages of that rate come early and late


class Inputs:
    """Remembers what is wrong with each input until it is well again."""

    def __init__(self, config: SafetyConfig) -> None:
        self._config = config
        self._faults: dict[str, Limit] = {}
        self._arrivals: dict[str, deque[float]] = {}
        self._refusals: dict[str, deque[float]] = {}

    def limits(self) -> list[Limit]:
        """What all present faults ask for."""
        return list(self._faults.values())

    def fault(self, source: str, reason: str) -> None:
        """Note a fault of a source."""
        about_forecasts = source.split()[0] == "forecasts"
        factor = self._config.forecast_lost_factor if about_forecasts else 0.0
        self._faults[source] = Limit(factor, reason)

    def note(self, source: str, reason: str) -> None:
        """Note what has to be said of a source, but stops nothing."""
        self._faults[source] = Limit(NOTED, reason)

    def well(self, source: str) -> None:
        """Forget the fault of a source, if there is one."""
        self._faults.pop(source, None)

    def arrive(self, source: str, stamp: float, now: float) -> None:
        """Count a message, usable or not.

        Raises InputError if its stamp is ahead of the clock.
        """
        self._watch_rate(source, now)
        ahead = stamp - now
        if not ahead <= self._config.future_tolerance:
            if now <= 0.0:  # which is a stop of its own name
                raise InputError(f"{source} not used: no time on /clock yet")
            reason = f"{source} from the future: stamped {ahead:.2f} s ahead of the clock"
            self.fault(source, reason)
            raise InputError(f"{reason}; synchronise the clocks (not used)")

    def refuse(self, source: str, now: float) -> None:
        """Count a message out of order; several are a fault, such as of a second publisher."""
        refusals = self._refusals.setdefault(source, deque(maxlen=REFUSALS))
        refusals.append(now)
        if len(refusals) == REFUSALS and 0.0 <= now - refusals[0] <= REFUSAL_WINDOW:
            self.fault(
                f"{source} order",
                f"{source} refused: {REFUSALS} out of order within {REFUSAL_WINDOW:.0f} s; is "
                "there a second publisher?",
            )

    def expire(self, now: float) -> None:
        """Forget refusals that were long ago."""
        for source, refusals in self._refusals.items():
            if refusals and not 0.0 <= now - refusals[-1] <= REFUSAL_WINDOW:
                refusals.clear()
                self.well(f"{source} order")

    def _watch_rate(self, source: str, now: float) -> None:
        highest = self._config.input_rate_max
        if highest <= 0.0:
            return
        allowed = max(round(FLOOD_SLACK * highest * FLOOD_WINDOW), 1)
        arrivals = self._arrivals.setdefault(source, deque(maxlen=allowed + 1))
        if arrivals and now < arrivals[-1]:
            arrivals.clear()  # the clock went back
        arrivals.append(now)
        span = now - arrivals[0]
        if len(arrivals) > allowed and span < FLOOD_WINDOW:
            rate = (len(arrivals) - 1) / max(span, 1e-3)
            self.fault(f"{source} rate", f"{source} flood: {rate:.0f} Hz > {highest:.0f} Hz")
        else:
            self.well(f"{source} rate")


CLOCK_RATE = 0.05  # that the clock may be faster or slower than real time
CLOCK_SLACK = 0.5  # s besides, for a clock that comes in steps or late
CLOCK_WINDOW, CLOCK_MARKS = 20.0, 0.5  # s over which its rate is taken, and between its marks
CLOCK_PATIENCE = 0.5  # s of real time that a simulated clock may stand still
TOO_FAST = 1.5  # times robot_speed_max; beyond it the poses jump or the parameter is wrong
OUT_OF_ANY_CELL = 100.0  # m from the robot; somebody there is somewhere else, by wrong transforms
NOTED = 0.999  # speed factor of what has to be said but is held down by other limits


def check_people(
    config: SafetyConfig, tracks: PeopleTracks, now: float, age: float, source: str
) -> list[Limit]:
    """Skeletons too old or stuck, people without a joint, people lost near the robot."""
    limits = _too_old(source, age, config.skeleton_age_max, 0.0)
    limits += [
        Limit(0.0, f"{source} frozen: person {track.person_id} unchanged for {track.same:.2f} s")
        for track in tracks.present.values()
        if 0.0 < config.frozen_time < track.same
    ]
    limits += [Limit(0.0, fault) for fault in tracks.faults]
    limits += [
        Limit(
            0.0,
            f"person {track.person_id} is {track.distance:.0f} m from the robot: are both in one "
            "frame, in metres?",
        )
        for track in tracks.present.values()
        if OUT_OF_ANY_CELL < track.distance < math.inf
    ]
    if tracks.overflow:
        limits.append(Limit(0.0, f"more than {MOST_LOST} people lost: call ~/reset"))
    limits += [
        Limit(0.0, f"person {track.person_id}: no joint seen")
        for track in tracks.present.values()
        if track.blind
    ]
    limits += [
        Limit(
            NOTED,
            f"person {track.person_id} lost at {track.distance:.2f} m, "
            f"held for {track.unseen_for(now):.2f} s",
        )
        for track in tracks.lost.values()
    ]
    return limits


def check_robot(
    config: SafetyConfig, model: RobotModel, robot: RobotState | None, age: float
) -> list[Limit]:
    """Poses too old, from the future, jumping or too far apart."""
    limits = _too_old("tf of the robot", age, config.tf_age_max, 0.0)
    if age < -config.future_tolerance:
        limits.append(Limit(0.0, f"tf from the future: {-age:.2f} s ahead of the clock"))
    if robot is not None:
        fastest, capsules = robot.fastest(model.robot)
        for speed, index in zip(fastest.tolist(), capsules.tolist(), strict=True):
            if speed > TOO_FAST * config.robot_speed_max:
                limits.append(
                    Limit(
                        0.0,
                        f"tf jumps: {model.names[index]} at {speed:.2f} m/s, "
                        f"robot_speed_max is {config.robot_speed_max:.2f}",
                    )
                )
        if config.cell and not within(np.concatenate([robot.start, robot.end]), config.cell).any():
            x, y, _ = robot.start[0]
            sentence = f"cell does not hold the robot, which is at ({x:.2f}, {y:.2f}) by tf"
            limits.append(Limit(0.0, f"{sentence}: is it drawn in world_frame, in metres?"))
        limits += [
            Limit(0.0, f"robot is {apart:.0f} m across by tf: is that in millimetres?")
            for apart in robot.across(model.robot).tolist()
            if apart > FARTHEST
        ]
    return limits


def forecast_limits(
    config: SafetyConfig, tracks: PeopleTracks, ids: Set[str], now: float, age: float
) -> list[Limit]:
    """Forecasts too old, or none for somebody who has been there long enough to have one."""
    factor = config.forecast_lost_factor
    stale = _too_old("forecasts", age, config.forecast_age_max, factor)
    return stale or [
        Limit(factor, f"person {track.person_id} has no forecast")
        for track in tracks.present.values()
        if track.person_id not in ids and now - track.first_seen > config.forecast_age_max
    ]


class ActionLimits:
    """Lower limits while somebody does certain things; what is not known of them lowers too.

    Raises ConfigError if one of them is no label with a factor of 0 to 1.

    `config`: its `action_limits`, each ``LABEL: FACTOR``.
    """

    def __init__(self, config: SafetyConfig) -> None:
        self._oldest = config.action_age_max
        self.factors: dict[str, float] = {}
        for entry in config.action_limits:
            label, _, factor = (part.strip() for part in entry.partition(":"))
            try:
                self.factors[label] = float(factor)
            except ValueError:
                self.factors[label] = math.nan
            if not label or not 0.0 <= self.factors[label] <= 1.0:
                raise ConfigError(
                    f"action_limits holds '{entry}'; it takes LABEL: FACTOR with a factor of 0 to "
                    "1, such as 'hand_over: 0.3'"
                )
        self.forget()

    def forget(self) -> None:
        """Begin anew, as after the clock went back."""
        self._labels: dict[str, str] = {}
        self._stamp: float | None = None

    def observe(self, stamp: float, labels: Mapping[str, str]) -> None:
        """Take what everybody does, by person; raises InputError if the stamp went back."""
        if self._stamp is not None and stamp < self._stamp:
            raise InputError(
                f"actions stamped {stamp:.3f} s came after those of {self._stamp:.3f} s; not used"
            )
        self._labels, self._stamp = dict(labels), stamp

    def limits(self, now: float, people: Iterable[str]) -> list[Limit]:
        """Limits at `now` [s]: of what each person does, the strictest where that is not told."""
        if not self.factors:
            return []
        strictest = min(self.factors.values())
        age = math.inf if self._stamp is None else now - self._stamp
        stale = _too_old("actions", age, self._oldest, strictest)
        if stale:
            return stale
        limits = []
        for person in people:
            label = self._labels.get(person)
            if label is None:
                limits.append(Limit(strictest, f"person {person}: no action told"))
            elif label in self.factors:
                limits.append(Limit(self.factors[label], f"person {person}: {label}"))
        return limits


class Bridges:
    """What the nodes that carry the factor to the robots say of themselves, and whether they do.

    `config`: its `bridges` are waited for.
    """

    def __init__(self, config: SafetyConfig) -> None:
        self._names, self._oldest = config.bridges, config.bridge_age_max
        self._heard: dict[str, tuple[float, str]] = {}

    def observe(self, name: str, fault: str, now: float) -> None:
        """Take a bridge's word: what is wrong with its driver, empty for nothing."""
        self._heard[name] = now, fault

    def limits(self, now: float) -> list[Limit]:
        """A stop for each that is silent, or whose driver fails; `now` by the same clock [s]."""
        limits = []
        for name in self._names:
            heard, fault = self._heard.get(name, (-math.inf, ""))
            limits += _too_old(name, now - heard, self._oldest, 0.0)
            limits += [Limit(0.0, shortened(f"{name}: {fault}"))] if fault else []
        return limits


class PublishedDescription:
    """The robot's description as it is published: whether it is still what it was at first."""

    def __init__(self) -> None:
        self._first: dict[str, str] | None = None  # parts by kind and name
        self._latest: dict[str, str] = {}

    def observe(self, text: str) -> str:
        """Take what was published; gives what is wrong with it, or nothing.

        Links and joints may come in another order and with other remarks.
        """
        try:
            robot = ElementTree.fromstring(text.lstrip("\ufeff \t\r\n"))
            parts = {
                f"{part.tag} {part.get('name', number)}": ElementTree.canonicalize(
                    ElementTree.tostring(part, "unicode"), strip_text=True
                )
                for number, part in enumerate(robot)
            }
        except (ElementTree.ParseError, ValueError) as error:
            parts = {f"what is no XML ({error})": ""}
        self._first, self._latest = first, parts = self._first or parts, parts
        changed = {name for name, _ in first.items() ^ parts.items()}
        names = sorted(changed, key=lambda name: (name in first, name))  # new ones first
        if not names:
            return ""
        return shortened(
            f"robot_description is another than at first, in {', '.join(names[:3])}"
            f"{f' and {len(names) - 3} more' if len(names) > 3 else ''}: give it to this node and "
            "activate it anew, or call ~/reset if the robot is the same"
        )

    def believe(self) -> bool:
        """Take the latest for the first; says whether they differed."""
        differed = self._first is not None and self._first != self._latest
        self._first = self._latest if differed else self._first
        return differed


def _too_old(what: str, age: float, oldest: float, factor: float) -> list[Limit]:
    if age <= oldest:
        return []
    if math.isinf(age):
        return [Limit(factor, f"no {what} yet")]
    return [Limit(factor, f"{what} stale: {age:.2f} s > {oldest:.2f} s")]


class ClockMonitor:
    """Holds the clock that stamps are compared with, and the node's own loop, against real time.

    `now`, `steady`: the clock, and a clock that nobody sets [s].
    """

    def __init__(self, config: SafetyConfig, now: float, steady: float) -> None:
        self._config = config
        self._now = now
        self._steady = self._moved = steady
        self._marks = deque([(now, steady)])

    def check(self, now: float, steady: float) -> dict[str, str]:
        """What is wrong, by source: "clock" and "loop". Call it once per state."""
        passed, real = now - self._now, steady - self._steady
        if passed != 0.0:
            self._moved = steady
        self._now, self._steady = now, steady
        faults = {}
        if real > self._config.loop_time_max:
            faults["loop"] = (
                f"safety node late: {real:.2f} s between two states > "
                f"{self._config.loop_time_max:.2f} s"
            )
        leap, still = passed - real, steady - self._moved
        leaps, stands = leap > self._config.clock_jump, still > CLOCK_PATIENCE
        if leaps or stands:  # named as such, and left out of the rate, which it must not hide
            self._marks = deque((then + leap, at) for then, at in self._marks)
        rate = self._wrong_rate(now, steady)
        if rate is not None and not self._config.replay:
            faults["clock"] = f"clock runs at {rate:.2f} times the rate of real time"
        if leaps:
            faults["clock"] = f"clock jumped ahead {leap:.2f} s"
        if stands:
            faults["clock"] = f"clock stands still for {still:.1f} s"
        return faults

    def _wrong_rate(self, now: float, steady: float) -> float | None:
        """Rate of the clock over the last seconds if it is out of bounds; None if it is not."""
        marks = self._marks
        if marks and now < marks[-1][0]:  # the clock went back, which is a fault of its own
            marks.clear()
        if not marks or steady - marks[-1][1] >= CLOCK_MARKS:
            marks.append((now, steady))
        while len(marks) > 1 and steady - marks[0][1] > CLOCK_WINDOW:
            marks.popleft()
        # since each mark: what was slow before must not make up for what is fast now
        for then, real_then in marks:
            passed, real = now - then, steady - real_then
            if abs(passed - real) > CLOCK_RATE * real + CLOCK_SLACK:
                return passed / real if real > 0.0 else float("inf")
        return None
