"""``ses-gcn bench`` and ``bench-pose``: what things cost on this machine."""

from __future__ import annotations

import importlib
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from ses_gcn_ros.commands import terminal
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.resources import check_writable, write_atomically

if TYPE_CHECKING:
    from ses_gcn_ros.studies.benchmarks.harness import Section

SECTIONS = (
    "engines",
    "gpu",
    "actions",
    "geometry",
    "chain",
    "bridge",
    "training",
    "replay",
    "footprint",
    "pose",
)


def bench(
    section: Annotated[
        list[str] | None,
        typer.Option(help=f"Repeatable; all if left out: {', '.join(SECTIONS)}."),
    ] = None,
    weights: Annotated[
        list[Path] | None,
        typer.Option(help="Weights to time besides the ones that ship, repeatable."),
    ] = None,
    video: Annotated[
        Path | None, typer.Option(help="Video of a person, which the section pose needs.")
    ] = None,
    pose_model: Annotated[
        list[str] | None,
        typer.Option(help="lite, full, heavy or the path of a .task file; all three if left out."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A look: fewer calls.")] = False,
    overwrite: terminal.Overwrite = False,
    as_csv: terminal.AsCsv = False,
    as_json: terminal.AsJson = False,
    save: Annotated[Path | None, typer.Option(help="JSON file to write.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Page to write, like docs/ has.")] = None,
    saved: Annotated[
        Path | None, typer.Option("--from", help="JSON file to show instead of measuring.")
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
            run = importlib.import_module(f"ses_gcn_ros.studies.benchmarks.{name}").run
            if name in ("engines", "gpu"):
                run = partial(run, weights=networks)
            if name == "pose":
                run = partial(run, **poses)
            sections.append(run(quick, progress))
    return harness.as_json(sections, quick=quick)


def _show_sections(content: dict[str, Any], as_csv: bool) -> None:
    from ses_gcn_ros.studies.benchmarks.harness import Section, describe

    for section in map(Section.from_json, content["sections"]):
        if section.rows:
            cells = [[column.show(row) for column in section.columns] for row in section.rows]
            headings = [column.heading for column in section.columns]
            terminal.show(headings, cells, section.title, as_csv=as_csv)
        for note in () if as_csv else section.notes:
            print(note)
    if not as_csv:
        print(describe(content))


def bench_pose(
    video: Annotated[Path, typer.Argument(help="Video of people.")],
    model: Annotated[
        list[str] | None,
        typer.Option(help="lite, full, heavy, or the path of a .task file; repeatable."),
    ] = None,
    size: Annotated[
        list[str] | None, typer.Option(help="WIDTHxHEIGHT of the images; repeatable.")
    ] = None,
    frames: Annotated[int, typer.Option(help="Images to time.", min=10)] = 300,
    max_people: Annotated[int, typer.Option(help="People looked for at once.")] = 4,
    as_csv: terminal.AsCsv = False,
    as_json: terminal.AsJson = False,
) -> None:
    """Time the way from an image to everybody's skeleton, and watch the process's memory.

    Memory is compared from a fifth of the images on to the last.

    Example: ses-gcn bench-pose cell.mp4 --model lite --size 640x360 --frames 10000
    """
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
    headings = ("model", "size", "images/s", "median ms", "p99 ms", "people", "memory +MiB")
    cells = [
        (
            row["model"],
            row["size"],
            f"{row['rate']:.1f}",
            f"{1e3 * float(row['median'] or 0.0):.1f}",
            f"{1e3 * float(row['p99'] or 0.0):.1f}",
            f"{row['seen']:.2f}",
            "" if row["memory_growth"] is None else f"{int(row['memory_growth']) / 2**20:.1f}",
        )
        for row in rows
    ]
    terminal.show(headings, cells, f"{frames} images each, on the CPU", as_csv=as_csv)
