"""A recorded run of the demo cell: the sample's person, the forecaster, the monitor, the robot."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from tf_messages import transforms_message

from ses_gcn_ros import forecast
from ses_gcn_ros.bags.messages import (
    NANO,
    header_message,
    message,
    skeletons_message,
    time_message,
)
from ses_gcn_ros.bags.rosbag2 import BagWriter, read_skeletons
from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.replay.evaluate import write_report
from ses_gcn_ros.replay.events import state_message
from ses_gcn_ros.resources import share_path
from ses_gcn_ros.safety import (
    DemoRobotConfig,
    RobotModel,
    SafetyConfig,
    SeparationMonitor,
    Urdf,
)
from ses_gcn_ros.safety.robot_motion import SweepMotion

LEAD_IN = 0.3  # s that states flow before anybody is seen
PICK_UP = 0.004  # s until a skeleton reaches the nodes
ANSWER = 0.006  # s until its forecast is there


@pytest.fixture(scope="session")
def sample() -> Path:
    """Return the sample recording that ships."""
    return share_path("config", "demo", "visitor")


@pytest.fixture(scope="session")
def run_bag(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Record the demo cell while the person of the sample walks up and reaches (4.5 s)."""
    try:
        engine = forecast.load()
    except ModelError as error:
        pytest.skip(f"the default weights can't be loaded: {error}")
    path = tmp_path_factory.mktemp("run") / "bag"
    with BagWriter(path) as bag:
        record_run(bag, list(read_skeletons(sample))[25:138], engine)
    return path


@pytest.fixture(scope="session")
def run_report(run_bag: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the report on the recorded run, which no test changes."""
    folder = tmp_path_factory.mktemp("report")
    write_report(run_bag, folder)
    return folder


def record_run(bag: BagWriter, observations: list, engine: forecast.Engine) -> None:
    """Play observations to the core as the nodes do, and record what each of them says."""
    urdf = Urdf.load("demo")
    model = RobotModel.from_urdf(urdf)
    monitor = SeparationMonitor(SafetyConfig(), model)
    forecaster = forecast.Forecaster(engine, forecast.ForecastConfig())
    motion = SweepMotion(DemoRobotConfig(), urdf)
    start, waiting = observations[0].stamp - LEAD_IN, list(observations)
    factor, ready = 0.0, []
    description = message("std_msgs/msg/String", data=urdf.text)
    bag.write_message("/robot_description", round(start * NANO), description)
    bag.write_message(
        "/tf_static", round(start * NANO), robot_transforms(motion, urdf, start, False)
    )
    for tick in range(round((observations[-1].stamp - start) * 50) + 3):
        now = start + tick / 50
        motion.advance(0.02, factor)
        bag.write_message("/tf", round(now * NANO), robot_transforms(motion, urdf, now, True))
        placed = urdf.forward(dict(zip(motion.joints, motion.positions, strict=True)))
        monitor.observe_robot(now, np.stack([placed[frame] for frame in model.frames]))
        while waiting and waiting[0].stamp + PICK_UP <= now:
            seen = waiting.pop(0)
            heard = seen.stamp + PICK_UP
            bag.write_message("/skeletons", round(heard * NANO), skeletons_message(seen))
            monitor.observe_skeletons(seen.stamp, seen.people)
            forecaster.observe(seen.stamp, seen.people)
            forecasts = forecaster.forecast()
            monitor.observe_forecasts(seen.stamp, forecasts)
            ready.append((seen.stamp, heard + ANSWER, forecasts))
        for stamp, at, forecasts in ready:
            content = forecasts_message(stamp, "world", forecasts)
            bag.write_message("/forecasts", round(at * NANO), content)
        ready.clear()
        state = monitor.assess(now)
        factor = state.speed_factor
        bag.write_message("/safety_state", round(now * NANO), state_message(state, "world"))
    bag.write_message("/diagnostics", round(now * NANO), diagnostics_message(now))


def robot_transforms(motion: SweepMotion, urdf: Urdf, now: float, moving: bool) -> object:
    """Return the transforms of all joints that move, or of all that don't."""
    positions = dict(zip(motion.joints, motion.positions, strict=True))
    poses = [
        (joint, joint.transform(positions.get(joint.name, 0.0)))
        for joint in urdf.joints
        if (joint.kind != "fixed") == moving
    ]
    return transforms_message(
        (now, joint.parent, joint.child, pose[:3, 3], Rotation.from_matrix(pose[:3, :3]).as_quat())
        for joint, pose in poses
    )


def diagnostics_message(now: float) -> object:
    """Return what a node says of its own latency."""
    values = {"latency_median_ms": "1.500", "latency_p99_ms": "4.000"}
    status = message(
        "diagnostic_msgs/msg/DiagnosticStatus",
        level=0,
        name="forecaster_node",
        message="forecasting",
        hardware_id="",
        values=[message("diagnostic_msgs/msg/KeyValue", key=k, value=v) for k, v in values.items()],
    )
    header = header_message(now, "")
    return message("diagnostic_msgs/msg/DiagnosticArray", header=header, status=[status])


def forecasts_message(stamp: float, frame_id: str, forecasts: Iterable[forecast.Forecast]) -> Any:
    """ForecastArray of forecasts made from observations up to `stamp` [s]."""
    entries = [
        message(
            "ses_gcn_ros/msg/Forecast",
            person_id=forecast.person_id,
            layout=forecast.layout,
            step=time_message(forecast.step, "Duration"),
            steps=len(forecast.positions),
            positions=np.ascontiguousarray(forecast.positions, np.float32).ravel(),
            radius=np.ascontiguousarray(forecast.radius, np.float32).ravel(),
            coverage=forecast.coverage,
            model=forecast.model,
            flatness=forecast.flatness,
        )
        for forecast in forecasts
    ]
    header = header_message(stamp, frame_id)
    return message("ses_gcn_ros/msg/ForecastArray", header=header, forecasts=entries)
