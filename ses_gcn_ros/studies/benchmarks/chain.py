"""The whole chain over DDS, process to process: skeletons → forecasts → safety state.

Beside it, by turns, runs what no chain of rclpy nodes can be faster than: two bare relays that
pass on messages of the same sizes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ses_gcn_ros.bringup import DEMO_ROBOT, Value, demo_environment, ros_arguments
from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.studies.benchmarks.harness import (
    Cell,
    Child,
    Column,
    Progress,
    Section,
    next_line,
    processor_time,
    running,
)

_PEOPLE = (1, 2, 4, 8, 16)
_STAGES = ("forecast", "state")
_ROUNDS, _SECONDS, _QUICK = 3, 8.0, 3.0  # of each number of people, by turns
_ENOUGH = 0.99  # share of skeletons that must have had an answer


def run(quick: bool, progress: Progress, people: Sequence[int] = _PEOPLE) -> Section:
    """Delays and processor time of the nodes and of the relays.

    Parameters
    ----------
    quick : bool
        Three seconds with one person instead of three times eight for each number.
    people : sequence of int
        Numbers of people in sight.
    """
    rows: list[dict[str, Cell]] = []
    section = Section(
        name="chain",
        title="End to end, over DDS",
        about="From the stamp of the skeletons to the forecasts and to the safety state, in "
        "processes of their own, 30 messages a second. The floor is a chain of as many bare rclpy "
        "relays with messages of the same sizes, fed half a period later. Numbers of people take "
        "turns, each time with all processes started anew. Of the forecaster's part, conversion "
        "and inference (resampling included) are timed apart; transport is the rest. CPU: "
        "processor time of forecaster and safety node, in shares of one core.",
        columns=[
            Column("people", "people"),
            Column("stage", "to"),
            Column("median", "ms", 1e3, 2),
            Column("p99", "p99", 1e3, 2),
            Column("floor_median", "floor ms", 1e3, 2),
            Column("floor_p99", "p99", 1e3, 2),
            Column("ratio", "×", 1, 1),
            Column("ratio_p99", "× p99", 1, 1),
            Column("conversion", "conv.", 1e3, 2),
            Column("inference", "infer.", 1e3, 2),
            Column("transport", "transp.", 1e3, 2),
            Column("cpu", "CPU %", 100, 1),
            Column("floor_cpu", "floor", 100, 1),
        ],
        rows=rows,
    )
    if section.lacks_ros():
        return section
    runs: dict[int, list[_Run]] = {count: [] for count in (people[:1] if quick else people)}
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
        delays: list[float] = self.told[chain][stage]
        return delays


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
    commands += [["ses_gcn_ros.studies.nodes.relay", stage] for stage in ("forecasts", "states")]
    with running(commands, environment) as (forecaster, safety, _, *relays):
        probe = ["ses_gcn_ros.studies.nodes.probe", str(people), str(seconds)]
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


def _expect(child: Child, word: str) -> None:
    if next_line(child) != word:
        raise ConfigError(f"the benchmark's probe ended before it was '{word}'")
