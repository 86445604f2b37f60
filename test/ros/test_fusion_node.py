"""The fusion node over DDS: landmarks of three cameras in, one person in the cell out."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="these tests need ROS 2")

from camera_hands import PATIENCE, wait_for, wait_for_listeners
from diagnostic_msgs.msg import DiagnosticArray
from tf2_msgs.msg import TFMessage

from ses_gcn_ros import msg
from ses_gcn_ros.datasets.sequences import read_recording
from ses_gcn_ros.nodes import qos
from ses_gcn_ros.nodes.conversions import TransformSender, to_seconds, to_time
from ses_gcn_ros.nodes.pose_messages import (
    camera_from_msg,
    detections_from_msg,
    landmarks_to_msg,
)
from ses_gcn_ros.pose.calibration import CameraPlace, write_calibration
from ses_gcn_ros.pose.camera import Detections, target_from_optical
from ses_gcn_ros.studies.pose_accuracy import draw_scene

NAMES = ["left", "middle", "right"]
BEGIN = 100.0
_LOOKS = 50  # waits of 20 ms for the answer to a picture before the next is sent


class Cameras:
    """Three cameras in the test's hands."""

    def __init__(self, cell, shared_data: Path, **parameters) -> None:
        motion = read_recording(shared_data / "motion" / "cmu.npz")
        self.rng = np.random.default_rng(12)
        self.scene = draw_scene(motion, self.rng, 3)
        self.frames = list(self.scene.detections(self.rng))
        self.cell = cell
        self.count = count()
        self.outlets = [
            cell.publisher(msg.LandmarksArray, f"{n}/landmarks", qos.STREAM) for n in NAMES
        ]
        self.static = cell.publisher(TFMessage, "/tf_static", qos.STATIC_TRANSFORMS)
        self.skeletons = cell.listen(msg.SkeletonArray, "skeletons", qos.STREAM)
        self.reports = cell.listen(DiagnosticArray, "/diagnostics", 10)
        cell.start("fusion_node", cameras=NAMES, target_frame="world", **parameters)
        wait_for_listeners(cell, *self.outlets, self.static)

    def stand(self) -> None:
        """Say where the cameras are."""
        sender = TransformSender([("world", f"{name}_optical_frame") for name in NAMES])
        poses = np.stack([view.base_from_camera for view in self.scene.views])
        self.static.publish(sender.fill(0.0, poses))

    def moment(self, number: int) -> int:
        """Frame of the scene that a picture shows: it runs to and fro, so that nobody leaps."""
        last = len(self.frames) - 1
        return last - abs(number % (2 * last) - last)

    def message(self, number: int, camera: int) -> msg.LandmarksArray:
        found = self.frames[self.moment(number)][camera]
        named = Detections(
            found.view, found.layout, found.pixels, found.confidence, (f"{NAMES[camera]}1",)
        )
        sent = landmarks_to_msg(
            to_time(BEGIN + 0.04 * number), f"{NAMES[camera]}_optical_frame", named
        )
        sent.calibrated = True  # the virtual cameras' intrinsics are exact
        return sent

    def show(self, cameras=(0, 1, 2)) -> int:
        """Let cameras send one more picture; its number."""
        number = next(self.count)
        for camera in cameras:
            self.outlets[camera].publish(self.message(number, camera))
        return number

    def see(self, cameras=(0, 1, 2)) -> tuple[int, msg.SkeletonArray]:
        """Number and answer of the next picture that is answered.

        The node gives up pictures of cameras that a busy machine has kept from being heard in time.
        """
        before = len(self.skeletons)

        def answered() -> bool:
            self.show(cameras)
            for _ in range(_LOOKS):
                if len(self.skeletons) > before:
                    return True
                self.cell.executor.spin_once(timeout_sec=0.02)
            return False

        wait_for(self.cell, answered, "a picture is answered")
        answer = self.skeletons[before]
        return round((to_seconds(answer.header.stamp) - BEGIN) / 0.04), answer

    def told(self, word: str) -> None:
        """Wait until the diagnostics say something."""

        def said() -> bool:
            entries = [s for r in self.reports for s in r.status if s.name == "fusion_node"]
            return bool(entries) and (
                word in entries[-1].message
                or any(word in f"{v.key} {v.value}" for v in entries[-1].values)
            )

        wait_for(self.cell, said, f"'{word}' is diagnosed")


def test_landmarks_survive_the_message(shared_data: Path):
    motion = read_recording(shared_data / "motion" / "cmu.npz")
    rng = np.random.default_rng(0)
    scene = draw_scene(motion, rng, 1)
    found = next(scene.detections(rng))[0]
    sent = landmarks_to_msg(to_time(1.5), "eye", found)
    sent.calibrated = True
    camera = camera_from_msg(sent)
    assert (camera.fx, camera.cy, camera.width) == (
        found.view.camera.fx, found.view.camera.cy, found.view.camera.width,
    )  # fmt: skip
    back = detections_from_msg(sent, camera, found.view.base_from_camera)
    np.testing.assert_allclose(back.pixels, found.pixels, rtol=1e-6)
    np.testing.assert_allclose(back.confidence, found.confidence, rtol=1e-6)
    assert (back.layout, back.names) == (found.layout, found.names)


def test_three_cameras_make_one_person_and_two_carry_on(cell, shared_data: Path):
    cameras = Cameras(cell, shared_data, max_wait=1.0, camera_timeout=3.0)
    cameras.stand()
    cameras.see()  # the transforms are known
    errors = []
    for _ in range(30):
        number, answer = cameras.see()
        assert answer.header.frame_id == "world"
        assert [person.person_id for person in answer.skeletons] == ["p1"]
        positions = np.array(answer.skeletons[0].positions).reshape(-1, 3)
        truth = cameras.scene.people[cameras.moment(number), 0]
        errors.append(np.linalg.norm(positions - truth, axis=-1))
    assert np.nanmean(errors) < 0.03
    cameras.told("reprojection_px left")

    _, answer = cameras.see((1, 2))  # the first camera has gone
    assert [person.person_id for person in answer.skeletons] == ["p1"]
    cameras.told("camera left silent")


def test_a_calibration_file_says_where_the_cameras_are_and_who_is_not_in_it(
    cell, shared_data: Path, tmp_path: Path
):
    path = tmp_path / "cell.yaml"
    pose = target_from_optical((0.0, 0.0, 1.5, 0.0, 0.0, 0.0))
    places = [CameraPlace(name, f"{name}_optical_frame", pose, 0.1) for name in NAMES[:2]]
    write_calibration(path, "world", places, "board")
    cameras = Cameras(cell, shared_data, calibration=str(path))
    cameras.show((2,))
    cameras.told("problem InputError 1")  # the third is not in the file
    _, answer = cameras.see((0, 1))  # without any transform on /tf_static
    assert answer.header.frame_id == "world"


def test_what_is_missing_is_named_and_nothing_is_published(cell, shared_data: Path):
    cameras = Cameras(cell, shared_data)
    cameras.show()  # no transforms: calibration is missing
    cameras.told("problem InputError")
    guess = cameras.message(1, 0)
    guess.calibrated = False
    cameras.outlets[0].publish(guess)
    short = cameras.message(1, 1)
    short.people[0].points = short.people[0].points[:10]
    cameras.outlets[1].publish(short)
    cameras.told("no skeletons for")
    assert cameras.skeletons == []


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"cameras": ["left"]}, "parameter 'cameras' names 1 of the pose nodes' namespaces"),
        ({"cameras": ["left", "left"]}, "parameter 'cameras' names one twice: left, left"),
        ({"cameras": NAMES, "calibration": "none.yaml"}, "none.yaml"),
    ],
)
def test_what_cannot_be_fused_says_why(cell, parameters, sentence):
    process = cell.start("fusion_node", **parameters)
    _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    complaint = stderr.decode()
    assert sentence in complaint
    assert "Traceback" not in complaint
