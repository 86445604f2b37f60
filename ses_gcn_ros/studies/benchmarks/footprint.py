"""What the forecaster node needs before it works: time to the first forecast, and memory."""

from __future__ import annotations

import json

import numpy as np

from ses_gcn_ros.bringup import demo_environment, ros_arguments
from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.studies.benchmarks.harness import (
    Cell,
    Column,
    Progress,
    Section,
    next_line,
    running,
)

_ENGINES = ("compiled", "onnx", "eager")


def run(quick: bool, progress: Progress) -> Section:
    """Start the node with each engine, from caches that are warm."""
    section = Section(
        name="footprint",
        title="Start and memory of the forecaster node",
        about="From the start of the process, with skeletons on the topic already: to the first "
        "message, and to the first forecast by the network, which needs 0.36 s of history; "
        "resident memory two seconds later. What is compiled has been compiled before.",
        columns=[
            Column("by", "engine"),
            Column("message", "first message s", 1, 2),
            Column("forecast", "first forecast s", 1, 2),
            Column("memory", "memory MB", 1e-6),
        ],
        rows=[],
    )
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
    arguments = ros_arguments(
        {"engine": engine, "adaptive_state": "none"},
        log_level="error",
    )
    command = ["ses_gcn_ros.studies.nodes.first_forecast", *arguments]
    with running([command], demo_environment()) as (child,):
        result: dict[str, float] = json.loads(next_line(child) or "{}")
    if not result:
        raise ConfigError(f"the forecaster node gave no forecast with engine '{engine}'")
    return result
