"""A replay's states and a bounded number of frames, written to disk as they come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ses_gcn_ros.forecast import Forecast
from ses_gcn_ros.replay.health import kind_of
from ses_gcn_ros.replay.monitoring import Forecasted, Seen
from ses_gcn_ros.replay.replay import ReplayWriter
from ses_gcn_ros.safety import Assessment, RobotModel
from ses_gcn_ros.skeleton import Skeleton, convert, get_layout

MOST_FRAMES = 20_000  # of a replay; of a longer run every n-th observation is kept
KEPT_STEPS = 5  # of each forecast, evenly spaced up to its end
_BLOCK = 512
_STATE_NUMBERS = {
    "factor": "speed_factor",
    "separation": "separation",
    "protective": "protective_distance",
    "margin": "margin",
    "time_to_breach": "time_to_breach",
    "skeleton_age": "skeleton_age",
    "forecast_age": "forecast_age",
    "tf_age": "tf_age",
}


class Names:
    """Numbers for names, in the order they came."""

    def __init__(self) -> None:
        self._index: dict[str, int] = {}

    def number(self, name: str) -> int:
        """Number of a name; -1 for the empty one."""
        return self._index.setdefault(name, len(self._index)) if name else -1

    @property
    def all(self) -> tuple[str, ...]:
        """The names by their numbers."""
        return tuple(self._index)


class Film:
    """Write what there is to see of a run.

    Parameters
    ----------
    folder : Path
        Of the replay.
    layout : str
        Joint layout that people are shown in.
    horizon : int
        Steps of a forecast.
    model : RobotModel or None
        The robot, if there is one.
    observations : int
        How many there will be, which decides how many are left out.
    start : float
        Stamp that times count from [s].
    """

    def __init__(
        self,
        folder: Path,
        layout: str,
        horizon: int,
        model: RobotModel | None,
        observations: int,
        start: float,
    ) -> None:
        self.layout = layout
        self._joints = len(get_layout(layout).joints)
        self._links = len(model.names) if model else 0
        self.steps = np.unique(np.linspace(0, horizon, KEPT_STEPS + 1).round()[1:].astype(int)) - 1
        self._writer = ReplayWriter(folder, self._joints, len(self.steps), self._links)
        self._every = -(-max(observations, 1) // MOST_FRAMES)
        self._count = 0
        self.people, self.limbs, self.links, self.reasons = Names(), Names(), Names(), Names()
        if model:
            for name in model.names:
                self.links.number(name)
        self.frame_reasons: list[str] = []
        self._states: list[Assessment] = []
        self._number = 0  # of states
        self._last_reasons = ""
        self._frames: dict[str, list[Any]] = {}
        self._rows: dict[str, list[Any]] = {}
        self._waiting: tuple[Seen, Any] | None = None
        self._start = start

    def state(self, state: Assessment) -> None:
        """Take in a state."""
        self._states.append(state)
        self._number += 1
        self._last_reasons = "; ".join(state.reasons)
        if len(self._states) >= _BLOCK:
            self._flush_states()

    def seen(self, seen: Seen, robot: tuple[float, Any, Any] | None) -> None:
        """Take in an observation, and stamp and ends of the robot's capsules."""
        self._expose({})
        if self._count % self._every == 0:
            ends = np.full((self._links, 2, 3), np.nan, np.float32)
            if robot is not None:
                _, ends[:, 0], ends[:, 1] = robot
            self._waiting = (seen, ends)
        self._count += 1

    def forecast(self, made: Forecasted) -> None:
        """Take in the forecasts of the last observation."""
        if self._waiting is not None and self._waiting[0].stamp == made.stamp:
            self._expose({forecast.person_id: forecast for forecast in made.forecasts})

    def _expose(self, forecasts: dict[str, Forecast]) -> None:
        if self._waiting is None:
            return
        seen, ends = self._waiting
        self._waiting = None
        frames = self._frames or {name: [] for name in ("time", "state", "robot", "people")}
        self._frames = frames
        for name, value in (
            ("time", seen.stamp - self._start),
            ("state", self._number - 1),
            ("robot", ends),
            ("people", len(seen.people)),
        ):
            frames[name].append(value)
        self.frame_reasons.append(self._last_reasons)
        for person in seen.people:
            self._add_person(person, forecasts.get(person.person_id))
        if len(frames["time"]) >= _BLOCK:
            self._flush_frames()

    def _add_person(self, person: Skeleton, forecast: Forecast | None) -> None:
        positions = person.positions
        if person.layout != self.layout:
            positions, _ = convert(positions, person.confidence, person.layout, self.layout)
        shown = forecast is not None and forecast.layout == self.layout
        if forecast is not None and shown and len(forecast.positions) > self.steps[-1]:
            ahead, radius = forecast.positions[self.steps], forecast.radius[self.steps]
        else:
            ahead = np.full((len(self.steps), self._joints, 3), np.nan, np.float32)
            radius = np.full((len(self.steps), self._joints), np.nan, np.float32)
        rows = self._rows or {n: [] for n in ("person", "positions", "forecast", "radius")}
        self._rows = rows
        rows["person"].append(self.people.number(person.person_id))
        rows["positions"].append(positions)
        rows["forecast"].append(ahead)
        rows["radius"].append(radius)

    def _flush_frames(self) -> None:
        if self._rows:
            self._writer.add_people(**{name: np.stack(rows) for name, rows in self._rows.items()})
            self._rows = {}
        if self._frames:
            people = self._frames.pop("people")
            stacked = {name: np.asarray(values) for name, values in self._frames.items()}
            self._writer.add_frames(people=people, **stacked)
            self._frames = {}

    def _flush_states(self) -> None:
        states, self._states = self._states, []
        if not states:
            return
        numbers = {
            name: np.array([getattr(state, field) for state in states])
            for name, field in _STATE_NUMBERS.items()
        }
        nowhere = np.full(3, np.nan)
        self._writer.add_states(
            time=np.array([state.stamp for state in states]) - self._start,
            level=np.array([int(state.level) for state in states]),
            person=[self.people.number(state.person_id) for state in states],
            limb=[self.limbs.number(state.human_limb) for state in states],
            link=[self.links.number(state.robot_frame) for state in states],
            reason=[
                self.reasons.number(kind_of(state.reasons[0]) if state.reasons else "")
                for state in states
            ],
            human_point=[state.pair.human_point if state.pair else nowhere for state in states],
            robot_point=[state.pair.robot_point if state.pair else nowhere for state in states],
            **numbers,
        )

    def finish(self) -> ReplayWriter:
        """Write what is left; the writer waits for the description to be closed with."""
        self._expose({})
        self._flush_frames()
        self._flush_states()
        return self._writer
