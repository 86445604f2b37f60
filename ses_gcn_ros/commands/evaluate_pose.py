"""``ses-gcn evaluate-pose``: how far off people are placed, by virtual cameras."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from ses_gcn_ros.commands import terminal
from ses_gcn_ros.errors import ConfigError

_COLUMNS = (
    "mode", "frames", "mean_mm", "median_mm", "p95_mm", "found_share", "all_joints_found_share",
)  # fmt: skip
_MONOCULAR_COLUMNS = (
    "mode", "root_depth_mean_share", "root_depth_p95_share", "relative_mean_mm",
    "covered_along_share", "covered_across_share",
)  # fmt: skip


def evaluate_pose(
    motion: Annotated[Path, typer.Argument(help="Recorded motion (.npz) to look at.")],
    mode: Annotated[
        list[str] | None,
        typer.Option(help="multiview, rgbd, monocular, monocular_unposed, crossings; repeatable."),
    ] = None,
    scenes: Annotated[int, typer.Option(help="Scenes of three seconds.", min=1)] = 60,
    crossings: Annotated[int, typer.Option(help="Pairs who cross.", min=1)] = 100,
    cameras: Annotated[int, typer.Option(help="Cameras around the cell.", min=2)] = 3,
    seed: Annotated[int, typer.Option(help="Seed of everything drawn.")] = 0,
    as_csv: terminal.AsCsv = False,
    as_json: terminal.AsJson = False,
) -> None:
    """Measure how far off people are placed in space, before virtual cameras.

    1280×720 px, 60 to 70° wide, 2 to 4 m away; landmarks 3 px noisy, 5 % astray, 10 % missing;
    depth 1 % noisy. Multiview counts joints in two pictures or more, rgbd those that it sees.
    Monocular is one camera 2 to 5 m away, 55 to 75° wide, with slow errors as MediaPipe's are; its
    place is known, or unknown in monocular_unposed.

    Example: ses-gcn evaluate-pose ../shared/data/motion/cmu.npz --mode multiview --scenes 20
    """
    from ses_gcn_ros.datasets.sequences import read_recording
    from ses_gcn_ros.studies.pose_accuracy import (
        measure_crossings,
        measure_monocular,
        measure_multiview,
        measure_rgbd,
    )

    measures: dict[str, tuple[int, Callable[..., Any]]] = {
        "multiview": (scenes, lambda **k: measure_multiview(cameras=cameras, scenes=scenes, **k)),
        "rgbd": (scenes, lambda **k: measure_rgbd(scenes=scenes, **k)),
        "monocular": (scenes, lambda **k: measure_monocular(scenes=scenes, **k)),
        "monocular_unposed": (
            scenes,
            lambda **k: measure_monocular(scenes=scenes, posed=False, **k),
        ),
        "crossings": (
            crossings,
            lambda **k: measure_crossings(cameras=cameras, crossings=crossings, **k),
        ),
    }
    chosen = mode or list(measures)
    for name in chosen:
        if name not in measures:
            raise ConfigError(f"--mode is '{name}'; it takes one of {', '.join(measures)}")
    recording = read_recording(motion)
    results: dict[str, Any] = {}
    with terminal.progress(not as_json) as progress:
        for name in chosen:
            total, measure = measures[name]
            task = progress.add_task(name, total=total)
            found = measure(
                recording=recording, seed=seed, progress=lambda task=task: progress.advance(task)
            )
            results[name] = found if isinstance(found, dict) else found.as_dict()
    if as_json:
        print(json.dumps({"motion": recording.name, "seed": seed, "results": results}, indent=2))
        return
    for columns in (_COLUMNS, _MONOCULAR_COLUMNS):
        measured = [result for result in results.values() if set(columns) <= result.keys()]
        if measured:
            headings = [column.replace("_", " ") for column in columns]
            cells = [[result[column] for column in columns] for result in measured]
            title = f"{recording.name} before virtual cameras, seed {seed}"
            terminal.show(headings, cells, title, as_csv=as_csv)
    if "crossings" in results and not as_csv:
        result = results["crossings"]
        print(
            f"{result['kept']} of {result['crossings']} pairs who crossed at {result['gap_m']} m "
            f"before {result['cameras']} cameras kept their identities"
        )
