"""``ses-gcn actions``: train, evaluate and compare networks that recognise what people do."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from ses_gcn_ros.commands import terminal
from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.resources import check_writable

if TYPE_CHECKING:
    from ses_gcn_ros.datasets.actions import ActionSet

actions = typer.Typer(
    name="actions",
    help="Recognise what people do: train, evaluate, label, compare with the authors' networks.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
Data = Annotated[Path, Option(help="Labelled recordings: .npz, bag folder or data set.")]
Root = Annotated[Path | None, Option(help="Folder that a list's sources lie below.")]
Recipe = Annotated[str, Option(help="Recipe by name, or a .yaml file.")]
Subjects = Annotated[
    str, Option(help="People to train on, such as 1,3,5; the others are the test.")
]
_LARGEST = 1e-4  # difference between networks that are the same


@actions.command(cls=terminal.Command)
def parity(
    files: Annotated[list[Path], Argument(help="Golden files of the authors' networks.")],
    as_json: terminal.AsJson = False,
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


@actions.command(cls=terminal.Command)
def evaluate(
    data: Data,
    recipe: Annotated[
        str, Option(help="Recipe by name, or a .yaml file; several, with commas, compare.")
    ] = "esgn_msr",
    train_subjects: Subjects = "",
    leave_one_out: Annotated[
        bool, Option(help="Test on each person in turn, trained on the others.")
    ] = False,
    among: Annotated[
        str, Option(help="Only these people: those to train on, to choose a recipe by.")
    ] = "",
    root: Root = None,
    classes: Annotated[str, Option(help="Only these classes, such as 2,3,5.")] = "",
    seeds: Annotated[int, Option(help="Runs, seeds 0, 1, …", min=1)] = 1,
    vary: Annotated[
        list[str] | None,
        Option(help="Values to compare, such as options.partition=uni,spatial; repeatable."),
    ] = None,
    first_seed: Annotated[int, Option(help="Seed of the first run.", min=0)] = 0,
    threads: terminal.Threads = 1,
    as_json: terminal.AsJson = False,
) -> None:
    """Train a recipe on some people and test it on the others, last epoch, all seeds.

    With several recipes, or --vary and every combination of its values, each is held against the
    first, paired by seed.

    Example: ses-gcn actions evaluate --data msr_action3d.npz --recipe esgn_msr
    --train-subjects 1,3,5,7,9 --seeds 5 --vary options.pooling=attention,received,none
    """
    from ses_gcn_ros.datasets.actions import listed
    from ses_gcn_ros.training import actions as training

    chosen = [
        one for name in recipe.split(",") for one in training.varied_recipes(name, vary or [])
    ]
    recordings = _read(data, classes, root)
    if among:
        recordings = recordings.of_subjects(_names(among))
    people = listed({r.subject for r in recordings.recordings}).split(", ")
    if leave_one_out == bool(train_subjects):
        raise ConfigError("give either --train-subjects or --leave-one-out")
    splits = [[p for p in people if p != out] for out in people]
    if train_subjects:
        splits = [_names(train_subjects)]

    def show(run: dict[str, Any]) -> None:
        if not as_json:
            alone = ", ".join(f"{100 * share:.2f}" for share in run["members"])
            print(
                f"seed {run['seed']}, tested on {','.join(run['test_subjects'])}: "
                f"{100 * run['accuracy']:.2f} % of {run['windows']} windows, "
                f"{100 * run['recording_accuracy']:.2f} % of {run['recordings']} recordings"
                + (f", members alone {alone} %" if alone else "")
                + (
                    f", before {100 * run['start_accuracy']:.2f} %"
                    if "start_accuracy" in run
                    else ""
                )
                + f" ({run['seconds']:.0f} s)",
                flush=True,
            )

    summaries: list[dict[str, Any]] = []
    for one in chosen:
        found = training.evaluate(
            one, recordings, splits, range(first_seed, first_seed + seeds), show
        )
        summaries.append({**found, "data": str(data)})
        ends = ("mean", "low", "high")
        if summaries[1:]:
            summaries[-1]["gain"] = dict(zip(ends, training.gain(summaries[0], found), strict=True))
        if before := found.get("start_accuracy_per_seed"):
            gained = training.gain({"accuracy_per_seed": before}, found)
            summaries[-1]["gain_over_start"] = dict(zip(ends, gained, strict=True))
        if not as_json:
            _print_evaluation(summaries[-1], seeds)
    if as_json:
        print(json.dumps(summaries if len(chosen) > 1 else summaries[0]))


def _print_evaluation(summary: dict[str, Any], seeds: int) -> None:
    spread = summary["accuracy_std"]
    print(
        f"{summary['recipe']}: {100 * summary['accuracy']:.2f} "
        + (f"± {100 * spread:.2f} " if spread is not None else "")
        + f"% over {seeds} seeds, macro F1 {summary['macro_f1']:.3f}, "
        f"{summary['parameters']} parameters"
    )
    for key, other in (("gain", "the first"), ("gain_over_start", "what it went on from")):
        if key in summary:
            mean, low, high = (100 * summary[key][end] for end in ("mean", "low", "high"))
            print(f"  {mean:+.2f} points to {other} ({low:+.2f} to {high:+.2f})")
    for layer, share in summary["runs"][-1]["kept"].items():
        print(f"  kept of {layer}: {100 * share:.2f} %" + (" (collapsed)" if not share else ""))


@actions.command(cls=terminal.Command)
def train(
    data: Data,
    out: terminal.WeightsOut,
    recipe: Recipe = "esgn_workcell",
    root: Root = None,
    risk: Annotated[
        float, Option(help="Share of wrong answers to allow; others are 'unknown'.")
    ] = 0.05,
    novelty: Annotated[
        float, Option(help="Share of what the data calls novel to be 'unknown'.")
    ] = 0.6,
    seed: Annotated[int, Option(help="Of everything drawn at random.", min=0)] = 0,
    threads: terminal.Threads = 1,
    overwrite: terminal.Overwrite = False,
    as_json: terminal.AsJson = False,
) -> None:
    """Train a recipe, calibrate it on the people that the data holds out, and write the weights.

    Data that hold nobody out are trained on as a whole, and the answers are not calibrated.

    Example: ses-gcn actions train --data workcell_data.yaml --root data -o mine.safetensors
    """
    from ses_gcn_ros.actions.weights import write_action_weights
    from ses_gcn_ros.training import actions as training

    check_writable(out, overwrite=overwrite, read=[data])
    chosen, recordings = training.load_action_recipe(recipe), _read(data, "", root)

    def show(step: int, steps: int, loss: float) -> None:
        if not as_json:
            print(f"step {step} of {steps}: loss {loss:.3f}", flush=True)

    checkpoint = out.with_suffix(".checkpoint")

    summary: dict[str, Any] = {"out": str(out)}
    if recordings.held_out:
        weights, found = training.train_and_calibrate(
            chosen, recordings, seed, risk, novelty, show, checkpoint
        )
        summary |= dataclasses.asdict(found)
    else:
        weights = training.train_actions(chosen, recordings, seed, show, checkpoint)
    about = {"data": data.name, "recipe": chosen.name, "seed": str(seed)}
    write_action_weights(out, dataclasses.replace(weights, about=about), half=True)
    for _, _, kept in training.stages(chosen, checkpoint):
        if kept is not None:
            kept.unlink(missing_ok=True)
    summary |= {"labels": weights.labels, "bytes": out.stat().st_size}
    summary |= {"temperature": weights.temperature, "threshold": weights.threshold}
    if as_json:
        print(json.dumps(summary))
        return
    for key, value in summary.items():
        print(f"{key}: {f'{value:.3f}' if isinstance(value, float) else value}")


@actions.command(cls=terminal.Command)
def delay(
    data: Data,
    root: Root = None,
    weights: Annotated[Path | None, Option(help="Weights; ours that ship.")] = None,
    as_json: terminal.AsJson = False,
) -> None:
    """How long after people change what they do the new label is told, on labelled streams.

    Of a list of sources only the people that it holds out. Changes that last a second or more.

    Example: ses-gcn actions delay --data my_bags
    """
    import numpy as np

    from ses_gcn_ros.actions.recogniser import ActionConfig
    from ses_gcn_ros.actions.weights import read_action_weights
    from ses_gcn_ros.errors import InputError
    from ses_gcn_ros.replay.events import label_delays

    recordings = _read(data, "", root)
    if recordings.held_out:
        out = recordings.held_out_recordings()
        recordings = dataclasses.replace(recordings, recordings=out)
    delays = label_delays(recordings, read_action_weights(weights), ActionConfig())
    if not len(delays):
        raise InputError(f"nobody in '{data}' changes to anything else for a second that is known")
    told = delays[np.isfinite(delays)]
    median = float(np.median(told)) if len(told) else None
    if as_json:
        print(json.dumps({"changes": len(delays), "told": len(told), "median": median}))
        return
    print(
        f"{len(told)} of {len(delays)} changes told"
        + (f", after {median:.2f} s in the median" if median is not None else "")
    )


@actions.command(cls=terminal.Command)
def label(
    bag: Annotated[Path, Argument(help="Bag to draw segments from.")],
    out: Annotated[
        Path | None, Option("-o", "--out", help="Table to write; beside the bag.")
    ] = None,
    weights: Annotated[Path | None, Option(help="Weights; ours that ship.")] = None,
    overwrite: terminal.Overwrite = False,
    as_json: terminal.AsJson = False,
) -> None:
    """Draw who does what when from a bag, as a table to correct; training reads it back.

    Example: ses-gcn actions label my_bag
    """
    from ses_gcn_ros.actions.recogniser import ActionConfig, Recogniser, label_changes
    from ses_gcn_ros.actions.weights import read_action_weights
    from ses_gcn_ros.bags.rosbag2 import read_skeletons
    from ses_gcn_ros.datasets.actions import segment_table, write_segments

    table = out or segment_table(bag)
    check_writable(table, overwrite=overwrite, read=[bag])
    recogniser = Recogniser(read_action_weights(weights), ActionConfig())
    told: dict[str, list[tuple[float, str]]] = {}
    for observation in read_skeletons(bag):
        recogniser.observe(observation.stamp, observation.people)
        for action in recogniser.recognise():
            told.setdefault(action.person_id, []).append((observation.stamp, action.label))
    segments = [
        (person, start, end, name)
        for person, answers in told.items()
        for start, end, name in label_changes(answers)
    ]
    write_segments(table, segments)
    if as_json:
        print(json.dumps({"out": str(table), "segments": segments}))
    else:
        print(f"{table}: {len(segments)} segments of {len(told)} people")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _read(path: Path, classes: str, root: Path | None = None) -> ActionSet:
    from ses_gcn_ros.datasets.actions import of_classes, read_actions

    recordings = read_actions(path, root)
    for sentence in recordings.skipped:
        print(f"left out: {sentence}", file=sys.stderr)
    wanted = _names(classes)
    return of_classes(recordings, wanted) if wanted else recordings
