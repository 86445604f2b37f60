"""From images to skeletons: ``ses-gcn pose``, ``calibrate`` and ``evaluate-pose``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rich.progress import Progress
from typer import Argument, Option

from ses_gcn_ros.commands import terminal
from ses_gcn_ros.config import build
from ses_gcn_ros.errors import ConfigError, InputError
from ses_gcn_ros.resources import check_fresh, check_writable

if TYPE_CHECKING:
    from ses_gcn_ros.pose.calibration import CameraPlace
    from ses_gcn_ros.pose.camera import Camera


_WHOLE = 0.98  # share of the frames announced, which is an estimate for some containers
_BEGIN = 1.0  # s, stamp of the first frame: in ROS, 0 means that there is no time
_PLACES = "X Y Z ROLL PITCH YAW"


def pose(
    video: Annotated[Path, Argument(help="Video or picture file of people.")],
    out: Annotated[Path, Option("-o", "--out", help="Bag to write.")],
    overlay: Annotated[
        Path | None, Option(help="MP4 to write, the video with the skeletons drawn in.")
    ] = None,
    model: Annotated[str, Option(help="lite, full, heavy, or the path of a .task file.")] = "lite",
    max_people: Annotated[int, Option(help="People looked for at once.")] = 4,
    field_of_view: Annotated[
        float, Option(help="Horizontal angle of view of the camera [deg].")
    ] = 60.0,
    body_height: Annotated[float, Option(help="Height of the people [m]; 0: as estimated.")] = 0.0,
    target_frame: Annotated[
        str, Option(help="Frame of the skeletons; empty: the camera's optical frame.")
    ] = "",
    camera_pose: Annotated[
        str, Option(help=f"'{_PLACES}' of the camera in that frame [m, rad].")
    ] = "",
    layout: Annotated[str, Option(help="chico15 or mediapipe33.")] = "chico15",
    overwrite: terminal.Overwrite = False,
    as_json: terminal.AsJson = False,
) -> None:
    """Turn a video into a bag of skeletons; a run that was interrupted continues.

    Example: ses-gcn pose cell.mp4 -o cell_bag --target-frame world
    --camera-pose '3 0 1.5 0 0.1 3.14' --overlay cell_skeletons.mp4
    """
    from ses_gcn_ros.bags.messages import Observation
    from ses_gcn_ros.bags.rosbag2 import BagWriter, write_skeletons
    from ses_gcn_ros.bags.video_journal import VideoJournal
    from ses_gcn_ros.pose.camera import camera_from_view, target_from_optical
    from ses_gcn_ros.pose.config import PoseConfig
    from ses_gcn_ros.pose.estimator import PoseEstimator
    from ses_gcn_ros.pose.overlay import OverlayVideo, draw_skeletons
    from ses_gcn_ros.pose.sources import open_pictures

    check_fresh(out, overwrite)
    check_writable(overlay, overwrite=overwrite, read=[video])
    settings = {
        "source": "video",
        "video": str(video),
        "model": model,
        "max_people": max_people,
        "field_of_view": field_of_view,
        "body_height": body_height,
        "target_frame": target_frame,
        "camera_pose": _pose("--camera-pose", camera_pose) if camera_pose else (),
        "layout": layout,
    }
    config = build(PoseConfig, settings)
    if target_frame and not camera_pose:
        raise ConfigError(f"--target-frame is '{target_frame}'; say with --camera-pose where from")
    target_from_camera = target_from_optical(config.camera_pose) if camera_pose else None
    frame_id = config.target_frame or config.camera_frame
    frames = open_pictures(str(video), clock=lambda: _BEGIN)
    camera = camera_from_view(frames.width, frames.height, config.field_of_view)
    run = settings | {"size": video.stat().st_size, "changed": video.stat().st_mtime}
    with ExitStack() as stack:
        estimator = PoseEstimator(config)
        stack.callback(estimator.close)
        drawing = overlay and OverlayVideo(overlay, camera.width, camera.height, frames.fps)
        if drawing:
            stack.enter_context(drawing)
        progress = stack.enter_context(terminal.progress(not as_json))
        journal = stack.enter_context(VideoJournal(out.with_name(f".{out.name}.journal"), run))
        total = frames.frames - journal.first if frames.frames else None
        # what is passed over is read as fast as that goes, which tells of no pace
        left = islice(enumerate(frames), journal.first, None)
        for index, frame in progress.track(left, total=total, description=video.name):
            people = estimator.process(frame.stamp, frame.rgb, camera, target_from_camera)
            journal.take(index, Observation(frame.stamp, frame_id, people))
        if not journal.frames:
            raise InputError(f"'{video}' has no frame that can be decoded")
        if drawing:
            pictures = open_pictures(str(video))
            for observation, frame in zip(journal.frames, pictures, strict=False):
                drawing.write(
                    draw_skeletons(frame.rgb, observation.people, camera, target_from_camera)
                )
        with BagWriter(out, overwrite=overwrite) as writer:
            write_skeletons(writer, "/skeletons", journal.frames)
        journal.remove()
    counts = Counter(len(observation.people) for observation in journal.frames)
    seen = Counter(person.person_id for o in journal.frames for person in o.people)
    if counts.total() < _WHOLE * frames.frames:
        terminal.err().print(
            f"'{video}' ends after {counts.total()} of {frames.frames} frames: "
            "it is cut short or damaged"
        )
    summary = {
        "out": str(out),
        "frames": counts.total(),
        "frames_announced": frames.frames,
        "resumed_after": journal.resumed,
        "frames_by_people": {str(n): counts[n] for n in sorted(counts)},
        "frames_by_person": dict(seen.most_common()),
        "frame_id": frame_id,
    }
    if as_json:
        print(json.dumps(summary))
        return
    people_text = ", ".join(f"{name} in {n}" for name, n in seen.most_common()) or "nobody"
    print(f"{out}: {counts.total()} frames in {frame_id}; {people_text}")


def _pose(option: str, text: str) -> tuple[float, ...]:
    return terminal.numbers(option, text, 6, f"six numbers, {_PLACES}")


_MOST_PICTURES = 40  # of a video, evenly spaced


def calibrate(
    camera: Annotated[
        list[str],
        Option(help="NAME=PATH of a camera's video, picture or folder of pictures."),
    ],
    out: Annotated[Path, Option("-o", "--out", help="YAML file to write.")],
    intrinsics: Annotated[
        list[str] | None,
        Option(help="NAME=FILE as ROS's camera_calibration writes; one per camera."),
    ] = None,
    height: Annotated[
        float, Option(help="Height of the person who walks [m]; 0: a board is used.")
    ] = 0.0,
    board: Annotated[str, Option(help="Squares of a ChArUco board, COLUMNSxROWS.")] = "7x5",
    square: Annotated[float, Option(help="Side of a square [m].")] = 0.04,
    marker: Annotated[float, Option(help="Side of a marker [m].")] = 0.03,
    dictionary: Annotated[str, Option(help="Of the markers.")] = "DICT_4X4_50",
    board_pose: Annotated[
        str, Option(help="'X Y Z ROLL PITCH YAW' of the board in the cell [m, rad].")
    ] = "0 0 0 0 0 0",
    frame: Annotated[str, Option(help="Frame of the cell.")] = "world",
    launch: Annotated[
        Path | None, Option(help="Launch file to write, with static transforms.")
    ] = None,
    model: Annotated[str, Option(help="Pose landmarker, for a person.")] = "lite",
    overwrite: terminal.Overwrite = False,
    as_json: terminal.AsJson = False,
) -> None:
    """Find where the cameras are and write it as static transforms.

    A ChArUco board lies still where all cameras see it: its frame has x along its rows, y up its
    columns and z out of it. Or a person of known height walks about, in videos that start together.

    Example: ses-gcn calibrate --camera left=left.mp4 --camera right=right.mp4 --height 1.78
    --intrinsics left=left.yaml --intrinsics right=right.yaml -o cell.yaml --launch cell.launch.py
    """
    from ses_gcn_ros.pose import calibration

    paths, files = (
        {name: Path(path) for name, path in terminal.pairs(option, given, "NAME=PATH").items()}
        for option, given in (("--camera", camera), ("--intrinsics", intrinsics or ()))
    )
    check_writable(out, launch, overwrite=overwrite, read=[*paths.values(), *files.values()])
    for name in paths:
        if name not in files:
            raise ConfigError(
                f"camera '{name}' has no intrinsics; give --intrinsics {name}=FILE, which ROS's "
                "camera_calibration writes"
            )
    cameras = {name: calibration.read_intrinsics(files[name]) for name in paths}
    with terminal.progress(not as_json) as progress:
        if height:
            places = _by_person(paths, cameras, height, model, progress)
        else:
            squares = terminal.size("--board", board, "COLUMNSxROWS, such as 7x5")
            chart = calibration.Board(*squares, square, marker, dictionary)
            places = _by_board(paths, cameras, chart, board_pose, progress)
    method = f"person of {height:g} m" if height else f"board {board} of {square:g} m"
    calibration.write_calibration(out, frame, places, method)
    if launch:
        calibration.write_launch_file(launch, frame, places)
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
    from scipy.spatial.transform import Rotation

    from ses_gcn_ros.pose import calibration
    from ses_gcn_ros.pose.camera import inverse, rigid

    pose = _pose("--board-pose", board_pose)
    base_from_board = rigid(Rotation.from_euler("xyz", pose[3:]).as_matrix(), pose[:3])
    places = []
    for name in progress.track(paths, description="board"):
        try:
            found = calibration.locate_board(_pictures(paths[name]), cameras[name], board)
        except InputError as error:
            raise InputError(f"camera '{name}': {error}") from error
        transform = base_from_board @ inverse(found.camera_from_board)
        places.append(
            calibration.CameraPlace(name, f"{name}_optical_frame", transform, found.error)
        )
    return places


def _by_person(
    paths: dict[str, Path],
    cameras: dict[str, Camera],
    height: float,
    model: str,
    progress: Progress,
) -> list[CameraPlace]:
    from ses_gcn_ros.pose import calibration
    from ses_gcn_ros.pose.config import PoseConfig

    if not 1.0 <= height <= 2.5:
        raise ConfigError(f"--height is {height:g} m; it takes 1.0 to 2.5")
    watched = []
    for name, path in paths.items():
        task = progress.add_task(name, total=None)
        watched.append(
            calibration.watch_walk(
                str(path),
                cameras[name],
                PoseConfig(model=model),
                lambda task=task: progress.advance(task),  # type: ignore[misc]
            )
        )
    found = calibration.arrange_cameras(
        calibration.align_walks(watched), height, calibration.LAYOUT
    )
    return [
        calibration.CameraPlace(name, f"{name}_optical_frame", transform, float(error))
        for name, transform, error in zip(paths, found.base_from_camera, found.errors, strict=True)
    ]


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


_COLUMNS = (
    "mode", "frames", "mean_mm", "median_mm", "p95_mm", "found_share", "all_joints_found_share",
)  # fmt: skip
_MONOCULAR_COLUMNS = (
    "mode", "root_depth_mean_share", "root_depth_p95_share", "relative_mean_mm",
    "covered_along_share", "covered_across_share", "beyond_3_sigma_share",
)  # fmt: skip


def evaluate_pose(
    motion: Annotated[Path, Argument(help="Recorded motion (.npz) to look at.")],
    mode: Annotated[
        list[str] | None,
        Option(
            help="multiview, rgbd, monocular, monocular_height, monocular_unposed, "
            "monocular_both, crossings; repeatable."
        ),
    ] = None,
    scenes: Annotated[int, Option(help="Scenes of three seconds.", min=1)] = 60,
    crossings: Annotated[int, Option(help="Pairs who cross.", min=1)] = 100,
    cameras: Annotated[int, Option(help="Cameras around the cell.", min=2)] = 3,
    fault: Annotated[
        str,
        Option(
            help="What monocular modes are told wrong: none, pose (2°, 3 cm), focal (5 %), centre "
            "(10 px), floor (5 cm), step (10 cm), rolling (0.5 m/s on a chair 10 cm high)."
        ),
    ] = "none",
    stated: Annotated[
        bool, Option(help="Whether the settings say how far off pose and floor may be.")
    ] = False,
    seed: Annotated[int, Option(help="Seed of everything drawn.", min=0)] = 0,
    as_csv: terminal.AsCsv = False,
    as_json: terminal.AsJson = False,
) -> None:
    """Measure how far off people are placed in space, before virtual cameras.

    1280×720 px, 60 to 70° wide, 2 to 4 m away; landmarks 3 px noisy, 5 % astray, 10 % missing;
    depth 1 % noisy. Multiview counts joints in two pictures or more, rgbd those that it sees.
    Monocular is one camera 2 to 5 m away, 55 to 75° wide, with slow errors as MediaPipe's are; its
    place is known, or the person's height instead (monocular_height) or too (monocular_both), or
    nothing (monocular_unposed).

    Example: ses-gcn evaluate-pose ../shared/data/motion/cmu.npz --mode multiview --scenes 20
    """
    from ses_gcn_ros.datasets.sequences import read_recording
    from ses_gcn_ros.studies import pose_accuracy as study

    monocular = partial(study.measure_monocular, scenes=scenes, fault=fault, stated=stated)
    measures: dict[str, tuple[int, Callable[..., Any]]] = {
        "multiview": (scenes, partial(study.measure_multiview, cameras=cameras, scenes=scenes)),
        "rgbd": (scenes, partial(study.measure_rgbd, scenes=scenes)),
        "monocular": (scenes, monocular),
        "monocular_height": (scenes, partial(monocular, known="height")),
        "monocular_both": (scenes, partial(monocular, known="both")),
        "monocular_unposed": (scenes, partial(monocular, known="nothing")),
        "crossings": (
            crossings,
            partial(study.measure_crossings, cameras=cameras, crossings=crossings),
        ),
    }
    if fault not in study.FAULTS:
        raise ConfigError(f"--fault is '{fault}'; it takes one of {', '.join(study.FAULTS)}")
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
