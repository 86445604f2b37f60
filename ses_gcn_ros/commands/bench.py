"""``ses-gcn bench``: what things cost on this machine."""

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
from ses_gcn_ros.resources import check_writable

if TYPE_CHECKING:
    from ses_gcn_ros.studies.benchmarks.harness import Section

SECTIONS = (
    *("engines", "gpu", "actions", "geometry", "chain", "training", "replay", "footprint", "pose"),
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
        Path | None, typer.Option(help="Video of a person, without which the eyes are left out.")
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
    from ses_gcn_ros.forecast.weights import write_atomically
    from ses_gcn_ros.studies.benchmarks import harness

    for path in (save, markdown):
        check_writable(path, overwrite=overwrite, read=[saved, video])
    console = terminal.err()
    eyes: dict[str, Any] = {"video": video} | ({"models": pose_model} if pose_model else {})
    content = harness.read(saved) if saved else _measure(section, weights, eyes, quick, console)
    text = json.dumps(content, indent=2) + "\n"
    if save is not None:
        write_atomically(save, text.encode())
    if markdown is not None:
        write_atomically(markdown, harness.markdown(content).encode())
    if as_json:
        print(text, end="")
    else:
        _show(content, as_csv)


def _measure(
    names: list[str] | None,
    weights: list[Path] | None,
    eyes: dict[str, Any],
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
                run = partial(run, **eyes)
            sections.append(run(quick, progress))
    return harness.as_json(sections, quick=quick)


def _show(content: dict[str, Any], as_csv: bool) -> None:
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
