"""Bad recordings: one sentence each, and what came before the damage is judged."""

from __future__ import annotations

import errno
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from tf_messages import transforms_message

from ses_gcn_ros.bags.messages import (
    NANO,
    Observation,
    message,
    skeletons_message,
    typestore,
)
from ses_gcn_ros.bags.rosbag2 import Bag, BagWriter, open_bag, read_skeletons
from ses_gcn_ros.errors import BagError, ConfigError, SesGcnError
from ses_gcn_ros.replay import evaluate as evaluation
from ses_gcn_ros.replay.evaluate import evaluate
from ses_gcn_ros.replay.options import Options
from ses_gcn_ros.replay.recording import GrowingArray, open_replay
from ses_gcn_ros.safety import SafetyConfig
from ses_gcn_ros.skeleton import Skeleton, convert


@pytest.fixture(scope="module")
def visit(request: pytest.FixtureRequest) -> list[Observation]:
    """Three seconds of the sample's person."""
    return list(read_skeletons(request.getfixturevalue("sample")))[100:175]


def the_problem(summary: dict, *words: str) -> None:
    assert summary["partial"] or summary["problems"]
    (problem,) = [p for p in summary["problems"] if all(word in p for word in words)]
    assert "\n" not in problem


def test_an_mcap_cut_off_in_the_middle_is_judged_up_to_there(visit, tmp_path, monkeypatch):
    noise = np.random.default_rng(0)
    with BagWriter(tmp_path / "bag") as bag:
        for seen in visit:
            stamp = round(seen.stamp * NANO)
            bag.write_message("/skeletons", stamp, skeletons_message(seen))
            data = noise.integers(0, 255, 200_000).astype(np.uint8)  # makes chunks of a MB or so
            format_ = {"format": "jpeg", "data": data, "header": skeletons_message(seen).header}
            picture = message("sensor_msgs/msg/CompressedImage", **format_)
            bag.write_message("/camera/image/compressed", stamp, picture)
    data = next((tmp_path / "bag").glob("*.mcap")).read_bytes()
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(data[: len(data) * 2 // 3])
    summary = evaluate(cut, tmp_path / "out")
    monkeypatch.setattr(evaluation, "_can_fork", lambda: True)
    assert evaluate(cut, tmp_path / "ahead") == summary
    assert summary["partial"]
    assert 30 < summary["frames"] < 60
    assert summary["forecasts"]["compared"] > 10
    the_problem(summary, "cut off", "is judged")


def test_an_mcap_without_a_whole_message_is_refused(shift_bag, tmp_path):
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(next(shift_bag.glob("*.mcap")).read_bytes()[:200])
    with pytest.raises(BagError, match="may be truncated"):
        evaluate(cut, None)


@pytest.mark.parametrize(
    "content", [b"PK\x03\x04 an archive", b"<html>404", b"version https://git-lfs"]
)
def test_a_file_that_is_no_mcap_is_not_called_cut_off(content, tmp_path):
    path = tmp_path / "shift.mcap"
    path.write_bytes(content)
    with pytest.raises(BagError, match=r"is no mcap file: it begins with b'") as refused:
        evaluate(path, None)
    assert ("git lfs pull" in str(refused.value)) == content.startswith(b"version")


def test_a_damaged_sqlite_bag_is_judged_up_to_the_damage(visit, tmp_path, monkeypatch):
    kind = "ses_gcn_ros/msg/SkeletonArray"
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.SQLITE3) as writer:
        connection = writer.add_connection("/skeletons", kind, typestore=typestore())
        for seen in visit:
            data = typestore().serialize_cdr(skeletons_message(seen), kind)
            writer.write(connection, round(seen.stamp * NANO), data)
    (file,) = (tmp_path / "bag").glob("*.db3")
    with sqlite3.connect(file) as database:
        database.execute("UPDATE messages SET data = x'0001000003' WHERE id = 50")
    summary = evaluate(tmp_path / "bag", None)
    monkeypatch.setattr(evaluation, "_can_fork", lambda: True)
    assert evaluate(tmp_path / "bag", None) == summary
    assert summary["partial"]
    assert summary["frames"] == 49
    the_problem(summary, "can't be read", "is judged")


def test_a_missing_topic_says_what_is_there(visit, bag_of):
    from ses_gcn_ros.replay.options import Naming

    path = bag_of("bag", visit)
    with pytest.raises(BagError, match=r"no topic '/people'; it has /skeletons \(ses_gcn_ros/msg"):
        evaluate(path, None, Options(naming=Naming(topics={"skeletons": "/people"})))


def test_an_unknown_type_is_named(tmp_path, visit):
    definition = "float64 x\n"
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.EMPTY)
    store.register(get_types_from_msg(definition, "acme_msgs/msg/Body"))
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection("/skeletons", "acme_msgs/msg/Body", typestore=store)
        content = store.types["acme_msgs/msg/Body"](x=1.0)
        writer.write(connection, 0, store.serialize_cdr(content, "acme_msgs/msg/Body"))
    with pytest.raises(BagError, match="people can't be read from messages of type acme_msgs"):
        evaluate(tmp_path / "bag", None)


def test_nothing_that_says_where_the_robot_is_leaves_the_forecasts(visit, bag_of):
    summary = evaluate(bag_of("bag", visit), None)
    assert summary["safety"] is None
    assert summary["forecasts"]["compared"] > 0
    the_problem(summary, "nothing says what the robot looks like", "--demo-robot")


def test_a_robot_that_is_given_and_is_none_is_refused_where_it_would_not_be_needed(
    visit, bag_of, tmp_path
):
    junk = tmp_path / "robot.urdf"
    junk.write_bytes(b"\x8c\x00")
    options = Options(safety=SafetyConfig(robot_description=str(junk)))
    with pytest.raises(SesGcnError, match=r"cannot read the robot description .*robot\.urdf"):
        evaluate(bag_of("bag", visit), None, options)


def test_transforms_that_never_connect_are_named(shift_bag, tmp_path):
    with open_bag(shift_bag) as bag, BagWriter(tmp_path / "bag") as copy:
        names = ("/skeletons", "/tf", "/robot_description")  # what joins the base is left out
        for entry in bag.raw({name: name for name in names}):
            copy.write(entry.topic, entry.type, entry.stamp, bytes(entry.data))
            if entry.stamp > bag.span[0] + 2 * NANO:
                break
    summary = evaluate(tmp_path / "bag", None)
    assert summary["partial"]
    assert summary["safety"]["seconds"]["STOP"] == pytest.approx(
        sum(summary["safety"]["seconds"].values())
    )
    the_problem(summary, "the robot was never found", "which nothing joins to 'world'")


def test_mixed_layouts_are_judged_and_shown_in_one(visit, bag_of):
    def as_h36m(person: Skeleton) -> Skeleton:
        positions, confidence = convert(person.positions, person.confidence, "chico15", "h36m17")
        return Skeleton("2", "h36m17", positions + np.float32(0.5), confidence)

    both = [seen._replace(people=[*seen.people, as_h36m(seen.people[0])]) for seen in visit]
    summary = evaluate(bag_of("bag", both), None)
    assert summary["people"] == 2
    assert summary["forecasts"]["compared"] > 1.9 * len(visit) - 40


def test_a_clock_that_goes_back_is_told_of(visit, bag_of):
    back = [*visit[:50], *(s._replace(stamp=s.stamp - 3600.0) for s in visit[:50])]
    summary = evaluate(bag_of("bag", back), None)
    the_problem(summary, "went back 1 times")
    assert summary["forecasts"]["compared"] > 40


def test_people_who_do_not_stand_along_z_are_told_of(visit, bag_of):
    def as_cameras_see(seen: Observation) -> Observation:
        people = [replace(p, positions=p.positions[:, [1, 2, 0]] * (1, -1, 1)) for p in seen.people]
        return seen._replace(people=people)

    summary = evaluate(bag_of("bag", [as_cameras_see(seen) for seen in visit]), None)
    the_problem(summary, "people stand along -y of the frame that they came in")


def test_a_person_who_is_there_twice_is_refused_and_counted(visit, bag_of):
    twice = [visit[0], visit[1]._replace(people=visit[1].people * 2), *visit[2:]]
    summary = evaluate(bag_of("bag", twice), None)
    assert summary["frames"] == len(visit) - 1
    the_problem(summary, "1 messages were refused", "appears twice")


def test_images_beside_the_skeletons_are_never_decoded(visit, bag_of, monkeypatch, tmp_path):
    with BagWriter(tmp_path / "bag") as bag:
        for seen in visit:
            stamp = round(seen.stamp * NANO)
            bag.write_message("/skeletons", stamp, skeletons_message(seen))
            sizes = {"height": 64, "width": 64, "step": 192, "is_bigendian": 0}
            told = {"header": skeletons_message(seen).header, "encoding": "rgb8", **sizes}
            data = np.zeros(64 * 192, np.uint8)
            picture = message("sensor_msgs/msg/Image", data=data, **told)
            bag.write_message("/camera/image", stamp, picture)
    decoded = set()
    decode = Bag.decode
    monkeypatch.setattr(
        Bag, "decode", lambda self, entry: decoded.add(entry.type) or decode(self, entry)
    )
    assert evaluate(tmp_path / "bag", None)["frames"] == len(visit)
    assert "sensor_msgs/msg/Image" not in decoded


def test_a_full_disk_leaves_the_numbers(visit, bag_of, tmp_path, monkeypatch):
    path = bag_of("bag", visit)

    def full(self: GrowingArray, rows: object) -> None:
        if self.rows:
            raise OSError(errno.ENOSPC, "No space left on device")
        append(self, rows)

    append = GrowingArray.append
    options = Options(demo_robot=True, safety=SafetyConfig(robot_description="demo"))
    expected = evaluate(path, None, options)
    monkeypatch.setattr(GrowingArray, "append", full)
    monkeypatch.setattr("ses_gcn_ros.replay.recording._BLOCK", 16)
    summary = evaluate(path, tmp_path / "out", options)
    the_problem(summary, "could not be written", "No space left")
    assert summary["partial"]
    assert summary["forecasts"] == expected["forecasts"]
    assert (tmp_path / "out" / "summary.json").exists()
    assert not Path(tmp_path / "out" / "replay" / "replay.json").exists()


def test_people_in_a_frame_that_nothing_joins_to_the_world_are_shown_in_it(visit, bag_of, tmp_path):
    seen = [each._replace(frame_id="camera_optical_frame") for each in visit]
    summary = evaluate(bag_of("bag", seen), tmp_path / "out")
    the_problem(summary, "nothing says where 'camera_optical_frame' is in 'world'")
    replay = open_replay(tmp_path / "out" / "replay")
    assert replay.about.frame_id == "camera_optical_frame"
    assert len(replay.person) == len(visit)


def test_results_never_go_into_a_bag(visit, bag_of):
    path = bag_of("bag", visit[:5])
    before = sorted(path.iterdir())
    with pytest.raises(ConfigError, match="holds a bag; give another folder"):
        evaluate(path, path)
    assert sorted(path.iterdir()) == before


@pytest.mark.parametrize(
    ("description", "reason"),
    [
        ("<robot name='r'><link name='a'/><joint name='j' type='floating'/></robot>", "floating"),
        (
            "<robot name='r'><link name='a'/><link name='b'><collision><geometry><mesh "
            "filename='package://nobody_has_it/b.stl'/></geometry></collision></link>"
            "<joint name='j' type='revolute'><parent link='a'/><child link='b'/></joint></robot>",
            "package 'nobody_has_it' of its mesh",
        ),
        ("what", "cannot read the robot description what"),
    ],
)
def test_a_recorded_robot_that_can_not_be_used_leaves_the_forecasts(
    visit, tmp_path, description, reason
):
    with BagWriter(tmp_path / "bag") as bag:
        robot = message("std_msgs/msg/String", data=description)
        placed = transforms_message([(visit[0].stamp, "world", "a", (0, 0, 0), (0, 0, 0, 1))])
        for topic, content in (("/robot_description", robot), ("/tf", placed)):
            bag.write_message(topic, round(visit[0].stamp * NANO), content)
        for seen in visit:
            bag.write_message("/skeletons", round(seen.stamp * NANO), skeletons_message(seen))
    summary = evaluate(tmp_path / "bag", None)
    assert summary["forecasts"]["compared"] > 10
    assert summary["safety"] is None
    the_problem(summary, "the recorded robot can't be used", reason, "give --robot")
