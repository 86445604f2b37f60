"""``ses-gcn actions``: train, evaluate and compare networks that recognise what people do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ses_gcn_ros.errors import ConfigError

if TYPE_CHECKING:
    from ses_gcn_ros.datasets.actions import ActionSet

actions = typer.Typer(
    name="actions",
    help="Recognise what people do: train, evaluate, label, compare with the authors' networks.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Data = Annotated[Path, typer.Option(help="Labelled recordings: .npz, bag folder or data set.")]
Recipe = Annotated[str, typer.Option(help="Recipe by name, or a .yaml file.")]
Subjects = Annotated[
    str, typer.Option(help="People to train on, such as 1,3,5; the others are the test.")
]
Threads = Annotated[int, typer.Option(help="CPU threads.", min=1)]
_LARGEST = 1e-4  # difference between networks that are the same


@actions.command()
def parity(
    files: Annotated[list[Path], typer.Argument(help="Golden files of the authors' networks.")],
    as_json: AsJson = False,
) -> None:
    """Import the authors' weights of a golden file and hold our answer against theirs.

    Prints the largest difference relative to the largest magnitude; exit 1 above 1e-4.

    Example: ses-gcn actions parity sgn_ntu25.npz
    """
    from ses_gcn_ros.actions.official import parity as measure

    found = {str(path): measure(path) for path in files}
    worst = {path: max(answers.values()) for path, answers in found.items()}
    if as_json:
        print(json.dumps({path: {"worst": worst[path], "answers": found[path]} for path in found}))
    else:
        for path, difference in worst.items():
            verdict = "same" if difference <= _LARGEST else "DIFFERENT"
            print(f"{path}: {difference:.2e} {verdict} ({len(found[path])} answers)")
    if max(worst.values()) > _LARGEST:
        raise typer.Exit(1)


@actions.command()
def evaluate(
    data: Data,
    recipe: Recipe = "esgn_msr",
    train_subjects: Subjects = "",
    leave_one_out: Annotated[
        bool, typer.Option(help="Test on each person in turn, trained on the others.")
    ] = False,
    classes: Annotated[str, typer.Option(help="Only these classes, such as 2,3,5.")] = "",
    seeds: Annotated[int, typer.Option(help="Runs, seeds 0, 1, …", min=1)] = 1,
    first_seed: Annotated[int, typer.Option(help="Seed of the first run.", min=0)] = 0,
    threads: Threads = 1,
    as_json: AsJson = False,
) -> None:
    """Train a recipe on some people and test it on the others, last epoch, all seeds.

    Example: ses-gcn actions evaluate --data msr_action3d.npz --recipe esgn_msr
    --train-subjects 1,3,5,7,9 --seeds 5
    """
    import numpy as np
    import torch

    from ses_gcn_ros.datasets.actions import listed
    from ses_gcn_ros.training.actions import evaluate_split, load_action_recipe

    torch.set_num_threads(threads)
    chosen, recordings = load_action_recipe(recipe), _read(data, classes)
    people = listed({r.subject for r in recordings.recordings}).split(", ")
    if leave_one_out == bool(train_subjects):
        raise ConfigError("give either --train-subjects or --leave-one-out")
    splits = [[p for p in people if p != out] for out in people]
    if train_subjects:
        splits = [[s.strip() for s in train_subjects.split(",") if s.strip()]]
    runs: list[dict[str, Any]] = []
    for seed in range(first_seed, first_seed + seeds):
        for split in splits:
            run = evaluate_split(chosen, recordings, split, seed)
            runs.append(run)
            if not as_json:
                print(
                    f"seed {seed}, tested on {','.join(run['test_subjects'])}: "
                    f"{100 * run['accuracy']:.2f} % of {run['windows']} windows, "
                    f"{100 * run['recording_accuracy']:.2f} % of {run['recordings']} recordings "
                    f"({run['seconds']:.0f} s)",
                    flush=True,
                )
    summary: dict[str, Any] = {"recipe": chosen.name, "data": str(data)}
    for key in ("accuracy", "recording_accuracy", "macro_f1"):
        # Every seed is one figure, over all windows of its splits.
        weight = "recordings" if key == "recording_accuracy" else "windows"
        per_seed = [
            float(np.average([r[key] for r in group], weights=[r[weight] for r in group]))
            for group in (
                [r for r in runs if r["seed"] == seed]
                for seed in range(first_seed, first_seed + seeds)
            )
        ]
        summary[key] = float(np.mean(per_seed))
        summary[f"{key}_std"] = float(np.std(per_seed, ddof=1)) if seeds > 1 else None
        summary[f"{key}_per_seed"] = per_seed
    summary["parameters"] = runs[0]["parameters"]
    summary["runs"] = runs
    if as_json:
        print(json.dumps(summary))
        return
    spread = summary["accuracy_std"]
    print(
        f"{chosen.name}: {100 * summary['accuracy']:.2f} "
        + (f"± {100 * spread:.2f} " if spread is not None else "")
        + f"% over {seeds} seeds, macro F1 {summary['macro_f1']:.3f}, "
        f"{summary['parameters']} parameters"
    )


@actions.command()
def train(
    data: Data,
    out: Annotated[Path, typer.Option("-o", "--out", help="Weights file to write.")],
    recipe: Recipe = "esgn_workcell",
    seed: Annotated[int, typer.Option(help="Of everything drawn at random.", min=0)] = 0,
    threads: Threads = 1,
    as_json: AsJson = False,
) -> None:
    """Train a recipe on all people of a set and write the weights.

    Example: ses-gcn actions train --data mine.npz --recipe esgn_workcell -o mine.safetensors
    """
    import torch

    from ses_gcn_ros.actions.network import write_action_weights
    from ses_gcn_ros.resources import check_writable
    from ses_gcn_ros.training.actions import load_action_recipe, train_actions

    check_writable(out)
    torch.set_num_threads(threads)
    chosen, recordings = load_action_recipe(recipe), _read(data, "")

    def show(epoch: int, epochs: int, loss: float) -> None:
        if not as_json and (epoch % 10 == 0 or epoch == epochs):
            print(f"epoch {epoch} of {epochs}: loss {loss:.3f}", flush=True)

    weights, _ = train_actions(chosen, recordings, seed, show)
    write_action_weights(out, weights, half=True)
    size = out.stat().st_size
    if as_json:
        print(json.dumps({"out": str(out), "labels": weights.labels, "bytes": size}))
    else:
        print(f"{out}: {len(weights.labels)} classes, {size / 1e6:.2f} MB")


def _read(path: Path, classes: str) -> ActionSet:
    from ses_gcn_ros.datasets.action_files import read_actions
    from ses_gcn_ros.datasets.actions import of_classes

    recordings = read_actions(path)
    wanted = [name.strip() for name in classes.split(",") if name.strip()]
    return of_classes(recordings, wanted) if wanted else recordings
