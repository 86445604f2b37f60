"""``ses-gcn attack``: people who want to be touched, against the monitor in a closed loop."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ses_gcn_ros.commands import terminal
from ses_gcn_ros.resources import check_folder


def attack(
    runs: Annotated[int, typer.Option(help="Simulated runs, 25 to a search.", min=1)] = 450,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
    scenario: Annotated[
        str,
        typer.Option(help="motions, faults, all, or one by name, such as occlusion."),
    ] = "all",
    variant: Annotated[
        str, typer.Option(help="forecasts, alone, reachable, probability or all.")
    ] = "all",
    weights: Annotated[
        Path | None, typer.Option(help="Weights file; the ones that ship if left out.")
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes.", min=1)] = 1,
    out: Annotated[
        Path, typer.Option("-o", "--out", help="Folder for runs, summary, table, worst case.")
    ] = Path("attack"),
    case: Annotated[
        Path | None, typer.Option(help="Run this case alone, such as worst.json, and draw it.")
    ] = None,
    as_json: terminal.AsJson = False,
) -> None:
    """Search for motions of people, robots and faults under which a moving link touches somebody.

    Ends with exit code 1 if a link faster than 0.05 m/s touched anybody. Killed, the same command
    goes on where it was.

    Example: ses-gcn attack --runs 10000 --jobs 2 -o attack
    """
    from ses_gcn_ros.forecast import load
    from ses_gcn_ros.forecast.weights import write_atomically
    from ses_gcn_ros.replay.figures import LIGHT, png
    from ses_gcn_ros.studies.attack_search import (
        as_markdown,
        case_figure,
        read_case,
        run_attack,
        summarise,
        worst_case,
    )

    check_folder(out, "runs.jsonl")
    out.mkdir(parents=True, exist_ok=True)
    if case is not None:
        figure, outcome = case_figure(read_case(case), load(weights), LIGHT)
        write_atomically(out / f"{case.stem}.png", png(figure))
        print(json.dumps(asdict(outcome)))
        raise typer.Exit(1 if outcome.violation else 0)
    with terminal.progress() as bar:
        task = bar.add_task("runs", total=runs)
        batches = run_attack(
            out / "runs.jsonl", runs, seed, scenario=scenario, variant=variant, weights=weights,
            jobs=jobs, progress=lambda done: bar.update(task, completed=min(done, runs)),
        )  # fmt: skip
    summary = summarise(batches)
    worst = worst_case(batches)
    figure, _ = case_figure(worst, load(weights), LIGHT)
    write_atomically(out / "worst.json", json.dumps(asdict(worst)).encode())
    write_atomically(out / "worst.png", png(figure))
    write_atomically(out / "summary.json", json.dumps(summary, indent=2).encode())
    write_atomically(out / "table.md", (as_markdown(summary) + "\n").encode())
    print(json.dumps(summary) if as_json else as_markdown(summary))
    raise typer.Exit(1 if summary["total"]["violations"] else 0)
