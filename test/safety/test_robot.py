"""The robot's description, its capsules, their motion, and the demo robot's obedience."""

from __future__ import annotations

import dataclasses
import math
import re

import numpy as np
import pytest
import trimesh
import yourdfpy
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm
from scipy.spatial.transform import Rotation

from ses_gcn_ros.errors import ConfigError, InputError, RobotError
from ses_gcn_ros.resources import share_path
from ses_gcn_ros.safety import DemoRobotConfig, RobotModel, RobotTracker, Urdf
from ses_gcn_ros.safety.geometry import pose_from_xyz_rpy
from ses_gcn_ros.safety.robot_model import Joint, capsule_around
from ses_gcn_ros.safety.robot_motion import RobotState, SweepMotion

# yourdfpy takes angles under 1e-8 for 0
ANGLES = st.lists(st.floats(-1.9, 1.9).map(lambda x: round(x, 6)), min_size=7, max_size=7)


@pytest.fixture(scope="module")
def demo() -> Urdf:
    return Urdf.load("demo")


@pytest.fixture(scope="module")
def reference() -> yourdfpy.URDF:
    path = share_path("config", "demo", "cell.urdf")
    return yourdfpy.URDF.load(str(path), load_meshes=False, build_scene_graph=True)


class TestDescription:
    @settings(max_examples=30)
    @given(angles=ANGLES)
    def test_forward_kinematics_agree_with_yourdfpy(self, demo, reference, angles):
        names = [joint.name for joint in demo.movable]
        reference.update_cfg(dict(zip(names, angles, strict=True)))
        poses = demo.forward(dict(zip(names, angles, strict=True)))
        for link, pose in poses.items():
            np.testing.assert_allclose(pose, reference.get_transform(link), atol=1e-9)

    @settings(max_examples=30)
    @given(angles=ANGLES)
    def test_a_joint_alone_moves_its_child_as_in_the_whole_tree(self, demo, angles):
        poses = demo.forward(dict(zip([j.name for j in demo.movable], angles, strict=True)))
        for joint, angle in zip(demo.movable, angles, strict=True):
            alone = poses[joint.parent] @ joint.transform(angle)
            np.testing.assert_allclose(alone, poses[joint.child], atol=1e-9)

    def test_a_sliding_joint_moves_its_child_along_its_axis(self):
        place = np.eye(4)
        place[:3, :3] = Rotation.from_euler("z", 90, degrees=True).as_matrix()
        joint = Joint("axis", "prismatic", "a", "b", place, np.array([0.6, 0.0, 0.8]), 0, 1, 1)
        moved = joint.transform(0.5)
        np.testing.assert_allclose(moved[:3, 3], [0.0, 0.3, 0.4], atol=1e-12)
        np.testing.assert_array_equal(moved[:3, :3], place[:3, :3])

    @given(rpy=st.lists(st.floats(-4.0, 4.0), min_size=3, max_size=3))
    def test_angles_turn_about_fixed_axes(self, rpy):
        pose = pose_from_xyz_rpy((0.1, -0.2, 0.3), rpy)
        turned = Rotation.from_euler("xyz", rpy).as_matrix()
        np.testing.assert_allclose(pose[:3, :3], turned, atol=1e-12)
        np.testing.assert_array_equal(pose[:, 3], (0.1, -0.2, 0.3, 1.0))

    def test_only_what_moves_is_watched(self, demo):
        assert "pedestal" not in demo.moving_links()
        assert "base_link" not in demo.moving_links()
        assert RobotModel.from_urdf(demo).names == (*(f"link_{i}" for i in range(1, 8)), "tool")

    def test_the_tool_sweeps_where_a_visitor_reaches(self, demo):
        motion, tips = SweepMotion(DemoRobotConfig(), demo), []
        for _ in range(450):
            motion.advance(0.01, 1.0)
            poses = demo.forward(dict(zip(motion.joints, motion.positions, strict=True)))
            tips.append((poses["tool"] @ (0.0, 0.0, 0.12, 1.0))[:3])
        low, high = np.min(tips, axis=0), np.max(tips, axis=0)
        assert 0.55 < low[0] < high[0] < 0.75
        assert low[1] < -0.3 < 0.3 < high[1]
        assert 1.0 < low[2] < high[2] < 1.3

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("<robot", "no XML"),
            ("<model/>", "begins with <model>"),
            ("<robot><link/></robot>", "a <link> of the robot description has no name"),
            ("<robot><link name='a'/><link name='b'/></robot>", "2 root links"),
            (
                "<robot><link name='a'/><joint name='j' type='floating'/></robot>",
                "joint 'j' is of type 'floating'",
            ),
            (
                "<robot><link name='a'/><joint name='j' type='fixed'><parent link='a'/>"
                "<child link='x'/></joint></robot>",
                "the child 'x', which is no link",
            ),
            (
                "<robot><link name='a'><collision><geometry><sphere radius='big'/></geometry>"
                "</collision></link></robot>",
                "could not convert string to float: 'big'",
            ),
            (
                "<robot><link name='a'><collision><geometry><mesh filename='no.stl'/></geometry>"
                "</collision></link></robot>",
                "there is no mesh file",
            ),
        ],
    )
    def test_an_unusable_description_is_refused_with_a_sentence(self, text, sentence):
        with pytest.raises(RobotError, match=sentence):
            Urdf(text)

    @pytest.mark.parametrize("path", ["/nowhere/robot.urdf", "robot\0.urdf"])
    def test_a_missing_file_is_refused(self, path):
        with pytest.raises(RobotError, match="cannot read the robot description"):
            Urdf.load(path)

    def test_an_unknown_link_is_refused(self, demo):
        with pytest.raises(RobotError, match="names 'flange'; the robot description has world"):
            RobotModel.from_urdf(demo, ["flange"])


def inside(points, capsule) -> bool:
    axis = capsule.end - capsule.start
    t = np.clip((points - capsule.start) @ axis / max(axis @ axis, 1e-12), 0, 1)
    gaps = np.linalg.norm(points - capsule.start - t[:, None] * axis, axis=1)
    return bool((gaps <= capsule.radius + 1e-9).all())


class TestShapes:
    @settings(max_examples=100)
    @given(st.integers(0, 10**6), st.integers(2, 40))
    def test_the_capsule_contains_every_point(self, seed, count):
        rng = np.random.default_rng(seed)
        points = rng.normal(size=(count, 3)) * rng.uniform(0.05, 2.0, 3)
        assert inside(points, capsule_around(points))

    def test_a_long_box_gets_a_slim_capsule(self):
        box = trimesh.creation.box((0.1, 0.1, 1.0))
        capsule = capsule_around(np.asarray(box.vertices))
        assert capsule.radius == pytest.approx(np.hypot(0.05, 0.05))
        assert abs(capsule.end - capsule.start)[2] == pytest.approx(1.0)

    def test_the_demo_shapes_are_within_their_capsules(self, demo):
        for link, capsules in demo.capsules.items():
            for capsule in capsules:
                assert capsule.radius < 0.3, link

    @given(st.lists(st.floats(-3.0, 3.0), min_size=6, max_size=6))
    def test_a_shape_is_where_its_origin_puts_it(self, origin):
        place = (
            f"xyz='{origin[0]} {origin[1]} {origin[2]}' rpy='{origin[3]} {origin[4]} {origin[5]}'"
        )
        urdf = Urdf(
            f"<robot name='r'><link name='a'><collision><origin {place}/><geometry>"
            "<cylinder radius='0.05' length='0.4'/></geometry></collision></link></robot>"
        )
        (capsule,) = urdf.capsules["a"]
        ends = Rotation.from_euler("xyz", origin[3:]).apply([(0, 0, -0.2), (0, 0, 0.2)])
        np.testing.assert_allclose([capsule.start, capsule.end], ends + origin[:3], atol=1e-9)

    def test_a_mesh_is_read_with_its_scale_and_origin(self, tmp_path):
        mesh = trimesh.creation.cylinder(radius=50.0, height=400.0)
        mesh.export(tmp_path / "arm.stl")
        (tmp_path / "robot.urdf").write_text(
            "<robot name='r'><link name='a'><collision><origin xyz='0 0 1'/><geometry>"
            "<mesh filename='arm.stl' scale='0.001 0.001 0.001'/></geometry></collision></link>"
            "</robot>"
        )
        urdf = Urdf.load(str(tmp_path / "robot.urdf"))
        (capsule,) = urdf.capsules["a"]
        assert inside(np.asarray(mesh.vertices) * 0.001 + (0, 0, 1), capsule)
        assert capsule.radius < 0.06


def screw_poses(twist, time):
    """world_from_frame of two frames carried by a twist (ω, v)."""
    generator = np.zeros((4, 4))
    generator[:3, :3] = [
        [0, -twist[2], twist[1]],
        [twist[2], 0, -twist[0]],
        [-twist[1], twist[0], 0],
    ]
    generator[:3, 3] = twist[3:]
    first, second = np.eye(4), np.eye(4)
    first[:3, 3], second[:3, 3] = (0.5, 0.1, 0.3), (0.6, -0.2, 0.9)
    second[:3, :3] = Rotation.from_euler("xyz", (0.3, 0.2, 0.1)).as_matrix()
    return expm(generator * time) @ np.stack([first, second])


class TestMotion:
    @settings(max_examples=50)
    @given(st.lists(st.floats(-1.5, 1.5), min_size=6, max_size=6))
    def test_points_are_carried_along_the_screw(self, twist):
        twist = np.array(twist)
        points = np.array([(0.4, 0.2, 0.1), (-0.3, 0.5, 0.8)])
        turn = np.tile(twist[:3], (2, 1))
        velocity = np.cross(turn, points) + twist[3:]
        times = np.array([0.0, 0.1, 0.5, 1.0])
        still = np.tile(np.eye(4), (2, 1, 1))
        robot = RobotState(
            *(1.0, points, points[::-1].copy()),
            *(velocity, velocity[::-1].copy(), turn, turn),
            poses=still,
        )
        starts, ends = robot.carried(times)
        np.testing.assert_array_equal(starts, ends[:, ::-1])
        whole = np.c_[points, np.ones(2)]
        for time, at in zip(times, starts, strict=True):
            generator = np.zeros((4, 4))
            generator[:3, :3] = np.cross(np.eye(3), twist[:3])
            generator[:3, 3] = twist[3:]
            expected = whole @ expm(generator * time).T
            np.testing.assert_allclose(at, expected[:, :3], atol=1e-7)

    @settings(max_examples=30)
    @given(st.lists(st.floats(-1.0, 1.0), min_size=6, max_size=6))
    def test_the_motion_of_poses_is_found_and_continued(self, twist):
        model = RobotModel.from_frames(("a", "b"), (0.1,))
        tracker = RobotTracker(model)
        for step in range(8):
            tracker.observe(10.0 + 0.01 * step, screw_poses(np.array(twist), 0.01 * step))
        start, end = tracker.state.carried(0.3)
        expected = screw_poses(np.array(twist), 0.37)
        np.testing.assert_allclose(start[0, 0], expected[0, :3, 3], atol=0.03)
        np.testing.assert_allclose(end[0, 0], expected[1, :3, 3], atol=0.03)

    def test_a_robot_seen_once_is_reckoned_with_where_it_is(self):
        tracker = RobotTracker(RobotModel.from_frames(("a", "b"), (0.1,)))
        tracker.observe(1.0, screw_poses(np.zeros(6), 0))
        start, end = tracker.state.carried([0.0, 0.5])
        np.testing.assert_array_equal(start, [tracker.state.start] * 2)
        np.testing.assert_array_equal(end, [tracker.state.end] * 2)
        assert np.isnan(tracker.state.fastest(tracker.model.robot)[0]).all()

    def test_a_repeated_pose_changes_nothing(self):
        tracker = RobotTracker(RobotModel.from_frames(("a", "b"), (0.1,)))
        tracker.observe(1.0, screw_poses(np.zeros(6), 0))
        before = tracker.state
        tracker.observe(1.0, screw_poses(np.ones(6), 1))
        assert tracker.state is before

    def test_poses_of_another_shape_are_refused(self):
        tracker = RobotTracker(RobotModel.from_frames(("a", "b"), (0.1,)))
        with pytest.raises(InputError, match=r"poses are \(3, 4, 4\)"):
            tracker.observe(1.0, np.zeros((3, 4, 4)))


class TestSweep:
    def test_factor_0_really_stops_within_the_stop_time(self, demo):
        motion = SweepMotion(DemoRobotConfig(stop_time=0.3), demo)
        for _ in range(100):
            motion.advance(0.01, 1.0)
        assert motion.pace == 1.0
        for _ in range(31):
            motion.advance(0.01, 0.0)
        assert motion.pace == 0.0
        standing = motion.positions
        motion.advance(1.0, 0.0)
        np.testing.assert_array_equal(motion.positions, standing)
        np.testing.assert_array_equal(motion.velocities, 0.0)

    @pytest.mark.parametrize("factor", [float("nan"), -1.0, 0.0])
    def test_what_is_no_speed_stops(self, demo, factor):
        motion = SweepMotion(DemoRobotConfig(), demo)
        motion.advance(1.0, 1.0)
        motion.advance(1.0, factor)
        assert motion.pace == 0.0

    @settings(max_examples=30)
    @given(st.lists(st.floats(0, 2), min_size=1, max_size=40))
    def test_joints_never_pass_their_speed_whatever_is_asked(self, factors):
        demo = Urdf.load("demo")
        config = DemoRobotConfig()
        motion = SweepMotion(config, demo)
        top = np.abs(np.subtract(config.pose_b, config.pose_a)) * np.pi / config.period
        for factor in factors:
            before = motion.positions
            motion.advance(0.02, factor)
            assert (np.abs(motion.positions - before) <= top * 0.02 + 1e-9).all()

    def test_half_the_factor_is_half_the_speed(self, demo):
        motions = [SweepMotion(DemoRobotConfig(), demo) for _ in range(2)]
        for motion, factor in zip(motions, (1.0, 0.5), strict=True):
            motion.advance(10.0, factor)
        assert [motion.pace for motion in motions] == [1.0, 0.5]

    @pytest.mark.parametrize(
        ("changes", "sentence"),
        [
            ({"pose_a": (0.0, 0.0)}, "pose_a has 2 values; the robot has 7"),
            ({"pose_b": (9.0, 0, 0, 0, 0, 0, 0)}, "pose_b puts joint_1 at 9.0"),
            ({"period": 0.5}, "make the period longer"),
        ],
    )
    def test_impossible_motions_are_refused(self, demo, changes, sentence):
        with pytest.raises(ConfigError, match=sentence):
            SweepMotion(dataclasses.replace(DemoRobotConfig(), **changes), demo)


def test_a_joint_is_as_fast_as_its_description_says_and_without_that_at_will():
    text = (
        '<robot name="r"><link name="a"/><link name="b"/><joint name="j" type="{kind}">'
        '<parent link="a"/><child link="b"/>{limit}</joint></robot>'
    )
    limited = text.format(kind="revolute", limit='<limit lower="-1" upper="1" velocity="2.5"/>')
    assert [joint.velocity for joint in Urdf(limited).movable] == [2.5]
    (free,) = Urdf(text.format(kind="continuous", limit="")).movable
    assert (free.velocity, free.lower, free.upper) == (math.inf, -math.inf, math.inf)


@pytest.mark.parametrize("encoding", ["utf-8", "ISO-8859-1", "UTF-16"])
def test_a_description_is_read_in_the_encoding_that_it_declares(tmp_path, encoding):
    text = Urdf.load("demo").text.replace("link_1", "glied_ä")
    text = f'<?xml version="1.0" encoding="{encoding}"?>' + text.partition("?>")[2]
    path = tmp_path / "cell.urdf"
    path.write_bytes(text.encode(encoding))
    assert "glied_ä" in Urdf.load(str(path)).moving_links()


def test_an_encoding_that_nobody_knows_is_one_sentence(tmp_path):
    path = tmp_path / "cell.urdf"
    path.write_text('<?xml version="1.0" encoding="klingon"?><robot name="r"/>')
    with pytest.raises(RobotError, match=r"cannot read the robot description .*klingon"):
        Urdf.load(str(path))


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_a_robot_in_millimetres_is_refused_by_that_name(scale):
    text = share_path("config", "demo", "cell.urdf").read_text("utf-8")
    numbers = re.compile(r'((?:xyz|size|radius|length)=)"([^"]*)"')
    text = numbers.sub(
        lambda m: f'{m[1]}"{" ".join(str(scale * float(n)) for n in m[2].split())}"', text
    )
    if scale == 1.0:
        RobotModel.from_urdf(Urdf(text))
        return
    with pytest.raises(RobotError, match="m from its frame; is it described in millimetres"):
        RobotModel.from_urdf(Urdf(text))
    with pytest.raises(RobotError, match="is it described in millimetres"):
        RobotModel.from_frames(["base", "tool"], [60.0])
    with pytest.raises(RobotError, match="'tool' of a robot reaches 60 m"):  # one link alone
        RobotModel.from_frames(["base", "arm", "tool"], [0.06, 60.0])


@pytest.mark.parametrize("tag", ["link", "joint"])
def test_a_name_that_two_have_is_refused(tag):
    text = share_path("config", "demo", "cell.urdf").read_text("utf-8")
    names = re.findall(rf'<{tag} name="([^"]+)"', text)
    element = re.findall(rf"<{tag} name=[^>]*/>|<{tag} name=.*?</{tag}>", text, re.DOTALL)[0]
    with pytest.raises(RobotError, match=f"has the {tag} '{names[0]}' twice"):
        Urdf(text.replace("</robot>", f"{element}</robot>"))


def test_a_byte_order_mark_is_no_part_of_a_description():
    text = share_path("config", "demo", "cell.urdf").read_text("utf-8")
    assert Urdf.load("\ufeff" + text).links == Urdf.load(text).links
