"""A cell: ``ses-gcn up``, ``demo``, ``watch``, ``lifecycle``, ``params`` and ``commission``."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import re
import sys
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text
from typer import Argument, Option

from ses_gcn_ros.bringup import (
    PlayerConfig,
    ProcessGroup,
    RecorderConfig,
    TesterConfig,
    check_ros,
    demo_environment,
    fresh_recording,
    plan_demo,
    plan_workcell,
)
from ses_gcn_ros.commands import terminal
from ses_gcn_ros.config import allowed, describe
from ses_gcn_ros.errors import BagError, ConfigError, SesGcnError
from ses_gcn_ros.resources import markdown_table, plain

if TYPE_CHECKING:
    from rich.console import Console

    from ses_gcn_ros.nodes.observer import CellObserver
    from ses_gcn_ros.replay.commissioning import CellSources
    from ses_gcn_ros.safety import SafetyConfig


ParamsFile = Annotated[
    str, Option("--params-file", help="YAML with node parameters; config/workcell.yaml.")
]
LogLevel = Annotated[str, Option(help="debug, info, warn, error or fatal.")]


def up(
    bag: Annotated[str, Option(help="Take skeletons from this bag ('sample': ours).")] = "",
    video: Annotated[str, Option(help="Take images from this video file.")] = "",
    cameras: Annotated[
        str, Option(help="Fuse what several cameras see: their namespaces, as left,right.")
    ] = "",
    calibration: Annotated[
        str, Option(help="File of 'ses-gcn calibrate' for these cameras; TF if left out.")
    ] = "",
    rate: Annotated[float, Option(help="Recorded seconds per second, for a bag.")] = 1.0,
    demo_robot: Annotated[bool, Option(help="Simulate the demo cell's robot.")] = False,
    driver: Annotated[
        str, Option(help="Carry the speed factor to this robot driver, such as ur or jtc.")
    ] = "",
    record: Annotated[str, Option(help="Record what the nodes publish to this bag.")] = "",
    namespace: terminal.Namespace = "",
    actions: terminal.Actions = False,
    use_sim_time: Annotated[bool, Option(help="Follow /clock; a bag implies it.")] = False,
    params_file: ParamsFile = "",
    log_level: LogLevel = "info",
    single_process: Annotated[
        bool, Option("--single-process", help="All nodes in one process.")
    ] = False,
) -> None:
    """Bring up a workcell: pose estimation, forecaster, safety node. Ctrl-C ends all of it.

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
    together = [plans] if single_process else [[plan] for plan in plans]
    with ProcessGroup(terminal.err()) as group:
        for each in together:
            group.start(*each, namespace=namespace, params_file=params_file, log_level=log_level)
        code = group.wait()
    raise typer.Exit(code)


def demo(
    out: Annotated[Path, Option("--out", "-o", help="Folder for the results.")] = Path("demo_out"),
    rate: Annotated[float, Option(help="Recorded seconds per second.")] = 1.0,
    video: Annotated[str, Option(help="Feed this video through the pose node.")] = "",
    driver: Annotated[
        str, Option(help="Let the robot obey a simulated driver, such as ur, by a bridge.")
    ] = "",
    actions: terminal.Actions = False,
    params_file: ParamsFile = "",
    log_level: LogLevel = "warn",
    as_json: terminal.SummaryAsJson = False,
) -> None:
    """Play the sample recording through the whole cell and report what happened.

    Example: ses-gcn demo --rate 2 -o demo_out
    """
    from ses_gcn_ros.replay.evaluate import write_report
    from ses_gcn_ros.replay.summary import summary_table

    console = terminal.err()
    bag = fresh_recording(out)
    plans = plan_demo(bag, video=video, rate=rate, actions=actions, driver=driver)
    environment = demo_environment()
    started = time.monotonic()
    with ProcessGroup(console) as group:
        for plan in plans:
            group.start(plan, environment=environment, params_file=params_file, log_level=log_level)
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


def configs() -> dict[str, type[Any]]:
    """Configuration of each node, by the node's name."""
    # Here, because the command line is to answer before all of the package is imported.
    from ses_gcn_ros.actions.recogniser import ActionConfig
    from ses_gcn_ros.drivers import BridgeConfig
    from ses_gcn_ros.forecast.config import ForecastConfig
    from ses_gcn_ros.pose.config import FusionConfig, PoseConfig
    from ses_gcn_ros.safety.config import DemoRobotConfig, SafetyConfig

    return {
        "pose_node": PoseConfig,
        "fusion_node": FusionConfig,
        "forecaster_node": ForecastConfig,
        "action_node": ActionConfig,
        "safety_node": SafetyConfig,
        "robot_bridge": BridgeConfig,
        "demo_robot": DemoRobotConfig,
        "bag_player": PlayerConfig,
        "bag_recorder": RecorderConfig,
        "stop_tester": TesterConfig,
    }


def params(
    node: Annotated[str, Argument(help="Node, such as safety_node; all of them if left out.")] = "",
    as_yaml: Annotated[bool, Option("--yaml", help="Print a parameter file.")] = False,
    as_json: terminal.AsJson = False,
    as_csv: terminal.AsCsv = False,
    as_markdown: Annotated[bool, Option("--markdown", help="Print tables for a document.")] = False,
) -> None:
    """List the parameters of the nodes, or print a parameter file with their defaults.

    Example: ses-gcn params safety_node --yaml > my_cell.yaml
    """
    known = configs()
    if node and node not in known:
        raise ConfigError(f"there is no node '{node}'; there are {', '.join(known)}")
    chosen = {name: kind for name, kind in known.items() if node in ("", name)}
    if as_yaml:
        print("\n".join(map(_section, chosen, chosen.values())), end="")
    elif as_json:
        print(json.dumps({name: describe(kind) for name, kind in chosen.items()}, indent=2))
    elif as_markdown:
        print("\n".join(markdown(kind) for kind in chosen.values()), end="")
    else:
        for name, kind in chosen.items():
            rows = [
                (row["name"], json.dumps(row["default"]), allowed(row), row["description"])
                for row in describe(kind)
            ]
            headings = ("parameter", "default", "allowed", "what")
            terminal.show(headings, rows, name, as_csv=as_csv)


def markdown(kind: type[Any]) -> str:
    """Table of a configuration's options for a document."""
    rows = (
        (f"`{row['name']}`", json.dumps(row["default"]), allowed(row), row["description"])
        for row in describe(kind)
    )
    return markdown_table(("parameter", "default", "allowed", "what"), rows) + "\n"


def _section(node: str, kind: type[Any]) -> str:
    """Part of a parameter file; lists without items, whose type YAML can't say, as comments."""
    values = {row["name"]: row["default"] for row in describe(kind)}
    given = {name: value for name, value in values.items() if value != []}
    text = yaml.safe_dump({f"/**/{node}": {"ros__parameters": given}}, sort_keys=False)
    return text + "".join(f"    # {name}: []\n" for name in values if name not in given)


_SETTLE = 3.0  # s from the first word of a cell to a reading: rates are taken over two
_ANNOUNCED = 3.0  # s between announcements of a DDS participant, of which the first may be lost
_PATIENCE = 10.0  # s to wait for that word
_SILENCE = 0.5  # s without a state after which the last one is none any more
_STYLES = {
    **{"CLEAR": "bold green", "REDUCED": "bold yellow", "STOP": "bold red", "silent": "dim"},
    **{"OK": "green", "WARN": "yellow", "ERROR": "red", "STALE": "red"},
}
_NUMBERS = (  # of a state: what the table calls them, field and unit
    ("factor", "speed_factor", ""),
    ("separation", "separation", "m"),
    ("protective distance", "protective_distance", "m"),
    ("margin", "margin", "m"),
    ("time to breach", "time_to_breach", "s"),
    ("v_h", "human_speed", "m/s"),
    ("v_r", "robot_speed", "m/s"),
    ("T_r", "reaction_time", "s"),
    ("T_s", "stopping_time", "s"),
    ("S_h", "human_term", "m"),
    ("S_r", "reaction_term", "m"),
    ("S_s", "stopping_term", "m"),
    ("C", "intrusion", "m"),
    ("Z_d", "human_uncertainty", "m"),
    ("Z_r", "robot_uncertainty", "m"),
    ("age of skeletons", "skeleton_age", "s"),
    ("of forecasts", "forecast_age", "s"),
    ("of TF", "tf_age", "s"),
)


def watch(
    namespace: terminal.Namespace = "",
    once: Annotated[bool, Option("--once", help="One reading, after a few seconds.")] = False,
    duration: Annotated[
        float, Option(help="End after this time [s]; 0: at Ctrl-C.", min=0.0)
    ] = 0.0,
    as_json: Annotated[bool, Option("--json", help="One reading as JSON.")] = False,
) -> None:
    """Show a running cell: the state with its reasons and terms, nodes, rates, people.

    It looks on at the ROS domain that ROS_DOMAIN_ID names (0 by default) and takes no part in it.
    One reading ends with exit code 1 where no cell is heard.

    Example: ROS_DOMAIN_ID=60 ses-gcn watch
    """
    check_ros()
    from ses_gcn_ros.nodes.observer import observe

    with observe(namespace) as observer:
        if once or as_json:
            reading = _one_reading(observer)
            print(json.dumps(plain(reading, digits=6), indent=1)) if as_json else _print(reading)
            return
        with contextlib.suppress(KeyboardInterrupt):
            _follow(observer, duration or math.inf)
        _print(observer.reading())


def lifecycle(
    node: Annotated[str, Argument(help="Node, such as safety_node; all if left out.")] = "",
    transition: Annotated[
        str,
        Argument(
            help="configure, activate, deactivate, cleanup or shutdown; reset calls a safety "
            "node's ~/reset, when somebody has looked."
        ),
    ] = "",
    namespace: terminal.Namespace = "",
    as_json: terminal.AsJson = False,
    as_csv: terminal.AsCsv = False,
) -> None:
    """Show the states of a cell's nodes, or take one through a transition of its lifecycle.

    As 'ros2 lifecycle get' and 'set', where there is no ros2.

    Example: ses-gcn lifecycle safety_node deactivate
    """
    check_ros()
    from ses_gcn_ros.nodes.observer import observe

    with observe(namespace) as observer:
        cell = observer.get_namespace().rstrip("/")
        wanted = node if node.startswith("/") else f"{cell}/{node}"
        deadline = time.monotonic() + _PATIENCE
        while not (found := observer.managed()) or (node and wanted not in found):
            if time.monotonic() > deadline:
                there = ", ".join(found) or "none"
                raise SesGcnError(
                    f"no node{f' {wanted}' if node else ''} with a lifecycle is on ROS domain "
                    f"{observer.reading()['domain']}; there is {there}"
                )
            observer.spin(0.1)
        before: list[str] = []
        while not node and before != found and time.monotonic() < deadline:
            before = found
            observer.spin(_ANNOUNCED)
            found = observer.managed()
        if transition:
            observer.change(wanted, transition)
        states = {wanted: observer.state_of(wanted)} if node else observer.states()
    if as_json:
        print(json.dumps(states))
    else:
        terminal.show(("node", "state"), states.items(), as_csv=as_csv)


def _one_reading(observer: CellObserver) -> dict[str, Any]:
    deadline = time.monotonic() + _PATIENCE
    while not observer.receives:
        if time.monotonic() > deadline:
            raise SesGcnError(
                f"no cell is heard on ROS domain {observer.reading()['domain']} within "
                f"{_PATIENCE:g} s; set ROS_DOMAIN_ID to that of the cell, which a demo names"
            )
        observer.spin(0.1)
    observer.spin(_SETTLE)
    return observer.reading()


def _follow(observer: CellObserver, duration: float) -> None:
    """Draw four times a second, or print once a second where nobody looks."""
    console, end = terminal.out(), time.monotonic() + duration
    if not console.is_terminal:
        while (left := end - time.monotonic()) > 0.0:
            observer.spin(min(1.0, left))
            _print(observer.reading())
        return
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while (left := end - time.monotonic()) > 0.0:
            observer.spin(min(0.25, left))
            live.update(drawing(observer.reading()), refresh=True)


def _print(reading: dict[str, Any]) -> None:
    terminal.out().print(drawing(reading))


def drawing(reading: dict[str, Any]) -> Group:
    """A reading (see `CellObserver.reading`) as what rich prints; nothing in it is cut."""
    place = f"cell {reading['namespace']} on ROS domain {reading['domain']}"
    parts: list[Any] = [Text(place, style="dim"), *_state(reading["state"], reading["elsewhere"])]
    nodes = [
        (
            node["name"],
            Text(node["status"], style=_STYLES.get(node["status"], "")),
            node["values"].get("rate_hz", ""),
            node["values"].get("latency_p99_ms", "").replace("nan", "–"),
            node["message"],
        )
        for node in reading["nodes"]
    ]
    streams = [
        (s["topic"], str(s["publishers"]), f"{s['rate_hz']:.1f}", _number(s["age_s"], "s"))
        for s in reading["streams"]
    ]
    people = [
        (p["id"], p["forecast"], f"{p['action']} {_share(p['probability'])}".strip())
        for p in reading["people"]
    ]
    parts.append(_table(("node", "status", "Hz", "p99 ms", "says"), nodes))
    parts.append(_table(("topic", "publishers", "Hz", "age"), streams))
    if people:
        parts.append(_table(("person", "forecast", "action"), people))
    return Group(*parts)


def _state(state: dict[str, Any] | None, elsewhere: Sequence[str]) -> list[Any]:
    if state is None:
        text = "no safety node is heard: a robot is to stand"
        if elsewhere:
            text += f"; --namespace shows the cells in {', '.join(elsewhere)}"
        return [Text(text, style="bold red"), ""]
    if state["age_s"] > _SILENCE:
        text = f"silent for {state['age_s']:.1f} s, which counts as a STOP"
        return [Text(text, style="bold red"), ""]
    words = [f"{state['level']} at {state['speed_factor']:.2f}"]
    pair = [state[name] for name in ("person_id", "human_limb", "robot_frame") if state[name]]
    words += [" – ".join(pair)] if pair else []
    words += [f"zone {state['zone']}"] if state["zone"] else []
    numbers = Text("  ").join(
        Text.assemble((f"{name} ", "dim"), _number(state[field], unit))
        for name, field, unit in _NUMBERS
    )
    reasons = [Text(f"  {reason}") for reason in state["reasons"]]
    return [Text(", ".join(words), style=_STYLES.get(state["level"], "")), *reasons, numbers, ""]


def _table(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for number, heading in enumerate(headings):
        last = number == len(headings) - 1
        right = heading in ("Hz", "p99 ms", "publishers", "age")
        justify: Any = "right" if right else "left"
        table.add_column(
            heading, justify=justify, no_wrap=right, overflow="fold", ratio=last or None
        )
    for row in rows:
        table.add_row(*row)
    table.add_section()
    return table


def _number(value: float | None, unit: str) -> str:
    if value is None or math.isnan(value):
        return "–"
    return f"{value:.2f} {unit}".rstrip()


def _share(probability: float | None) -> str:
    return "" if probability is None else f"{100 * probability:.0f} %"


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
        Path, Option("-o", "--out", help="Folder for recordings, cell.yaml and protocol.")
    ],
    stops: Annotated[
        list[str] | None,
        Option(help="BAG or BAG@KG of stops; one for each speed and payload."),
    ] = None,
    standing: Annotated[Path | None, Option(help="Bag of the person who stands.")] = None,
    walking: Annotated[Path | None, Option(help="Bag of the person who walks.")] = None,
    mark: Annotated[str, Option(help="'X Y' where the person stands [m].")] = "",
    line: Annotated[str, Option(help="'X1 Y1 X2 Y2' of the line walked [m].")] = "",
    camera_latency: Annotated[
        float, Option(help="From an image's exposure to its stamp [s].", min=0.0, max=1.0)
    ] = 0.0,
    params_file: Annotated[
        str, Option("--params-file", help="Parameters that the cell runs with.")
    ] = "",
    signed_by: Annotated[str, Option(help="Name of who answers for the protocol.")] = "",
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
    if 0 < sum(map(bool, (stops, standing, walking))) < 3:
        raise ConfigError("give --stops, --standing and --walking, or none of them to record them")
    out.mkdir(parents=True, exist_ok=True)
    names = ("cell.yaml", "stopping_table.csv", "protocol.json", "protocol.html")
    files = {name: out / name for name in names}
    for file in files.values():
        check_writable(file, overwrite=overwrite, read=[Path(params_file)] if params_file else [])
    console = terminal.err()
    try:
        if standing and walking:
            bags = tuple(map(_payload, stops or []))
            sources = CellSources(bags, standing, walking, place, way, camera_latency)
        else:
            nothing = CellSources((), Path(), Path(), place, way, camera_latency)
            sources = _record(out, base, nothing)
        found = measure(sources, base)
    except SesGcnError:
        with contextlib.suppress(OSError):  # where something is in it
            out.rmdir()
        raise
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

    def stop_bags() -> dict[Path, float]:
        found = {path: _STOPS.fullmatch(path.name) for path in sorted(folder.glob("*"))}
        return {path: float(match[1]) for path, match in found.items() if match}

    missing = [name for name in _PEOPLE if not (folder / name).exists()]
    if not asks and (missing or not stop_bags()):
        raise ConfigError(
            f"{', '.join(missing) or 'stops'}: not in '{folder}'; run this at a terminal to record "
            "what is missing, or give --stops, --standing and --walking"
        )
    folder.mkdir(exist_ok=True)

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
