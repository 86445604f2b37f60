"""``ses-gcn commission``: measure what the safety node reckons with, in a real cell."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ses_gcn_ros.commands import terminal
from ses_gcn_ros.errors import BagError, ConfigError, SesGcnError

if TYPE_CHECKING:
    from rich.console import Console

    from ses_gcn_ros.replay.commissioning import CellSources
    from ses_gcn_ros.safety import SafetyConfig

_STOPS = re.compile(r"stops_([0-9.]+)kg_[0-9.]+pc")
_PEOPLE = {
    "standing": "One person stands still on the mark, in full view, arms hanging; nobody else is "
    "in view. It takes half a minute.",
    "walking": "One person walks to and fro along the line, 2 m or more, at an easy pace; nobody "
    "else is in view. It takes half a minute.",
}
_SECONDS, _TIMES = 25.0, 12


def commission(
    out: Annotated[
        Path, typer.Option("-o", "--out", help="Folder for recordings, cell.yaml and protocol.")
    ],
    stops: Annotated[
        list[str] | None,
        typer.Option(help="BAG or BAG@KG of stops; one for each speed and payload."),
    ] = None,
    standing: Annotated[Path | None, typer.Option(help="Bag of the person who stands.")] = None,
    walking: Annotated[Path | None, typer.Option(help="Bag of the person who walks.")] = None,
    mark: Annotated[str, typer.Option(help="'X Y' where the person stands [m].")] = "",
    line: Annotated[str, typer.Option(help="'X1 Y1 X2 Y2' of the line walked [m].")] = "",
    camera_latency: Annotated[
        float, typer.Option(help="From an image's exposure to its stamp [s].", min=0.0, max=1.0)
    ] = 0.0,
    params_file: Annotated[
        str, typer.Option("--params-file", help="Parameters that the cell runs with.")
    ] = "",
    signed_by: Annotated[str, typer.Option(help="Name of who answers for the protocol.")] = "",
    overwrite: terminal.Overwrite = False,
    as_json: terminal.AsJson = False,
) -> None:
    """Measure latencies, stopping times and position errors of a cell, and write cell.yaml.

    Without recordings it leads through them at the terminal, while the cell runs; interrupted, the
    same command goes on with those that are missing.

    Example: ses-gcn commission -o my_cell --params-file my_cell.yaml --mark "1.5 -0.5"
    """
    from ses_gcn_ros.replay.commissioning import CellSources, parameter_file
    from ses_gcn_ros.replay.commissioning import commission as measure
    from ses_gcn_ros.replay.options import node_parameters
    from ses_gcn_ros.replay.protocol import protocol, protocol_page
    from ses_gcn_ros.resources import check_folder, check_writable, csv_text, write_atomically
    from ses_gcn_ros.safety import SafetyConfig

    base = node_parameters(params_file, "safety_node", SafetyConfig)
    place, way = (
        terminal.numbers(option, text, count, f"{count} numbers in metres") if text else ()
        for option, text, count in (("--mark", mark, 2), ("--line", line, 4))
    )
    check_folder(out, "cell.yaml")
    out.mkdir(parents=True, exist_ok=True)
    names = ("cell.yaml", "stopping_table.csv", "protocol.json", "protocol.html")
    files = {name: out / name for name in names}
    for file in files.values():
        check_writable(file, overwrite=overwrite, read=[Path(params_file)] if params_file else [])
    console = terminal.err()
    if stops and standing and walking:
        bags = tuple(map(_payload, stops))
        sources = CellSources(bags, standing, walking, place, way, camera_latency)
    elif stops or standing or walking:
        raise ConfigError("give --stops, --standing and --walking, or none of them to record them")
    else:
        nothing = CellSources((), Path(), Path(), place, way, camera_latency)
        sources = _record(out, base, nothing)
    found = measure(sources, base)
    robot = ""
    if found.description:
        robot = str((out / "robot.urdf").resolve())
        write_atomically(Path(robot), found.description)
    date = datetime.now(timezone.utc).isoformat(timespec="seconds")
    text = parameter_file(found, params_file, f"Measured by ses-gcn commission, {date}", robot)
    write_atomically(files["cell.yaml"], text)
    config = node_parameters(files["cell.yaml"], "safety_node", SafetyConfig)
    found = dataclasses.replace(found, config=config)  # as a node that runs with the file has it
    numbers = protocol(found, date=date, signed_by=signed_by, cell=str(files["cell.yaml"]))
    rows = [
        (f"{payload:g}", f"{speed:g}", f"{time:g}")
        for payload, times in zip(found.table.payloads, found.table.times, strict=True)
        for speed, time in zip(found.table.speeds, times, strict=True)
    ]
    headings = ("payload_kg", "speed_m_s", "stopping_time_s")
    write_atomically(files["stopping_table.csv"], csv_text(headings, rows))
    write_atomically(files["protocol.json"], json.dumps(numbers, indent=2))
    write_atomically(files["protocol.html"], protocol_page(found, numbers))
    if as_json:
        print(json.dumps(numbers))
        return
    rows_shown = [
        (q.name, q.count, *(f"{v:.3f} {q.unit}" for v in (q.mean, q.worst, q.reckoned, q.margin)))
        for q in found.quantities
    ]
    terminal.show(("measured", "n", "mean", "worst", "reckoned with", "margin"), rows_shown)
    for check in found.checks:
        if not check.ok:
            console.print(f"not passed: {check.name}: {check.found}")
    if not signed_by:
        console.print("not signed off: read protocol.html, then give --signed-by NAME --overwrite")
    console.print(f"written: {', '.join(map(str, files.values()))}")


def _record(out: Path, base: SafetyConfig, given: CellSources) -> CellSources:
    """Lead through the recordings that are missing, each looked at before the next."""
    from rich.prompt import Confirm, FloatPrompt

    console, folder, asks = terminal.err(), out / "recordings", _at_terminal()
    folder.mkdir(parents=True, exist_ok=True)

    def stop_bags() -> dict[Path, float]:
        found = {path: _STOPS.fullmatch(path.name) for path in sorted(folder.iterdir())}
        return {path: float(match[1]) for path, match in found.items() if match}

    missing = [name for name in _PEOPLE if not (folder / name).exists()]
    if not asks and (missing or not stop_bags()):
        raise ConfigError(
            f"{', '.join(missing) or 'stops'}: not in '{folder}'; run this at a terminal to record "
            "what is missing, or give --stops, --standing and --walking"
        )

    def take(name: str, what: str) -> None:
        bag = folder / name
        while True:
            if not bag.exists():
                console.print(f"\n{name}: {what}", style="bold")
                Confirm.ask("Ready?", console=console, default=True)
                _run_recorder(bag, 0 if name in _PEOPLE else _TIMES, console)
            try:
                console.print(f"{name}: {_look_at(bag, base, given)}")
                return
            except SesGcnError as error:
                console.print(f"{name} can't be used: {error}", style="red")
            if not asks or not Confirm.ask("Record it again?", console=console, default=True):
                raise BagError(f"recording '{bag}' can't be used; remove it and run this again")
            numbers = (number for number in range(1, 1000))
            bag.rename(
                next(p for n in numbers if not (p := folder / f"unusable_{n}_{name}").exists())
            )

    for name, what in _PEOPLE.items():
        take(name, what)
    while asks:
        done = ", ".join(path.name for path in stop_bags())
        console.print(f"\nrecordings of stops: {done or 'none yet'}")
        if done and not Confirm.ask("Another payload or speed?", console=console, default=False):
            break
        payload = FloatPrompt.ask("Payload [kg]", console=console, default=0.0)
        speed = FloatPrompt.ask("Speed of the program [%]", console=console, default=100.0)
        take(
            f"stops_{payload:g}kg_{speed:g}pc",
            f"The robot repeats its program at {speed:g} % with {payload:g} kg, out of reach of "
            f"anybody. It will be stopped {_TIMES} times, by deactivating the safety node.",
        )
    bags = tuple(stop_bags().items())
    people = [folder / name for name in _PEOPLE]
    return dataclasses.replace(given, stops=bags, standing=people[0], walking=people[1])


def _at_terminal() -> bool:
    return sys.stdin.isatty()


def _run_recorder(bag: Path, stops: int, console: Console) -> None:
    """Record the cell that runs, for a while or while its robot is stopped so many times."""
    from ses_gcn_ros.bringup import NodePlan, ProcessGroup

    plans = [
        NodePlan("bag_recorder", {"bag": str(bag)}),
        NodePlan("stop_tester", {"stops": stops, "seconds": _SECONDS}, ends_run=True),
    ]
    with ProcessGroup(console) as group, console.status("recording; Ctrl-C ends it"):
        for plan in plans:
            group.start(plan)
        code = group.wait()
    if group.interrupted or code:
        incomplete = bag.with_name(f"unusable_interrupted_{bag.name}")
        if bag.exists():
            bag.rename(incomplete)
        raise typer.Exit(130 if group.interrupted else code)


def _look_at(bag: Path, base: SafetyConfig, given: CellSources) -> str:
    """What a recording is good for; raises the SesGcnError that says why it isn't."""
    from ses_gcn_ros.replay import commissioning

    read = commissioning.read_cell(bag, base)
    if bag.name not in _PEOPLE:
        usable, refused = commissioning.measure_stops(read, 0.0)
        return f"{len(usable)} stops can be used, {refused.total()} can't"
    if bag.name == "standing":
        off, _ = commissioning.measure_standing(read, given.mark)
    else:
        off = commissioning.measure_walking(read, given.line)
    return f"{off.reckoned:.3f} m {off.note}"


def _payload(word: str) -> tuple[Path, float]:
    path, _, payload = word.rpartition("@")
    if not path:
        return Path(word), 0.0
    try:
        return Path(path), float(payload)
    except ValueError:
        raise ConfigError(f"--stops is '{word}'; it takes BAG or BAG@KG, such as b@2.5") from None
