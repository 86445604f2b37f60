"""``ses-gcn prune`` and ``masks``: students from teachers, and what their masks cost."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ses_gcn_ros.commands import terminal
from ses_gcn_ros.commands.training import follow
from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.resources import check_writable

if TYPE_CHECKING:
    from ses_gcn_ros.training.students import CurvePoint

_HEADER = f"{'way':12}{'value':>10}{'kept %':>8}{'mean mm':>9}{'last mm':>9}  emptied"


def prune(
    weights: Annotated[Path, typer.Argument(help="A teacher's weights file.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Weights file to write.")],
    keep: Annotated[
        float | None, typer.Option(help="Share of each adjacency's entries to keep.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Instead, the magnitude above which entries are kept.")
    ] = None,
    overwrite: terminal.Overwrite = False,
    as_json: terminal.AsJson = False,
) -> None:
    """Mask a teacher's weaker adjacency entries; train on with --start to make a student.

    Example: ses-gcn prune teacher.safetensors --keep 0.5 -o pruned.safetensors
    """
    from ses_gcn_ros.forecast import read_weights, write_weights
    from ses_gcn_ros.training.students import density, emptied, share_kept
    from ses_gcn_ros.training.students import prune as mask

    check_writable(out, overwrite=overwrite, read=[weights])
    student = mask(read_weights(weights), keep=keep, threshold=threshold)
    write_weights(out, student)
    kept, empty, total = density(student), emptied(student), share_kept(student)
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
    weights: Annotated[Path, typer.Argument(help="A teacher's weights file.")],
    data: Annotated[Path, typer.Option(help="Recording (.npz) or data set.")],
    recipe: Annotated[
        str, typer.Option(help="Recipe that splits the data and trains students on.")
    ] = "sesgcn_workcell",
    steps: Annotated[
        int, typer.Option(help="Steps that each student is trained on before.", min=0)
    ] = 0,
    stride: Annotated[int, typer.Option(help="Frames between windows measured.", min=1)] = 10,
    share: Annotated[
        list[float] | None, typer.Option(help="Share to keep; give it several times.")
    ] = None,
    curve: Annotated[
        Path | None, typer.Option(help="Write the curve here: .csv, or .png to draw it.")
    ] = None,
    threads: Annotated[int, typer.Option(help="CPU threads.", min=1)] = 1,
    overwrite: terminal.Overwrite = False,
    as_json: terminal.AsJson = False,
) -> None:
    """Errors on held-out motion over the share of adjacency entries that masks keep.

    Example: ses-gcn masks teacher.safetensors --data cmu.npz --curve masks.png
    """
    import torch

    from ses_gcn_ros.datasets.sources import read_dataset
    from ses_gcn_ros.forecast import Weights, read_weights
    from ses_gcn_ros.training.forecasting import ForecastTrainer
    from ses_gcn_ros.training.recipe import load_recipe
    from ses_gcn_ros.training.sources import split
    from ses_gcn_ros.training.students import mask_curve

    if curve is not None and curve.suffix not in (".csv", ".png"):
        raise ConfigError(f"a curve is written as .csv or .png, not as '{curve.name}'")
    check_writable(curve, overwrite=overwrite, read=[weights, data])
    torch.set_num_threads(threads)
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
    from ses_gcn_ros.forecast.weights import write_atomically

    if path.suffix == ".csv":
        lines = ["way,value,kept,mean_mm,last_mm,emptied"]
        for p in points:
            empty = " ".join(name.replace(" ", "_") for name in p.emptied)
            lines.append(f"{p.way},{p.value},{p.kept},{p.mean_mm},{p.last_mm},{empty}")
        write_atomically(path, ("\n".join(lines) + "\n").encode())
        return
    from ses_gcn_ros.replay.figures import THEMES, png
    from ses_gcn_ros.studies.plot_masks import mask_figure

    write_atomically(path, png(mask_figure(points, steps, THEMES["light"])))
