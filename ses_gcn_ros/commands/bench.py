"""``ses-gcn bench``: what a forecast costs on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from ses_gcn_ros.evaluation.benchmark import Timing


def bench(
    weights: Annotated[
        list[Path] | None,
        typer.Option(help="Weights file, repeatable; the ones that ship if left out."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Seconds instead of a minute.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Time every engine against SeS-GCN as its authors wrote it, and the safety geometry.

    Example: ses-gcn bench --weights chico25.safetensors --json > bench.json
    """
    from ses_gcn_ros.evaluation import benchmark
    from ses_gcn_ros.forecast.weights import DEFAULT_WEIGHTS, read_weights

    seconds = 0.5 if quick else 6.0
    timings: list[Timing] = []
    missing: dict[str, str] = {}
    for loaded in [read_weights(path) for path in weights or [DEFAULT_WEIGHTS]]:
        more, absent = benchmark.benchmark_forecast(loaded, seconds=seconds)
        timings += more
        missing |= absent
    timings += benchmark.benchmark_distances(seconds=seconds / 4)
    if as_json:
        print(json.dumps(benchmark.as_json(timings, missing), indent=2))
        return
    machine = benchmark.describe_machine()
    console = Console()
    console.print(_table(timings))
    for engine, reason in missing.items():
        console.print(f"{engine} was not measured: {reason}")
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    console.print(f"{machine['processor']}, load {machine['load']:.1f}; {versions}", style="dim")


def _table(timings: list[Timing]) -> Table:
    table = Table(title="One thread each, taking turns")
    for name in ("what", "people", "by"):
        table.add_column(name, justify="right" if name == "people" else "left", no_wrap=True)
    for name in ("median µs", "p99 µs", "× faster", "error mm"):
        table.add_column(name, justify="right")
    before: tuple[str, int] | None = None
    for timing in timings:
        group = timing.subject, timing.people
        if before not in (None, group):
            table.add_section()
        shown = (timing.subject, str(timing.people)) if group != before else ("", "")
        before = group
        table.add_row(
            *shown,
            timing.contender,
            f"{1e6 * timing.median:.0f}",
            f"{1e6 * timing.p99:.0f}",
            f"{timing.ratio:.1f}",
            f"{1e3 * timing.error:.4f}",
        )
    return table
