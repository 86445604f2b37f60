"""``ses-gcn train`` and what trains besides: adapting, ablations, students, official weights."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rich.progress import Progress
from typer import Argument, Option

from ses_gcn_ros.commands import terminal
from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.resources import check_writable, csv_text, write_atomically

if TYPE_CHECKING:
    from ses_gcn_ros.training.students import CurvePoint


def follow(bar: Progress, name: str) -> Callable[[int, int, float], None]:
    """What a trainer is to call so that a bar follows it."""
    task = bar.add_task(name, total=None)

    def show(step: int, steps: int, loss: float) -> None:
        description = f"{name}: loss {1000 * loss:.1f} mm"
        bar.update(task, completed=step, total=steps, description=description)

    return show


def _check_device(device: str) -> str:
    import torch

    if device not in ("cpu", "cuda"):
        raise ConfigError(f"device is '{device}'; training takes cpu or cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device is 'cuda' but torch finds no GPU; set device to cpu")
    return device


Device = Annotated[str, Option(help="cpu or cuda.", callback=_check_device)]


def train(
    data: Annotated[
        list[Path],
        Option(help="Recording (.npz) or data set to train on; several by --data again."),
    ],
    out: terminal.WeightsOut,
    recipe: Annotated[
        str, Option(help="Name of a recipe in config/training, or a YAML file.")
    ] = "sesgcn_workcell",
    start: Annotated[
        Path | None, Option(help="Weights to go on from, such as a pruned teacher's.")
    ] = None,
    masks_only: Annotated[
        bool, Option("--masks-only", help="Of --start, take the masks and nothing else.")
    ] = False,
    calibrate_only: Annotated[
        bool, Option("--calibrate-only", help="Calibrate --start anew, and train nothing.")
    ] = False,
    steps: Annotated[
        int, Option(help="Optimiser steps instead of the recipe's; 0: the recipe's.", min=0)
    ] = 0,
    seed: Annotated[
        int | None, Option(help="Seed instead of the recipe's, to train it once more.", min=0)
    ] = None,
    device: Device = "cpu",
    threads: terminal.Threads = 1,
    overwrite: terminal.Overwrite = False,
    as_json: terminal.AsJson = False,
) -> None:
    """Train a forecaster. Killed, the same command goes on where it was.

    With several GPUs: torchrun --nproc-per-node 4 -m ses_gcn_ros.cli train --device cuda …

    Example: ses-gcn train --recipe sesgcn_cmu --data cmu.npz -o my.safetensors
    """
    from ses_gcn_ros.datasets.sources import read_datasets
    from ses_gcn_ros.forecast import read_weights
    from ses_gcn_ros.training.forecasting import train as run
    from ses_gcn_ros.training.recipe import load_recipe

    if masks_only and start is None:
        raise ConfigError(
            "--masks-only takes the masks of --start; give a pruned teacher's weights"
        )
    if calibrate_only and start is None:
        raise ConfigError("--calibrate-only calibrates the weights of --start; give some")
    if calibrate_only and (masks_only or steps):
        raise ConfigError(
            "--calibrate-only trains nothing and takes all of --start; leave out --masks-only and "
            "--steps"
        )
    resumed = None if calibrate_only else out.with_suffix(".checkpoint")
    check_writable(out, overwrite=overwrite, read=[*data, start], resumed=resumed)
    chosen, recording = load_recipe(recipe), read_datasets(data)
    first = None if start is None else read_weights(start)
    leads = os.environ.get("RANK", "0") == "0"
    with terminal.progress(leads) as bar:
        show = follow(bar, chosen.name)
        weights = run(
            chosen,
            recording,
            out,
            device=device,
            start=first,
            masks_only=masks_only,
            calibrate_only=calibrate_only,
            steps=steps,
            seed=seed,
            progress=show,
        )
    if not leads:
        return
    assert weights.radius is not None  # training always calibrates
    if as_json:
        print(json.dumps({"out": str(out), "name": weights.name, "about": weights.about}))
    else:
        print(
            f"{out}: {weights.name}, calibrated radius {1000 * weights.radius[0].mean():.0f} mm at "
            f"the first step, {1000 * weights.radius[-1].mean():.0f} mm at the last"
        )
        if crossed := weights.about.get("coverage_of_halves_percent"):
            print(f"each half held out, calibrated on the other: {crossed} % over the steps")


def adapt(
    recordings: Annotated[
        list[Path], Argument(help="Bags with skeletons of the cell, or recordings (.npz).")
    ],
    out: terminal.WeightsOut,
    weights: Annotated[
        Path | None, Option(help="Weights to go on from; the ones that ship if left out.")
    ] = None,
    steps: Annotated[int, Option(help="Training steps.", min=1)] = 1500,
    threads: terminal.Threads = 2,
    overwrite: terminal.Overwrite = False,
    as_csv: terminal.AsCsv = False,
    as_json: terminal.AsJson = False,
) -> None:
    """Teach a forecaster the motion of your cell: minutes of bags, minutes of computing.

    People are found in the recordings, most of their motion trains, some calibrates the radius, and
    some is held out: the figures printed are measured there. Weights that are no better are not
    written. Nothing leaves this machine, and only skeletons are read.

    Example: ses-gcn adapt monday tuesday -o cell.safetensors
    """
    from ses_gcn_ros.forecast.weights import read_weights, write_weights
    from ses_gcn_ros.training import adapt as adapting

    if out.suffix != ".safetensors":
        raise ConfigError(f"weights are written as .safetensors; '{out}' is named otherwise")
    read = [*recordings, weights]
    check_writable(out, overwrite=overwrite, read=read, resumed=out.with_suffix(".checkpoint"))
    start = read_weights(weights)
    with terminal.progress() as bar:
        found = adapting.adapt(
            recordings,
            start,
            training=dataclasses.replace(adapting.TRAINING, steps=steps),
            checkpoint=out.with_suffix(".checkpoint"),
            progress=follow(bar, "adapting"),
        )
    names = [path.name for path in recordings]
    about = {**start.about, "adapted_to": ", ".join(names), "adapted_from": start.name}
    write_weights(out, dataclasses.replace(found.weights, about=about))
    table = _table(found)
    if as_json:
        print(json.dumps({"out": str(out), **table}))
    else:
        _show(out, table, as_csv)


def _table(found: Any) -> dict[str, Any]:
    """Figures in millimetres and per cent."""
    from ses_gcn_ros.training.evaluation import coverage_by_step

    def figures(errors: Any, method: str) -> dict[str, float]:
        steps = 1000 * errors.per_step(method)
        return {"mean": round(float(steps.mean()), 1), "last": round(float(steps[-1]), 1)}

    before, after = found.before, found.after
    baselines = [name for name in after.distance if name != after.model]
    table: dict[str, Any] = {
        "seconds": {name: round(value, 1) for name, value in found.seconds.items()},
        "unusable": found.unusable,
        "before": figures(before, before.model),
        "after": figures(after, after.model),
        **{name: figures(after, name) for name in baselines},
        "known_before": figures(found.known_before, found.known_before.model),
        "known_after": figures(found.known_after, found.known_after.model),
    }
    radius = after.radius  # as calibrated before what was held out calibrated, too
    if radius is not None:
        within = coverage_by_step(after.distance[after.model], radius)
        table["radius_mm"] = round(1000 * float(radius[:, -1].mean()), 0)
        table["coverage_percent"] = round(100 * float(within.mean()), 1)
    return table


def _show(out: Path, table: dict[str, Any], as_csv: bool) -> None:
    rest = ("seconds", "unusable", "radius_mm", "coverage_percent")
    rows = [
        (name.replace("_", " "), f"{errors['mean']:.1f}", f"{errors['last']:.1f}")
        for name, errors in table.items()
        if name not in rest
    ]
    headings = ("network", "mean mm", "at 1 s mm")
    if as_csv:
        terminal.show(headings, rows, as_csv=True)
        return
    seconds = table["seconds"]
    print(
        f"{seconds['train']:.0f} s of motion trained, {seconds['calibrate']:.0f} s calibrated, "
        f"{seconds['test']:.0f} s were held out"
    )
    for line in table["unusable"][:10]:
        print(f"left out: {line}")
    if len(table["unusable"]) > 10:
        print(f"left out: {len(table['unusable']) - 10} more")
    title = "error on what was held out; known: on motion that it knew"
    terminal.show(headings, rows, title)
    if "radius_mm" in table:
        print(
            f"radius at the last step {table['radius_mm']:.0f} mm; within it were "
            f"{table['coverage_percent']:.1f} % of what was held out, which then calibrated it, too"
        )
    print(f"{out} is written; give it to forecaster_node by its parameter 'weights'")


def ablate(
    data: Annotated[Path, Option(help="Recording (.npz) or data set to train on.")],
    out: Annotated[Path, Option("-o", "--out", help="Folder for the variants' weights.")],
    recipe: Annotated[
        str, Option(help="The complete recipe: a name in config/training, or a YAML file.")
    ] = "sesgcn_ablation",
    steps: Annotated[int, Option(help="Optimiser steps of each variant.", min=1)] = 2000,
    also: Annotated[
        Path | None, Option(help="Another recording, to be measured on as well.")
    ] = None,
    stride: terminal.Stride = 10,
    csv: Annotated[Path | None, Option(help="Write the table to this CSV.")] = None,
    device: Device = "cpu",
    threads: terminal.Threads = 1,
    overwrite: terminal.Overwrite = False,
    as_json: terminal.AsJson = False,
) -> None:
    """Train a recipe without each of its pieces, and compare. Killed, the same command goes on.

    Example: ses-gcn ablate --data cmu.npz --steps 2000 -o ablation
    """
    from ses_gcn_ros.datasets.sources import read_dataset
    from ses_gcn_ros.studies.ablation import ablate as run
    from ses_gcn_ros.training.recipe import load_recipe

    check_writable(csv, overwrite=overwrite, read=[data, also])
    chosen, recording = load_recipe(recipe), read_dataset(data)
    other = read_dataset(also).sequences if also is not None else []
    out.mkdir(parents=True, exist_ok=True)
    with terminal.progress() as bar:
        measured = run(
            chosen,
            recording,
            out,
            steps=steps,
            stride=stride,
            other=other,
            device=device,
            progress=lambda name: follow(bar, name),
        )
        rows = [
            {n: None if v != v else v for n, v in dataclasses.asdict(row).items()}  # NaN: none
            for row in measured
        ]
    if csv is not None:
        write_atomically(csv, csv_text(list(rows[0]), (list(row.values()) for row in rows)))
    if as_json:
        print(json.dumps(rows))
        return
    title = (
        f"{steps} steps each, held-out motion, MPJPE [mm]; mean over frames but for frame_2, last"
    )
    cells = (["-" if value is None else value for value in row.values()] for row in rows)
    terminal.show(list(rows[0]), cells, title)


_HEADER = f"{'way':12}{'value':>10}{'kept %':>8}{'mean mm':>9}{'last mm':>9}  emptied"


def prune(
    weights: Annotated[Path, Argument(help="A teacher's weights file.")],
    out: terminal.WeightsOut,
    keep: Annotated[float | None, Option(help="Share of each adjacency's entries to keep.")] = None,
    threshold: Annotated[
        float | None, Option(help="Instead, the magnitude above which entries are kept.")
    ] = None,
    overwrite: terminal.Overwrite = False,
    as_json: terminal.AsJson = False,
) -> None:
    """Mask a teacher's weaker adjacency entries; train on with --start to make a student.

    Example: ses-gcn prune teacher.safetensors --keep 0.5 -o pruned.safetensors
    """
    from ses_gcn_ros.forecast import read_weights, write_weights
    from ses_gcn_ros.training import students

    check_writable(out, overwrite=overwrite, read=[weights])
    student = students.prune(read_weights(weights), keep=keep, threshold=threshold)
    write_weights(out, student)
    kept, empty, total = (
        students.density(student),
        students.emptied(student),
        students.share_kept(student),
    )
    if as_json:
        summary = {"out": str(out), "kept": total, "density": kept, "emptied": empty}
        print(json.dumps(summary))
        return
    print(f"{out}: {100 * total:.1f} % of the adjacency entries kept; layer by layer")
    for kind, shares in kept.items():
        print(f"{kind:8}" + "".join(f"{share:8.3f}" for share in shares))
    for name in empty:
        print(f"{name} is emptied: only the layer's residual connection passes anything on")


def masks(
    weights: Annotated[Path, Argument(help="A teacher's weights file.")],
    data: Annotated[Path, Option(help="Recording (.npz) or data set.")],
    recipe: Annotated[
        str, Option(help="Recipe that splits the data and trains students on.")
    ] = "sesgcn_workcell",
    steps: Annotated[int, Option(help="Steps that each student is trained on before.", min=0)] = 0,
    stride: terminal.Stride = 10,
    share: Annotated[
        list[float] | None, Option(help="Share to keep; give it several times.")
    ] = None,
    curve: Annotated[
        Path | None, Option(help="Write the curve here: .csv, or .png to draw it.")
    ] = None,
    threads: terminal.Threads = 1,
    overwrite: terminal.Overwrite = False,
    as_json: terminal.AsJson = False,
) -> None:
    """Errors on held-out motion over the share of adjacency entries that masks keep.

    Example: ses-gcn masks teacher.safetensors --data cmu.npz --curve masks.png
    """
    from ses_gcn_ros.datasets.sources import read_dataset
    from ses_gcn_ros.forecast import Weights, read_weights
    from ses_gcn_ros.training.forecasting import ForecastTrainer
    from ses_gcn_ros.training.recipe import load_recipe
    from ses_gcn_ros.training.sources import split
    from ses_gcn_ros.training.students import mask_curve

    if curve is not None and curve.suffix not in (".csv", ".png"):
        raise ConfigError(f"a curve is written as .csv or .png, not as '{curve.name}'")
    check_writable(curve, overwrite=overwrite, read=[weights, data])
    chosen, teacher = load_recipe(recipe), read_weights(weights)
    parts = split(read_dataset(data).sequences, chosen.data)
    shares = share or [0.9, 0.7, 0.5, 0.3, 0.2, 0.1]
    shorter = dataclasses.replace(chosen.training, steps=max(steps, 1), epochs=0, milestones=())
    chosen = dataclasses.replace(chosen, name=teacher.name, training=shorter)

    points: list[CurvePoint] = []
    with tempfile.TemporaryDirectory() as scratch, terminal.progress() as bar:
        show = follow(bar, "student")

        def trained(student: Weights) -> Weights:
            if not steps:
                return student
            trainer = ForecastTrainer(chosen, parts, Path(scratch, f"{len(points)}"), start=student)
            trainer.run(show)
            return trainer.weights()

        for point in mask_curve(teacher, parts.held_out, stride, shares, trained):
            points.append(point)
            if not as_json:
                if len(points) == 1:
                    print(_HEADER)
                print(_row(point), flush=True)
    if as_json:
        print(json.dumps([dataclasses.asdict(point) for point in points]))
    if curve is not None:
        _write(curve, points, steps)


def _row(point: CurvePoint) -> str:
    empty = ", ".join(point.emptied)
    return (
        f"{point.way:12}{point.value:10.4g}{100 * point.kept:8.1f}{point.mean_mm:9.1f}"
        f"{point.last_mm:9.1f}  {empty}"
    )


def _write(path: Path, points: list[CurvePoint], steps: int) -> None:
    if path.suffix == ".csv":
        rows = [dataclasses.asdict(point) for point in points]
        for row in rows:
            row["emptied"] = " ".join(name.replace(" ", "_") for name in row["emptied"])
        write_atomically(path, csv_text(list(rows[0]), (list(row.values()) for row in rows)))
        return
    from ses_gcn_ros.replay.figures import THEMES, png
    from ses_gcn_ros.studies.ablation import mask_figure

    write_atomically(path, png(mask_figure(points, steps, THEMES["light"])))


def import_official(
    state_dict: Annotated[Path, Argument(help="The authors' .pth file.")],
    out: terminal.WeightsOut,
    mask_a: Annotated[
        Path | None, Option(help="A student's joint masks (.npy); none for a teacher.")
    ] = None,
    mask_t: Annotated[
        Path | None, Option(help="A student's frame masks (.npy); none for a teacher.")
    ] = None,
    overwrite: terminal.Overwrite = False,
    as_json: terminal.AsJson = False,
) -> None:
    """Turn the authors' SeS-GCN weights (CHICO, Human3.6M) into a weights file.

    So too those of networks for actions: SGN, ST-GCN (Yan, Nagy) and sparse ST-GCN.

    Example: ses-gcn import-official chico_3d_25frames_Student.pth
    --mask-a maskA_25fps.npy --mask-t maskT_25fps.npy -o chico25.safetensors
    """
    from ses_gcn_ros.actions.official import import_actions
    from ses_gcn_ros.forecast.official import import_official as convert
    from ses_gcn_ros.models.config import parameter_count

    check_writable(out, overwrite=overwrite, read=[state_dict, mask_a, mask_t])
    if (actions := import_actions(state_dict, out)) is not None:
        told = {"out": str(out), "name": actions.name, "classes": len(actions.labels)}
        print(json.dumps(told) if as_json else f"{out}: {actions.name}, {told['classes']} classes")
        return
    weights = convert(state_dict, out, mask_a, mask_t)
    config = weights.config
    if mask_a is None:
        terminal.err().print("no masks: right for a teacher; a student needs --mask-a and --mask-t")
    summary = {
        "out": str(out),
        "name": weights.name,
        "layout": config.layout,
        "observed": config.observed,
        "horizon": config.horizon,
        "fps": config.fps,
        "unit": config.unit,
        "parameters": parameter_count(config),
    }
    if as_json:
        print(json.dumps(summary))
    else:
        print(
            f"{out}: {weights.name}, {config.joints} joints ({config.layout}), {config.observed} "
            f"frames in, {config.horizon} out, {summary['parameters']} parameters"
        )


LiftingData = Annotated[Path, Option(help="Recorded motion (.npz).")]
LiftingRecipe = Annotated[str, Option(help="Recipe in config/lifting, or a YAML file.")]


def train_lifter(
    data: LiftingData,
    out: terminal.WeightsOut,
    recipe: LiftingRecipe = "semgcn_workcell",
    variant: Annotated[
        str,
        Option(
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
    from ses_gcn_ros.datasets.sequences import read_recording
    from ses_gcn_ros.training import lifting

    check_writable(out, overwrite=overwrite, read=[data], resumed=out.with_suffix(".checkpoint"))
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
    data: LiftingData,
    weights: Annotated[
        list[Path] | None, Argument(help="Weights files; the ones that ship if left out.")
    ] = None,
    recipe: LiftingRecipe = "semgcn_workcell",
    everything: Annotated[
        bool, Option("--everything", help="Score all sequences, not the recipe's held-out.")
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
        print(json.dumps([dataclasses.asdict(score) for score in scores], indent=2))
    else:
        rows = [
            (s.name, s.frames, s.parameters, s.windows, f"{1e3 * s.error:.1f}",
             f"{1e3 * s.error_seen:.1f}")
            for s in scores
        ]  # fmt: skip
        heads = ("network", "images", "parameters", "answers", "mm", "mm, joints seen")
        title = "Root-relative error on people not seen in training"
        terminal.show(heads, rows, title, as_csv=as_csv)
