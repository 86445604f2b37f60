"""pose_node's other streams: depth, frames and landmarks, and what is said when they fail."""

from __future__ import annotations

import importlib.util
import itertools
import math
from itertools import pairwise

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="these tests need ROS 2")
pytest.importorskip("mediapipe", reason="these tests need mediapipe")

from camera_hands import (  # noqa: E402
    PATIENCE,
    Camera,
    calibration,
    depth_of,
    image_of,
    wait_for,
    wait_for_listeners,
)
from sensor_msgs.msg import Image, RegionOfInterest  # noqa: E402
from tf2_msgs.msg import TFMessage  # noqa: E402

from ses_gcn_ros import msg  # noqa: E402
from ses_gcn_ros.nodes import qos  # noqa: E402
from ses_gcn_ros.nodes.conversions import to_seconds  # noqa: E402


def test_depth_of_the_same_time_places_people_and_any_other_is_named(cell, model, pictures):
    camera = Camera(cell)
    depths = cell.publisher(Image, "depth", qos.STREAM)
    camera.start(model=model, mode="rgbd", target_frame="", camera_pose=[], max_people=1)
    wait_for_listeners(cell, depths)
    camera.calibrate()

    depths.publish(depth_of((640, 360), 100.0))
    answer = camera.show(image_of(pictures[0], 100.0))
    positions = np.array(answer.skeletons[0].positions).reshape(-1, 3)
    assert np.nanmedian(positions[:, 2]) == pytest.approx(2.5, abs=0.2)

    depths.publish(depth_of((320, 180), 100.1))  # not registered to colour
    camera.images.publish(image_of(pictures[1], 100.1))
    camera.reported("problem InputError", "1")
    odd = depth_of((640, 360), 100.2)
    odd.encoding = "rgb8"
    depths.publish(odd)
    camera.images.publish(image_of(pictures[2], 100.2))
    camera.reported("problem InputError", "2")
    depths.publish(depth_of((640, 360), 100.5))  # of another time
    camera.images.publish(image_of(pictures[3], 100.3))
    camera.reported("without_depth", "1")
    assert len(camera.skeletons) == 1


def test_a_camera_that_stops_or_sends_odd_sizes_is_named(cell, model, pictures):
    camera = Camera(cell)
    camera.start(model=model, max_people=10)
    camera.calibrate()
    camera.show(image_of(pictures[0], 100.0))
    camera.images.publish(image_of(pictures[1][:180, :320], 100.1))
    camera.reported("problem InputError", "1")  # not the size that was calibrated
    camera.said("no image for")
    assert len(camera.skeletons) == 1
    answer = camera.show(image_of(pictures[2], 100.5))  # and it is there again
    assert len(answer.skeletons) >= 1


def test_bodies_and_joints_have_frames_and_landmarks_the_same_names(cell, model, pictures):
    camera = Camera(cell)
    transforms = cell.listen(TFMessage, "/tf", qos.TRANSFORMS)
    landmarks = cell.listen(msg.LandmarksArray, "landmarks", qos.STREAM)
    camera.start(model=model, frames="joints", max_people=1)
    camera.calibrate()

    def named() -> bool:  # landmarks are sent once somebody listens, transforms heard likewise
        camera.show(image_of(pictures[0], 100.0 + 0.1 * len(camera.skeletons), "eye"))
        return bool(transforms and landmarks)

    wait_for(cell, named, "transforms and landmarks are heard")
    answer = camera.skeletons[-1]
    [person] = answer.skeletons
    children = {t.child_frame_id for t in transforms[0].transforms}
    assert f"body_{person.person_id}" in children
    assert f"nose_{person.person_id}" in children
    assert {t.header.frame_id for t in transforms[0].transforms} == {answer.header.frame_id}
    assert [p.person_id for p in landmarks[-1].people] == [person.person_id]
    assert landmarks[-1].calibrated
    assert landmarks[-1].header.frame_id == "eye"


def test_the_newest_image_wins_and_the_others_are_counted(cell, model, pictures):
    camera = Camera(cell)
    camera.start(model=model)
    camera.show(image_of(pictures[0], 100.0))
    for number in range(1, 40):  # far faster than they are worked on
        # none like the one before: a camera that sends one picture over and over is refused
        camera.images.publish(image_of(pictures[number % 6], 100.0 + number / 25))

    def stamps() -> list[float]:
        return [to_seconds(answer.header.stamp) for answer in camera.skeletons]

    newest = pytest.approx(100.0 + 39 / 25)
    wait_for(cell, lambda: stamps()[-1] == newest, "the newest image is answered")
    answered = len(camera.skeletons)
    assert answered < 40
    assert all(b > a for a, b in pairwise(stamps()))
    wait_for(cell, lambda: int(camera.last("dropped") or 0), "what was dropped is diagnosed")
    assert 1 <= int(camera.last("dropped")) <= 40 - answered


def test_a_camera_info_that_says_nothing_is_not_taken(cell, model, pictures):
    camera = Camera(cell)
    camera.start(model=model, field_of_view=0.0)
    nothing = calibration()  # as drivers send it of a camera that nobody has calibrated
    nothing.k = [0.0] * 9

    camera.infos.publish(nothing)
    camera.said("camera_info without a calibration")
    camera.images.publish(image_of(pictures[0], 100.0))
    camera.reported("problem InputError", "1")
    assert camera.skeletons == []
    camera.calibrate()
    assert len(camera.show(image_of(pictures[1], 100.1)).skeletons) == 1


WRONG = {  # what is said of a camera_info, and what it carries
    "focal lengths -500 and -500 px": {"k": [-500.0, 0, 320, 0, -500, 180, 0, 0, 1]},
    "focal lengths nan and 500 px": {"k": [math.nan, 0, 320, 0, 500, 180, 0, 0, 1]},
    "principal point at 5000, 180 px": {"k": [500.0, 0, 5000, 0, 500, 180, 0, 0, 1]},
    "distortion model 'thin_prism'": {"distortion_model": "thin_prism"},
    "3 distortion coefficients": {"d": [0.1] * 3},
    "takes 0 or 4 or 5 finite ones": {"d": [math.nan] * 5},
    "region of interest of 640×360 px at 1, 0": {
        "roi": RegionOfInterest(x_offset=1, width=640, height=360, do_rectify=True)
    },
    "no lens before 0×0 px has": {"width": 0, "height": 0},
}
OTHER_SIZE = {  # good ones, of another picture than is sent
    "camera_info says 320×180": {"binning_x": 2, "binning_y": 2},
    "camera_info says 600×300": {"roi": RegionOfInterest(x_offset=4, width=600, height=300)},
    "camera_info says 1280×720": {"width": 1280, "height": 720},
}


@pytest.mark.slow
def test_every_wrong_camera_info_is_named_and_a_good_one_goes_on(cell, model, pictures):
    camera = Camera(cell)
    process = camera.start(model=model)
    camera.calibrate()
    assert len(camera.show(image_of(pictures[0], 100.0)).skeletons) == 1
    for sentence, fields in WRONG.items():  # a driver may send another one at any time
        camera.tell(sentence, **fields)
    assert int(camera.last("problem camera_info")) >= len(WRONG)
    camera.images.publish(image_of(pictures[1], 100.1))
    camera.reported("problem InputError", "1")
    stamps = itertools.count(101)
    for sentence, fields in OTHER_SIZE.items():
        camera.tell("", **fields)

        def film(sentence: str = sentence) -> bool:
            number = next(stamps)  # another picture each time, or the camera would be frozen
            camera.images.publish(image_of(pictures[number % 2], number))
            return camera.says(sentence)

        wait_for(cell, film, f"'{sentence}' is diagnosed")
        camera.tell("distortion model 'none'", distortion_model="none")
    camera.tell("")
    assert len(camera.show(image_of(pictures[2], next(stamps))).skeletons) == 1
    assert len(camera.skeletons) == 2
    assert process.poll() is None


@pytest.mark.skipif(importlib.util.find_spec("hri_msgs") is not None, reason="hri_msgs is there")
def test_ros4hri_without_its_messages_is_refused(cell, model):
    process = cell.start("pose_node", model=model, ros4hri=True)
    _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "parameter 'ros4hri' needs the package hri_msgs" in stderr.decode()
