"""``ses-gcn bench-pose``: what pose estimation costs, and whether it holds on to memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ses_gcn_ros.commands import terminal
from ses_gcn_ros.errors import ConfigError


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

    sizes = [_size(text) for text in size] if size else list(SIZES)
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


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit() and min(int(width), int(height)) >= 16):
        raise ConfigError(f"--size is '{text}'; it takes WIDTHxHEIGHT, such as 640x360")
    return int(width), int(height)
