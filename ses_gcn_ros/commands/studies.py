"""Evidence: attacks, braking, obedience, collisions, alarm, soak, audit, and what things cost."""

from __future__ import annotations

import importlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from typer import Argument, Option

from ses_gcn_ros.commands import terminal
from ses_gcn_ros.errors import InputError, SesGcnError
from ses_gcn_ros.resources import check_folder, check_writable, write_atomically

if TYPE_CHECKING:
    from ses_gcn_ros.studies.benchmarks.harness import Section


Jobs = Annotated[int, Option(help="Processes.", min=1)]


@contextmanager
def _followed(out: Path, label: str, total: int) -> Iterator[tuple[Path, Callable[[int], None]]]:
    """Journal that a study goes on from, in its folder, and what it calls so that a bar follows."""
    check_folder(out, "runs.jsonl")
    out.mkdir(parents=True, exist_ok=True)
    with terminal.progress() as bar:
        task = bar.add_task(label, total=total)
        yield out / "runs.jsonl", lambda done: bar.update(task, completed=min(done, total))


def _tell(out: Path, study: Any, summary: dict[str, Any], as_json: bool, as_csv: bool) -> None:
    """Write the figures of a study as JSON and as a table, and print one of them."""
    write_atomically(out / "summary.json", json.dumps(summary, indent=2))
    write_atomically(out / "table.md", study.as_markdown(summary) + "\n")
    if as_csv:
        terminal.show(*study.table(summary), as_csv=True)
    else:
        print(json.dumps(summary) if as_json else study.as_markdown(summary))


def attack(
    runs: Annotated[int, Option(help="Simulated runs, 25 to a search.", min=1)] = 450,
    seed: Annotated[int, Option(help="Of everything that is drawn.", min=0)] = 0,
    scenario: Annotated[
        str, Option(help="motions, faults, all, or one by name, such as occlusion.")
    ] = "all",
    variant: Annotated[
        str, Option(help="forecasts, alone, reachable, stricter, probability or all.")
    ] = "all",
    weights: terminal.Weights = None,
    params_file: Annotated[
        str, Option("--params-file", help="Of a cell, whose robot obeys as it says.")
    ] = "",
    jobs: Jobs = 1,
    out: Annotated[
        Path, Option("-o", "--out", help="Folder for runs, summary, table, worst case.")
    ] = Path("attack"),
    case: Annotated[
        Path | None, Option(help="Run this case alone, such as worst.json, and draw it.")
    ] = None,
    as_csv: terminal.AsCsv = False,
    as_json: terminal.AsJson = False,
) -> None:
    """Search for motions of people, robots and faults under which a moving link touches somebody.

    Ends with exit code 1 if a link faster than 0.05 m/s touched anybody. Killed, the same command
    goes on where it was.

    Example: ses-gcn attack --runs 10000 --jobs 2 -o attack
    """
    from ses_gcn_ros.forecast import load
    from ses_gcn_ros.replay.figures import LIGHT, png
    from ses_gcn_ros.replay.options import node_parameters
    from ses_gcn_ros.safety import SafetyConfig
    from ses_gcn_ros.studies import attack_search as search

    cell = node_parameters(params_file, "safety_node", SafetyConfig) if params_file else None
    check_folder(out, "runs.jsonl")
    if case is not None:
        figure, outcome = search.case_figure(search.read_case(case), load(weights), LIGHT, cell)
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(out / f"{case.stem}.png", png(figure))
        print(json.dumps(asdict(outcome)))
        raise typer.Exit(1 if outcome.violation else 0)
    with _followed(out, "runs", runs) as (journal, progress):
        batches = search.run_attack(
            journal, runs, seed, scenario=scenario, variant=variant, weights=weights, cell=cell,
            jobs=jobs, progress=progress,
        )  # fmt: skip
    summary = search.summarise(batches)
    worst = search.worst_case(batches)
    figure, _ = search.case_figure(worst, load(weights), LIGHT, cell)
    write_atomically(out / "worst.json", json.dumps(asdict(worst)))
    write_atomically(out / "worst.png", png(figure))
    _tell(out, search, summary, as_json, as_csv)
    raise typer.Exit(1 if summary["total"]["violations"] else 0)


def braking_study(
    data: Annotated[list[Path], Argument(help="Recordings of motion (.npz).")],
    out: Annotated[
        Path, Option("-o", "--out", help="Folder for runs, summary, table and plot.")
    ] = Path("braking"),
    runs: Annotated[int, Option(help="Approaches, shared among the files.", min=1)] = 500,
    seed: Annotated[int, Option(help="Of the motions drawn and where they are put.", min=0)] = 0,
    weights: terminal.Weights = None,
    jobs: Jobs = 1,
    as_csv: terminal.AsCsv = False,
    as_json: terminal.AsJson = False,
) -> None:
    """Let real people come up to the moving demo robot: with forecasts, without, with a fence.

    Killed, the same command goes on where it was.

    Example: ses-gcn braking-study handover_dev.npz cmu.npz --runs 600 --jobs 2 -o braking
    """
    from ses_gcn_ros.replay.figures import LIGHT, png
    from ses_gcn_ros.studies import braking as study

    with _followed(out, "approaches", runs) as (journal, progress):
        outcomes = study.run_study(
            data, runs, seed, journal, weights=weights, jobs=jobs, progress=progress
        )
    summary = study.summarise(outcomes, seed)
    write_atomically(out / "time_lost.png", png(study.lost_figure(outcomes, LIGHT)))
    _tell(out, study, summary, as_json, as_csv)


def obedience(
    out: Annotated[Path, Option("-o", "--out", help="Folder for runs and table.")] = Path(
        "obedience"
    ),
    robots: Annotated[int, Option(help="Robots that disobey.", min=1)] = 200,
    hours: Annotated[float, Option(help="Hours of robots that obey.", min=0.0)] = 8.0,
    seed: Annotated[int, Option(help="Of robots, factors and noise.", min=0)] = 0,
    jobs: Jobs = 1,
    as_csv: terminal.AsCsv = False,
    as_json: terminal.AsJson = False,
) -> None:
    """Let simulated robots disobey until they are named, and others obey for hours.

    Killed, the same command goes on where it was.

    Example: ses-gcn obedience --robots 200 --hours 8 --jobs 2
    """
    from ses_gcn_ros.studies import obedience as study

    total = len(study.tasks(robots, hours, seed))
    with _followed(out, "robots", total) as (journal, progress):
        summary = study.run_study(robots, hours, seed, journal, jobs=jobs, progress=progress)
    _tell(out, study, summary, as_json, as_csv)


def collisions(
    data: Annotated[Path, Argument(help="Recording of two who meet (.npz).")],
    person: Annotated[str, Option(help="Who is forecast.")] = "receiver",
    robot: Annotated[str, Option(help="Whose limbs stand for the robot's.")] = "giver",
    weights: terminal.Weights = None,
    every: Annotated[
        int,
        Option(help="Take every so many-th recording, from the last of the first.", min=1),
    ] = 10,
    stride: terminal.Stride = 1,
    threshold: Annotated[
        float, Option(help="Distance of the axes that is a contact [m].", min=0.0)
    ] = 0.13,
    csv: Annotated[Path | None, Option(help="Write the scores to this CSV.")] = None,
    plot: Annotated[Path | None, Option(help="Draw F1 into this PNG.")] = None,
    curves: Annotated[Path | None, Option(help="Draw precision over recall into this PNG.")] = None,
    threads: terminal.Threads = 1,
    overwrite: terminal.Overwrite = False,
    as_json: terminal.AsJson = False,
) -> None:
    """Precision, recall, F1 and average precision of foreseen contacts: baselines and SeS-GCN.

    Example: ses-gcn collisions handover_dev.npz --csv collisions.csv --plot collisions.png
    """
    from ses_gcn_ros.datasets.sequences import read_recording
    from ses_gcn_ros.forecast import load
    from ses_gcn_ros.replay.figures import LIGHT, png
    from ses_gcn_ros.studies import collisions as study

    check_writable(csv, plot, curves, overwrite=overwrite, read=[data, weights])
    engine = load(weights)
    sequences = [s for s in read_recording(data).sequences if s.index % every == every - 1]
    if not sequences:
        raise InputError(f"'{data}' has fewer than {every} recordings; lower --every")
    encounters, links = study.pair_up(sequences, person, robot, engine.fps)
    gaps = study.measure(engine, encounters, links, stride=stride)
    summary = study.summarise(gaps, threshold)
    summary = {"data": data.name, "model": engine.name, "every": every, "stride": stride} | summary
    if csv is not None:
        write_atomically(csv, study.as_csv(summary))
    if plot is not None:
        write_atomically(plot, png(study.f1_figure(summary, LIGHT)))
    if curves is not None:
        write_atomically(curves, png(study.alarm_figure(gaps, LIGHT)))
    print(json.dumps(summary) if as_json else study.as_text(summary))


def alarm(
    data: Annotated[Path, Argument(help="Recording of two who meet, to judge on (.npz).")],
    fit: Annotated[
        Path | None,
        Option(
            help="Fit first: on people of this recording (.npz), put near one another, or, where "
            "it is the one to judge on, on the rest of that."
        ),
    ] = None,
    subjects: Annotated[
        str, Option(help="Of that recording, only these subjects: comma-separated.")
    ] = "",
    weights: terminal.Weights = None,
    every: Annotated[
        int,
        Option(help="Judge on every so many-th recording, from the last of the first.", min=1),
    ] = 10,
    stride: terminal.Stride = 5,
    count: Annotated[int, Option(help="Pairs put together for fitting.", min=1000)] = 20000,
    as_csv: terminal.AsCsv = False,
    as_json: terminal.AsJson = False,
) -> None:
    """How often a contact came where it was said to come with some probability.

    Example: ses-gcn alarm handover_dev.npz --fit cmu.npz
    """
    from ses_gcn_ros.datasets.sequences import read_recording
    from ses_gcn_ros.forecast import load
    from ses_gcn_ros.forecast.alarm import SHIPPED
    from ses_gcn_ros.forecast.alarm import fit as fit_alarm
    from ses_gcn_ros.studies import collisions as study

    engine = load(weights)
    if engine.radius is None:
        raise InputError(f"'{engine.name}' carries no calibrated radius to measure distances in")
    recorded = read_recording(data).sequences
    judged = SHIPPED
    if fit is not None:
        if fit == data:  # on the recordings that it is not judged on
            others = [s for s in recorded if s.index % every != every - 1]
            met = study.pair_up(others, "receiver", "giver", engine.fps)
        else:
            people = read_recording(fit).sequences
            wanted = {subject.strip() for subject in subjects.split(",") if subject.strip()}
            people = [s for s in people if not wanted or s.subject in wanted]
            if not people:
                raise InputError(f"'{fit}' holds nobody of {subjects}")
            length = engine.observed + engine.horizon
            met = study.placed(people, engine.fps, length, count)
        gaps = study.measure(engine, *met, stride=stride)
        judged = fit_alarm(*study.at_horizons(gaps, engine.name))
    sequences = [s for s in recorded if s.index % every == every - 1]
    if not sequences:
        raise InputError(f"'{data}' has fewer than {every} recordings; lower --every")
    met = study.pair_up(sequences, "receiver", "giver", engine.fps)
    gaps = study.measure(engine, *met, stride=stride, alarm=judged)
    summary = study.reliable(gaps, engine.name, judged)
    if as_json:
        print(json.dumps(summary))
    else:
        title = f"{summary['windows']} windows without contact yet"
        terminal.show(*study.reliable_table(summary), title, as_csv=as_csv)


_START = 60.0  # s that nodes may take to start
_SAMPLING = 5.0  # s between looks at the memory


def soak(
    minutes: Annotated[float, Option(help="How long, warm-up included.", min=0.1)] = 30.0,
    people: Annotated[int, Option(help="People around the robot.", min=1, max=50)] = 4,
    rate: Annotated[float, Option(help="Frames of the camera [Hz].", min=1.0)] = 30.0,
    warm_up: Annotated[
        float, Option(help="Seconds that memory may take to settle.", min=0.0)
    ] = 120.0,
    out: Annotated[Path | None, Option("-o", "--out", help="Write JSON here.")] = None,
    overwrite: terminal.Overwrite = False,
    as_json: terminal.AsJson = False,
) -> None:
    """Run forecaster, safety node and demo robot with a crowd; watch their states and memory.

    Ends with exit code 1 where a state was late by more than 3 periods or memory grew.

    Example: ses-gcn soak --minutes 30 --people 4 -o soak.json
    """
    from ses_gcn_ros.bringup import DEMO_ROBOT, NodePlan, ProcessGroup, demo_environment
    from ses_gcn_ros.safety import SafetyConfig
    from ses_gcn_ros.studies.simulated_cells import Crowd
    from ses_gcn_ros.studies.soak import as_text, memory, summarise

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
            group.start(plan, environment=environment, log_level="error")
        from ses_gcn_ros.studies.probes import soak_tester

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
        write_atomically(out, json.dumps(summary, indent=2))
    print(json.dumps(summary) if as_json else as_text(summary))
    raise typer.Exit(0 if summary["passed"] else 1)


_Files = Annotated[list[Path] | None, Option(help="JSON of it, repeatable.")]


def evidence(
    out: Annotated[Path, Option("-o", "--out", help="Page to write.")] = Path("evidence.md"),
    saved: Annotated[
        Path | None, Option("--from", help="JSON to begin with, as --save writes it.")
    ] = None,
    save: Annotated[Path | None, Option(help="Write all that is on the page here.")] = None,
    attack: _Files = None,
    braking: _Files = None,
    faults: _Files = None,
    soak: _Files = None,
    collisions: _Files = None,
    mutants: _Files = None,
    overwrite: terminal.Overwrite = False,
) -> None:
    """Write docs/evidence.md from what attack, braking-study, the fault table and others wrote.

    Example: ses-gcn evidence --attack attack/summary.json --braking braking/summary.json
    """
    from ses_gcn_ros.studies.evidence import KINDS, markdown, read

    given = dict(zip(KINDS, (attack, braking, faults, soak, collisions, mutants), strict=True))
    read_too = [path for paths in given.values() for path in paths or []]
    check_writable(out, save, overwrite=overwrite, read=read_too)
    content = read("from", [saved])[0] if saved else {}
    content |= {kind: read(kind, paths) for kind, paths in given.items() if paths}
    write_atomically(out, markdown(content))
    if save is not None:
        write_atomically(save, json.dumps(content) + "\n")


def commission_study(
    cells: Annotated[int, Option(help="Simulated cells.", min=1)] = 20,
    seed: Annotated[int, Option(help="Of the first of them.", min=0)] = 0,
    searches: Annotated[int, Option(help="Of 25 attacks on each cell.", min=0)] = 2,
    jobs: Jobs = 1,
    out: Annotated[Path, Option("-o", "--out", help="Folder for runs.")] = Path("commission_study"),
    as_csv: terminal.AsCsv = False,
    as_json: terminal.AsJson = False,
) -> None:
    """Commission simulated cells whose times are known, and say by how much that is off.

    Killed, the same command goes on where it was.

    Example: ses-gcn commission-study --cells 20 -o commission_study
    """
    from ses_gcn_ros.studies.simulated_cells import run_cells

    with _followed(out, "cells", cells) as (journal, progress):
        rows = run_cells(journal, cells, seed, searches=searches, jobs=jobs, progress=progress)
    if as_json:
        print(json.dumps(rows))
        return
    shown = [
        (row["seed"], row["cell"]["robot"], f"{row['cell']['rate']:g}", row["stops"],
         *(f"{1e3 * row[name]:+.1f}" for name in ("reaction", "stopping", "latency")),
         f"{row['violations']} of {row['attacks']}")
        for row in rows
    ]  # fmt: skip
    heads = ("cell", "robot", "Hz", "stops", "T_r off [ms]", "T_s off [ms]", "latency off [ms]")
    terminal.show((*heads, "violations"), shown, as_csv=as_csv)


audit = typer.Typer(
    name="audit",
    help="Check the audit log of a safety node.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@audit.command(cls=terminal.Command)
def verify(
    log: Annotated[Path, Argument(help="audit_log of the safety node, or a filled FILE.N.")],
    noted: Annotated[
        str, Option("--hash", help="Hash that was noted elsewhere, and has to be in the log.")
    ] = "",
    as_json: terminal.AsJson = False,
) -> None:
    """Check every line of an audit log, with the files that it filled before.

    Ends with exit code 1 and names the first line that is not as it was written. Lines that are
    missing at the end show only against a hash that was noted elsewhere, as /diagnostics has it.

    Example: ses-gcn audit verify audit.jsonl
    """
    from ses_gcn_ros import audit as log_file

    found = log_file.verify(log, noted)
    if as_json:
        print(json.dumps(asdict(found)))
    elif not found.ok:
        print(f"{found.file}, line {found.line}: {found.problem}")
    else:
        print(
            f"{found.events} events in {len(found.files)} files are as they were written, "
            f"{found.first} to {found.last}"
        )
        if found.previous != log_file.FIRST:
            print(f"earlier files are not here; the last line of them has {found.previous}")
        for digest in found.configurations:
            print(f"configuration {digest}")
        print(f"last hash {found.last_hash}")
    raise typer.Exit(not found.ok)


SECTIONS = {  # of the benchmark, and where their functions are
    "engines": "networks",
    "gpu": "networks",
    "actions": "networks",
    "geometry": "core",
    "chain": "nodes",
    "crowd": "nodes",
    "bridge": "nodes",
    "training": "networks",
    "replay": "core",
    "footprint": "nodes",
    "pose": "pose",
}


def bench(
    section: Annotated[
        list[str] | None, Option(help=f"Repeatable; all if left out: {', '.join(SECTIONS)}.")
    ] = None,
    weights: Annotated[
        list[Path] | None,
        Option(help="Weights to time besides the ones that ship, repeatable."),
    ] = None,
    video: Annotated[
        Path | None, Option(help="Video of a person, which the section pose needs.")
    ] = None,
    pose_model: Annotated[
        list[str] | None,
        Option(help="lite, full, heavy or the path of a .task file; all three if left out."),
    ] = None,
    quick: Annotated[bool, Option("--quick", help="A look: fewer calls.")] = False,
    overwrite: terminal.Overwrite = False,
    as_csv: terminal.AsCsv = False,
    as_json: terminal.AsJson = False,
    save: Annotated[Path | None, Option(help="JSON file to write.")] = None,
    markdown: Annotated[Path | None, Option(help="Page to write, like docs/ has.")] = None,
    saved: Annotated[
        Path | None, Option("--from", help="JSON file to show instead of measuring.")
    ] = None,
) -> None:
    """Time the parts and the whole, each against what it is to be compared with.

    Takes a quarter of an hour on an idle machine, and is worth nothing on a busy one.

    Example: ses-gcn bench --section engines --weights chico25.safetensors --json > bench.json
    """
    from ses_gcn_ros.studies.benchmarks import harness

    check_writable(save, markdown, overwrite=overwrite, read=[saved, video])
    console = terminal.err()
    poses: dict[str, Any] = {"video": video} | ({"models": pose_model} if pose_model else {})
    content = harness.read(saved) if saved else _measure(section, weights, poses, quick, console)
    text = json.dumps(content, indent=2) + "\n"
    if save is not None:
        write_atomically(save, text)
    if markdown is not None:
        write_atomically(markdown, harness.markdown(content))
    if as_json:
        print(text, end="")
    else:
        _show_sections(content, as_csv)


def _measure(
    names: list[str] | None,
    weights: list[Path] | None,
    poses: dict[str, Any],
    quick: bool,
    console: Console,
) -> dict[str, Any]:
    from ses_gcn_ros.forecast.weights import read_weights
    from ses_gcn_ros.studies.benchmarks import harness

    for name in names or []:
        if name not in SECTIONS:
            raise InputError(f"there is no section '{name}'; choose from {', '.join(SECTIONS)}")
    networks = [read_weights(path) for path in weights or []]
    sections: list[Section] = []
    with console.status("") as status:

        def progress(text: str) -> None:
            status.update(text)

        for name in names or SECTIONS:
            module = importlib.import_module(f"ses_gcn_ros.studies.benchmarks.{SECTIONS[name]}")
            run = getattr(module, name)
            if name in ("engines", "gpu"):
                run = partial(run, weights=networks)
            if name == "pose":
                run = partial(run, **poses)
            sections.append(run(quick, progress))
    return harness.as_json(sections, quick=quick)


def _show_sections(content: dict[str, Any], as_csv: bool) -> None:
    from ses_gcn_ros.studies.benchmarks.harness import describe, sections_of

    for section in sections_of(content):
        if section.rows:
            terminal.show(*section.shown(), section.title, as_csv=as_csv)
        for note in () if as_csv else section.notes:
            print(note)
    if not as_csv:
        print(describe(content))


def bench_pose(
    video: Annotated[Path, Argument(help="Video of people.")],
    model: Annotated[
        list[str] | None,
        Option(help="lite, full, heavy, or the path of a .task file; repeatable."),
    ] = None,
    size: Annotated[
        list[str] | None, Option(help="WIDTHxHEIGHT of the images; repeatable.")
    ] = None,
    frames: Annotated[int, Option(help="Images to time.", min=10)] = 300,
    max_people: Annotated[int, Option(help="People looked for at once.")] = 4,
    as_csv: terminal.AsCsv = False,
    as_json: terminal.AsJson = False,
) -> None:
    """Time the way from an image to everybody's skeleton, and watch the process's memory.

    Memory is compared from a fifth of the images on to the last.

    Example: ses-gcn bench-pose cell.mp4 --model lite --size 640x360 --frames 10000
    """
    from ses_gcn_ros.studies.benchmarks.harness import Section
    from ses_gcn_ros.studies.benchmarks.pose import SIZES, measure

    form = "WIDTHxHEIGHT, such as 640x360"
    sizes = [terminal.size("--size", text, form, 16) for text in size or ()] or list(SIZES)
    rows = []
    console = terminal.err()
    for name in model or ["lite"]:
        for wanted in sizes:
            with console.status(f"{name}, {wanted[0]}×{wanted[1]}"):
                rows.append(measure(str(video), name, wanted, frames, max_people=max_people))
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    section = Section("pose_core", rows, numbers={"frames": frames})
    terminal.show(*section.shown(), section.about, as_csv=as_csv)
