"""What ROS4HRI's topics carry, by stand-ins for hri_msgs with the fields that it has."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="these tests need ROS 2")

from std_msgs.msg import Header

from ses_gcn_ros.datasets.sequences import read_recording
from ses_gcn_ros.nodes.pose_messages import Ros4HriPublisher
from ses_gcn_ros.pose.camera import Detections
from ses_gcn_ros.pose.ros4hri import KEY_POINTS
from ses_gcn_ros.studies.pose_accuracy import draw_scene


@dataclass
class IdsList:
    """hri_msgs/IdsList."""

    header: Header = field(default_factory=Header)
    ids: list[str] = field(default_factory=list)


@dataclass
class NormalizedPointOfInterest2D:
    """hri_msgs/NormalizedPointOfInterest2D: a point from (0, 0) to (1, 1), and its confidence."""

    x: float = 0.0
    y: float = 0.0
    c: float = 0.0


@dataclass
class Skeleton2D:
    """hri_msgs/Skeleton2D: eighteen points."""

    header: Header = field(default_factory=Header)
    skeleton: list[NormalizedPointOfInterest2D] = field(default_factory=list)


class Stage:
    """A node's publishers, by topic, with everything that was sent to them."""

    def __init__(self) -> None:
        self.sent: dict[str, list[Any]] = {}
        self.open: set[str] = set()

    def create_publisher(self, kind: type, topic: str, _: object) -> Any:
        """Publisher that takes one kind of message."""
        heard = self.sent.setdefault(topic, [])
        self.open.add(topic)

        def publish(message: Any) -> None:
            assert topic in self.open
            assert type(message) is kind
            heard.append(message)

        return SimpleNamespace(publish=publish, topic=topic)

    publisher = create_publisher

    def destroy_publisher(self, publisher: Any) -> None:
        """Withdraw a topic."""
        self.open.remove(publisher.topic)

    def while_active(self, publisher: Any) -> Any:
        """Leave it to the node."""
        return publisher


@pytest.fixture
def stage(monkeypatch) -> Stage:
    """A stage on which hri_msgs is installed."""
    messages = SimpleNamespace(
        IdsList=IdsList,
        Skeleton2D=Skeleton2D,
        NormalizedPointOfInterest2D=NormalizedPointOfInterest2D,
    )
    found = importlib.import_module
    monkeypatch.setattr(
        importlib, "import_module", lambda n: messages if n == "hri_msgs.msg" else found(n)
    )
    return Stage()


@pytest.fixture(scope="module")
def detections(shared_data: Path) -> Detections:
    """Somebody of CMU in the picture of a camera."""
    rng = np.random.default_rng(3)
    scene = draw_scene(read_recording(shared_data / "motion" / "cmu.npz"), rng, 1)
    return next(scene.detections(rng))[0]


def named(detections: Detections, *names: str) -> Detections:
    """The same body under several names."""
    one = np.zeros(len(names), dtype=int)
    pixels, confidence = detections.pixels[one], detections.confidence[one]
    return Detections(detections.view, detections.layout, pixels, confidence, names)


def test_everybody_is_listed_and_has_a_skeleton_in_the_picture(stage, detections):
    outlet = Ros4HriPublisher(stage)
    outlet.publish(Header(frame_id="world"), Header(frame_id="eye"), named(detections, "p1", "p4"))
    [ids] = stage.sent["humans/bodies/tracked"]
    assert (ids.header.frame_id, ids.ids) == ("world", ["p1", "p4"])
    camera = detections.view.camera
    for name in ids.ids:
        [body] = stage.sent[f"humans/bodies/{name}/skeleton2d"]
        assert body.header.frame_id == "eye"
        assert len(body.skeleton) == len(KEY_POINTS) == 18
        seen = [point for point in body.skeleton if point.c > 0.0]
        assert len(seen) >= 6
        pixels = detections.pixels[0] / (camera.width, camera.height)
        for point in seen:
            assert all(type(value) is float for value in (point.x, point.y, point.c))
            assert 0.0 <= min(point.x, point.y) <= max(point.x, point.y) <= 1.0
            near = np.linalg.norm(pixels - (point.x, point.y), axis=-1)
            assert np.nanmin(near) < 0.1  # the neck lies between joints


def test_topics_come_and_go_with_the_people(stage, detections):
    outlet = Ros4HriPublisher(stage)
    for names in (("p1", "p2"), ("p2",), ()):
        outlet.publish(Header(), Header(), named(detections, *names))
        bodies = {f"humans/bodies/{name}/skeleton2d" for name in names}
        assert stage.open == {"humans/bodies/tracked", *bodies}
    assert [ids.ids for ids in stage.sent["humans/bodies/tracked"]] == [["p1", "p2"], ["p2"], []]
    assert len(stage.sent["humans/bodies/p2/skeleton2d"]) == 2
    outlet.publish(Header(), Header(), named(detections, "p3"))
    outlet.close()
    assert stage.open == {"humans/bodies/tracked"}  # which the node itself withdraws
