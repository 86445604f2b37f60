"""The whole chain over DDS, process to process: skeletons → forecasts → safety state.

Beside it, by turns, runs what no chain of rclpy nodes can be faster than: two bare relays that
pass on messages of the same sizes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ses_gcn_ros.bringup import DEMO_ROBOT, Value, ros_arguments
from ses_gcn_ros.commands.domain import demo_environment
from ses_gcn_ros.commands.processes import check_ros
from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.evaluation.benchmarks import section as sections
from ses_gcn_ros.evaluation.benchmarks.children import (
    Child,
    next_line,
    processor_time,
    running,
)
from ses_gcn_ros.evaluation.benchmarks.section import Column, Progress, Section

_PEOPLE = (1, 2, 4, 8, 16)
_STAGES = ("forecast", "state")
_ENOUGH = 0.99  # share of skeletons that must have had an answer


def run(quick: bool, progress: Progress, people: Sequence[int] = _PEOPLE) -> Section:
    """Delays and processor time of the nodes and of the relays.

    Parameters
    ----------
    quick : bool
        Three seconds with one person instead of twenty for each number.
    progress : callable
        Told what comes next.
    people : sequence of int
        Numbers of people in sight.
    """
    rows: list[dict[str, sections.Value]] = []
    section = Section(
        name="chain",
        title="End to end, over DDS",
        about="From the stamp of the skeletons to the forecasts and to the safety state, in "
        "processes of their own, 30 messages a second. The floor is a chain of as many bare rclpy "
        "relays with messages of the same sizes, fed half a period later. Of the forecaster's "
        "part, conversion and inference (resampling included) are timed apart; transport is the "
        "rest. CPU: processor time of forecaster and safety node, in shares of one core.",
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
    try:
        check_ros()
    except ConfigError as error:
        section.notes.append(f"not measured: {error}")
        return section
    for count in people[:1] if quick else people:
        progress(f"end to end, {count} people")
        rows += measure(count, 3.0 if quick else 20.0)
    for row in rows:
        if float(row["answered"] or 0) < _ENOUGH:
            section.notes.append(
                f"{row['people']} people: {row['answered']:.0%} of the skeletons had a "
                f"{row['stage']} of their own; the machine was too busy, measure again"
            )
    return section


def measure(people: int, seconds: float) -> list[dict[str, sections.Value]]:
    """One row per stage."""
    environment = demo_environment()
    robot = {"robot_description": DEMO_ROBOT["robot_description"]}
    nodes: dict[str, Mapping[str, Value]] = {
        "forecaster_node": {"adaptive_state": "none"},
        "safety_node": DEMO_ROBOT,
        "demo_robot": robot,
    }
    commands = [
        ["ses_gcn_ros.nodes", name, *_arguments(parameters)] for name, parameters in nodes.items()
    ]
    commands += [["ses_gcn_ros.nodes.benchmark.relay", stage] for stage in ("forecasts", "states")]
    with running(commands, environment) as (forecaster, safety, _, *relays):
        probe = ["ses_gcn_ros.nodes.benchmark.probe", str(people), str(seconds)]
        with running([probe], environment) as (measuring,):
            ours, floor = (forecaster, safety), relays
            _expect(measuring, "measuring")
            before = processor_time(ours), processor_time(floor)
            _expect(measuring, "measured")
            after = processor_time(ours), processor_time(floor)
            delays = json.loads(next_line(measuring))
    shares = [(late - early) / seconds for early, late in zip(before, after, strict=True)]
    return [_row(people, stage, delays, shares) for stage in _STAGES]


def _row(
    people: int, stage: str, delays: dict[str, Any], shares: Sequence[float]
) -> dict[str, sections.Value]:
    ours, floor = (np.array(delays[chain][stage]) for chain in ("nodes", "floor"))
    if not len(ours) or not len(floor):
        raise ConfigError(f"nobody answered with a {stage}; try again on a machine with less to do")
    medians = [float(np.median(values)) for values in (ours, floor)]
    tails = [float(np.percentile(values, 99)) for values in (ours, floor)]
    row: dict[str, sections.Value] = {
        "people": people,
        "stage": stage,
        "median": medians[0],
        "p99": tails[0],
        "floor_median": medians[1],
        "floor_p99": tails[1],
        "ratio": medians[0] / medians[1],
        "ratio_p99": tails[0] / tails[1],
        "answered": len(ours) / delays["nodes"]["sent"],
    }
    if stage == "state":
        return row | {"cpu": shares[0], "floor_cpu": shares[1]}
    row |= delays["costs"]
    row["transport"] = medians[0] - sum(delays["costs"].values())
    return row


def _arguments(parameters: Mapping[str, Value]) -> list[str]:
    return ros_arguments(parameters, params_file="", namespace="", log_level="error")


def _expect(child: Child, word: str) -> None:
    if next_line(child) != word:
        raise ConfigError(f"the benchmark's probe ended before it was '{word}'")
