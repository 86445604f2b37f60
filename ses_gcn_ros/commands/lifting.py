"""``ses-gcn train-lifter`` and ``evaluate-lifters``: from joints in an image to joints in space."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ses_gcn_ros.commands import terminal
from ses_gcn_ros.commands.training import follow
from ses_gcn_ros.resources import check_writable

if TYPE_CHECKING:
    from ses_gcn_ros.training.lifting import LiftingScore

Data = Annotated[Path, typer.Option(help="Recorded motion (.npz).")]
RecipeName = Annotated[str, typer.Option(help="Recipe in config/lifting, or a YAML file.")]

_RECIPE = "semgcn_workcell"
_TITLE = "Root-relative error on people not seen in training"
_HEADINGS = ("network", "images", "parameters", "answers", "mm", "mm, joints seen")


def train_lifter(
    data: Data,
    out: terminal.WeightsOut,
    recipe: RecipeName = _RECIPE,
    variant: Annotated[
        str,
        typer.Option(
            help="Another network trained in the same way: no_nonlocal, no_semgconv, resgcn, "
            "linear, published, one_image or linear_one_image."
        ),
    ] = "",
    threads: terminal.Threads = 1,
    overwrite: terminal.Overwrite = False,
    as_json: terminal.AsJson = False,
) -> None:
    """Train a network that lifts joints of an image. Killed, the same command goes on.

    Example: ses-gcn train-lifter --data cmu.npz -o semgcn.safetensors
    """
    import torch

    from ses_gcn_ros.datasets.sequences import read_recording
    from ses_gcn_ros.training import lifting

    check_writable(out, overwrite=overwrite, read=[data], resumed=out.with_suffix(".checkpoint"))
    torch.set_num_threads(threads)
    chosen = lifting.load_lifting_recipe(recipe)
    if variant:
        chosen = lifting.variant(chosen, variant)
    recording = read_recording(data)
    with terminal.progress() as bar:
        weights = lifting.train_lifter(chosen, recording, out, follow(bar, chosen.name))
    if as_json:
        print(json.dumps({"out": str(out), "name": weights.name, "about": weights.about}))
    else:
        print(f"{out}: {weights.name}")


def evaluate_lifters(
    data: Data,
    weights: Annotated[
        list[Path] | None,
        typer.Argument(help="Weights files; the ones that ship if left out."),
    ] = None,
    recipe: RecipeName = _RECIPE,
    everything: Annotated[
        bool, typer.Option("--everything", help="Score all sequences, not the recipe's held-out.")
    ] = False,
    as_csv: terminal.AsCsv = False,
    as_json: terminal.AsJson = False,
) -> None:
    """Measure lifting networks on people whom none of them was trained on.

    Through virtual cameras of 1280×720 px, 60 to 70° wide, 2 to 4 m away; joints 3 px noisy, 5 %
    astray, 10 % missing.

    Example: ses-gcn evaluate-lifters --data cmu.npz semgcn.safetensors linear.safetensors
    """
    from ses_gcn_ros.datasets.sequences import read_recording
    from ses_gcn_ros.models.lifting import read_lifting_weights
    from ses_gcn_ros.pose.lifting import DEFAULT_WEIGHTS
    from ses_gcn_ros.training.lifting import load_lifting_recipe, score_lifter
    from ses_gcn_ros.training.sources import split

    chosen, recording = load_lifting_recipe(recipe), read_recording(data)
    sequences = recording.sequences
    if not everything:
        sequences = split(sequences, chosen.data).held_out
    scores = [
        score_lifter(read_lifting_weights(path), sequences, chosen.views.fps)
        for path in weights or [DEFAULT_WEIGHTS]
    ]
    if as_json:
        print(json.dumps([asdict(score) for score in scores], indent=2))
    else:
        terminal.show(_HEADINGS, map(_row, scores), _TITLE, as_csv=as_csv)


def _row(score: LiftingScore) -> tuple[object, ...]:
    errors = (f"{1000 * error:.1f}" for error in (score.error, score.error_seen))
    return (score.name, score.frames, score.parameters, score.windows, *errors)
