"""The braking study: real people come up to the moving demo robot, and it has to stand in time.

Recorded motions are put in front of the robot so that a hand comes to where it sweeps. Policies
tell the robot how fast it may move; it brakes as the standard's model of it does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ses_gcn_ros.bringup import DEMO_ROBOT
from ses_gcn_ros.config import build
from ses_gcn_ros.datasets.sequences import Sequence as Motion
from ses_gcn_ros.datasets.sequences import between_frames, read_recording
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.forecast import Engine, Forecast, ForecastConfig, Forecaster, load
from ses_gcn_ros.replay.figures import Theme, bare, headline, styled
from ses_gcn_ros.resources import markdown_table
from ses_gcn_ros.safety import (
    DemoRobotConfig,
    LimbCapsules,
    Limit,
    RobotModel,
    SafetyConfig,
    SeparationMonitor,
    Urdf,
    braking,
    limb_capsules,
    protective_distance,
)
from ses_gcn_ros.safety.decision import Decision
from ses_gcn_ros.safety.robot_motion import SweepMotion
from ses_gcn_ros.skeleton import Skeleton, get_layout
from ses_gcn_ros.studies.journal import run_all

Array = NDArray[np.float64]

BEFORE, AFTER = 4.0, 1.5  # s of motion around the moment that the hand is farthest out
SWEEP = np.array([0.67, 0.0])  # m, middle of where the tool passes, over the floor
SPREAD = 0.3  # m, standard deviation of where the hand ends up, each way
FRONT = 1.0  # rad each way, about the robot's front, that people come from
LEAST_TRAVEL = 0.5  # m that the hand comes nearer


@dataclass(frozen=True, eq=False)
class Approach:
    """One person who comes up to the robot."""

    name: str  # of the motion
    positions: Array  # (T, J, 3): joints in the robot's world [m]
    layout: str
    fps: float  # frame rate [Hz]
    phase: float  # how long the robot has been sweeping by then [s]
    seed: int  # of the camera's noise


def approaches(files: Sequence[Path], count: int, seed: int) -> list[Approach]:
    """Draw motions, as many from each file, and put them before the robot at random.

    Motions are drawn without putting back until all have been taken; those in which no hand comes
    `LEAST_TRAVEL` nearer are passed over. Raises InputError if a file holds no motion of an
    approach.
    """
    rng = np.random.default_rng(seed)
    shares = [count // len(files) + (i < count % len(files)) for i in range(len(files))]
    drawn: list[Approach] = []
    for path, share in zip(files, shares, strict=True):
        sequences = read_recording(path).sequences
        taken, order = 0, iter(np.empty(0, int))
        fruitless = 0
        while taken < share:
            index = next(order, None)
            if index is None:
                order = iter(rng.permutation(len(sequences)))
                continue
            approach = _place(sequences[index], rng, len(drawn))
            fruitless = 0 if approach else fruitless + 1
            if fruitless > len(sequences):
                raise InputError(f"no motion of '{path}' reaches {LEAST_TRAVEL} m")
            if approach:
                drawn.append(approach)
                taken += 1
    return drawn


def _place(sequence: Motion, rng: np.random.Generator, number: int) -> Approach | None:
    """Turn and shift a motion so that one hand goes to the sweep, coming from the front."""
    layout = get_layout(sequence.layout)
    hand = layout.canonical.index(str(rng.choice(["l_wrist", "r_wrist"])))
    heading, phase = rng.uniform(-FRONT, FRONT), rng.uniform(0.0, 4.0)
    target = SWEEP + rng.normal(0.0, SPREAD, 2)
    positions = sequence.positions.astype(np.float64)
    if not np.isfinite(positions).all():
        return None
    away = np.linalg.norm(positions[:, hand, :2] - positions[0, 0, :2], axis=1)
    out = int(away.argmax())
    first = max(out - round(BEFORE * sequence.fps), 0)
    last = min(out + round(AFTER * sequence.fps), len(positions) - 1)
    positions = positions[first : last + 1]
    path = positions[out - first, hand, :2] - positions[0, hand, :2]
    if np.linalg.norm(path) < LEAST_TRAVEL:
        return None
    angle = np.pi + heading - np.arctan2(path[1], path[0])
    turned = positions @ Rotation.from_euler("z", angle).as_matrix().T
    turned[..., :2] += target - turned[out - first, hand, :2]
    return Approach(sequence.name, turned, sequence.layout, sequence.fps, phase, number)


# Whether forecasts are used, and what else is asked of the monitor.
MONITORED: dict[str, tuple[bool, dict[str, Any]]] = {
    "forecast": (True, {}),
    "reactive": (False, {}),
    "reachable_forecast": (True, {"model": "reachable"}),
    "reachable": (False, {"model": "reachable"}),
    "probability": (True, {"prediction": "probability"}),
}
POLICIES = (*MONITORED, "fence")


class Monitored:
    """Speed and separation monitoring, with or without forecasts.

    As other policies, it takes in skeletons with the forecasts made from them, and answers with the
    share of the full speed that is allowed at `now`, the robot's frames being at `poses`.
    """

    def __init__(self, config: SafetyConfig, model: RobotModel, *, forecasts: bool) -> None:
        if not forecasts:
            config = replace(config, forecast_lost_factor=1.0)
        self._monitor = SeparationMonitor(config, model)
        self._with_forecasts = forecasts

    def see(
        self, stamp: float, person: Skeleton, forecasts: Sequence[Forecast], now: float
    ) -> None:
        self._monitor.observe_skeletons(stamp, [person], now)
        if self._with_forecasts:
            self._monitor.observe_forecasts(stamp, forecasts, now)

    def factor(self, now: float, poses: Array) -> float:
        try:
            self._monitor.observe_robot(now, poses)
        except InputError:  # cannot be: the poses are simulated
            return 0.0
        return self._monitor.assess(now).speed_factor


class Fence:
    """A fence around all that the robot sweeps: who is inside stops it, whoever they are.

    It stands where a scanner's field would have to end (ISO 13855): as far from the sweep as a
    person gets while the robot comes to rest from full speed, with the monitor's own constants.
    Release and speeding up are the monitor's, too.

    `sweep` (K, F, 4, 4): poses of the model's frames along the robot's path.
    """

    def __init__(self, config: SafetyConfig, model: RobotModel, sweep: Array) -> None:
        self._config = config
        self._decision = Decision(config)
        placed = [model.place(poses) for poses in sweep]
        self._start = np.concatenate([start for start, _ in placed])
        self._end = np.concatenate([end for _, end in placed])
        self._radius = np.tile(model.radius, len(sweep))
        self.distance = float(
            protective_distance(
                human_speed=max(config.human_speed, config.arm_speed),
                robot_speed=config.robot_speed_max,
                reaction_time=config.reaction_time,
                table=braking(config)[0],
                intrusion=config.intrusion,
                human_uncertainty=config.human_uncertainty,
                robot_uncertainty=config.robot_uncertainty,
            )
        )
        self._inside = True

    def see(
        self, stamp: float, person: Skeleton, forecasts: Sequence[Forecast], now: float
    ) -> None:
        limbs = _limbs(self._config, person.positions.astype(np.float64), person.layout)
        met = limbs.to_links(self._start, self._end, self._radius)
        self._inside = bool(met.distance.min() < self.distance)

    def factor(self, now: float, poses: Array) -> float:
        limits = [Limit(0.0, "somebody inside the fence")] if self._inside else []
        return self._decision.update(now, limits).factor


LATENCY = 0.07  # s from image to skeletons and forecasts at the monitor
NOISE = 0.002  # m, of the camera, on top of what the recording has
LEAD = 2.0  # s that the person waits, so that the robot gets going; counted nowhere
HARD = 0.25  # share of the full speed from which braking to rest is a hard stop
SWEEP_POSES = 24  # along the path, that the fence is built around
EPOCH = 100.0  # s; when simulations begin
CLOSING = 8.0  # m/s; faster than any limb and link near each other


@dataclass(frozen=True)
class BrakingOutcome:
    """How a run ended."""

    index: int  # number of the run
    name: str  # of the motion
    policy: str
    touched: bool  # whether person and robot came to touch
    # greatest speed of the touched link while they touched [m/s]; 0 where they didn't
    contact_speed: float
    # greatest mean speed at which a touching limb came nearer over the standard's time T_r + T_s
    # before the first contact [m/s]
    human_advance: float
    # whether that is within the speed that the standard has one reckon with for this limb
    covered: bool
    # of the motion, and by how much less the robot got along than at full speed [s]
    duration: float
    time_lost: float
    # how often the robot was brought to rest, and how often from more than `HARD`
    stops: int
    hard_stops: int
    least_distance: float  # between their surfaces [m]


class Simulator:
    """Runs approaches against the demo robot.

    `config`: of the monitor and of the robot's dynamics: deceleration and reaction time.
    """

    def __init__(self, config: SafetyConfig, engine: Engine) -> None:
        self._config, self._engine = config, engine
        self._urdf = Urdf.load("demo")
        self._model = RobotModel.from_urdf(self._urdf)
        motion = SweepMotion(self._robot(), self._urdf)
        motion.advance(10.0, 1.0)
        step = self._robot().period / SWEEP_POSES
        sweep = []
        for _ in range(SWEEP_POSES):
            motion.advance(step, 1.0)
            sweep.append(self._poses(motion))
        self._sweep = np.stack(sweep)

    def _robot(self) -> DemoRobotConfig:
        """The demo robot, coming to rest just as fast as the monitor is told."""
        config = self._config
        return DemoRobotConfig(stop_time=config.robot_speed_max / config.deceleration)

    def _poses(self, motion: SweepMotion) -> Array:
        angles = dict(zip(motion.joints, motion.positions.tolist(), strict=True))
        placed = self._urdf.forward(angles)
        return np.stack([placed[frame] for frame in self._model.frames])

    def run(self, index: int, approach: Approach) -> list[BrakingOutcome]:
        """Outcome of every policy; all of them are shown the same."""
        seen = list(self._watch(approach))
        return [self._play(index, approach, policy, seen) for policy in POLICIES]

    def _watch(self, approach: Approach) -> Iterator[tuple[float, Skeleton, list[Forecast]]]:
        """Frames of the camera: stamp, skeleton, and the forecasts that a forecaster makes."""
        rng = np.random.default_rng(approach.seed)
        forecaster = Forecaster(self._engine, ForecastConfig())
        certain = np.ones(approach.positions.shape[1], np.float32)
        for frame in range(round((LEAD + self._duration(approach)) * approach.fps) + 1):
            time = frame / approach.fps
            joints = _at(approach, time) + rng.normal(0.0, NOISE, approach.positions.shape[1:])
            person = Skeleton("1", approach.layout, joints.astype(np.float32), certain)
            forecaster.observe(EPOCH + time, [person])
            yield EPOCH + time, person, forecaster.forecast()

    def _duration(self, approach: Approach) -> float:
        return (len(approach.positions) - 1) / approach.fps

    def _policy(self, name: str) -> Monitored | Fence:
        if name == "fence":
            return Fence(self._config, self._model, self._sweep)
        forecasts, changes = MONITORED[name]
        return Monitored(replace(self._config, **changes), self._model, forecasts=forecasts)

    def _play(
        self,
        index: int,
        approach: Approach,
        policy_name: str,
        seen: list[tuple[float, Skeleton, list[Forecast]]],
    ) -> BrakingOutcome:
        config, policy = self._config, self._policy(policy_name)
        robot = SweepMotion(self._robot(), self._urdf)
        robot.advance(approach.phase, 1.0)
        robot.advance(10.0, 0.0)
        tick = 1.0 / config.rate
        coming = deque(seen)
        orders: deque[tuple[float, float]] = deque()
        factor = 0.0
        lost = contact_speed = advance = 0.0
        least, stops, hard, fastest = np.inf, 0, 0, 0.0
        touched, covered = False, True
        before: tuple[Array, Array] | None = None
        near = EPOCH
        for step in range(int((LEAD + self._duration(approach)) / tick)):
            now = EPOCH + step * tick
            while orders and orders[0][0] <= now + 1e-9:
                factor = orders.popleft()[1]
            robot.advance(tick, factor)
            poses = self._poses(robot)
            placed = self._model.place(poses)
            while coming and coming[0][0] + LATENCY <= now + 1e-9:
                policy.see(*coming.popleft(), now)
            allowed = policy.factor(now, poses)
            orders.append((now + config.robot_reaction_time, allowed))
            # a stop begins as the robot moves on, and is told by how fast it was until it stands
            if robot.pace > 0.0:
                fastest = robot.pace if allowed > 0.0 else max(fastest, robot.pace)
            elif fastest > 0.0:
                stops, hard, fastest = stops + 1, hard + (fastest > HARD), 0.0
            if now >= near:  # else they can't be in touch yet
                gaps = self._gaps(approach, now - EPOCH, placed)
                least = min(least, float(gaps.min()))
                near = now + max(float(gaps.min()), 0.0) / CLOSING
                together = gaps <= 0.0
                if before is not None and together.any():
                    speeds = _speeds(before, placed, tick)[together.any(axis=0)]
                    contact_speed = max(contact_speed, float(speeds.max()))
                    if not touched:
                        touched = True
                        advance, covered = self._advance(approach, now - EPOCH, gaps, placed)
            before = placed
            if now - EPOCH >= LEAD:
                lost += (1.0 - robot.pace) * tick
        return BrakingOutcome(
            index=index,
            name=approach.name,
            policy=policy_name,
            touched=touched,
            contact_speed=contact_speed,
            human_advance=advance,
            covered=covered,
            duration=self._duration(approach),
            time_lost=lost,
            stops=stops,
            hard_stops=hard,
            least_distance=least,
        )

    def _gaps(self, approach: Approach, time: float, placed: tuple[Array, Array]) -> Array:
        """Distances of limbs at a time to links as they are placed, (N, M) [m]."""
        limbs = _limbs(self._config, _at(approach, time), approach.layout)
        return limbs.to_links(*placed, self._model.radius).distance

    def _advance(
        self, approach: Approach, time: float, gaps: Array, placed: tuple[Array, Array]
    ) -> tuple[float, bool]:
        """How fast touching limbs came at the robot where it is now; whether that was reckoned."""
        config = self._config
        span = config.reaction_time + config.robot_speed_max / config.deceleration
        earlier = self._gaps(approach, time - span, placed)
        speeds = (earlier.min(axis=1) - gaps.min(axis=1)) / span
        names = get_layout(approach.layout).limb_names()
        arms = np.array(["elbow" in name or "wrist" in name for name in names])
        floors = np.where(arms, config.arm_speed, config.human_speed)
        touching = (gaps <= 0.0).any(axis=1)
        fast = float(speeds[touching].max())
        return fast, bool((speeds <= floors)[touching].all())


def _limbs(config: SafetyConfig, joints: Array, layout: str) -> LimbCapsules:
    return limb_capsules(joints, layout, scale=config.body_scale, hand_reach=config.hand_reach)


def _at(approach: Approach, time: float) -> Array:
    """Joints [m] at a time [s] from the start of the lead, between frames too."""
    frame = min(max(time - LEAD, 0.0) * approach.fps, len(approach.positions) - 1.0)
    return between_frames(approach.positions, frame)


def _speeds(before: tuple[Array, Array], after: tuple[Array, Array], seconds: float) -> Array:
    """Speed of each link, (M,): of the faster of its ends [m/s]."""
    ends = [np.linalg.norm(a - b, axis=-1) / seconds for a, b in zip(after, before, strict=True)]
    return np.maximum(*ends)


def config() -> SafetyConfig:
    """What the demo cell's monitor is told of its robot; all else as by default."""
    return build(SafetyConfig, DEMO_ROBOT)


def run_study(
    files: Sequence[Path],
    count: int,
    seed: int,
    log: Path,
    *,
    weights: Path | None = None,
    jobs: int = 1,
    progress: Callable[[int], None],
) -> list[BrakingOutcome]:
    """Outcomes of `count` approaches under every policy.

    Raises InputError if a file holds no approach, or the log is of another study.

    `count`: approaches, shared among the files.
    `log`: JSON lines, one per run; runs that it holds are not repeated.
    `weights`: of the forecaster; the ones that ship if left out.
    """
    drawn = approaches(files, count, seed)
    about = {
        "files": [path.name for path in files],
        "seed": seed,
        "count": count,
        "weights": weights.name if weights else "default",
    }
    tasks = {index: (index, approach, weights) for index, approach in enumerate(drawn)}
    answers = run_all(log, about, tasks, _run, jobs=jobs, progress=progress)
    try:
        return [BrakingOutcome(**run) for outcomes in answers.values() for run in outcomes]
    except TypeError as error:
        raise InputError(f"'{log}' holds no runs of a study: {error}") from error


@cache
def _simulator(weights: Path | None) -> Simulator:
    return Simulator(config(), load(weights))


def _run(index: int, approach: Approach, weights: Path | None) -> list[dict[str, Any]]:
    return [asdict(outcome) for outcome in _simulator(weights).run(index, approach)]


AT_REST = 1e-3  # m/s
_LABELS = {
    "forecast": "monitoring with forecasts",
    "reactive": "monitoring alone",
    "reachable_forecast": "reachable sets with forecasts",
    "reachable": "reachable sets alone",
    "probability": "with probabilities of contact",
    "fence": "fixed fence",
}
_PAIRS = (
    ("forecast", "reactive"),
    ("probability", "reactive"),
    ("reachable_forecast", "reachable"),
    ("reachable", "reactive"),
    ("reactive", "fence"),
    ("reachable", "fence"),
)
_ROWS = (
    ("contacts", "runs in which they touched", "{:d}"),
    ("covered", "of these, covered by the standard's model", "{:d}"),
    ("at_rest_covered", "robot at rest at contact, of the covered", "{:d}"),
    ("at_rest", "robot at rest at contact, of all", "{:d}"),
    ("contact_speed_max", "fastest contact [m/s]", "{:.3f}"),
    ("time_lost_percent", "robot's time lost [%]", "{:.1f}"),
    ("stops_per_run", "stops per run", "{:.2f}"),
    ("hard_stops_per_run", f"stops from over {100 * HARD:.0f} % of the speed, per run", "{:.2f}"),
)


def summarise(outcomes: Sequence[BrakingOutcome], seed: int) -> dict[str, Any]:
    """Figures per policy, ready for JSON, and forecasts against none run by run."""
    policies = {}
    present = [name for name in POLICIES if any(run.policy == name for run in outcomes)]
    for name in present:
        runs = [outcome for outcome in outcomes if outcome.policy == name]
        touched = [run for run in runs if run.touched]
        policies[name] = {
            "runs": len(runs),
            "contacts": len(touched),
            "covered": sum(run.covered for run in touched),
            "at_rest_covered": sum(run.covered and _rests(run) for run in touched),
            "at_rest": sum(_rests(run) for run in touched),
            "contact_speed_max": max((run.contact_speed for run in touched), default=0.0),
            "time_lost_percent": 100
            * sum(run.time_lost for run in runs)
            / max(sum(run.duration for run in runs), 1e-9),
            "stops_per_run": float(np.mean([run.stops for run in runs])),
            "hard_stops_per_run": float(np.mean([run.hard_stops for run in runs])),
        }
    moving = [
        {
            "index": run.index,
            "motion": run.name,
            "policy": run.policy,
            "contact_speed": run.contact_speed,
            "human_advance": run.human_advance,
            "covered": run.covered,
        }
        for run in outcomes
        if run.touched and not _rests(run)
    ]
    return {
        "seed": seed,
        "runs": max((found["runs"] for found in policies.values()), default=0),
        "policies": policies,
        "moving_contacts": moving,
        "paired": [
            {
                "policy": one,
                "against": other,
                "time_lost_s": _difference(outcomes, one, other, "time_lost"),
                "hard_stops": _difference(outcomes, one, other, "hard_stops"),
            }
            for one, other in _PAIRS
            if {one, other} <= set(present)
        ],
    }


def _rests(run: BrakingOutcome) -> bool:
    return run.contact_speed <= AT_REST


def _difference(
    outcomes: Sequence[BrakingOutcome], one: str, other: str, key: str
) -> dict[str, float]:
    """Mean of one policy minus another, run by run, and its standard error."""
    value = {(run.index, run.policy): getattr(run, key) for run in outcomes}
    indices = sorted({run.index for run in outcomes})
    differences = np.array([value[i, one] - value[i, other] for i in indices], float)
    error = differences.std(ddof=1) / np.sqrt(len(differences)) if len(differences) > 1 else 0.0
    return {"mean": float(differences.mean()), "standard_error": float(error)}


def verdict(summary: dict[str, Any]) -> str:
    """Say plainly what one policy gains or costs against another, run by run."""
    sentences = []
    for pair in summary["paired"]:
        parts = []
        for key, what, unit in (
            ("hard_stops", "hard stops per run", ""),
            ("time_lost_s", "the robot's time lost", " s per run"),
        ):
            mean, error = pair[key]["mean"], pair[key]["standard_error"]
            changed = "lower" if mean < 0 else "raise"
            did = "do not change" if abs(mean) <= 2 * error else changed
            parts.append(f"{did} {what} ({mean:+.2f}{unit}, standard error {error:.2f})")
        names = _LABELS[pair["policy"]], _LABELS[pair["against"]]
        sentences.append(f"- {names[0]} against {names[1]}: {' and '.join(parts)}.")
    return "\n".join(sentences)


def table(summary: dict[str, Any]) -> tuple[Sequence[str], Iterable[Sequence[object]]]:
    """Headings and rows of the figures, one column per policy."""
    policies = summary["policies"]
    rows = [
        (label, *(shown.format(found[key]) for found in policies.values()))
        for key, label, shown in _ROWS
    ]
    return ["", *(_LABELS[name] for name in policies)], rows


def as_markdown(summary: dict[str, Any]) -> str:
    """Table with one column per policy, and the verdict."""
    headings, rows = table(summary)
    lines = [f"{summary['runs']} approaches, seed {summary['seed']}", ""]
    lines += [markdown_table(headings, rows, range(1, len(headings))), "", verdict(summary)]
    for run in summary["moving_contacts"]:
        why = "covered" if run["covered"] else "not covered"
        lines.append(
            f"- run {run['index']} ({run['motion']}, {_LABELS[run['policy']]}), {why}: touched at "
            f"{run['contact_speed']:.3f} m/s; the limb came at {run['human_advance']:.2f} m/s"
        )
    return "\n".join(lines)


def lost_figure(outcomes: Sequence[BrakingOutcome], theme: Theme) -> Figure:
    """Draw how much time the robot lost in each run, sorted, under every policy."""
    colours = {
        "forecast": theme.forecast,
        "reactive": theme.person,
        "reachable_forecast": theme.forecast,
        "reachable": theme.person,
        "probability": theme.baseline_1,
        "fence": theme.baseline_2,
    }
    with styled(theme):
        figure = Figure(figsize=(8, 3.6))
        axes = figure.add_subplot(
            figure.add_gridspec(1, 1, left=0.08, right=0.68, bottom=0.13, top=0.78)[0]
        )
        for name in POLICIES:
            runs = [outcome for outcome in outcomes if outcome.policy == name]
            lost = np.sort([100 * run.time_lost / run.duration for run in runs])
            share = 100 * (np.arange(len(lost)) + 0.5) / len(lost)
            dashes = "--" if name.startswith("reachable") else "-"
            axes.plot(share, lost, dashes, color=colours[name], lw=1.6, label=_LABELS[name])
        axes.set(xlim=(0, 100), ylim=(0, 105), xlabel="runs, sorted [%]", ylabel="time lost [%]")
        axes.grid(axis="y", color=theme.grid, lw=0.6)
        axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
        bare(axes)
        runs_done = len({outcome.index for outcome in outcomes})
        headline(figure, theme, "What protection costs the robot", f"{runs_done} approaches")
    return figure
