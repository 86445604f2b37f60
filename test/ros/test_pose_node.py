"""pose_node as a process of its own, over real DDS: people as messages, and what bad images do."""

from __future__ import annotations

import signal
import subprocess
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="these tests need ROS 2")
pytest.importorskip("mediapipe", reason="these tests need mediapipe")

from builtin_interfaces.msg import Time  # noqa: E402
from camera_hands import PATIENCE, Camera, image_of, wait_for  # noqa: E402
from rclpy.qos import QoSProfile, ReliabilityPolicy  # noqa: E402
from sensor_msgs.msg import CompressedImage  # noqa: E402

from ses_gcn_ros import msg  # noqa: E402
from ses_gcn_ros.nodes.conversions import to_seconds  # noqa: E402
from ses_gcn_ros.skeleton import skeletons_from_message  # noqa: E402

# A video is answered faster than a busy test may listen: everything is kept until it does.
PATIENT = QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE)


def play(cell, video: Path, model: str) -> tuple[list[msg.SkeletonArray], subprocess.Popen]:
    """Skeletons heard, growing while the node works through every frame of a file."""
    heard = cell.listen(msg.SkeletonArray, "skeletons", PATIENT)
    process = cell.start(
        "pose_node",
        source="video",
        video=str(video),
        model=model,
        realtime=False,
        exit_at_end=True,
        subscribers=1,
    )
    return heard, process


def test_the_person_is_found_in_every_frame_but_a_few_under_one_name(cell, media, model):
    heard, process = play(cell, media / "one_person.mp4", model)
    wait_for(cell, lambda: process.poll() is not None, "the video has ended")
    assert process.returncode == 0
    wait_for(cell, lambda: len(heard) >= 149, "what was said last is heard")

    assert len(heard) == 149  # every frame is answered, in the order of the file
    assert all(b > a for a, b in pairwise(to_seconds(m.header.stamp) for m in heard))
    seen = [message for message in heard if message.skeletons]
    assert len(seen) >= 0.95 * 149
    assert {person.person_id for message in seen for person in message.skeletons} == {"p1"}
    for message in seen:
        [person] = skeletons_from_message(message)
        assert person.layout == "chico15"
        assert message.header.frame_id == "world"  # from the camera's pose in workcell.yaml
        assert (np.isnan(person.positions).any(axis=1) == (person.confidence == 0.0)).all()


def test_people_seen_at_once_keep_their_names(cell, media, model):
    heard, process = play(cell, media / "exercise.avi", model)
    wait_for(cell, lambda: len(heard) >= 120, "12 s of the video are heard")
    process.send_signal(signal.SIGTERM)
    assert process.wait(3.0) == 0

    together = [{person.person_id for person in message.skeletons} for message in heard]
    together = [names for names in together if len(names) >= 2]
    assert len(together) >= 0.8 * len(heard)
    assert sum({"p1", "p2"} <= names for names in together) >= 0.95 * len(together)


def test_images_are_answered_at_their_stamp_in_their_frame(cell, model, pictures):
    camera = Camera(cell)
    process = camera.start(model=model, target_frame="", camera_pose=[])
    camera.calibrate()

    for index, picture in enumerate(pictures):
        answer = camera.show(image_of(picture, 100.0 + index / 25, "eye_optical_frame"))
        assert to_seconds(answer.header.stamp) == pytest.approx(100.0 + index / 25, abs=1e-9)
        assert answer.header.frame_id == "eye_optical_frame"
    assert len(answer.skeletons) == 1
    nobody = camera.show(image_of(np.zeros_like(pictures[0]), 110.0, "eye_optical_frame"))
    assert nobody.skeletons == []  # nobody there is said, not kept quiet
    process.send_signal(signal.SIGTERM)
    assert process.wait(3.0) == 0


def test_bad_images_are_counted_and_survived(cell, model, pictures):
    camera = Camera(cell)
    camera.start(model=model)

    camera.show(image_of(pictures[0], 100.0))
    odd = image_of(pictures[1], 100.1)
    odd.encoding = "thermal7"
    short = image_of(pictures[1], 100.2)
    short.data = short.data[:1000]
    for number, bad in enumerate((odd, short, image_of(pictures[1], 99.9)), start=1):
        camera.images.publish(bad)
        camera.reported("problem InputError", str(number))
    answer = camera.show(image_of(pictures[2], 100.3))

    assert to_seconds(answer.header.stamp) == pytest.approx(100.3)
    assert len(camera.skeletons) == 2  # nothing was said about the bad ones
    camera.reported("camera", "assumed, 60° wide")


def test_without_calibration_or_transform_nothing_is_published(cell, model, pictures):
    camera = Camera(cell)
    camera.start(model=model, field_of_view=0.0, target_frame="elsewhere", camera_pose=[])

    camera.images.publish(image_of(pictures[0], 100.0, "eye"))
    camera.reported("problem InputError", "1")  # no camera_info
    camera.calibrate()
    camera.images.publish(image_of(pictures[0], 100.1, "eye"))
    camera.reported("problem InputError", "2")  # no transform
    assert camera.skeletons == []


def test_a_frozen_camera_falls_silent_and_is_named(cell, model, pictures):
    camera = Camera(cell)
    camera.start(model=model)
    for index in range(3):
        camera.show(image_of(pictures[0], 100.0 + 0.1 * index))
    heard = len(camera.skeletons)
    for index in range(3, 6):
        camera.images.publish(image_of(pictures[0], 100.0 + 0.1 * index))
        camera.reported("problem InputError", str(index - 2))
    assert len(camera.skeletons) == heard
    camera.show(image_of(pictures[1], 101.0))


def test_compressed_images_work_and_truncated_ones_are_counted(cell, model, pictures):
    camera = Camera(cell, CompressedImage, "image/compressed")
    camera.start(source="compressed", model=model)
    jpeg = cv2.imencode(".jpg", pictures[0])[1].tobytes()

    message = CompressedImage(format="jpeg", data=jpeg[: len(jpeg) // 2])
    message.header.stamp = Time(sec=100)
    camera.images.publish(message)
    camera.reported("problem InputError", "1")
    message.data = jpeg
    assert len(camera.show(message).skeletons) == 1


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"model": "huge"}, "pose model 'huge' is neither a file nor one of lite, full, heavy"),
        ({"source": "video", "video": "none.mp4"}, "video 'none.mp4' does not exist"),
        ({"source": "video"}, "source is 'video', but parameter 'video' names no file"),
        ({"source": "webcam", "webcam": 99}, "webcam 99 can't be opened"),
        ({"camera_pose": [1.0]}, "parameter 'camera_pose' has 1 values; it takes six"),
    ],
)
def test_what_cannot_start_says_why(cell, model, parameters, sentence):
    process = cell.start("pose_node", **({"model": model} | parameters))
    cell.wait_for(lambda: process.poll() is not None, "the node to end", PATIENCE)
    assert process.returncode == 1
    complaint = process.stderr.read().decode()
    assert sentence in complaint
    assert "Traceback" not in complaint
