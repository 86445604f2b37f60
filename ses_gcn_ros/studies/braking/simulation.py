"""One person, one robot, one policy: the robot brakes as the standard's model of it does."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.forecast import Engine, Forecast, ForecastConfig, Forecaster
from ses_gcn_ros.safety import (
    DemoRobotConfig,
    LimbCapsules,
    RobotModel,
    SafetyConfig,
    Urdf,
    capsule_distances,
    limb_capsules,
)
from ses_gcn_ros.safety.robot_motion import SweepMotion
from ses_gcn_ros.skeleton import Skeleton, get_layout
from ses_gcn_ros.studies.braking.approaches import Approach
from ses_gcn_ros.studies.braking.policies import POLICIES, Fence, Monitored, Policy

Array = NDArray[np.float64]

LATENCY = 0.07  # s from image to skeletons and forecasts at the monitor
NOISE = 0.002  # m, of the camera, on top of what the recording has
LEAD = 2.0  # s that the person waits, so that the robot gets going; counted nowhere
HARD = 0.25  # share of the full speed from which braking to rest is a hard stop
SWEEP_POSES = 24  # along the path, that the fence is built around
EPOCH = 100.0  # s; when simulations begin
CLOSING = 8.0  # m/s; faster than any limb and link near each other


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes
    ----------
    index : int
        Number of the run.
    name : str
        Of the motion.
    policy : str
    touched : bool
        Whether person and robot came to touch.
    contact_speed : float
        Greatest speed of the touched link while they touched [m/s]; 0 where they didn't.
    human_advance : float
        Greatest mean speed at which a touching limb came nearer over the standard's time
        T_r + T_s before the first contact [m/s].
    covered : bool
        Whether that is within the speed that the standard has one reckon with for this limb.
    duration, time_lost : float
        Of the motion, and by how much less the robot got along than at full speed [s].
    stops, hard_stops : int
        How often the robot was brought to rest, and how often from more than `HARD`.
    least_distance : float
        Between their surfaces [m].
    """

    index: int
    name: str
    policy: str
    touched: bool
    contact_speed: float
    human_advance: float
    covered: bool
    duration: float
    time_lost: float
    stops: int
    hard_stops: int
    least_distance: float


class Simulator:
    """Runs approaches against the demo robot.

    Parameters
    ----------
    config : SafetyConfig
        Of the monitor and of the robot's dynamics: deceleration and reaction time.
    engine : Engine
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

    def run(self, index: int, approach: Approach) -> list[Outcome]:
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

    def _policy(self, name: str) -> Policy:
        if name == "fence":
            return Fence(self._config, self._model, self._sweep)
        return Monitored(self._config, self._model, forecasts=name == "forecast")

    def _play(
        self,
        index: int,
        approach: Approach,
        policy_name: str,
        seen: list[tuple[float, Skeleton, list[Forecast]]],
    ) -> Outcome:
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
                gaps = _gaps(self._limbs(approach, now - EPOCH), *placed, self._model.radius)
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
        return Outcome(
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

    def _limbs(self, approach: Approach, time: float) -> LimbCapsules:
        config = self._config
        return limb_capsules(
            _at(approach, time),
            approach.layout,
            scale=config.body_scale,
            hand_reach=config.hand_reach,
        )

    def _advance(
        self, approach: Approach, time: float, gaps: Array, placed: tuple[Array, Array]
    ) -> tuple[float, bool]:
        """How fast touching limbs came at the robot where it is now; whether that was reckoned."""
        config = self._config
        span = config.reaction_time + config.robot_speed_max / config.deceleration
        earlier = _gaps(self._limbs(approach, time - span), *placed, self._model.radius)
        speeds = (earlier.min(axis=1) - gaps.min(axis=1)) / span
        names = get_layout(approach.layout).limb_names()
        floors = np.array(
            [
                config.arm_speed if "elbow" in name or "wrist" in name else config.human_speed
                for name in names
            ]
        )
        touching = (gaps <= 0.0).any(axis=1)
        fast = float(speeds[touching].max())
        return fast, bool((speeds <= floors)[touching].all())


def _at(approach: Approach, time: float) -> Array:
    """Joints [m] at a time [s] from the start of the lead, between frames too."""
    frame = min(max(time - LEAD, 0.0) * approach.fps, len(approach.positions) - 1.0)
    low = min(int(frame), len(approach.positions) - 2)
    share = frame - low
    joints: Array = (1.0 - share) * approach.positions[low] + share * approach.positions[low + 1]
    return joints


def _gaps(limbs: LimbCapsules, start: Array, end: Array, radius: Array) -> Array:
    """Distances of all limbs to all links (N, M) [m]."""
    return capsule_distances(
        limbs.start[:, None], limbs.end[:, None], limbs.radius[:, None], start, end, radius
    ).distance


def _speeds(before: tuple[Array, Array], after: tuple[Array, Array], seconds: float) -> Array:
    """Speed of each link, (M,): of the faster of its ends [m/s]."""
    ends = [np.linalg.norm(a - b, axis=-1) / seconds for a, b in zip(after, before, strict=True)]
    return np.maximum(*ends)
