"""``ses-gcn pose``: a video to a bag of skeletons, and to a video with them drawn in."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from ses_gcn_ros.commands import terminal
from ses_gcn_ros.config import build
from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.resources import check_fresh, check_writable

_BEGIN = 1.0  # s, stamp of the first frame: in ROS, 0 means that there is no time
_PLACES = "X Y Z ROLL PITCH YAW"


def pose(
    video: Annotated[Path, typer.Argument(help="Video or picture file of people.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Bag to write.")],
    overlay: Annotated[
        Path | None, typer.Option(help="MP4 to write, the video with the skeletons drawn in.")
    ] = None,
    model: Annotated[
        str, typer.Option(help="lite, full, heavy, or the path of a .task file.")
    ] = "lite",
    max_people: Annotated[int, typer.Option(help="People looked for at once.")] = 4,
    field_of_view: Annotated[
        float, typer.Option(help="Horizontal angle of view of the camera [deg].")
    ] = 60.0,
    body_height: Annotated[
        float, typer.Option(help="Height of the people [m]; 0: as estimated.")
    ] = 0.0,
    target_frame: Annotated[
        str, typer.Option(help="Frame of the skeletons; empty: the camera's optical frame.")
    ] = "",
    camera_pose: Annotated[
        str, typer.Option(help=f"'{_PLACES}' of the camera in that frame [m, rad].")
    ] = "",
    layout: Annotated[str, typer.Option(help="chico15 or mediapipe33.")] = "chico15",
    overwrite: terminal.Overwrite = False,
    as_json: terminal.AsJson = False,
) -> None:
    """Turn a video into a bag of skeletons; a run that was interrupted continues.

    Example: ses-gcn pose cell.mp4 -o cell_bag --target-frame world
    --camera-pose '3 0 1.5 0 0.1 3.14' --overlay cell_skeletons.mp4
    """
    from ses_gcn_ros.bags.messages import Observation, write_skeletons
    from ses_gcn_ros.bags.video_journal import WARM_UP, Renaming, VideoJournal
    from ses_gcn_ros.bags.writing import BagWriter
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
        "camera_pose": _numbers(camera_pose),
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
        resumed = len(journal.frames)
        names = Renaming(journal.frames)
        total = frames.frames or None
        for index, frame in enumerate(progress.track(frames, total=total, description=video.name)):
            if index < resumed - WARM_UP:
                continue
            people = estimator.process(frame.stamp, frame.rgb, camera, target_from_camera)
            if index < resumed:
                names.learn(people, journal.frames[index].people)
                continue
            journal.append(Observation(frame.stamp, frame_id, names.apply(people)))
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
    summary = {
        "out": str(out),
        "frames": counts.total(),
        "resumed_after": resumed,
        "frames_by_people": {str(n): counts[n] for n in sorted(counts)},
        "frames_by_person": dict(seen.most_common()),
        "frame_id": frame_id,
    }
    if as_json:
        print(json.dumps(summary))
        return
    people_text = ", ".join(f"{name} in {n}" for name, n in seen.most_common()) or "nobody"
    print(f"{out}: {counts.total()} frames in {frame_id}; {people_text}")


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in text.replace(",", " ").split())
    except ValueError as error:
        raise ConfigError(f"--camera-pose is '{text}'; it takes six numbers, {_PLACES}") from error
