"""``ses-gcn up`` and ``ses-gcn demo``: bring up the nodes."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from ses_gcn_ros.bringup import (
    fresh_recording,
    plan_demo,
    plan_workcell,
    ros_arguments,
    targeted_parameters,
)
from ses_gcn_ros.commands import terminal
from ses_gcn_ros.processes import ProcessGroup, demo_environment

ParamsFile = Annotated[
    str, typer.Option("--params-file", help="YAML with node parameters; config/workcell.yaml.")
]
LogLevel = Annotated[str, typer.Option(help="debug, info, warn, error or fatal.")]


def up(
    bag: Annotated[str, typer.Option(help="Take skeletons from this bag ('sample': ours).")] = "",
    video: Annotated[str, typer.Option(help="Take images from this video file.")] = "",
    cameras: Annotated[
        str, typer.Option(help="Fuse what several cameras see: their namespaces, as left,right.")
    ] = "",
    calibration: Annotated[
        str, typer.Option(help="File of 'ses-gcn calibrate' for these cameras; TF if left out.")
    ] = "",
    rate: Annotated[float, typer.Option(help="Recorded seconds per second, for a bag.")] = 1.0,
    demo_robot: Annotated[bool, typer.Option(help="Simulate the demo cell's robot.")] = False,
    driver: Annotated[
        str, typer.Option(help="Carry the speed factor to this robot driver, such as ur or jtc.")
    ] = "",
    record: Annotated[str, typer.Option(help="Record what the nodes publish to this bag.")] = "",
    namespace: Annotated[str, typer.Option(help="Namespace of the cell.")] = "",
    actions: Annotated[bool, typer.Option("--actions", help="Recognise what people do.")] = False,
    use_sim_time: Annotated[bool, typer.Option(help="Follow /clock; a bag implies it.")] = False,
    params_file: ParamsFile = "",
    log_level: LogLevel = "info",
    single_process: Annotated[
        bool, typer.Option("--single-process", help="All nodes in one process.")
    ] = False,
) -> None:
    """Bring up a workcell: eyes, forecaster, safety node. Ctrl-C ends all of it.

    Example: ses-gcn up --params-file my_cell.yaml --namespace cell_1
    """
    plans = plan_workcell(
        bag=bag,
        video=video,
        cameras=cameras,
        calibration=calibration,
        rate=rate,
        demo_robot=demo_robot,
        driver=driver,
        record=record,
        use_sim_time=use_sim_time,
        actions=actions,
    )
    options = {"params_file": params_file, "log_level": log_level}
    with ProcessGroup(terminal.err()) as group:
        if single_process:
            parameters = targeted_parameters(plans)
            group.start(plans, ros_arguments(parameters, namespace=namespace, **options))
        else:
            for plan in plans:
                place = plan.namespace_in(namespace)
                group.start([plan], ros_arguments(plan.parameters, namespace=place, **options))
        code = group.wait()
    raise typer.Exit(code)


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path(
        "demo_out"
    ),
    rate: Annotated[float, typer.Option(help="Recorded seconds per second.")] = 1.0,
    video: Annotated[str, typer.Option(help="Feed this video through the pose node.")] = "",
    actions: Annotated[bool, typer.Option("--actions", help="Recognise what people do.")] = False,
    params_file: ParamsFile = "",
    log_level: LogLevel = "warn",
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Play the sample recording through the whole cell and report what happened.

    Example: ses-gcn demo --rate 2 -o demo_out
    """
    from ses_gcn_ros.replay.report.files import write_report
    from ses_gcn_ros.replay.summary import summary_table

    console = terminal.err()
    bag = fresh_recording(out)
    plans = plan_demo(bag, video=video, rate=rate, actions=actions)
    environment = demo_environment()
    started = time.monotonic()
    with ProcessGroup(console) as group:
        for plan in plans:
            arguments = ros_arguments(
                plan.parameters, params_file=params_file, namespace="", log_level=log_level
            )
            group.start([plan], arguments, environment)
        with console.status(
            f"{len(plans)} processes; Ctrl-C ends them; see them in another terminal with "
            f"ROS_DOMAIN_ID={environment['ROS_DOMAIN_ID']} ses-gcn watch"
        ):
            code = group.wait()
    if group.interrupted:
        console.print(f"interrupted; what was recorded lies in {bag}")
        raise typer.Exit(130)
    if code:
        raise typer.Exit(code)
    console.print(f"played in {time.monotonic() - started:.1f} s; drawing the report")
    summary = write_report(bag, out)
    if as_json:
        print(json.dumps(summary, indent=2))
    else:
        terminal.out().print(summary_table(summary))
        console.print(f"report: {out / 'report.html'}")
