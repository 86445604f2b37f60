"""The command ``ses-gcn``."""

from __future__ import annotations

import signal
import sys
import warnings

import typer

from ses_gcn_ros import __version__
from ses_gcn_ros.commands import (
    actions,
    pose,
    recordings,
    studies,
    terminal,
    training,
    windows,
    workcell,
)
from ses_gcn_ros.errors import SesGcnError

# The extra that brings each package which not everybody needs.
EXTRAS = {
    "rosbags": "replay",
    "mcap": "replay",
    "lz4": "replay",
    "zstandard": "replay",
    "jinja2": "replay",
    "joblib": "replay",
    "matplotlib": "replay",
    "av": "video",
    "PIL": "video",
    "torch": "train",
    "onnx": "train",
    "onnxruntime": "train",
    "mediapipe": "pose",
    "cv2": "pose",
    "distributed": "cluster",
}

app = typer.Typer(
    name="ses-gcn",
    help="See a person's next second: skeletons, SeS-GCN forecasts, separation monitoring.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich takes [m] and [deg] for markup
)
for command in (
    workcell.up,
    workcell.demo,
    workcell.watch,
    workcell.lifecycle,
    workcell.params,
    pose.pose,
    pose.calibrate,
    pose.evaluate_pose,
    workcell.commission,
    studies.commission_study,
    training.train_lifter,
    training.evaluate_lifters,
    recordings.report,
    recordings.render,
    recordings.sample,
    recordings.evaluate,
    recordings.compare,
    recordings.convert,
    windows.dataset,
    training.import_official,
    training.train,
    training.adapt,
    training.ablate,
    training.prune,
    training.masks,
    windows.evaluate_windows,
    windows.evaluate_stream,
    studies.collisions,
    studies.alarm,
    studies.braking_study,
    studies.attack,
    studies.obedience,
    studies.evidence,
    studies.soak,
    studies.bench,
    studies.bench_pose,
):
    app.command(cls=terminal.Command)(command)
app.add_typer(actions.actions)
app.add_typer(studies.audit)


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
    terminal.never_fail_to_print()
    if not sys.warnoptions:  # what numpy and others remark on in passing is no sentence of ours
        warnings.simplefilter("ignore")
    # as Ctrl-C: what is under way is put in order, and workers end
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app()
    except SesGcnError as error:
        return _fail(str(error))
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").split(".")[0])
        if extra is None:
            raise
        return _fail(
            f"this needs the package {error.name}, which comes with: "
            f"pip install 'ses_gcn_ros[{extra}]'"
        )
    except MemoryError:
        return _fail("this takes more memory than there is")
    except OSError as error:  # full disk, missing permission
        return _fail(f"{error.strerror or error}: {error.filename or ''}".rstrip(": "))
    return 0


def _fail(text: str) -> int:
    print(f"error: {terminal.sentence(text)}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
