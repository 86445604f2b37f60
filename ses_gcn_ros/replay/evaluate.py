"""Replay a bag through the nodes' core and judge what came of it."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import gc
import itertools
import math
import multiprocessing
import os
import pickle
import shutil
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ses_gcn_ros import __version__
from ses_gcn_ros.bags.rosbag2 import Bag, PathLike, open_bag
from ses_gcn_ros.bringup import die_with_parent
from ses_gcn_ros.datasets.actions import SEGMENTS, write_segments
from ses_gcn_ros.errors import BagError, ConfigError, RobotError, SesGcnError
from ses_gcn_ros.forecast import load
from ses_gcn_ros.forecast.weights import read_weights
from ses_gcn_ros.replay.chain import ObedientRobot, ReplayMonitor, Step, with_forecasts, with_frames
from ses_gcn_ros.replay.events import (
    ActionTimeline,
    Diagnostics,
    End,
    Event,
    EventReader,
    JointStatesEvent,
    PeopleForecast,
    PeopleSeen,
    Refused,
    Segment,
    recorded_actions,
)
from ses_gcn_ros.replay.figures import LIGHT, horizon_figure, png, timeline_figure
from ses_gcn_ros.replay.forecast_scores import CollisionScores, ForecastScores
from ses_gcn_ros.replay.options import Options, description_of, find_topics, source_of
from ses_gcn_ros.replay.recording import ReplayRecorder, open_replay
from ses_gcn_ros.replay.report import render_page
from ses_gcn_ros.replay.safety_scores import SafetyScores, StreamHealth, kind_of
from ses_gcn_ros.replay.scene import moment_at, scene_figure
from ses_gcn_ros.replay.summary import write_csv, write_json
from ses_gcn_ros.resources import check_folder, plain, write_atomically
from ses_gcn_ros.safety import Assessment, Robots, SafetyConfig, compile_all, read_robots

FORMAT = 1

_TOLD_EVERY = 256  # events between two words on the progress
_SENT_AT_ONCE = 128  # events; those of 32 observations, as many as are forecast at once
_PIPE = 1 << 20  # bytes; holds them of four people, so that both processes have something to do
_ROBOT = ("/tf", "/tf_static", "joint_states", "trajectory")


class UnwrittenError(SesGcnError):
    """What was measured could not be written; `summary` holds it all the same."""

    def __init__(self, sentence: str, summary: dict[str, Any]) -> None:
        super().__init__(sentence)
        self.summary = summary


class KilledError(BagError):
    """The process that read a bag was killed; with more memory it may not be."""


@dataclass(frozen=True)
class ReplayPlan:
    """What is known of a bag before it is replayed."""

    start: float  # stamp of the first observation [s]
    observations: int  # how many messages of people there are
    length: float  # time of recording [s]
    safety: SafetyConfig  # with the robot's description filled in
    robots: Robots | None  # None where nothing says what the robot looks like, or where it is
    problems: list[str]  # what has to be said already
    from_images: bool  # whether people are found in images, and not recorded as skeletons


def make_plan(bag: Bag, options: Options) -> ReplayPlan:
    """Look into an open bag: what it holds and which robot it shows."""
    topics = find_topics(bag.topics, options.topics())
    source, kind = source_of(topics)
    first = _first_seen(bag, topics, options)
    safety, problems = options.safety, []
    if options.demo_robot:
        safety = dataclasses.replace(safety, robot_description="demo")
    elif not (safety.robot_description or safety.robot_frames):
        description = description_of(bag, topics)
        safety = dataclasses.replace(safety, robot_description=description)
        if not description:
            problems.append(
                "nothing says what the robot looks like: the bag has no robot_description; "
                "give --robot, or robot_frames in a parameter file, or --demo-robot "
                "(safety is not evaluated)"
            )
    if "/tf" not in topics.values() and not options.demo_robot and not problems:
        problems.append("the bag has no /tf that says where the robot is (safety is not evaluated)")
    begin, end = bag.span
    robots = None
    if options.safety.robot_description or not problems:  # who gives one hears what is wrong in it
        try:
            robots = read_robots(safety)
        except RobotError as error:
            if safety.robot_description == options.safety.robot_description:
                raise
            problems.append(
                f"the recorded robot can't be used: {error}; give --robot with one that can "
                "(safety is not evaluated)"
            )
    if problems:
        robots = None
    frame = first.frame_id
    placed = "/tf" in topics.values() or "/tf_static" in topics.values()
    if robots is None and frame not in ("", safety.world_frame) and not placed:
        if kind != "image":  # which says so itself
            problems.append(
                f"nothing says where '{frame}' is in '{safety.world_frame}', for the bag has no "
                "/tf; people stay in that frame, though forecasts want one with z up"
            )
        safety = dataclasses.replace(safety, world_frame=frame)
    length = (end - begin) * 1e-9
    return ReplayPlan(
        first.stamp, bag.counts[source], length, safety, robots, problems, kind == "image"
    )


def _first_seen(bag: Bag, topics: dict[str, str], options: Options) -> PeopleSeen:
    """The first observation."""
    wanted = ("/tf", "/tf_static")  # bodies of ROS4HRI come as frames
    world = options.safety.world_frame
    refused = ""
    events = iter(EventReader(bag, topics, options.naming, world, options.pose, wanted))
    with contextlib.closing(events):  # which releases the pose model
        for event in events:
            if isinstance(event, PeopleSeen):
                return event
            if isinstance(event, Refused) and not refused:
                refused = f": {event.sentence}"
    source, kind = source_of(topics)
    nothing = "not an image that can be used" if kind == "image" else "nobody's skeleton on it"
    raise BagError(f"bag '{bag.path}' has the topic '{source}' but {nothing}{refused}")


def evaluate(
    bag: PathLike,
    out: PathLike | None,
    options: Options | None = None,
    *,
    progress: Callable[[float], None] = lambda share: None,
    ahead: bool = True,
) -> dict[str, Any]:
    """Replay a bag and judge it.

    Raises BagError if the bag can't be read at all or shows nobody ever; what breaks later makes
    the summary partial; ConfigError, ModelError or RobotError if an option can't be used;
    UnwrittenError if not even the numbers can be written.

    `bag`: folder of a bag, or an mcap or db3 file.
    `out`: folder for ``summary.json``, ``metrics.csv``, ``replay/`` and the page ``report.html``
    that is drawn from it, and ``actions.csv`` where it is known what people did; nothing is written
    without.
    `progress`: told now and then which share of the recording is done, 0 to 1; 0 when all is loaded
    and the first message has been read.
    `ahead`: whether a second process may read and forecast ahead, where there is a processor for
    it.
    Gives what is in ``summary.json``. The same bag and options give the same to the last digit.
    """
    options = options or Options()
    path = Path(bag)
    folder = None if out is None else Path(out)
    if folder is not None:
        check_folder(folder, "metrics.csv")
    with open_bag(path) as opened, _seldom_collected():
        plan = make_plan(opened, options)
        compile_all()  # now, rather than amid the replay
        run = ReplayRun(opened, plan, options, folder)
        summary = run.through(progress, ahead=ahead)
    if folder is not None:
        if run.recorder is not None:
            with run.giving_up("the page could not be written", summary["problems"]):
                page = render_page(open_replay(folder / "replay"), summary)
                write_atomically(folder / "report.html", page)
            summary["partial"] |= run.recorder is None
        write_numbers(folder, summary)
        if run.actions.segments:
            write_segments(folder / SEGMENTS, run.actions.segments)
    return summary


def write_numbers(folder: Path, summary: dict[str, Any]) -> None:
    """Write ``metrics.csv`` and ``summary.json``. Raises UnwrittenError if they can't be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_csv(folder / "metrics.csv", summary)
        write_json(folder / "summary.json", summary)
    except OSError as error:
        raise UnwrittenError(
            f"the numbers can't be written to '{folder}': {error.strerror}", summary
        ) from error


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


def write_report(bag: PathLike, out: PathLike, *, robot: str = "") -> dict[str, Any]:
    """Judge the forecasts and states that were recorded, and write numbers, pictures and page.

    Gives what is in ``summary.json``.
    Raises BagError if the bag can't be read or holds no skeletons; RobotError if the robot's
    description is unusable.

    `bag`: recording with `skeletons`, and whatever else of a workcell's topics there is.
    `out`: folder for ``report.html``, ``summary.json``, ``metrics.csv``, ``replay/`` and the
    pictures ``scene_stop.png``, ``scene_closest.png``, ``timeline.png`` and ``horizon.png``; those
    without data are left out. A recording of `actions` gives ``actions.csv`` besides. Files of an
    earlier report are replaced.
    `robot`: URDF of the robot; the recorded one by default.
    """
    options = Options(recorded=True, safety=SafetyConfig(robot_description=robot))
    summary = evaluate(bag, out, options)
    write_pictures(Path(out), summary, recorded_actions(bag))
    return summary


def write_pictures(folder: Path, summary: dict[str, Any], actions: Sequence[Segment] = ()) -> None:
    """Write pictures of what `evaluate` left in a folder, with what people did if that is known."""
    replay, safety = open_replay(folder / "replay"), summary["safety"]

    def write(name: str, figure: Figure) -> None:
        write_atomically(folder / name, png(figure))

    if safety and safety["worst"]:
        worst = safety["worst"]
        if worst["stopped_for_s"] is not None:
            stop = worst["at_s"] - worst["stopped_for_s"]
        else:
            stop = next((each["at_s"] for each in safety["stops_at"]), None)
        if stop is not None:
            moment = moment_at(replay, stop)
            write("scene_stop.png", scene_figure(moment, LIGHT, "The robot is stopped"))
        moment = moment_at(replay, worst["at_s"])
        write("scene_closest.png", scene_figure(moment, LIGHT, "The closest approach"))
        write("timeline.png", timeline_figure(replay, safety, LIGHT, actions))
    if summary["forecasts"]["compared"]:
        write("horizon.png", horizon_figure(summary["forecasts"], LIGHT))


class Heard:
    """What the nodes would hear of a bag and forecast of it, and what is found out about that.

    Attributes:
    - `notes`: what has to be said about the bag.
    - `broken`: why it could not be read to its end; empty if it could.
    """

    def __init__(self, actions: ActionTimeline) -> None:
        self.health, self.forecasts = StreamHealth(), ForecastScores(actions)
        self.notes: list[str] = []
        self.broken = ""

    def events(self, bag: Bag, options: Options) -> Iterator[Event]:
        """Events with forecasts, an `End` behind them.

        What breaks before the first observation is raised, what breaks later ends the stream.
        """
        time = 0.0
        try:
            topics = find_topics(bag.topics, options.topics())
            read = ("/diagnostics", *(() if options.demo_robot else _ROBOT))
            if options.recorded:
                read += ("forecasts", "safety_state")
            world = options.safety.world_frame
            source = EventReader(bag, topics, options.naming, world, options.pose, read)
            events: Iterator[Event] = iter(source)
            if not options.recorded:
                config = options.forecaster
                engine = load(config.weights or None, engine=config.engine, device=config.device)
                events = with_forecasts(events, engine, config)
            for event in events:
                time = event.time
                self.health.observe(event)
                match event:
                    case PeopleSeen():
                        self.forecasts.observe(event)
                    case PeopleForecast():
                        self.forecasts.forecast(event)
                    case Diagnostics():
                        continue
                yield event
            self.notes += source.notes
        except SesGcnError as error:
            if not self.health.frames:
                raise
            self.broken = str(error)
        self.forecasts.finish()
        yield End(time)


def _can_fork() -> bool:
    """Whether a fork of this process may compute, and there is a processor for it.

    Threads and devices of torch don't survive a fork.
    """
    alone = sys.platform != "linux" or len(os.sched_getaffinity(0)) == 1
    return not (alone or multiprocessing.current_process().daemon or "torch" in sys.modules)


def _plain_joints(event: Event) -> Event:
    """The event without a class that only this process may know."""
    if isinstance(event, JointStatesEvent):
        told = event.message
        fields = {name: getattr(told, name) for name in ("name", "position", "velocity")}
        return dataclasses.replace(event, message=SimpleNamespace(**fields))
    return event


class ReplayRun:
    """One replay of an open bag: takes its events through the core, and collects the scores.

    Attributes:
    - `recorder`: None where nothing is to be drawn from, or no more could be written.
    - `actions`: what people did, where the bag or a table beside it tells.
    """

    def __init__(self, bag: Bag, plan: ReplayPlan, options: Options, folder: Path | None) -> None:
        self._bag, self._plan, self._options = bag, plan, options
        self._problems = list(plan.problems)
        self._refused = Counter[str]()
        self.actions = ActionTimeline(recorded_actions(bag.path))
        self._heard = Heard(self.actions)
        weights = read_weights(options.forecaster.weights).config
        robot = None
        if options.demo_robot:
            if plan.robots is None or plan.robots.urdf is None:
                raise ConfigError("the demo robot needs its description")
            robot = ObedientRobot(plan.robots.urdf)
        recorded = options.recorded
        self._monitor = ReplayMonitor(plan.safety, plan.robots, robot, recorded=recorded)
        self._model = plan.robots.model if plan.robots else None
        self._collisions: CollisionScores | None = None
        if self._model is not None:
            links = len(self._model.radius)
            self._collisions = CollisionScores(plan.safety, links, options.threshold)
        self._safety = SafetyScores(plan.safety, options.threshold)
        self._disk_full = False
        self.recorder: ReplayRecorder | None = None
        if folder is not None and options.replay_data:
            with self.giving_up("the replay could not be written", self._problems):
                self.recorder = ReplayRecorder(
                    folder / "replay", weights, self._model, plan.safety.world_frame,
                    plan.observations, plan.start,
                )  # fmt: skip

    def through(self, progress: Callable[[float], None], *, ahead: bool) -> dict[str, Any]:
        """Take all events through and sum up."""
        begin = math.nan
        apart = ahead and not self._plan.from_images and _can_fork()
        with contextlib.closing(self._from_fork() if apart else self._events(self._bag)) as events:
            for index, event in enumerate(events):
                if index % _TOLD_EVERY == 0:
                    begin = event.time if index == 0 else begin
                    done = (event.time - begin) / self._plan.length if self._plan.length else 1.0
                    progress(min(max(done, 0.0), 1.0))
                step = self._monitor.take(event)
                if step is not None:
                    self._score(step)
        self._safety.finish()
        if self._collisions is not None:
            self._collisions.finish()
        return self._sum_up()

    def _events(self, bag: Bag) -> Generator[Event]:
        """All that the monitor is told of a bag."""
        return with_frames(self._heard.events(bag, self._options), self._monitor.wanted)

    def _from_fork(self) -> Generator[Event]:
        """The same, from a process of its own, which is a few observations ahead.

        From this one where there may be no more processes. Raises KilledError if it is killed.
        """
        reader, writer = os.pipe()
        with contextlib.suppress(OSError):  # a user who has many pipes gets no larger one
            fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, _PIPE)
        context = multiprocessing.get_context("fork")
        process = context.Process(target=self._send, args=(writer,), daemon=True)
        try:
            process.start()
        except OSError:  # this user has as many as allowed
            os.close(reader)
            yield from self._events(self._bag)
            return
        finally:
            os.close(writer)
        try:
            with open(reader, "rb", _PIPE) as pipe:
                while not isinstance(told := pickle.load(pipe), (Exception, Heard)):
                    yield from told
            if isinstance(told, Exception):
                raise told
            self._heard = told
        except (EOFError, pickle.UnpicklingError):
            raise KilledError(
                f"the process that read bag '{self._bag.path}' was killed, perhaps for want of "
                "memory"
            ) from None
        finally:
            process.kill()
            process.join()

    def _send(self, writer: int) -> None:
        """Send the events in lists, then what was heard, or what broke."""
        die_with_parent()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent, which gets it too, ends this
        with open(writer, "wb") as pipe:
            try:
                # anew, for a database may not be read through a connection of before the fork
                with open_bag(self._bag.path) as bag:
                    events = map(_plain_joints, self._events(bag))
                    while some := list(itertools.islice(events, _SENT_AT_ONCE)):
                        pickle.dump(some, pipe, pickle.HIGHEST_PROTOCOL)
                last: Heard | Exception = self._heard
            except Exception as error:  # raised there, without what led to it
                error.add_note(traceback.format_exc())
                last = error
            pickle.dump(last, pipe, pickle.HIGHEST_PROTOCOL)

    def _score(self, step: Step) -> None:
        collisions, monitor = self._collisions, self._monitor
        match step:
            case Refused(source=source, sentence=sentence):
                self._refused[f"{source}: {kind_of(sentence)}"] += 1
            case Assessment():
                self._safety.add(step, measured=step.person_id in monitor.present)
                if collisions is not None and monitor.capsules is not None:
                    collisions.move(*monitor.capsules)
            case PeopleSeen() if collisions is not None:
                collisions.observe(step)
            case PeopleForecast() if collisions is not None:
                collisions.forecast(step)
        if self.recorder is not None and not isinstance(step, Refused):
            with self.giving_up("the replay could not be written", self._problems):
                self.recorder.take(step, monitor.capsules)

    @contextlib.contextmanager
    def giving_up(self, what: str, problems: list[str]) -> Iterator[None]:
        """Go on without the replay where the disk is full, and make room for the numbers."""
        try:
            yield
        except OSError as error:
            problems.append(f"{what}, only the numbers: {error.strerror}")
            if self.recorder is not None:
                shutil.rmtree(self.recorder.folder, ignore_errors=True)
            self.recorder, self._disk_full = None, True

    def _sum_up(self) -> dict[str, Any]:
        heard, plan, options = self._heard, self._plan, self._options
        health = heard.health
        self._problems += heard.notes + self._complaints()
        parameters = {
            "forecaster_node": dataclasses.asdict(options.forecaster),
            "safety_node": dataclasses.asdict(options.safety),
        }
        if plan.from_images:
            parameters["pose_node"] = dataclasses.asdict(options.pose)
        about: dict[str, Any] = {
            "bag": self._bag.path.name,
            "source": "recorded" if options.recorded else "computed",
            "partial": bool(heard.broken or plan.problems or self._robot_lost or self._disk_full),
            "problems": self._problems,
            "parameters": parameters,
            "versions": {"ses_gcn_ros": __version__, "numpy": np.__version__},
        }
        if self.recorder is not None:
            with self.giving_up("the replay could not be written", self._problems):
                self.recorder.close(duration=health.duration, **about)
            about["partial"] |= self._disk_full
        return plain(
            {
                "format": FORMAT,
                **about,
                "duration_s": health.duration,
                "frames": health.frames,
                "people": health.people,
                "rate_hz": (health.frames - 1) / health.duration if health.duration else None,
                "stream": {**health.summary(), "refused_by_safety": dict(self._refused)},
                "forecasts": heard.forecasts.summary(),
                "collision": self._collisions.summary() if self._collisions else None,
                "safety": self._safety.summary(plan.start),
                "ages_ms": self._safety.ages(),
                "latencies": health.latencies(),
                **({"actions": self._by_action()} if self.actions.segments else {}),
            },
            digits=6,
        )

    def _by_action(self) -> dict[str, dict[str, Any]]:
        """Time, forecasts and stops by what people did."""
        forecasts = self._heard.forecasts.by_action()
        stops = self._safety.stops_by_action(self.actions)
        return {
            label: {"seconds": seconds, "stops": stops.get(label, 0), **forecasts.get(label, {})}
            for label, seconds in self.actions.seconds().items()
        }

    @property
    def _robot_lost(self) -> bool:
        return self._model is not None and self._monitor.capsules is None

    def _complaints(self) -> list[str]:
        """Sentences on what was wrong with the bag."""
        complaints, health = [], self._heard.health
        if self._heard.broken:
            complaints.append(
                f"{self._heard.broken} (what came before {health.duration:.1f} s is judged)"
            )
        if health.went_back:
            complaints.append(
                f"the clock of the skeletons went back {health.went_back} times; "
                "what came before is not compared with what came after"
            )
        if axis := health.wrong_axis:
            complaints.append(
                f"people stand along {axis} of the frame that they came in, not z; forecasts take "
                "it to be z"
            )
        if refused := health.refused.total():
            kinds = "; ".join(f"{n} × {kind}" for kind, n in health.refused.most_common(3))
            complaints.append(f"{refused} messages were refused: {kinds}")
        if self._refused:
            kind, count = self._refused.most_common(1)[0]
            complaints.append(f"the safety monitor refused {count} × {kind}")
        if self._robot_lost and self._monitor.robot_faults:
            ((fault, _),) = self._monitor.robot_faults.most_common(1)
            complaints.append(f"the robot was never found: {fault} (safety means STOP throughout)")
        return complaints
