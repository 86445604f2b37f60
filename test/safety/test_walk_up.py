"""Real people walk up to the moving demo robot; it has to be at rest before they touch it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from safety_scenes import TICK, forecast_of

from ses_gcn_ros.safety import (
    DemoRobotConfig,
    Level,
    RobotModel,
    SafetyConfig,
    SeparationMonitor,
    Urdf,
    capsule_distances,
    limb_capsules,
)
from ses_gcn_ros.safety.robot_motion import SweepMotion
from ses_gcn_ros.skeleton import Skeleton

LATENCY = 0.06  # s from image to monitor
SWEEP_CENTRE = np.array([0.67, 0.0, 1.12])  # m, where the tool passes
WRIST = 11
CONFIG = SafetyConfig(robot_description="demo", robot_speed_max=0.6, deceleration=1.8)


@dataclass
class Outcome:
    """How a walk-up ended: the pace of the robot and the level at first touch, if there was one."""

    touched: bool = False
    pace_at_touch: float = 0.0
    level_at_touch: Level | None = None
    stop_before_touch: float = 0.0  # s
    ran_free: bool = False  # the robot was CLEAR at full pace before the person came


def motions(path, key: str, count: int, travel: float, rng):
    """Motions (T, 15, 3) [m] that begin at least `travel` from where the wrist is to end up."""
    data = np.load(path)
    starts = np.concatenate([[0], np.cumsum(data["lengths"])])
    chosen = []
    for index in rng.permutation(len(starts) - 1):
        motion = data[key][starts[index] : starts[index + 1]] / 1000.0
        far = np.linalg.norm(motion[:, 0, :2] - motion[0, 0, :2], axis=1)
        meeting = int(far.argmax())
        if far[meeting] > travel and np.isfinite(motion).all():
            turn = rng.uniform(-0.6, 0.6)  # about the robot's front, from which people come
            chosen.append(placed(motion[max(meeting - 150, 0) : meeting + 1], turn))  # 5 to 6 s
        if len(chosen) == count:
            break
    return chosen


def placed(motion: np.ndarray, turn: float) -> np.ndarray:
    """Turn and shift a motion so that it comes along −x and its wrist ends in the sweep."""
    path = motion[-1, 0, :2] - motion[0, 0, :2]
    angle = np.pi + turn - np.arctan2(path[1], path[0])
    c, s = np.cos(angle), np.sin(angle)
    turned = motion @ np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]).T
    shift = SWEEP_CENTRE - turned[-1, WRIST]
    return turned + np.array([shift[0], shift[1], 0.0])


def walk_up(motion: np.ndarray, fps: float, phase: float) -> Outcome:
    """Run monitor and robot against a motion until it touches the robot or ends."""
    urdf = Urdf.load("demo")
    model = RobotModel.from_urdf(urdf)
    robot = SweepMotion(DemoRobotConfig(), urdf)
    robot.advance(phase, 1.0)
    monitor = SeparationMonitor(CONFIG, model)
    outcome, stopped_since, factor, sent = Outcome(), None, 0.0, -1
    lead = 1.8  # s that the person waits at the start, so that the robot gets going
    for tick in range(int((lead + len(motion) / fps) / TICK)):
        now = 100.0 + tick * TICK
        robot.advance(TICK, factor)
        links = urdf.forward(dict(zip(robot.joints, robot.positions, strict=True)))
        poses = np.stack([links[frame] for frame in model.frames])
        monitor.observe_robot(now, poses)
        frame = int(max(now - 100.0 - lead, 0.0) * fps)
        seen = int(max(now - 100.0 - lead - LATENCY, 0.0) * fps)
        if seen != sent or (frame == 0 and tick % 2 == 0):
            stamp = now - LATENCY
            jitter = 1e-4 * (tick % 7)
            velocity = (motion[seen] - motion[max(seen - 2, 0)]) * fps / 2
            person = Skeleton(
                "p1", "chico15", (motion[seen] + jitter).astype(np.float32), np.ones(15, np.float32)
            )
            monitor.observe_skeletons(stamp, [person], now)
            monitor.observe_forecasts(stamp, [forecast_of(person, stamp, velocity, 0.05)], now)
            sent = seen
        assessment = monitor.assess(now)
        factor = assessment.speed_factor
        outcome.ran_free |= robot.pace > 0.9
        if assessment.level is not Level.STOP:
            stopped_since = None
        elif stopped_since is None:
            stopped_since = now
        limbs = limb_capsules(motion[frame], "chico15")
        met = capsule_distances(
            limbs.start[:, None],
            limbs.end[:, None],
            limbs.radius[:, None],
            *model.place(poses),
            model.radius,
        )
        if met.distance.min() <= 0.0:
            outcome.touched, outcome.pace_at_touch = True, robot.pace
            outcome.level_at_touch = assessment.level
            outcome.stop_before_touch = now - (now if stopped_since is None else stopped_since)
            break
    return outcome


@pytest.mark.parametrize(
    ("file", "key", "fps", "travel"),
    [("cmu.npz", "positions_mm", 25.0, 2.0), ("handover_dev.npz", "receiver_mm", 30.0, 1.0)],
)
def test_the_robot_is_at_rest_before_anybody_touches_it(shared_data, file, key, fps, travel):
    rng = np.random.default_rng(2)
    outcomes = [
        walk_up(motion, fps, phase=rng.uniform(0, 4))
        for motion in motions(shared_data / "motion" / file, key, 6, travel, rng)
    ]
    touching = [outcome for outcome in outcomes if outcome.touched]
    assert len(touching) >= 3  # else nothing was tested
    assert any(outcome.ran_free for outcome in outcomes)
    for outcome in touching:
        assert outcome.level_at_touch is Level.STOP
        assert outcome.pace_at_touch == 0.0
