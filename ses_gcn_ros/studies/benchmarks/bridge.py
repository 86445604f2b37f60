"""From the speed factor to each robot driver, over DDS: how long the bridge takes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from ses_gcn_ros.bringup import Value, demo_environment, ros_arguments
from ses_gcn_ros.drivers import SIMULATED
from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.studies.benchmarks.harness import (
    Cell,
    Column,
    Progress,
    Section,
    next_line,
    running,
)

# ramps short enough for many changes; a machine that is late is no fault of the driver's
_QUICK_ROBOT: dict[str, Value] = {
    "deceleration": 20.0,
    "ramp_up": 0.05,
    "heartbeat": 0.5,
    "answer_within": 2.0,
}
_CHANGES, _QUICK, _SEED = 300, 30, 1


def run(quick: bool, progress: Progress, drivers: tuple[str, ...] = SIMULATED) -> Section:
    """Delays from a changed factor to the first word at the driver.

    Parameters
    ----------
    quick : bool
        30 changes for each driver instead of 300.
    drivers : tuple of str
        Interfaces to measure.
    """
    section = Section(
        name="bridge",
        title="From the speed factor to the driver, over DDS",
        about="Random changes of speed_scaling, a stop in three of ten, from being published to "
        "the first message or service call at a simulated driver that says something else: twice "
        "over DDS, with the bridge between, each in a process of its own and in the driver's own "
        "messages. Each change comes at a random moment once the one before is followed; ramps "
        "last 0.05 s.",
        columns=[
            Column("driver", "driver"),
            Column("changes", "changes"),
            Column("median", "ms", 1e3, 2),
            Column("p99", "p99", 1e3, 2),
            Column("longest", "longest", 1e3, 2),
            Column("lost", "not followed"),
            Column("refused", "refused"),
        ],
        rows=[],
    )
    if section.lacks_ros():
        return section
    changes = _QUICK if quick else _CHANGES
    for driver in drivers:
        progress(f"bridge, {driver}")
        told = _measure(driver, changes)
        delays = np.array(told["delays"])
        row: dict[str, Cell] = {"driver": driver, "changes": changes}
        row |= {"lost": told["lost"], "refused": len(told["refused"])}
        if len(delays):
            row |= {"median": float(np.median(delays)), "p99": float(np.percentile(delays, 99))}
            row |= {"longest": float(delays.max())}
        section.rows.append(row)
    return section


def _measure(driver: str, changes: int) -> dict[str, Any]:
    parameters: dict[str, Value] = {"driver": driver, "driver_namespace": "arm", **_QUICK_ROBOT}
    arguments = ros_arguments(parameters, log_level="error")
    commands = [
        ["ses_gcn_ros.nodes", "robot_bridge", *arguments],
        ["ses_gcn_ros.studies.nodes.bridge_probe", str(changes), str(_SEED), *arguments],
    ]
    with running(commands, demo_environment()) as (_, probe):
        line = next_line(probe)
    if not line:
        raise ConfigError(f"the probe of the driver {driver} ended before it had measured")
    told: dict[str, Any] = json.loads(line)
    return told
