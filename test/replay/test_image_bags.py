"""Bags of images: people are found in them first, then all is as with recorded skeletons."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from tf_messages import transforms_message
from typer.testing import CliRunner

from ses_gcn_ros.bags.messages import (
    NANO,
    Observation,
    header_message,
    message,
    skeletons_message,
)
from ses_gcn_ros.bags.rosbag2 import Bag, BagWriter, open_bag
from ses_gcn_ros.cli import app
from ses_gcn_ros.errors import BagError, ConfigError, ModelError
from ses_gcn_ros.pose.camera import target_from_optical
from ses_gcn_ros.pose.config import PoseConfig
from ses_gcn_ros.replay.evaluate import evaluate
from ses_gcn_ros.replay.events import EventReader, PeopleSeen
from ses_gcn_ros.replay.options import Naming, Options, find_topics

BEGIN = 100.0  # s, stamp of the first image
DELAY = 0.03  # s from an image to its recording
FRAMES = 30
CAMERA = (3.0, 0.0, 1.5, 0.0, 0.1, 3.1416)  # x y z roll pitch yaw in the cell
FOCAL = 500.0  # px

Write = Callable[..., Path]


@pytest.fixture(scope="module")
def jpegs(shared_data: Path) -> list[bytes]:
    """The first second of a video of one person, a JPEG per frame."""
    capture = cv2.VideoCapture(str(shared_data / "media" / "one_person.mp4"))
    frames = [capture.read()[1] for _ in range(FRAMES)]
    return [cv2.imencode(".jpg", frame)[1].tobytes() for frame in frames]


@pytest.fixture(scope="module")
def pose(shared_data: Path) -> PoseConfig:
    return PoseConfig(model=str(shared_data / "media" / "pose_landmarker_lite.task"))


def compressed(stamp: float, data: bytes, frame_id: str = "eye") -> Any:
    kind = "sensor_msgs/msg/CompressedImage"
    pixels = np.frombuffer(data, np.uint8)
    return message(kind, header=header_message(stamp, frame_id), format="jpeg", data=pixels)


def camera_info(stamp: float) -> Any:
    sizes = dict.fromkeys(("x_offset", "y_offset", "height", "width"), 0)
    roi = message("sensor_msgs/msg/RegionOfInterest", do_rectify=False, **sizes)
    matrix = np.array([FOCAL, 0, 320, 0, FOCAL, 180, 0, 0, 1], np.float64)
    return message(
        "sensor_msgs/msg/CameraInfo",
        **{"header": header_message(stamp, "eye"), "height": 360, "width": 640},
        **{"distortion_model": "plumb_bob", "d": np.zeros(5), "k": matrix, "r": np.eye(3).ravel()},
        **{"p": np.zeros(12), "binning_x": 0, "binning_y": 0, "roi": roi},
    )


def camera_transform(stamp: float, world: str = "map") -> Any:
    pose = target_from_optical(CAMERA)
    quaternion = Rotation.from_matrix(pose[:3, :3]).as_quat()
    return transforms_message([(stamp, world, "eye", pose[:3, 3], quaternion)])


@pytest.fixture
def write(tmp_path: Path, jpegs: list[bytes]) -> Write:
    """Write a bag of compressed images and what `beside` them is recorded at their times."""

    def write(name: str = "images", images: list[bytes] | None = None, **beside: Any) -> Path:
        with BagWriter(tmp_path / name) as bag:
            for number, data in enumerate(jpegs if images is None else images):
                stamp = BEGIN + number / 25
                recorded = round((stamp + DELAY) * NANO)
                for topic, make in beside.items():
                    full = {"info": "/cam/camera_info"}.get(topic, f"/{topic}")
                    bag.write_message(full, recorded, make(stamp))
                bag.write_message("/cam/image_raw/compressed", recorded, compressed(stamp, data))
        return tmp_path / name

    return write


def people_of(bag: Path, pose: PoseConfig, **frames: str) -> list[Any]:
    """Observations of a bag as a replay hears them."""
    naming = Naming(frames=frames)
    with open_bag(bag) as opened:
        events = EventReader(opened, find_topics(opened.topics, naming), naming, "world", pose)
        return [event for event in events if isinstance(event, PeopleSeen)]


def test_people_in_images_are_forecast_and_judged(write, pose, tmp_path):
    bag = write(info=camera_info, tf_static=camera_transform)
    options = Options(pose=pose, naming=Naming(frames={"map": "world"}), demo_robot=True)
    summary = evaluate(bag, tmp_path / "out", options)
    assert summary["frames"] == FRAMES
    assert summary["people"] == 1
    assert summary["duration_s"] == pytest.approx((FRAMES - 1) / 25)
    assert summary["stream"]["arrival_ms"]["median"] == pytest.approx(1e3 * DELAY, abs=1.0)
    assert summary["forecasts"]["compared"] > 0
    assert summary["safety"]["worst"]["separation_m"] < 1.0  # they meet at the robot
    assert summary["problems"] == []
    assert summary["parameters"]["pose_node"]["model"] == pose.model
    assert (tmp_path / "out" / "report.html").exists()


def test_people_stand_where_the_camera_of_the_transforms_sees_them(write, pose, jpegs):
    seen = people_of(write(images=jpegs[:6], tf_static=camera_transform), pose, map="world")
    assert {observation.frame_id for observation in seen} == {"world"}
    by_parameter = PoseConfig(model=pose.model, target_frame="world", camera_pose=CAMERA)
    expected = people_of(write("bare", jpegs[:6]), by_parameter)
    for ours, theirs in zip(seen, expected, strict=True):
        assert ours.stamp == theirs.stamp
        for person, other in zip(ours.people, theirs.people, strict=True):
            np.testing.assert_allclose(person.positions, other.positions, atol=1e-5)


def test_an_image_waits_for_its_transform(write, pose, jpegs):
    bag = write(images=jpegs[:4], tf=lambda stamp: camera_transform(stamp - 0.01, "world"))
    seen = people_of(bag, pose)
    assert {observation.frame_id for observation in seen} == {"world"}
    assert len(seen) == 3  # nothing tells where the camera was at the last one


def test_without_transforms_people_stay_in_the_frame_of_the_camera(write, pose, jpegs):
    summary = evaluate(write(images=jpegs[:4]), None, Options(pose=pose))
    assert summary["frames"] == 4
    assert summary["people"] == 1
    assert any("stay in the camera's frame" in problem for problem in summary["problems"])
    assert any("assumed to see 60° wide" in problem for problem in summary["problems"])


def test_plain_images_are_preferred_to_their_compressed_twins(tmp_path, jpegs, pose):
    picture = cv2.imdecode(np.frombuffer(jpegs[0], np.uint8), cv2.IMREAD_COLOR)
    plain = message(
        "sensor_msgs/msg/Image",
        header=header_message(BEGIN, "eye"),
        height=360,
        width=640,
        encoding="bgr8",
        is_bigendian=0,
        step=1920,
        data=picture.ravel(),
    )
    with BagWriter(tmp_path / "bag") as bag:
        bag.write_message("/cam/image_raw", round(BEGIN * NANO), plain)
        twin = compressed(BEGIN, b"nothing")
        bag.write_message("/cam/image_raw/compressed", round(BEGIN * NANO), twin)
        bag.write_message("/cam/depth/image_raw", round(BEGIN * NANO), plain)
    (seen,) = people_of(tmp_path / "bag", pose)
    assert len(seen.people) == 1


def test_a_damaged_image_is_counted_and_the_others_judged(write, jpegs, pose):
    images = [*jpegs[:2], jpegs[2][:2000], jpegs[3]]
    summary = evaluate(write(images=images), None, Options(pose=pose))
    assert summary["frames"] == 3
    (kind,) = summary["stream"]["refused"]
    assert "no end marker" in kind


def test_not_one_image_that_can_be_used_is_one_sentence(write, pose):
    with pytest.raises(BagError, match=r"not an image that can be used: .* can't be decoded"):
        evaluate(write(images=[b"noise"] * 3), None, Options(pose=pose))


def test_a_missing_pose_model_is_one_sentence(write):
    result = CliRunner().invoke(
        app, ["evaluate", str(write()), "--pose-model", "/nowhere/pose.task"]
    )
    assert isinstance(result.exception, ModelError)
    assert "pose model '/nowhere/pose.task' is neither a file nor" in str(result.exception)


def test_several_cameras_are_listed_and_one_is_chosen(write, pose, jpegs):
    bag = write("two", jpegs[:2], **{"left/image": lambda stamp: compressed(stamp, jpegs[0])})
    with pytest.raises(BagError, match=r"/cam/image_raw, /left/image; .*--remap image:="):
        evaluate(bag, None, Options(pose=pose))
    chosen = Options(pose=pose, naming=Naming(topics={"image": "/left/image"}))
    assert evaluate(bag, None, chosen)["frames"] == 2


def test_images_are_looked_at_instead_of_skeletons_only_when_asked(write, pose, jpegs, monkeypatch):
    def nobody(stamp: float) -> Any:
        return skeletons_message(Observation(stamp, "world", []))

    bag = write(images=jpegs[:2], skeletons=nobody)
    asked = Options(pose=pose, naming=Naming(topics={"image": "/cam/image_raw/compressed"}))
    assert evaluate(bag, None, asked)["people"] == 1
    decoded = set()
    decode = Bag.decode
    monkeypatch.setattr(
        Bag, "decode", lambda self, entry: decoded.add(entry.type) or decode(self, entry)
    )
    assert evaluate(bag, None, Options(pose=pose))["people"] == 0
    assert decoded == {"ses_gcn_ros/msg/SkeletonArray"}


def test_depth_is_refused_in_one_sentence(write, pose):
    with pytest.raises(ConfigError, match="without depth images"):
        evaluate(write(), None, Options(pose=PoseConfig(mode="rgbd", model=pose.model)))
