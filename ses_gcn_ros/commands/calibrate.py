"""``ses-gcn calibrate``: where the cameras of a cell are, from a board or a person who walks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import Progress

from ses_gcn_ros.commands import terminal
from ses_gcn_ros.errors import ConfigError, InputError
from ses_gcn_ros.resources import check_writable

if TYPE_CHECKING:
    from ses_gcn_ros.pose.calibration import CameraPlace
    from ses_gcn_ros.pose.camera import Camera

_MOST_PICTURES = 40  # of a video, evenly spaced


def calibrate(
    camera: Annotated[
        list[str],
        typer.Option(help="NAME=PATH of a camera's video, picture or folder of pictures."),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="YAML file to write.")],
    intrinsics: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FILE as ROS's camera_calibration writes; one per camera."),
    ] = None,
    height: Annotated[
        float, typer.Option(help="Height of the person who walks [m]; 0: a board is used.")
    ] = 0.0,
    board: Annotated[str, typer.Option(help="Squares of a ChArUco board, COLUMNSxROWS.")] = "7x5",
    square: Annotated[float, typer.Option(help="Side of a square [m].")] = 0.04,
    marker: Annotated[float, typer.Option(help="Side of a marker [m].")] = 0.03,
    dictionary: Annotated[str, typer.Option(help="Of the markers.")] = "DICT_4X4_50",
    board_pose: Annotated[
        str, typer.Option(help="'X Y Z ROLL PITCH YAW' of the board in the cell [m, rad].")
    ] = "0 0 0 0 0 0",
    frame: Annotated[str, typer.Option(help="Frame of the cell.")] = "world",
    launch: Annotated[
        Path | None, typer.Option(help="Launch file to write, with static transforms.")
    ] = None,
    model: Annotated[str, typer.Option(help="Pose landmarker, for a person.")] = "lite",
    overwrite: terminal.Overwrite = False,
    as_json: terminal.AsJson = False,
) -> None:
    """Find where the cameras are and write it as static transforms.

    A ChArUco board lies still where all cameras see it: its frame has x along its rows, y up its
    columns and z out of it. Or a person of known height walks about, in videos that start together.

    Example: ses-gcn calibrate --camera left=left.mp4 --camera right=right.mp4 --height 1.78
    --intrinsics left=left.yaml --intrinsics right=right.yaml -o cell.yaml --launch cell.launch.py
    """
    from ses_gcn_ros.pose.calibration import (
        read_intrinsics,
        write_calibration,
        write_launch_file,
    )

    paths = _pairs(camera, "--camera")
    files = _pairs(intrinsics or [], "--intrinsics")
    for path in (out, launch):
        check_writable(path, overwrite=overwrite, read=[*paths.values(), *files.values()])
    for name in paths:
        if name not in files:
            raise ConfigError(
                f"camera '{name}' has no intrinsics; give --intrinsics {name}=FILE, which ROS's "
                "camera_calibration writes"
            )
    cameras = {name: read_intrinsics(files[name]) for name in paths}
    with terminal.progress(not as_json) as progress:
        if height:
            places = _by_person(paths, cameras, height, model, progress)
        else:
            places = _by_board(
                paths, cameras, _board(board, square, marker, dictionary), board_pose, progress
            )
    method = f"person of {height:g} m" if height else f"board {board} of {square:g} m"
    write_calibration(out, frame, places, method)
    if launch:
        write_launch_file(launch, frame, places)
    if as_json:
        found = {
            place.name: {
                "translation": place.base_from_camera[:3, 3].tolist(),
                "reprojection_error_px": place.error,
            }
            for place in places
        }
        print(json.dumps({"out": str(out), "frame": frame, "cameras": found}))
        return
    for place in places:
        x, y, z = place.base_from_camera[:3, 3]
        print(f"{place.name}: {x:.3f} {y:.3f} {z:.3f} m in {frame}, {place.error:.2f} px off")
    print(f"written to {out}" + (f" and {launch}" if launch else ""))


def _by_board(
    paths: dict[str, Path],
    cameras: dict[str, Camera],
    board: Any,
    board_pose: str,
    progress: Progress,
) -> list[CameraPlace]:
    import numpy as np
    from scipy.spatial.transform import Rotation

    from ses_gcn_ros.pose.calibration import CameraPlace, locate_board

    pose = _numbers(board_pose)
    base_from_board = np.eye(4)
    base_from_board[:3, :3] = Rotation.from_euler("xyz", pose[3:]).as_matrix()
    base_from_board[:3, 3] = pose[:3]
    places = []
    for name in progress.track(paths, description="board"):
        try:
            found = locate_board(_pictures(paths[name]), cameras[name], board)
        except InputError as error:
            raise InputError(f"camera '{name}': {error}") from error
        transform = base_from_board @ np.linalg.inv(found.camera_from_board)
        places.append(CameraPlace(name, f"{name}_optical_frame", transform, found.error))
    return places


def _by_person(
    paths: dict[str, Path],
    cameras: dict[str, Camera],
    height: float,
    model: str,
    progress: Progress,
) -> list[CameraPlace]:
    from ses_gcn_ros.pose.calibration import (
        LAYOUT,
        CameraPlace,
        align_walks,
        arrange_cameras,
        watch_walk,
    )
    from ses_gcn_ros.pose.config import PoseConfig

    if not 1.0 <= height <= 2.5:
        raise ConfigError(f"--height is {height:g} m; it takes 1.0 to 2.5")
    watched = []
    for name, path in paths.items():
        task = progress.add_task(name, total=None)
        watched.append(
            watch_walk(
                str(path),
                cameras[name],
                PoseConfig(model=model),
                lambda task=task: progress.advance(task),  # type: ignore[misc]
            )
        )
    found = arrange_cameras(align_walks(watched), height, LAYOUT)
    return [
        CameraPlace(name, f"{name}_optical_frame", transform, float(error))
        for name, transform, error in zip(paths, found.base_from_camera, found.errors, strict=True)
    ]


def _board(size: str, square: float, marker: float, dictionary: str) -> Any:
    from ses_gcn_ros.pose.calibration import Board

    columns, _, rows = size.lower().partition("x")
    if not (columns.isdigit() and rows.isdigit()):
        raise ConfigError(f"--board is '{size}'; it takes COLUMNSxROWS, such as 7x5")
    return Board(int(columns), int(rows), square, marker, dictionary)


def _pictures(path: Path) -> Iterator[Any]:
    """RGB pictures of a file, a folder or a video."""
    import cv2

    from ses_gcn_ros.pose.images import rgb_from_bgr
    from ses_gcn_ros.pose.sources import PICTURES, VideoFile

    if path.is_dir() or path.suffix.lower() in PICTURES:
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        files = [file for file in files if file.suffix.lower() in PICTURES]
        if not files:
            raise InputError(f"folder '{path}' has no pictures ({', '.join(PICTURES)})")
        for file in files:
            picture = cv2.imread(str(file))
            if picture is None:
                raise InputError(f"picture '{file}' can't be read")
            yield rgb_from_bgr(picture)
        return
    video = VideoFile(str(path))
    step = max(1, video.frames // _MOST_PICTURES)
    for number, frame in enumerate(video):
        if number % step == 0:
            yield frame.rgb


def _pairs(words: list[str], option: str) -> dict[str, Path]:
    pairs = {}
    for word in words:
        name, equals, path = word.partition("=")
        if not (name and equals and path):
            raise ConfigError(f"{option} is '{word}'; it takes NAME=PATH")
        if name in pairs:
            raise ConfigError(f"{option} names '{name}' twice")
        pairs[name] = Path(path)
    return pairs


def _numbers(text: str) -> list[float]:
    try:
        numbers = [float(word) for word in text.replace(",", " ").split()]
    except ValueError:
        numbers = []
    if len(numbers) != 6:
        raise ConfigError(f"--board-pose is '{text}'; it takes six numbers, X Y Z ROLL PITCH YAW")
    return numbers
