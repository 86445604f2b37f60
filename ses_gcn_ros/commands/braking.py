"""``ses-gcn braking-study``: does the robot stand before anybody touches it, and at what cost?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ses_gcn_ros.commands import terminal
from ses_gcn_ros.resources import check_folder


def braking_study(
    data: Annotated[list[Path], typer.Argument(help="Recordings of motion (.npz).")],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="Folder for runs, summary, table and plot.")
    ] = Path("braking"),
    runs: Annotated[int, typer.Option(help="Approaches, shared among the files.", min=1)] = 500,
    seed: Annotated[int, typer.Option(help="Of the motions drawn and where they are put.")] = 0,
    weights: Annotated[
        Path | None, typer.Option(help="Weights file; the ones that ship if left out.")
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes.", min=1)] = 1,
    as_json: terminal.AsJson = False,
) -> None:
    """Let real people come up to the moving demo robot: with forecasts, without, with a fence.

    Killed, the same command goes on where it was.

    Example: ses-gcn braking-study handover_dev.npz cmu.npz --runs 600 --jobs 2 -o braking
    """
    from ses_gcn_ros.forecast.weights import write_atomically
    from ses_gcn_ros.replay.figures import LIGHT, png
    from ses_gcn_ros.studies.braking_study import as_markdown, lost_figure, run_study, summarise

    check_folder(out, "runs.jsonl")
    out.mkdir(parents=True, exist_ok=True)
    with terminal.progress() as bar:
        task = bar.add_task("approaches", total=runs)
        outcomes = run_study(
            data, runs, seed, out / "runs.jsonl", weights=weights, jobs=jobs,
            progress=lambda done: bar.update(task, completed=done),
        )  # fmt: skip
    summary = summarise(outcomes, seed)
    write_atomically(out / "summary.json", json.dumps(summary, indent=2).encode())
    write_atomically(out / "table.md", (as_markdown(summary) + "\n").encode())
    write_atomically(out / "time_lost.png", png(lost_figure(outcomes, LIGHT)))
    print(json.dumps(summary) if as_json else as_markdown(summary))
