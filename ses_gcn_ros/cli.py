"""The command ``ses-gcn``."""

from __future__ import annotations

import sys

import typer

from ses_gcn_ros import __version__
from ses_gcn_ros.commands import (
    ablation,
    actions,
    attack,
    bags,
    bench,
    bench_pose,
    braking,
    calibrate,
    collisions,
    convert,
    dataset,
    evaluate,
    evaluate_pose,
    evaluate_stream,
    evaluate_windows,
    forecast,
    lifting,
    parameters,
    pose,
    render,
    soak,
    students,
    training,
    workcell,
)
from ses_gcn_ros.errors import SesGcnError

app = typer.Typer(
    name="ses-gcn",
    help="See a person's next second: skeletons, SeS-GCN forecasts, separation monitoring.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for command in (
    workcell.up,
    workcell.demo,
    parameters.params,
    pose.pose,
    calibrate.calibrate,
    evaluate_pose.evaluate_pose,
    lifting.train_lifter,
    lifting.evaluate_lifters,
    bags.report,
    render.render,
    bags.sample,
    evaluate.evaluate,
    evaluate.compare,
    convert.convert,
    dataset.dataset,
    forecast.import_official,
    training.train,
    ablation.ablate,
    students.prune,
    students.masks,
    evaluate_windows.evaluate_windows,
    evaluate_stream.evaluate_stream,
    collisions.collisions,
    braking.braking_study,
    attack.attack,
    soak.soak,
    bench.bench,
    bench_pose.bench_pose,
):
    app.command()(command)
app.add_typer(actions.actions)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
) -> None: ...


def main() -> int:
    """Run the command line; a mistake of the user's is one sentence and exit code 1."""
    try:
        app()
    except SesGcnError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:  # full disk, missing permission
        print(f"error: {error.strerror}: {error.filename or ''}".rstrip(": "), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
