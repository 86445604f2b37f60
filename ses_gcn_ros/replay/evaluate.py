"""Replay a bag through the nodes' core and judge what came of it."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ses_gcn_ros import __version__
from ses_gcn_ros.bags.bag_reader import PathLike, open_bag
from ses_gcn_ros.errors import BagError, ConfigError
from ses_gcn_ros.forecast.weights import DEFAULT_WEIGHTS, read_weights
from ses_gcn_ros.replay.collision_scores import CollisionScores
from ses_gcn_ros.replay.demo_robot import ObedientRobot
from ses_gcn_ros.replay.events import Event
from ses_gcn_ros.replay.film import Film
from ses_gcn_ros.replay.health import kind_of
from ses_gcn_ros.replay.monitoring import Forecasted, Refused, Seen, Watch
from ses_gcn_ros.replay.options import Options
from ses_gcn_ros.replay.plan import Plan, make_plan
from ses_gcn_ros.replay.replay import About, open_replay
from ses_gcn_ros.replay.report.page import write_page
from ses_gcn_ros.replay.safety_scores import SafetyScores
from ses_gcn_ros.replay.stages import Heard, beside, first_half
from ses_gcn_ros.replay.summary import plain, write_csv, write_json
from ses_gcn_ros.safety import Assessment, compile_all

FORMAT = 1
LONG = 120.0  # s of recording from which on a second process pays

_TOLD_EVERY = 256  # events between two words on the progress


def evaluate(
    bag: PathLike,
    out: PathLike | None,
    options: Options | None = None,
    *,
    processes: int = 0,
    progress: Callable[[float], None] = lambda share: None,
) -> dict[str, Any]:
    """Replay a bag and judge it.

    Parameters
    ----------
    bag : str or Path
        Folder of a bag, or an mcap or db3 file.
    out : str or Path, optional
        Folder for ``summary.json``, ``metrics.csv``, ``replay/`` and the page ``report.html`` that
        is drawn from it; nothing is written without.
    options : Options, optional
    processes : int
        1 or 2; 0 takes 2 for bags of more than `LONG` seconds. The numbers are the same.
    progress : callable
        Told now and then which share of the recording is done, 0 to 1; 0 when all is loaded and
        the first message has been read.

    Returns
    -------
    dict
        What is in ``summary.json``. The same bag and options give the same to the last digit.

    Raises
    ------
    BagError
        If the bag can't be read at all or shows nobody ever; what breaks later makes the summary
        partial.
    ConfigError, ModelError, RobotError
        If an option can't be used.
    """
    options = options or Options()
    path = Path(bag)
    with open_bag(path) as opened:
        plan = make_plan(opened, options)
        two = processes == 2 or (processes == 0 and plan.length > LONG)
        watch = make_watch(plan, options)
        here = contextlib.nullcontext(first_half(opened, options, watch.wanted))
        there = beside(path, options, watch.wanted)
        with _seldom_collected(), there if two else here as events:
            _get_ready()  # while the other process does, if there is one
            film = Path(out) if out is not None and options.film else None
            run = Run(path, plan, options, watch, film)
            summary = run.through(_told(events, plan.length, progress))
    if out is not None:
        folder = Path(out)
        folder.mkdir(parents=True, exist_ok=True)
        write_csv(folder / "metrics.csv", summary)
        write_json(folder / "summary.json", summary)
        if run.filmed:
            write_page(open_replay(folder / "replay"), summary, folder / "report.html")
    return summary


def _get_ready() -> None:
    """Load compiled loops now that would be loaded amid the replay."""
    compile_all()
    importlib.import_module("ses_gcn_ros.replay.scoring_kernel")


def _told(
    events: Iterator[Event], length: float, progress: Callable[[float], None]
) -> Iterator[Event]:
    """Events, and now and then a word on how far they have come in `length` seconds."""
    begin = None
    for index, event in enumerate(events):
        if index % _TOLD_EVERY == 0:
            begin = event.time if begin is None else begin
            progress(min(max(event.time - begin, 0.0) / length, 1.0) if length > 0.0 else 1.0)
        yield event


@contextlib.contextmanager
def _seldom_collected() -> Iterator[None]:
    """Let Python look for garbage seldom: a replay makes many objects and hardly a cycle."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def make_watch(plan: Plan, options: Options) -> Watch:
    """Watch over the robot of a plan.

    Raises
    ------
    ConfigError
        If the demo robot is asked for and not described.
    """
    robot = None
    if options.demo_robot:
        if plan.robots is None or plan.robots.urdf is None:
            raise ConfigError("the demo robot needs its description")
        robot = ObedientRobot(plan.robots.urdf)
    return Watch(plan.safety, plan.robots, robot, recorded=options.recorded)


class Run:
    """One replay: takes the first half's events through the second, and collects the scores."""

    def __init__(
        self, path: Path, plan: Plan, options: Options, watch: Watch, out: Path | None
    ) -> None:
        self._path, self._plan, self._options = path, plan, options
        self._problems = list(plan.problems)
        self._refused: dict[str, int] = {}
        self._heard: Heard | None = None
        self._disk_full = False
        weights = read_weights(options.forecaster.weights or DEFAULT_WEIGHTS)
        self._layout = weights.config.layout
        self._step, self._horizon = 1 / weights.config.fps, weights.config.horizon
        self._watch = watch
        self._collisions: CollisionScores | None = None
        self._model = plan.robots.model if plan.robots else None
        if self._model is not None:
            radius = self._model.radius
            self._collisions = CollisionScores(plan.safety, radius, options.threshold)
        self._safety = SafetyScores(plan.safety, options.threshold)
        self._film: Film | None = None
        if out is not None:
            self._film = Film(
                out / "replay",
                self._layout,
                self._horizon,
                self._model,
                plan.observations,
                plan.start,
            )

    def through(self, events: Iterator[Event]) -> dict[str, Any]:
        """Take all events through and sum up."""
        for event in self._but_the_last(events):
            step = self._watch.take(event)
            if step is None:
                continue
            if isinstance(step, Refused):
                kind = f"{step.source}: {kind_of(step.sentence)}"
                self._refused[kind] = self._refused.get(kind, 0) + 1
            else:
                self._score(step)
                self._on_film(step)
        if self._collisions is not None:
            self._collisions.finish()
        self._safety.finish()
        return self._sum_up()

    def _but_the_last(self, events: Iterator[Event]) -> Iterator[Event]:
        for event in events:
            if event.kind == "end":
                self._heard = event.content
            else:
                yield event

    def _score(self, step: Assessment | Seen | Forecasted) -> None:
        collisions = self._collisions
        if isinstance(step, Assessment):
            self._safety.add(step, measured=step.person_id in self._watch.present)
            if collisions is not None and self._watch.capsules is not None:
                collisions.move(*self._watch.capsules)
        elif collisions is not None:
            if isinstance(step, Seen):
                collisions.observe(step)
            else:
                collisions.forecast(step)

    def _on_film(self, step: Assessment | Seen | Forecasted) -> None:
        if self._film is None:
            return
        try:
            if isinstance(step, Assessment):
                self._film.state(step)
            elif isinstance(step, Seen):
                self._film.seen(step, self._watch.capsules)
            else:
                self._film.forecast(step)
        except OSError as error:
            self._problems.append(
                f"the replay could not be written, only the numbers: {error.strerror}"
            )
            self._film, self._disk_full = None, True

    def _sum_up(self) -> dict[str, Any]:
        heard = self._heard
        if heard is None:
            raise BagError(f"bag '{self._path}' gave no event")
        health, plan = heard.health, self._plan
        self._problems += heard.notes + self._complaints(heard)
        parameters = {
            "forecaster_node": dataclasses.asdict(self._options.forecaster),
            "safety_node": dataclasses.asdict(self._options.safety),
        }
        if plan.from_images:
            parameters["pose_node"] = dataclasses.asdict(self._options.pose)
        partial = bool(heard.broken or plan.problems or self._robot_lost or self._disk_full)
        about: dict[str, Any] = {
            "bag": self._path.name,
            "source": "recorded" if self._options.recorded else "computed",
            "partial": partial,
            "problems": self._problems,
            "parameters": parameters,
            "versions": {"ses_gcn_ros": __version__, "numpy": np.__version__},
        }
        summary = plain(
            {
                "format": FORMAT,
                **about,
                "duration_s": health.duration,
                "frames": health.frames,
                "people": health.people,
                "rate_hz": (health.frames - 1) / health.duration if health.duration else None,
                "stream": {**health.summary(), "refused_by_safety": self._refused},
                "forecasts": heard.scores.summary(),
                "collision": self._collisions.summary() if self._collisions else None,
                "safety": self._safety.summary(plan.start),
                "ages_ms": self._safety.ages(),
                "latencies": health.latencies(),
            }
        )
        if self._film is not None:
            self._close_film(self._film, about, health.duration)
        return summary

    @property
    def filmed(self) -> bool:
        """Whether there is a replay to draw from."""
        return self._film is not None

    @property
    def _robot_lost(self) -> bool:
        return self._model is not None and self._watch.capsules is None

    def _complaints(self, heard: Heard) -> list[str]:
        """Sentences on what was wrong with the bag."""
        complaints = []
        if heard.broken:
            at = heard.health.duration
            complaints.append(f"{heard.broken} (what came before {at:.1f} s is judged)")
        if heard.health.went_back:
            complaints.append(
                f"the clock of the skeletons went back {heard.health.went_back} times; "
                "what came before is not compared with what came after"
            )
        refused = sum(heard.health.refused.values())
        if refused:
            kinds = "; ".join(f"{n} × {kind}" for kind, n in heard.health.refused.most_common(3))
            complaints.append(f"{refused} messages were refused: {kinds}")
        if self._robot_lost and self._watch.robot_faults:
            ((fault, _),) = self._watch.robot_faults.most_common(1)
            complaints.append(f"the robot was never found: {fault} (safety means STOP throughout)")
        return complaints

    def _close_film(self, film: Film, about: dict[str, Any], duration: float) -> None:
        plan = self._plan
        with contextlib.suppress(OSError):  # the disk is full: the numbers come all the same
            film.finish().close(
                About(
                    **{**about, "problems": tuple(self._problems)},
                    layout=self._layout,
                    frame_id=plan.safety.world_frame,
                    start=plan.start,
                    duration=duration,
                    steps=tuple(((film.steps + 1) * self._step).tolist()),
                    links=film.links.all,
                    link_radii=tuple(self._model.radius.tolist()) if self._model else (),
                    person_ids=film.people.all,
                    limbs=film.limbs.all,
                    reasons=film.reasons.all,
                    frame_reasons=tuple(film.frame_reasons),
                )
            )
