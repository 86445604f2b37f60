"""Costs of nodes over DDS, process to process: the whole chain, the bridge to a robot, a start."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ses_gcn_ros.bringup import DEMO_ROBOT, Value, demo_environment, ros_arguments
from ses_gcn_ros.drivers import SIMULATED
from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.studies.benchmarks.harness import (
    Cell,
    Child,
    Progress,
    Section,
    next_line,
    processor_time,
    running,
)

_PROBE = ("ses_gcn_ros.studies.probes",)
_PEOPLE = (1, 2, 4, 8, 16)
_STAGES = ("forecast", "state")
_ROUNDS, _SECONDS, _QUICK = 3, 8.0, 3.0  # of each number of people, by turns
_ENOUGH = 0.99  # share of skeletons that must have had an answer


def chain(quick: bool, progress: Progress) -> Section:
    """Delays and processor time of the nodes and, by turns, of the relays.

    The whole chain is skeletons → forecasts → safety state; no chain of rclpy nodes can be faster
    than two bare relays that pass on messages of the same sizes.

    `quick`: three seconds with one person instead of three times eight for each number.
    """
    rows: list[dict[str, Cell]] = []
    section = Section("chain", rows)
    if section.lacks_ros():
        return section
    runs: dict[int, list[_Run]] = {count: [] for count in (_PEOPLE[:1] if quick else _PEOPLE)}
    for _ in range(1 if quick else _ROUNDS):
        for count, done in runs.items():
            progress(f"end to end, {count} people")
            done.append(_run(count, _QUICK if quick else _SECONDS))
    for count, done in runs.items():
        rows += [_row(count, stage, done) for stage in _STAGES]
    for row in rows:
        if float(row["answered"] or 0) < _ENOUGH:
            section.notes.append(
                f"{row['people']} people: {row['answered']:.0%} of the skeletons had a "
                f"{row['stage']} of their own; the machine was too busy, measure again"
            )
    return section


@dataclass(frozen=True)
class _Run:
    """What the probe told of one run, and the processor time of nodes and relays in shares."""

    told: dict[str, Any]
    cpu: float
    floor_cpu: float

    def delays(self, chain: str, stage: str) -> list[float]:
        """Of each answer [s]."""
        return self.told[chain][stage]


def _run(people: int, seconds: float) -> _Run:
    environment = demo_environment()
    robot = {"robot_description": DEMO_ROBOT["robot_description"]}
    nodes: dict[str, Mapping[str, Value]] = {
        "forecaster_node": {"adaptive_state": "none"},
        "safety_node": DEMO_ROBOT,
        "demo_robot": robot,
    }
    commands = [
        ["ses_gcn_ros.nodes", name, *ros_arguments(parameters, log_level="error")]
        for name, parameters in nodes.items()
    ]
    commands += [["ses_gcn_ros.studies.relay", stage] for stage in ("forecasts", "states")]
    with running(commands, environment) as (forecaster, safety, _, *relays):
        probe = [*_PROBE, "chain", str(people), str(seconds)]
        with running([probe], environment) as (measuring,):
            ours, floor = (forecaster, safety), relays
            _expect(measuring, "measuring")
            before = processor_time(ours), processor_time(floor)
            _expect(measuring, "measured")
            after = processor_time(ours), processor_time(floor)
            told = json.loads(next_line(measuring))
    return _Run(
        told, *((late - early) / seconds for early, late in zip(before, after, strict=True))
    )


def _row(people: int, stage: str, runs: Sequence[_Run]) -> dict[str, Cell]:
    ours, floor = (
        np.array([delay for run in runs for delay in run.delays(chain, stage)])
        for chain in ("nodes", "floor")
    )
    if not len(ours) or not len(floor):
        raise ConfigError(f"nobody answered with a {stage}; try again on a machine with less to do")
    medians = [float(np.median(values)) for values in (ours, floor)]
    tails = [float(np.percentile(values, 99)) for values in (ours, floor)]
    row: dict[str, Cell] = {
        "people": people,
        "stage": stage,
        "median": medians[0],
        "p99": tails[0],
        "floor_median": medians[1],
        "floor_p99": tails[1],
        "ratio": medians[0] / medians[1],
        "ratio_p99": tails[0] / tails[1],
        "answered": len(ours) / sum(run.told["nodes"]["sent"] for run in runs),
    }
    if stage == "state":
        cpu = float(np.mean([run.cpu for run in runs]))
        return row | {"cpu": cpu, "floor_cpu": float(np.mean([run.floor_cpu for run in runs]))}
    costs = {
        name: float(np.mean([run.told["costs"][name] for run in runs]))
        for name in ("conversion", "inference")
    }
    return row | costs | {"transport": medians[0] - sum(costs.values())}


def crowd(quick: bool, progress: Progress, people: int = _PEOPLE[-1]) -> Section:
    """Delay and processor time of the action node, over eight seconds; three for a quick look."""
    section = Section("crowd")
    if section.lacks_ros():
        return section
    progress(f"actions of {people} people")
    seconds = _QUICK if quick else _SECONDS
    node = ["ses_gcn_ros.nodes", "action_node", *ros_arguments({}, log_level="error")]
    probe = [*_PROBE, "crowd", str(people), str(seconds)]
    with running([node, probe], demo_environment()) as (recognising, measuring):
        _expect(measuring, "measuring")
        before = processor_time((recognising,))
        _expect(measuring, "measured")
        spent = processor_time((recognising,)) - before
        told = json.loads(next_line(measuring))
    if not told["delays"]:
        raise ConfigError("nobody answered with actions; try again on a machine with less to do")
    row: dict[str, Cell] = {"people": people, "cpu": spent / seconds}
    row |= {"median": float(np.median(told["delays"]))}
    row |= {"p99": float(np.percentile(told["delays"], 99))}
    section.rows.append(row | {"answered": len(told["delays"]) / told["sent"]})
    return section


def _expect(child: Child, word: str) -> None:
    if next_line(child) != word:
        raise ConfigError(f"the benchmark's probe ended before it was '{word}'")


# ramps short enough for many changes; a machine that is late is no fault of the driver's
_QUICK_ROBOT: dict[str, Value] = {
    "deceleration": 20.0,
    "ramp_up": 0.05,
    "heartbeat": 0.5,
    "answer_within": 2.0,
}
_CHANGES, _FEW_CHANGES, _SEED = 300, 30, 1


def bridge(quick: bool, progress: Progress, drivers: tuple[str, ...] = SIMULATED) -> Section:
    """Delays from a changed factor to the first word at the driver.

    `quick`: 30 changes for each driver instead of 300.
    `drivers`: interfaces to measure.
    """
    section = Section("bridge")
    if section.lacks_ros():
        return section
    changes = _FEW_CHANGES if quick else _CHANGES
    for driver in drivers:
        progress(f"bridge, {driver}")
        told = _measure_bridge(driver, changes)
        delays = np.array(told["delays"])
        row: dict[str, Cell] = {"driver": driver, "changes": changes}
        row |= {"lost": told["lost"], "refused": len(told["refused"])}
        if len(delays):
            row |= {"median": float(np.median(delays)), "p99": float(np.percentile(delays, 99))}
            row |= {"longest": float(delays.max())}
        section.rows.append(row)
    return section


def _measure_bridge(driver: str, changes: int) -> dict[str, Any]:
    parameters: dict[str, Value] = {"driver": driver, "driver_namespace": "arm", **_QUICK_ROBOT}
    arguments = ros_arguments(parameters, log_level="error")
    commands = [
        ["ses_gcn_ros.nodes", "robot_bridge", *arguments],
        [*_PROBE, "bridge", str(changes), str(_SEED), *arguments],
    ]
    with running(commands, demo_environment()) as (_, probe):
        line = next_line(probe)
    if not line:
        raise ConfigError(f"the probe of the driver {driver} ended before it had measured")
    return json.loads(line)


_ENGINES = ("compiled", "onnx", "eager")


def footprint(quick: bool, progress: Progress) -> Section:
    """Start the node with each engine, from caches that are warm."""
    section = Section("footprint")
    if section.lacks_ros():
        return section
    for engine in _ENGINES[:1] if quick else _ENGINES:
        starts = []
        for turn in range(1 if quick else 4):
            progress(f"start with engine {engine}, run {turn + 1}")
            starts.append(_start(engine))
        kept = starts if quick else starts[1:]  # the first may have had to compile
        row: dict[str, Cell] = {"by": engine}
        section.rows.append(
            row | {key: float(np.median([start[key] for start in kept])) for key in kept[0]}
        )
    return section


def _start(engine: str) -> dict[str, float]:
    arguments = ros_arguments({"engine": engine, "adaptive_state": "none"}, log_level="error")
    command = [*_PROBE, "first_forecast", *arguments]
    with running([command], demo_environment()) as (child,):
        result: dict[str, float] = json.loads(next_line(child) or "{}")
    if not result:
        raise ConfigError(f"the forecaster node gave no forecast with engine '{engine}'")
    return result
