"""How fast a recording is replayed through the core and judged."""

from __future__ import annotations

import dataclasses
import time

import numpy as np

from ses_gcn_ros.evaluation.benchmarks.section import Column, Progress, Section
from ses_gcn_ros.evaluation.evaluate import evaluate
from ses_gcn_ros.evaluation.offline.options import Options
from ses_gcn_ros.resources import share_path


def run(quick: bool, progress: Progress) -> Section:
    """Evaluate the sample recording with the demo cell's robot, in one process."""
    bag = share_path("config", "demo", "visitor")
    options = dataclasses.replace(Options(), demo_robot=True)
    durations = []
    for turn in range(1 if quick else 3):
        progress(f"evaluate, run {turn + 1}")
        started = time.perf_counter()
        summary = evaluate(bag, None, options, processes=1)
        durations.append(time.perf_counter() - started)
    median = float(np.median(durations))
    return Section(
        name="replay",
        title="Evaluation of recordings",
        about="The sample recording through forecaster, safety core and the demo cell's robot, "
        "nothing written, in one process.",
        columns=[
            Column("recorded", "recorded s", 1, 1),
            Column("frames", "frames"),
            Column("median", "took s", 1, 1),
            Column("speed", "× real time", 1, 1),
        ],
        rows=[
            {
                "recorded": summary["duration_s"],
                "frames": summary["frames"],
                "median": median,
                "speed": summary["duration_s"] / median,
            }
        ],
    )
