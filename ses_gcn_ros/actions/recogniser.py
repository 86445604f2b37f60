"""What everybody is doing now: a history per person, one forward pass for all who are due."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.actions.weights import UNKNOWN, ActionWeights, probabilities
from ses_gcn_ros.actions.windows import Joints, Motion, prepared, with_features, without_gaps
from ses_gcn_ros.config import option
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.skeleton import Skeleton, convert, get_layout

_UP = 2  # skeletons come in frames with z up


@dataclass(frozen=True)
class ActionConfig:
    """Parameters of the action node, with their units and limits."""

    autostart: bool = option(True, "configure and activate at start, without a lifecycle manager")
    weights: str = option("", "path of a .safetensors file; empty: the weights that ship")
    reliability: str = option(
        "reliable",
        "of the skeletons; reliable never hears a best-effort publisher",
        choices=("reliable", "best_effort"),
    )
    rate: float = option(10.0, "answers per person, at most [Hz]", minimum=0.5, maximum=60)
    answers: float = option(
        80.0,
        "answers to all people together, at most; they take turns [Hz]",
        minimum=1,
        maximum=10000,
    )
    hold: float = option(
        0.1, "time that another answer must last before the label changes [s]", minimum=0, maximum=5
    )
    least_seen: float = option(
        0.6, "share of a window that a person must be seen in", minimum=0.1, maximum=1
    )
    gap: float = option(
        0.5, "longest gap between observations that is interpolated [s]", minimum=0.02, maximum=2
    )
    forget_after: float = option(
        1.0, "time after which a person out of sight is forgotten [s]", minimum=0.1, maximum=60
    )


@dataclass(frozen=True, eq=False)
class Action:
    """What one person is doing."""

    person_id: str  # identity of the person
    label: str  # a class of the model, or ``unknown``
    probability: float  # calibrated probability of the likeliest class, 0 before there is an answer
    probabilities: NDArray[np.float32]  # (classes,): of all classes
    since: float  # time at which the label became this one [s]
    # (V,): share of each of the model's joints in the answer; empty where the model has none
    importance: NDArray[np.float32]
    reason: str = ""  # why the label is ``unknown``; empty for others


@dataclass(eq=False)
class _Person:
    stamps: deque[float] = field(default_factory=deque)
    positions: deque[Motion] = field(default_factory=deque)
    answered: float = -np.inf  # when last
    action: Action | None = None
    wanted: str = ""  # label that waits to be held long enough
    wanted_since: float = 0.0


class Recogniser:
    """Actions of everybody in a stream of skeletons.

    Raises ModelError if the weights' layout is unknown, so that no skeleton can be converted to it.

    `weights`: a network for joints of a layout of the package.
    `config`: rates, gaps and hysteresis.
    """

    def __init__(self, weights: ActionWeights, config: ActionConfig) -> None:
        self.weights, self.config = weights, config
        from ses_gcn_ros.actions.engine import load_engine  # compiled loops: not to list parameters

        self._engine = load_engine(weights)
        layout = get_layout(weights.layout or "")
        self._columns = [layout.joints.index(name) for name in weights.joints.names]
        self.canonical = tuple(layout.canonical[column] for column in self._columns)
        self._people: dict[str, _Person] = {}
        self._last = -np.inf

    @property
    def joints(self) -> Joints:
        """Joints that the network sees."""
        return self.weights.joints

    def observe(self, stamp: float, people: Sequence[Skeleton]) -> None:
        """Take in one observation of everybody.

        Raises InputError if the stamp is not after the last one; a clock that was set back by more
        than `forget_after` begins anew instead.
        """
        if stamp <= self._last:
            if self._last - stamp < self.config.forget_after:
                raise InputError(
                    f"skeletons at {stamp:.3f} s came after those at {self._last:.3f} s; stamps "
                    "must grow"
                )
            self._people.clear()
        self._last = stamp
        for layout in dict.fromkeys(person.layout for person in people):
            group = [person for person in people if person.layout == layout]
            positions, _ = convert(
                np.stack([person.positions for person in group]),
                np.stack([person.confidence for person in group]),
                layout,
                self.weights.layout,
            )
            for person, motion in zip(group, positions[:, self._columns], strict=True):
                self._remember(stamp, person.person_id, motion)
        horizon = stamp - self.config.forget_after
        for person_id in [n for n, p in self._people.items() if p.stamps[-1] < horizon]:
            del self._people[person_id]

    def _remember(self, stamp: float, person_id: str, motion: Motion) -> None:
        person = self._people.setdefault(person_id, _Person())
        if person.stamps and _leapt(person, stamp, motion):
            # Somebody else under this name: what the first one did says nothing of the second.
            person.stamps.clear()
            person.positions.clear()
        person.stamps.append(stamp)
        person.positions.append(motion)
        while person.stamps[-1] - person.stamps[0] > self.weights.window.duration + 1e-6:
            person.stamps.popleft()
            person.positions.popleft()

    def recognise(self) -> list[Action]:
        """Actions of everybody who was seen last, those who are due answered anew."""
        stamp = self._last
        present = {n: p for n, p in self._people.items() if p.stamps[-1] == stamp}
        turn = max(1 / self.config.rate, len(present) / self.config.answers)
        due = [n for n, p in present.items() if stamp - p.answered >= turn - 1e-6]
        # People take turns: of many, those answered longest ago.
        due.sort(key=lambda name: present[name].answered)
        self._answer(stamp, {name: present[name] for name in due[: self._share(len(present))]})
        return [p.action for p in present.values() if p.action is not None]

    def _share(self, people: int) -> int:
        """How many are answered per message, so that all have had their turn in time."""
        return max(2, -(-people // 4))

    def _answer(self, stamp: float, due: dict[str, _Person]) -> None:
        windows, ready = [], []
        for name, person in due.items():
            person.answered = stamp
            window, reason = self._window(stamp, person)
            if window is None:
                self._settle(stamp, name, person, None, np.zeros(0, np.float32), reason)
            else:
                windows.append(window)
                ready.append(name)
        if not windows:
            return
        logits, importance = self._engine.run(np.stack(windows))
        for name, chances, share in zip(
            ready, probabilities(logits, self.weights.temperature), importance, strict=True
        ):
            self._settle(stamp, name, due[name], chances, share, "")

    def _window(self, stamp: float, person: _Person) -> tuple[Motion | None, str]:
        """Input of the network, or why there is none."""
        window = self.weights.window
        stamps = np.array(person.stamps)
        if np.ptp(stamps) < self.config.least_seen * window.duration:
            return None, "seen too briefly"
        if np.diff(stamps).max(initial=0) > self.config.gap:
            return None, "out of sight in between"
        motion = np.stack(person.positions)
        seen: NDArray[np.bool_] = np.asarray(np.isfinite(motion).all(axis=-1))
        if seen.any(axis=0).sum() < min(5, motion.shape[1]):
            return None, "too few joints"
        times = np.linspace(stamps[0], stamps[-1], window.frames)
        after = np.clip(np.searchsorted(stamps, times), 1, len(stamps) - 1)
        span = stamps[after] - stamps[after - 1]
        share = ((times - stamps[after - 1]) / span)[:, None, None].astype(np.float32)
        if not seen.all():
            without_gaps(motion, seen)
        even = motion[after - 1] * (1 - share) + motion[after] * share
        even = prepared(even, self.joints, window, _UP)
        return with_features(even, self.joints.parents, window.features), ""

    def _settle(
        self,
        stamp: float,
        name: str,
        person: _Person,
        chances: NDArray[np.float64] | None,
        importance: NDArray[np.float32],
        reason: str,
    ) -> None:
        """Turn an answer into the label, which changes once another has lasted long enough."""
        label, probability = UNKNOWN, 0.0
        if chances is None:
            chances = np.zeros(len(self.weights.labels))
        else:
            best = int(chances.argmax())
            probability = float(chances[best])
            label = self.weights.labels[best]
            if label == UNKNOWN:  # a class that some networks learn
                reason = "none of the classes"
            elif probability < self.weights.threshold:
                label, reason = UNKNOWN, "not sure enough"
        before = person.action
        if before is not None and label != before.label:
            if label != person.wanted:
                person.wanted, person.wanted_since = label, stamp
            # Not to know is said at once: only what is claimed has to last.
            if label != UNKNOWN and stamp - person.wanted_since < self.config.hold - 1e-6:
                label = before.label
        else:
            person.wanted = label
        since = before.since if before is not None and before.label == label else stamp
        person.action = Action(
            person_id=name,
            label=label,
            probability=probability,
            probabilities=chances.astype(np.float32),
            since=since,
            importance=importance,
            reason=reason if label == UNKNOWN else "",
        )

    def forget(self) -> None:
        """Begin anew, as in another frame."""
        self._people.clear()
        self._last = -np.inf


def _leapt(person: _Person, stamp: float, motion: Motion) -> bool:
    """Whether a body moved faster than anybody can, which is an exchange of identities."""
    moved = motion - person.positions[-1]
    allowed = 0.3 + 6.0 * (stamp - person.stamps[-1])  # m; 6 m/s is a sprint
    squares = np.einsum("vc,vc->v", moved, moved)  # NaN, unseen, is never too far
    return bool(2 * np.count_nonzero(squares > allowed**2) > len(squares))


def label_changes(actions: Iterable[tuple[float, str]]) -> list[tuple[float, float, str]]:
    """Stretches (start, end, label) of a person's labels over time [s]."""
    stretches: list[tuple[float, float, str]] = []
    for stamp, label in actions:
        if stretches and stretches[-1][2] == label:
            stretches[-1] = (stretches[-1][0], stamp, label)
        else:
            stretches.append((stamp, stamp, label))
    return stretches
