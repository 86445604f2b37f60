"""Of somebody of whom a hand or the trunk alone is in sight, the pose node publishes so much."""

from __future__ import annotations

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="these tests need ROS 2")
pytest.importorskip("mediapipe", reason="these tests need mediapipe")

from camera_hands import PATIENCE, calibration, depth_of, image_of  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from sensor_msgs.msg import CameraInfo, Image  # noqa: E402

from ses_gcn_ros.msg import SkeletonArray  # noqa: E402
from ses_gcn_ros.nodes import qos  # noqa: E402
from ses_gcn_ros.nodes.pose_node import PoseNode  # noqa: E402
from ses_gcn_ros.pose.landmarker import Landmarks, PoseLandmarker  # noqa: E402
from ses_gcn_ros.skeleton import get_layout, skeletons_from_message  # noqa: E402

WALL = 2.5  # m
TRUNK, HAND = [11, 12, 23, 24], [15, 17, 19, 21]  # of mediapipe33
TOLD = {
    "trunk": {"hip", "r_hip", "l_hip", "c_shoulder", "r_shoulder", "l_shoulder"},
    "hand": {"l_wrist"},
}


def part_of(found: Landmarks, part: str) -> Landmarks:
    """What a landmarker finds where nothing else of the body is in sight."""
    joints = TRUNK if part == "trunk" else HAND
    hidden = np.setdiff1d(np.arange(33), joints)
    pixels, world, visibility = (
        values[:1].copy() for values in (found.pixels, found.world, found.visibility)
    )
    visibility[:, joints], visibility[:, hidden] = 0.9, 0.0
    if part == "hand":  # without a body there are no other joints
        pixels[:, hidden], world[:, hidden] = np.nan, np.nan
    return Landmarks(pixels, world, visibility)


@pytest.mark.parametrize("part", TOLD)
def test_a_part_alone_is_a_person_of_few_joints_and_much_doubt(
    node, model, pictures, monkeypatch, part
):
    find = PoseLandmarker.detect
    monkeypatch.setattr(PoseLandmarker, "detect", lambda *args: part_of(find(*args), part))
    pose_node = PoseNode()
    executor = SingleThreadedExecutor()
    try:
        for name, value in {"model": model, "mode": "rgbd"}.items():
            assert pose_node.set_parameters([Parameter(name, value=value)])[0].successful
        answers: list[SkeletonArray] = []
        node.create_subscription(SkeletonArray, "skeletons", answers.append, qos.STREAM)
        kinds = {"image": Image, "depth": Image, "camera_info": CameraInfo}
        camera = {t: node.create_publisher(kind, t, qos.STREAM) for t, kind in kinds.items()}
        pose_node.bring_up()
        executor.add_node(node)
        executor.add_node(pose_node)

        def spin_until(condition, send=lambda second: None) -> None:
            """Send something each second until it has come about."""
            for tick in range(round(PATIENCE / 0.02)):
                if condition():
                    return
                if tick % 50 == 0:
                    send(tick // 50)
                executor.spin_once(timeout_sec=0.02)
            pytest.fail(f"{len(answers)} answers; {pose_node.diagnose()}")

        spin_until(lambda: all(each.get_subscription_count() for each in camera.values()))
        spin_until(lambda: pose_node.skeletons.get_subscription_count())
        spin_until(
            lambda: pose_node.diagnose()[2]["camera"] == "calibrated",
            lambda _: camera["camera_info"].publish(calibration()),
        )

        def show(second: int) -> None:
            camera["depth"].publish(depth_of((640, 360), 100.0 + second, WALL))
            camera["image"].publish(image_of(pictures[0], 100.0 + second))

        spin_until(lambda: answers, show)
    finally:
        executor.shutdown()
        pose_node.close()

    [person] = skeletons_from_message(answers[0])
    names = get_layout(person.layout).joints
    told = [j for j, confidence in enumerate(person.confidence) if confidence > 0.3]
    assert {names[j] for j in told} == TOLD[part]
    sigma = np.sqrt(person.covariance[told][:, 5])
    assert (sigma > (0.05 if part == "hand" else 0.03)).all(), sigma
    assert (np.abs(person.positions[told][:, 2] - WALL) < 2.5 * sigma).all(), person.positions
