"""Skeletons of other packages are read where their own definitions put them."""

from __future__ import annotations

import contextlib
import sqlite3

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from scipy.spatial.transform import Rotation
from tf_messages import transforms_message

from ses_gcn_ros.bags.messages import (
    ADAPTED,
    NANO,
    Observation,
    adapt,
    header_message,
    message,
    skeletons_message,
    typestore,
)
from ses_gcn_ros.bags.rosbag2 import BagWriter, open_bag
from ses_gcn_ros.errors import BagError, InputError
from ses_gcn_ros.pose.config import PoseConfig
from ses_gcn_ros.replay.events import EventReader, PeopleSeen
from ses_gcn_ros.replay.options import Naming, find_topics
from ses_gcn_ros.skeleton import Skeleton, get_layout

NAN = float("nan")


def read_people(path, topic, frame_id="world"):
    """Everybody that a replay sees in a bag."""
    with open_bag(path) as bag:
        naming = Naming({"skeletons": topic})
        topics = find_topics(bag.topics, naming)
        events = EventReader(bag, topics, naming, frame_id, PoseConfig())
        return [event for event in events if isinstance(event, PeopleSeen)]


def body(layout: str, seed: int = 0) -> np.ndarray:
    joints = len(get_layout(layout).joints)
    return np.random.default_rng(seed).normal(size=(joints, 3)).astype(np.float32)


def zed_object(package: str, positions: np.ndarray, body_format: int, **changes: object) -> object:
    def make(name: str, **fields: object) -> object:
        return message(f"{package}/msg/{name}", **fields)

    def key_point(name: str, size: int, kind: type = np.float32) -> object:
        return make(name, kp=np.zeros(size, kind))

    places = np.zeros((70, 3), np.float32)
    places[: len(positions)] = positions
    fields = {
        "label": "Body_7",
        "label_id": 7,
        "sublabel": "",
        "confidence": 80.0,
        "position": np.zeros(3, np.float32),
        "position_covariance": np.zeros(6, np.float32),
        "velocity": np.zeros(3, np.float32),
        "tracking_available": True,
        "tracking_state": 1,
        "action_state": 0,
        "bounding_box_2d": make(
            "BoundingBox2Di", corners=[key_point("Keypoint2Di", 2, np.uint32)] * 4
        ),
        "bounding_box_3d": make("BoundingBox3D", corners=[key_point("Keypoint3D", 3)] * 8),
        "dimensions_3d": np.zeros(3, np.float32),
        "skeleton_available": True,
        "body_format": body_format,
        "head_bounding_box_2d": make("BoundingBox2Df", corners=[key_point("Keypoint2Df", 2)] * 4),
        "head_bounding_box_3d": make("BoundingBox3D", corners=[key_point("Keypoint3D", 3)] * 8),
        "head_position": np.zeros(3, np.float32),
        "skeleton_2d": make("Skeleton2D", keypoints=[key_point("Keypoint2Df", 2)] * 70),
        "skeleton_3d": make("Skeleton3D", keypoints=[make("Keypoint3D", kp=p) for p in places]),
    }
    return make("Object", **{**fields, **changes})


def zed_message(*objects: object, package: str = "zed_msgs") -> object:
    header = header_message(12.5, "zed_left_camera_frame")
    return message(f"{package}/msg/ObjectsStamped", header=header, objects=list(objects))


@pytest.mark.parametrize("package", ["zed_msgs", "zed_interfaces"])
@pytest.mark.parametrize(("body_format", "layout"), enumerate(("openpose18", "zed34", "zed38")))
def test_a_zed_camera_gives_its_own_layouts(tmp_path, package, body_format, layout):
    positions = body(layout)
    positions[3] = NAN
    sent = zed_message(zed_object(package, positions, body_format), package=package)
    with BagWriter(tmp_path / "bag") as bag:
        bag.write_message("/zed/body_trk/skeletons", 13 * NANO, sent)
    (seen,) = read_people(tmp_path / "bag", "skeletons")
    assert (seen.stamp, seen.frame_id) == (12.5, "zed_left_camera_frame")
    (person,) = seen.people
    assert (person.person_id, person.layout) == ("7", layout)
    np.testing.assert_array_equal(person.positions, positions)
    assert person.confidence[3] == 0
    assert person.confidence[4] == pytest.approx(0.8)


def test_what_a_zed_camera_has_lost_or_is_no_person_is_left_out():
    read = adapt("zed_msgs/msg/ObjectsStamped")
    lost = zed_object("zed_msgs", body("zed38"), 2, tracking_state=0)
    box = zed_object("zed_msgs", body("zed38"), 2, skeleton_available=False)
    assert read(zed_message(lost, box)).people == []
    with pytest.raises(InputError, match="body_format 3"):
        read(zed_message(zed_object("zed_msgs", body("zed38"), 3)))


def test_a_bag_without_definitions_is_read_with_ours(tmp_path):
    """As rosbag2 wrote sqlite3 before Iron: schema 3, with topics and messages alone."""
    store, kind = typestore(), "zed_msgs/msg/ObjectsStamped"
    sent = zed_message(zed_object("zed_msgs", body("zed34"), 1))
    with Writer(tmp_path / "bag", version=8, storage_plugin=StoragePlugin.SQLITE3) as writer:
        connection = writer.add_connection("/bodies", kind, typestore=store)
        writer.write(connection, 13 * NANO, bytes(store.serialize_cdr(sent, kind)))
    with contextlib.closing(sqlite3.connect(tmp_path / "bag" / "bag.db3")) as database:
        database.execute("DROP TABLE message_definitions")
        database.execute("UPDATE schema SET schema_version = 3")
        database.commit()
    (seen,) = read_people(tmp_path / "bag", "bodies")
    np.testing.assert_array_equal(seen.people[0].positions, body("zed34"))


def ball(number: int, position: np.ndarray, stamp: float = 3.0) -> object:
    x, y, z = map(float, position)
    at = message("geometry_msgs/msg/Point", x=x, y=y, z=z)
    upright = message("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=1.0)
    colour = message("std_msgs/msg/ColorRGBA", r=1.0, g=0.0, b=0.0, a=1.0)
    nothing = message("builtin_interfaces/msg/Duration", sec=0, nanosec=0)
    image = message("sensor_msgs/msg/CompressedImage", header=header_message(0, ""), format="",
                    data=np.zeros(0, np.uint8))  # fmt: skip
    file = message("visualization_msgs/msg/MeshFile", filename="", data=np.zeros(0, np.uint8))
    return message(
        "visualization_msgs/msg/Marker", header=header_message(stamp, "depth_camera_link"), ns="",
        id=number, type=2, action=0, lifetime=nothing, frame_locked=False, points=[], colors=[],
        pose=message("geometry_msgs/msg/Pose", position=at, orientation=upright), color=colour,
        scale=message("geometry_msgs/msg/Vector3", x=0.05, y=0.05, z=0.05), texture=image,
        texture_resource="", uv_coordinates=[], text="", mesh_resource="", mesh_file=file,
        mesh_use_embedded_materials=False,
    )  # fmt: skip


def markers(*balls: object) -> object:
    return message("visualization_msgs/msg/MarkerArray", markers=list(balls))


def test_an_azure_kinect_gives_one_ball_a_joint(tmp_path):
    first, second = body("kinect32", 1), body("kinect32", 2)
    balls = [ball(100 + j, p) for j, p in enumerate(first)]
    balls += [ball(300 + j, p) for j, p in enumerate(second) if j != 9]
    with BagWriter(tmp_path / "bag") as bag:
        bag.write_message("/body_tracking_data", 4 * NANO, markers(*balls))
        bag.write_message("/body_tracking_data", 5 * NANO, markers())
    seen, empty = read_people(tmp_path / "bag", "body_tracking_data")
    assert (seen.stamp, seen.frame_id) == (3.0, "depth_camera_link")
    assert [person.person_id for person in seen.people] == ["1", "3"]
    np.testing.assert_array_equal(seen.people[0].positions, first)
    assert np.flatnonzero(np.isnan(seen.people[1].positions[:, 0])).tolist() == [9]
    assert (empty.stamp, empty.people) == (5.0, [])


def test_balls_that_are_no_kinects_are_refused():
    read = adapt("visualization_msgs/msg/MarkerArray")
    with pytest.raises(InputError, match="joint 77"):
        read(markers(ball(177, np.zeros(3))))
    with pytest.raises(InputError, match="2 different stamps"):
        read(markers(ball(1, np.zeros(3)), ball(2, np.zeros(3), stamp=4.0)))


def poses(points: np.ndarray) -> object:
    upright = message("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=1.0)
    entries = [
        message(
            "geometry_msgs/msg/Pose",
            position=message("geometry_msgs/msg/Point", x=float(x), y=float(y), z=float(z)),
            orientation=upright,
        )
        for x, y, z in points
    ]
    return message("geometry_msgs/msg/PoseArray", header=header_message(1.0, "map"), poses=entries)


def test_poses_are_joints_in_the_order_of_a_layout():
    points = body("mediapipe33")
    (person,) = adapt("geometry_msgs/msg/PoseArray")(poses(points)).people
    assert person.layout == "mediapipe33"  # the only one of 33 joints
    np.testing.assert_array_equal(person.positions, points)
    two = adapt("geometry_msgs/msg/PoseArray", layout="coco17")(poses(body("zed34"))).people
    assert [person.layout for person in two] == ["coco17", "coco17"]
    assert adapt("geometry_msgs/msg/PoseArray")(poses(np.zeros((0, 3)))).people == []


def test_poses_that_fit_no_layout_or_several_are_refused():
    read = adapt("geometry_msgs/msg/PoseArray")
    with pytest.raises(InputError, match="h36m17 or coco17; say which with --layout"):
        read(poses(np.zeros((17, 3))))
    with pytest.raises(InputError, match="no known layout"):
        read(poses(np.zeros((7, 3))))
    with pytest.raises(InputError, match="no whole number of people"):
        adapt("geometry_msgs/msg/PoseArray", layout="coco17")(poses(np.zeros((18, 3))))
    with pytest.raises(InputError, match="nonsense"):
        adapt("geometry_msgs/msg/PoseArray", layout="nonsense")


def test_a_ros4hri_body_is_where_its_frames_are(tmp_path):
    """Frames of two bodies hang below a camera that is turned and moved in the world."""
    layout = get_layout("hri15")
    joints = {"ab12": body("hri15", 1), "ff03": body("hri15", 2)}
    turn = Rotation.from_euler("z", 90, degrees=True)
    identity = (0.0, 0.0, 0.0, 1.0)
    camera = (1.0, "world", "camera", (1.0, 2.0, 0.5), turn.as_quat())
    frames = [
        (4.0, "camera", f"{joint}_{name}", position, identity)
        for name, positions in joints.items()
        for joint, position in zip(layout.joints, positions, strict=True)
        if (name, joint) != ("ff03", "l_wrist")
    ]
    ids = message("hri_msgs/msg/IdsList", header=header_message(4.1, ""), ids=[*joints, "gone"])
    later = message("hri_msgs/msg/IdsList", header=header_message(4.5, ""), ids=[*joints])
    with BagWriter(tmp_path / "bag") as bag:
        bag.write_message("/tf_static", 1 * NANO, transforms_message([camera]))
        bag.write_message("/tf", 4 * NANO, transforms_message(frames))
        bag.write_message("/humans/bodies/tracked", 5 * NANO, ids)
        bag.write_message("/humans/bodies/tracked", 6 * NANO, later)
    seen, stale = read_people(tmp_path / "bag", "bodies/tracked")
    assert (seen.stamp, seen.frame_id) == (4.1, "world")
    assert [person.person_id for person in seen.people] == ["ab12", "ff03"]
    expected = turn.apply(joints["ab12"]) + np.array([1.0, 2.0, 0.5])
    np.testing.assert_allclose(seen.people[0].positions, expected, atol=1e-6)
    unseen = np.isnan(seen.people[1].positions[:, 0])
    assert [layout.joints[i] for i in np.flatnonzero(unseen)] == ["l_wrist"]
    assert stale.people == []  # transforms half a second old place nobody
    (local, _) = read_people(tmp_path / "bag", "bodies/tracked", frame_id="camera")
    np.testing.assert_allclose(local.people[0].positions, joints["ab12"], atol=1e-6)


def test_bodies_without_transforms_are_nobody(tmp_path):
    ids = message("hri_msgs/msg/IdsList", header=header_message(4.1, ""), ids=["a"])
    with BagWriter(tmp_path / "bag") as bag:
        bag.write_message("/humans/bodies/tracked", NANO, ids)
    (seen,) = read_people(tmp_path / "bag", "bodies/tracked")
    assert seen.people == []


def test_our_own_skeletons_are_checked_as_well():
    person = Skeleton("1", "chico15", body("chico15"), np.ones(15, np.float32))
    read = adapt("ses_gcn_ros/msg/SkeletonArray")
    assert read(skeletons_message(Observation(1.0, "world", [person]))).people[0].person_id == "1"
    with pytest.raises(InputError, match="person_id '1' appears twice"):
        read(skeletons_message(Observation(1.0, "world", [person, person])))


def test_an_unknown_type_lists_the_known_ones():
    with pytest.raises(BagError, match=r"sensor_msgs/msg/Image; they can from ses_gcn_ros/msg"):
        adapt("sensor_msgs/msg/Image")
    assert all(kind in typestore().fielddefs for kind in ADAPTED)
