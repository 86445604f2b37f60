"""A replayed run on disk: what was there at every moment, for reports, pictures and notebooks."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ses_gcn_ros.errors import BagError
from ses_gcn_ros.forecast import Forecast
from ses_gcn_ros.models.config import ModelConfig
from ses_gcn_ros.replay.events import PeopleForecast, PeopleSeen
from ses_gcn_ros.replay.safety_scores import kind_of
from ses_gcn_ros.resources import parse_json, write_atomically
from ses_gcn_ros.safety import Assessment, RobotModel
from ses_gcn_ros.skeleton import Skeleton, convert, get_layout

Floats = NDArray[np.float32]

FORMAT = 1
DESCRIPTION = "replay.json"


@dataclass(frozen=True)
class ReplayMetadata:
    """What the arrays of a replay mean."""

    bag: str  # name of the bag
    source: str  # where forecasts and states come from: "computed" here, or "recorded" in the bag
    layout: str  # joint layout of `Replay.positions` and `Replay.forecast`
    frame_id: str  # frame of all positions; z is up
    start: float  # stamp of the first observation [s]; times count from it
    duration: float  # from the first to the last observation [s]
    steps: tuple[float, ...]  # how far ahead the S steps kept of each forecast are [s]
    links: tuple[str, ...]  # robot frame of each of the M capsules; empty without a robot
    link_radii: tuple[float, ...]  # their radii [m]
    # what the indices in the arrays stand for; reasons have their numbers left out ("…")
    person_ids: tuple[str, ...]
    limbs: tuple[str, ...]
    reasons: tuple[str, ...]
    # every reason in force at each frame, with its numbers; empty when CLEAR
    frame_reasons: tuple[str, ...]
    partial: bool  # whether the bag could not be replayed to its end
    problems: tuple[str, ...]  # what was wrong with the bag, one sentence each
    # parameters of the forecaster and of the safety monitor, by node
    parameters: dict[str, dict[str, Any]]
    versions: dict[str, str]  # versions of what computed it


@dataclass(frozen=True, eq=False)
class States:
    """Every state of the safety monitor, N of them."""

    time: NDArray[np.float64]  # (N,): since the first observation [s]
    level: NDArray[np.uint8]  # (N,): 0 CLEAR, 1 REDUCED, 2 STOP
    factor: Floats  # (N,): speed factor, 0 to 1
    # (N,): of the pair with the least margin [m]; NaN where unknown, inf separation with nobody
    # there
    separation: Floats
    protective: Floats
    margin: Floats
    # (N,): until a forecast meets the robot [s]; inf if not within the horizon
    time_to_breach: Floats
    # (N,): ages of the inputs [s]; inf before the first
    skeleton_age: Floats
    forecast_age: Floats
    tf_age: Floats
    # (N,): index into the metadata's `person_ids`, `limbs`, `links` and `reasons` (the worst one);
    # -1 for none
    person: NDArray[np.int16]
    limb: NDArray[np.int16]
    link: NDArray[np.int16]
    reason: NDArray[np.int16]
    # (N, 3): closest points on the surfaces of that pair [m]; NaN if unknown, and where states were
    # recorded
    human_point: Floats
    robot_point: Floats


@dataclass(frozen=True, eq=False)
class Replay:
    """A run: F frames to draw, R people in them one after the other, and every state.

    Of a long bag only every n-th observation is a frame (`MOST_FRAMES`); states are all there.
    """

    about: ReplayMetadata
    states: States
    time: NDArray[np.float64]  # (F,): of each frame since the first observation [s]
    rows: NDArray[np.int64]  # (F + 1,): frame i shows the people ``rows[i]`` to ``rows[i + 1]``
    state: NDArray[np.int64]  # (F,): index of the state in force; -1 before the first
    robot: Floats  # (F, M, 2, 3): ends of the robot's capsules [m]; NaN where unknown
    person: NDArray[np.int16]  # (R,): index into `ReplayMetadata.person_ids`
    positions: Floats  # (R, J, 3): joints [m]; NaN where unseen
    # (R, S, J, 3): where they were expected at the metadata's `steps` after the frame [m]; NaN
    # without a forecast
    forecast: Floats
    radius: Floats  # (R, S, J): radius around each of those [m]

    def frame_at(self, time: float) -> int:
        """Index of the last frame not after `time` [s]; the first one before it."""
        return max(int(np.searchsorted(self.time, time + 1e-6, side="right")) - 1, 0)

    @property
    def answers(self) -> NDArray[np.int64]:
        """Index of the first state that knew each frame, shape (F,), where there are states."""
        return np.minimum(np.asarray(self.state) + 1, len(self.states.time) - 1)

    def people_of(self, frame: int) -> slice:
        """Rows of the people of a frame."""
        return slice(int(self.rows[frame]), int(self.rows[frame + 1]))


def open_replay(folder: str | Path) -> Replay:
    """Read a replay; its arrays stay on disk until they are looked at.

    Raises BagError if the folder holds no replay, or one of another format.

    `folder`: folder of the replay, or that of the evaluation or report that it belongs to.
    """
    folder = Path(folder)
    if not (folder / DESCRIPTION).exists() and (folder / "replay" / DESCRIPTION).exists():
        folder = folder / "replay"
    try:
        text: dict[str, Any] = parse_json((folder / DESCRIPTION).read_text("utf-8"))
        if text.pop("format") != FORMAT:
            raise BagError(f"'{folder}' holds a replay of another version; run evaluate again")
        fields: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in text.items()
        }
        about = ReplayMetadata(**fields)
        arrays: dict[str, Any] = {
            name: _open_array(folder / f"{name}.npy") for name in (*_FRAMES, *_PEOPLE)
        }
        states: dict[str, Any] = {
            name: _open_array(folder / f"states_{name}.npy") for name in _STATES
        }
    except BagError:
        raise
    except Exception as error:  # arrays that are damaged raise whatever breaks first
        raise BagError(f"'{folder}' holds no replay, or only a part of one: {error!r}") from error
    return Replay(about=about, states=States(**states), **arrays)


_FRAMES: dict[str, Any] = {"time": "f8", "rows": "i8", "state": "i8", "robot": "f4"}
_PEOPLE: dict[str, Any] = {"person": "i2", "positions": "f4", "forecast": "f4", "radius": "f4"}
_NUMBERS = ("factor", "separation", "protective", "margin", "time_to_breach")
_AGES = ("skeleton_age", "forecast_age", "tf_age")
_STATES: dict[str, Any] = {
    "time": "f8",
    "level": "u1",
    **dict.fromkeys((*_NUMBERS, *_AGES), "f4"),
    **dict.fromkeys(("person", "limb", "link", "reason"), "i2"),
    **dict.fromkeys(("human_point", "robot_point"), "f4"),
}
_NOWHERE = (math.nan,) * 3

MOST_FRAMES = 20_000  # of a replay; of a longer run every n-th observation is kept
KEPT_STEPS = 5  # of each forecast, evenly spaced up to its end
_BLOCK = 512  # rows that are written at once
_MAPPED = 1 << 20  # bytes from which on a file is mapped rather than read


class GrowingArray:
    """An npy file that grows along its first axis; never more than a block of it is in memory.

    `path`: file to write; an existing one is replaced.
    `item`: shape of one row.
    """

    def __init__(self, path: Path, dtype: DTypeLike, item: tuple[int, ...] = ()) -> None:
        self._dtype, self._item = np.dtype(dtype), item
        self._file = path.open("wb")
        self._waiting: list[Any] = []
        self.rows = 0
        self._write_header()

    def append(self, row: Any) -> None:
        """Append a row of shape `item`."""
        self._waiting.append(row)
        self.rows += 1
        if len(self._waiting) >= _BLOCK:
            self._flush()

    def close(self) -> None:
        """Write the final length and close the file."""
        self._flush()
        self._file.seek(0)
        self._write_header()  # the format keeps room in its header for a longer first axis
        self._file.close()

    def _flush(self) -> None:
        block = np.asarray(self._waiting, self._dtype).reshape(len(self._waiting), *self._item)
        self._waiting = []
        self._file.write(block.tobytes())

    def _write_header(self) -> None:
        np.lib.format.write_array_header_1_0(
            self._file,
            {
                "shape": (self.rows, *self._item),
                "fortran_order": False,
                "descr": np.lib.format.dtype_to_descr(self._dtype),
            },
        )


def _open_array(path: Path) -> NDArray[Any]:
    """Array of an npy file, mapped read-only into memory unless it is small."""
    small = path.stat().st_size < _MAPPED
    array: NDArray[Any] = np.load(path, mmap_mode=None if small else "r")
    return array


class Names:
    """Numbers for names, in the order they came."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._index = {name: number for number, name in enumerate(names)}

    def number(self, name: str) -> int:
        """Number of a name; -1 for the empty one."""
        return self._index.setdefault(name, len(self._index)) if name else -1

    @property
    def all(self) -> tuple[str, ...]:
        """The names by their numbers."""
        return tuple(self._index)


class ReplayRecorder:
    """Write what there is to see of a run, as it goes: all states, a bounded number of frames.

    `folder`: of the replay; made if it is not there. Files of an earlier replay are replaced.
    `shape`: of the forecasts; people are shown in their layout.
    `frame_id`: frame of all positions.
    `observations`: how many there will be, which decides how many are left out.
    `start`: stamp that times count from [s].
    """

    def __init__(
        self,
        folder: Path,
        shape: ModelConfig,
        model: RobotModel | None,
        frame_id: str,
        observations: int,
        start: float,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / DESCRIPTION).unlink(missing_ok=True)  # until it is whole it is none
        self.folder, self._shape, self._model, self._frame_id = folder, shape, model, frame_id
        self._joints = len(get_layout(shape.layout).joints)
        kept = np.linspace(0, shape.horizon, KEPT_STEPS + 1).round()[1:]
        self._steps = np.unique(kept.astype(int)) - 1
        self._people, self._limbs, self._reasons = Names(), Names(), Names()
        self._links = Names(model.names if model else ())
        self._frame_reasons: list[str] = []
        self._every = -(-max(observations, 1) // MOST_FRAMES)
        self._count = self._states = 0
        self._last_reasons = ""
        self._waiting: tuple[PeopleSeen, Floats] | None = None
        self._start = start
        steps, links = len(self._steps), len(self._links.all)
        items = {
            "robot": (links, 2, 3),
            "positions": (self._joints, 3),
            "forecast": (steps, self._joints, 3),
            "radius": (steps, self._joints),
            "states_human_point": (3,),
            "states_robot_point": (3,),
        }
        kinds = {**_FRAMES, **_PEOPLE, **{f"states_{name}": kind for name, kind in _STATES.items()}}
        self._files = {
            name: GrowingArray(folder / f"{name}.npy", kind, items.get(name, ()))
            for name, kind in kinds.items()
        }
        self._files["rows"].append(0)

    def take(
        self, step: Assessment | PeopleSeen | PeopleForecast, robot: tuple[float, Any, Any] | None
    ) -> None:
        """Take in a state, an observation or its forecasts, and where the robot's capsules are.

        Raises OSError if the disk is full.
        """
        match step:
            case Assessment():
                self._add_state(step)
            case PeopleSeen():
                self._expose({})
                if self._count % self._every == 0:
                    ends = np.full((len(self._links.all), 2, 3), np.nan, np.float32)
                    if robot is not None:
                        _, ends[:, 0], ends[:, 1] = robot
                    self._waiting = (step, ends)
                self._count += 1
            case PeopleForecast(stamp=stamp, forecasts=forecasts):
                if self._waiting is not None and self._waiting[0].stamp == stamp:
                    self._expose({forecast.person_id: forecast for forecast in forecasts})

    def _expose(self, forecasts: dict[str, Forecast]) -> None:
        """Write the frame that waits, with the forecasts that came of it."""
        if self._waiting is None:
            return
        (seen, ends), self._waiting = self._waiting, None
        for person in seen.people:
            self._add_person(person, forecasts.get(person.person_id))
        self._frame_reasons.append(self._last_reasons)
        self._append(
            time=seen.stamp - self._start,
            state=self._states - 1,
            robot=ends,
            rows=self._files["person"].rows,
        )

    def _add_person(self, person: Skeleton, forecast: Forecast | None) -> None:
        positions = person.positions
        if person.layout != self._shape.layout:
            positions, _ = convert(positions, person.confidence, person.layout, self._shape.layout)
        alike = forecast is not None and forecast.layout == self._shape.layout
        if forecast is not None and alike and len(forecast.positions) > self._steps[-1]:
            ahead, radius = forecast.positions[self._steps], forecast.radius[self._steps]
        else:
            ahead = np.full((len(self._steps), self._joints, 3), np.nan, np.float32)
            radius = ahead[..., 0]
        number = self._people.number(person.person_id)
        self._append(person=number, positions=positions, forecast=ahead, radius=radius)

    def _add_state(self, state: Assessment) -> None:
        self._states += 1
        self._last_reasons = "; ".join(state.reasons)
        self._append(
            "states_",
            time=state.stamp - self._start,
            level=int(state.level),
            factor=state.speed_factor,
            separation=state.separation,
            protective=state.protective_distance,
            margin=state.margin,
            time_to_breach=state.time_to_breach,
            skeleton_age=state.skeleton_age,
            forecast_age=state.forecast_age,
            tf_age=state.tf_age,
            person=self._people.number(state.person_id),
            limb=self._limbs.number(state.human_limb),
            link=self._links.number(state.robot_frame),
            reason=self._reasons.number(kind_of(state.reasons[0]) if state.reasons else ""),
            human_point=state.pair.human_point if state.pair else _NOWHERE,
            robot_point=state.pair.robot_point if state.pair else _NOWHERE,
        )

    def _append(self, prefix: str = "", **row: Any) -> None:
        for name, value in row.items():
            self._files[prefix + name].append(value)

    def close(self, problems: Sequence[str], **about: Any) -> None:
        """Finish the arrays and say what they mean; only then is it a replay."""
        self._expose({})
        for file in self._files.values():
            file.close()
        found = ReplayMetadata(
            layout=self._shape.layout,
            frame_id=self._frame_id,
            start=self._start,
            steps=tuple(((self._steps + 1) / self._shape.fps).tolist()),
            links=self._links.all,
            link_radii=tuple(self._model.radius.tolist()) if self._model else (),
            person_ids=self._people.all,
            limbs=self._limbs.all,
            reasons=self._reasons.all,
            frame_reasons=tuple(self._frame_reasons),
            problems=tuple(problems),
            **about,
        )
        text = json.dumps({"format": FORMAT, **dataclasses.asdict(found)}, sort_keys=True)
        write_atomically(self.folder / DESCRIPTION, text)
