"""``ses-gcn soak``: the cell running for long, with its punctuality and memory written down."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Annotated

import typer

from ses_gcn_ros.commands import terminal
from ses_gcn_ros.errors import SesGcnError
from ses_gcn_ros.resources import check_writable

_START = 60.0  # s that nodes may take to start
_SAMPLING = 5.0  # s between looks at the memory


def soak(
    minutes: Annotated[float, typer.Option(help="How long, warm-up included.", min=0.1)] = 30.0,
    people: Annotated[int, typer.Option(help="People around the robot.", min=1, max=50)] = 4,
    rate: Annotated[float, typer.Option(help="Frames of the camera [Hz].", min=1.0)] = 30.0,
    warm_up: Annotated[
        float, typer.Option(help="Seconds that memory may take to settle.", min=0.0)
    ] = 120.0,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Write JSON here.")] = None,
    overwrite: terminal.Overwrite = False,
    as_json: terminal.AsJson = False,
) -> None:
    """Run forecaster, safety node and demo robot with a crowd; watch their states and memory.

    Ends with exit code 1 where a state was late by more than 3 periods or memory grew.

    Example: ses-gcn soak --minutes 30 --people 4 -o soak.json
    """
    from ses_gcn_ros.bringup import DEMO_ROBOT, NodePlan, ros_arguments
    from ses_gcn_ros.forecast.weights import write_atomically
    from ses_gcn_ros.processes import ProcessGroup, demo_environment
    from ses_gcn_ros.safety import SafetyConfig
    from ses_gcn_ros.studies.soak import as_text, memory, summarise
    from ses_gcn_ros.studies.synthetic_recording import Crowd

    check_writable(out, overwrite=overwrite)
    environment = demo_environment()
    os.environ.update(environment)
    console = terminal.err()
    plans = [
        NodePlan("demo_robot"),
        NodePlan("forecaster_node"),
        NodePlan("safety_node", DEMO_ROBOT),
    ]
    used: dict[str, list[tuple[float, float, float]]] = {plan.executable: [] for plan in plans}
    with ProcessGroup(console) as group:
        for plan in plans:
            arguments = ros_arguments(
                plan.parameters, params_file="", namespace="", log_level="error"
            )
            group.start([plan], arguments, environment)
        from ses_gcn_ros.studies.nodes.soak_tester import soak_tester

        with soak_tester(Crowd(people), rate) as tester:
            begin = time.monotonic()
            while not tester.started:
                tester.spin()
                if time.monotonic() - begin > _START or len(group.pids) < len(plans):
                    raise SesGcnError(f"the nodes did not start within {_START:g} s")
            tester.forget()
            begin = sampled = time.monotonic()
            with terminal.progress(counted=False) as bar:
                task = bar.add_task("soak", total=60.0 * minutes)
                while (passed := time.monotonic() - begin) < 60.0 * minutes:
                    tester.spin()
                    if group.interrupted:
                        break
                    if time.monotonic() - sampled < _SAMPLING:
                        continue
                    sampled = time.monotonic()
                    pids = group.pids
                    for name in used:
                        if name not in pids:
                            raise SesGcnError(f"{name} died after {passed:.0f} s")
                        used[name].append((passed, *memory(pids[name])))
                    bar.update(task, completed=passed)
    period = 1.0 / SafetyConfig().rate
    summary = {"people": people, "camera_hz": rate} | summarise(
        tester.stamps, tester.arrivals, period, used, min(warm_up, 30.0 * minutes)
    )
    names = {0: "CLEAR", 1: "REDUCED", 2: "STOP"}
    summary["levels"] = {names[level]: count for level, count in sorted(tester.levels.items())}
    if out is not None:
        write_atomically(out, json.dumps(summary, indent=2).encode())
    print(json.dumps(summary) if as_json else as_text(summary))
    raise typer.Exit(0 if summary["passed"] else 1)
