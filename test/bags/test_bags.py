"""Bags: written whole or not at all, read lazily, refused with a sentence."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcap.data_stream import RecordBuilder
from mcap.records import Chunk, DataEnd, Footer, Header
from mcap.writer import MCAP0_MAGIC
from mutants import in_a_gibibyte
from recorded_run import forecasts_message
from rosbags.rosbag2 import StoragePlugin, Writer

from ses_gcn_ros.bags.messages import (
    Observation,
    message,
    observation_from_message,
    skeletons_message,
    typestore,
)
from ses_gcn_ros.bags.rosbag2 import (
    BagWriter,
    open_bag,
    read_current,
    read_messages,
    read_skeletons,
    topics_of,
    write_skeletons,
)
from ses_gcn_ros.errors import BagError, InputError
from ses_gcn_ros.forecast import Forecast
from ses_gcn_ros.forecast.forecaster import forecasts_from_message
from ses_gcn_ros.skeleton import Skeleton

FLOAT = "std_msgs/msg/Float64"


def observations(count: int, seed: int = 0) -> list[Observation]:
    generator = np.random.default_rng(seed)
    people = [
        [
            Skeleton(
                str(person),
                "chico15",
                generator.normal(size=(15, 3)).astype(np.float32),
                generator.uniform(size=15).astype(np.float32),
            )
            for person in range(frame % 3)
        ]
        for frame in range(count)
    ]
    return [Observation(100 + i / 25, "world", present) for i, present in enumerate(people)]


def write_bag(path: Path, **topics: int) -> Path:
    with BagWriter(path) as bag:
        for topic, count in topics.items():
            for i in range(count):
                bag.write_message(f"/{topic}", i, message(FLOAT, data=float(i)))
    return path


def assert_same(found: list[Observation], expected: list[Observation]) -> None:
    assert [o.stamp for o in found] == pytest.approx([o.stamp for o in expected], abs=1e-6)
    for a, b in zip(found, expected, strict=True):
        assert a.frame_id == b.frame_id
        assert [p.person_id for p in a.people] == [p.person_id for p in b.people]
        for person, other in zip(a.people, b.people, strict=True):
            np.testing.assert_array_equal(person.positions, other.positions)
            np.testing.assert_array_equal(person.confidence, other.confidence)


def test_skeletons_come_back_as_they_were_written(tmp_path):
    expected = observations(20)
    expected[4].people[0].positions[3] = np.nan
    with BagWriter(tmp_path / "bag") as bag:
        write_skeletons(bag, "/skeletons", expected)
    assert_same(list(read_skeletons(tmp_path / "bag")), expected)


def test_sqlite3_bags_are_read_too(tmp_path):
    expected = observations(5)
    kind = "ses_gcn_ros/msg/SkeletonArray"
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.SQLITE3) as writer:
        connection = writer.add_connection("/skeletons", kind, typestore=typestore())
        for i, observation in enumerate(expected):
            data = typestore().serialize_cdr(skeletons_message(observation), kind)
            writer.write(connection, i, data)
    assert_same(list(read_skeletons(tmp_path / "bag")), expected)


def test_forecasts_come_back_as_they_were():
    generator = np.random.default_rng(1)
    made = Forecast(
        person_id="7",
        layout="chico15",
        stamp=12.52,
        step=0.04,
        positions=generator.normal(size=(25, 15, 3)).astype(np.float32),
        radius=generator.uniform(size=(25, 15)).astype(np.float32),
        coverage=0.5,
        model="sesgcn_workcell",
    )
    kind = "ses_gcn_ros/msg/ForecastArray"
    data = typestore().serialize_cdr(forecasts_message(12.52, "world", [made]), kind)
    (found,) = forecasts_from_message(typestore().deserialize_cdr(data, kind))
    assert (found.stamp, found.step) == pytest.approx((12.52, 0.04), abs=1e-9)
    assert (found.person_id, found.model, found.coverage) == ("7", "sesgcn_workcell", 0.5)
    np.testing.assert_array_equal(found.positions, made.positions)
    np.testing.assert_array_equal(found.radius, made.radius)


def test_raw_messages_are_the_bytes_that_were_written(tmp_path):
    data = b"\x00\x01\x00\x00" + np.float64(2.5).tobytes()
    with BagWriter(tmp_path / "bag") as bag:
        bag.write("/a", FLOAT, 7, data)
    (found,) = read_current(tmp_path / "bag")
    assert found == ("/a", FLOAT, 7, data)


def test_messages_come_in_the_order_of_their_recording(tmp_path):
    with BagWriter(tmp_path / "bag") as bag:
        for stamp in (3, 1, 2):
            bag.write_message("/a", stamp, message(FLOAT, data=float(stamp)))
    assert [m.content.data for m in read_messages(tmp_path / "bag")] == [1, 2, 3]


def test_a_relative_name_finds_its_topic_in_any_namespace(tmp_path):
    with BagWriter(tmp_path / "bag") as bag:
        bag.write_message("/cell_1/skeletons", 0, message(FLOAT, data=0.0))
    assert topics_of(tmp_path / "bag")["skeletons"] == FLOAT
    assert [m.topic for m in read_current(tmp_path / "bag", ["skeletons"])] == ["skeletons"]
    with pytest.raises(BagError, match="no topic '/skeletons'"):
        list(read_current(tmp_path / "bag", ["/skeletons"]))


def test_a_name_of_two_topics_is_refused(tmp_path):
    with BagWriter(tmp_path / "bag") as bag:
        for cell in (1, 2):
            bag.write_message(f"/cell_{cell}/skeletons", 0, message(FLOAT, data=0.0))
    with pytest.raises(BagError, match=r"/cell_1/skeletons, /cell_2/skeletons"):
        list(read_skeletons(tmp_path / "bag"))


def test_a_bag_without_skeletons_says_what_it_has(tmp_path):
    write_bag(tmp_path / "bag", speed=3)
    with pytest.raises(BagError, match=rf"'skeletons'.*/speed \({FLOAT}\)"):
        list(read_skeletons(tmp_path / "bag"))


def test_an_empty_bag_has_no_messages(tmp_path):
    with BagWriter(tmp_path / "bag"):
        pass
    assert list(read_current(tmp_path / "bag")) == []


def test_a_missing_bag_is_named(tmp_path):
    with pytest.raises(BagError, match=r"nowhere' does not exist"):
        topics_of(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["notes.txt", "folder"])
def test_what_is_no_bag_is_refused(tmp_path, name):
    path = tmp_path / name
    path.mkdir() if name == "folder" else path.write_text("hello")
    with pytest.raises(BagError, match="no bag"):
        topics_of(path)


@given(st.floats(0, 0.999))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_a_truncated_bag_is_an_error_wherever_it_ends(tmp_path, share):
    whole = tmp_path / "whole"
    if not whole.exists():
        with BagWriter(whole) as bag:
            write_skeletons(bag, "/skeletons", observations(50))
    cut = tmp_path / "cut"
    shutil.rmtree(cut, ignore_errors=True)
    shutil.copytree(whole, cut)
    file = cut / "whole.mcap"
    data = file.read_bytes()
    file.write_bytes(data[: int(share * len(data))])
    for path in (cut, file):
        with pytest.raises(BagError, match="truncated"):
            list(read_skeletons(path))


def test_bytes_that_are_no_message_are_an_error(tmp_path):
    with BagWriter(tmp_path / "bag") as bag:
        bag.write("/skeletons", "ses_gcn_ros/msg/SkeletonArray", 0, b"\x00\x01\x00\x00\x05")
    with pytest.raises(BagError, match="can't be read"):
        list(read_skeletons(tmp_path / "bag"))


def test_people_are_not_looked_for_in_messages_of_another_type(tmp_path):
    with BagWriter(tmp_path / "bag") as bag:
        bag.write_message("/skeletons", 0, message("std_msgs/msg/String", data="nobody"))
    with pytest.raises(BagError, match="can't be read from messages of type std_msgs/msg/String"):
        list(read_skeletons(tmp_path / "bag"))


@pytest.mark.parametrize("name", ["bag.mcap", "bag.db3", "bag"])
def test_what_is_no_file_is_no_bag(tmp_path, name):
    """A pipe would be waited for."""
    os.mkfifo(tmp_path / name)
    with pytest.raises(BagError, match=r"is no bag of ROS 2; give a bag's folder"):
        topics_of(tmp_path / name)
    (tmp_path / "old.bag").touch()
    with pytest.raises(BagError, match=r"of ROS 2; rosbags-convert --src '.*\.bag' --dst"):
        topics_of(tmp_path / "old.bag")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "folder" / "metadata.yaml")
    with pytest.raises(BagError, match=r"no metadata\.yaml and no mcap or db3 file"):
        topics_of(tmp_path / "folder")


@pytest.mark.parametrize("version", [".inf", "9" * 400])
def test_metadata_with_numbers_without_end_is_left_aside(tmp_path, version):
    path = tmp_path / "bag"
    with BagWriter(path) as bag:
        write_skeletons(bag, "/skeletons", observations(2))
    metadata = path / "metadata.yaml"
    metadata.write_text(
        re.sub(r"version: \d+", f"version: {version}", metadata.read_text(), count=1)
    )
    assert len(list(read_skeletons(path))) == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"layout": "stick"}, "unknown joint layout 'stick'"),
        ({"positions": np.zeros(44, np.float32)}, "44 position values, .*layout chico15 takes 45"),
        ({"confidence": np.ones(3, np.float32)}, "3 confidences"),
        ({"positions": np.full(45, np.inf, np.float32)}, "infinite"),
    ],
)
def test_an_unusable_skeleton_says_what_is_wrong(change, words):
    content = skeletons_message(observations(2)[1])
    for name, value in change.items():
        object.__setattr__(content.skeletons[0], name, value)
    with pytest.raises(InputError, match=words):
        observation_from_message(content)


def test_an_existing_bag_is_kept(tmp_path):
    write_bag(tmp_path / "bag", a=1)
    with pytest.raises(BagError, match="exists"):
        BagWriter(tmp_path / "bag")
    assert len(list(read_current(tmp_path / "bag"))) == 1


def test_an_existing_bag_is_replaced_when_asked(tmp_path):
    write_bag(tmp_path / "bag", a=1)
    with BagWriter(tmp_path / "bag", overwrite=True) as bag:
        bag.write_message("/b", 0, message(FLOAT, data=0.0))
        assert list(topics_of(tmp_path / "bag")) == ["/a"], "until the new one is whole"
    assert list(topics_of(tmp_path / "bag")) == ["/b"]
    assert [path.name for path in tmp_path.iterdir()] == ["bag"]


def test_an_interrupted_recording_never_looks_like_a_bag(tmp_path):
    write_bag(tmp_path / "bag", a=1)
    bag = BagWriter(tmp_path / "bag", overwrite=True)
    bag.write_message("/b", 0, message(FLOAT, data=0.0))
    bag.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert list(topics_of(tmp_path / "bag")) == ["/a"]
    shutil.rmtree(tmp_path / "bag")
    with pytest.raises(BagError, match=r"interrupted recording lies in .*bag\.incomplete"):
        topics_of(tmp_path / "bag")
    write_bag(tmp_path / "bag", a=2)  # and the next one is not hindered
    assert (tmp_path / "bag.incomplete").exists()


def test_an_unknown_type_is_refused(tmp_path):
    with pytest.raises(BagError, match="my_msgs/msg/Thing"), BagWriter(tmp_path / "bag") as bag:
        bag.write("/a", "my_msgs/msg/Thing", 0, b"")


def test_a_bag_tells_ros_the_quality_of_service_of_its_topics(tmp_path):
    write_bag(tmp_path / "bag", tf_static=1, skeletons=1)
    metadata = (tmp_path / "bag" / "metadata.yaml").read_text()
    assert metadata.count("durability: transient_local") == 1
    assert metadata.count("durability: volatile") == 1
    assert metadata.count("reliability: reliable") == 2


def test_type_hashes_are_those_of_the_built_interfaces():
    folder = Path(sys.prefix) / "share" / "ses_gcn_ros" / "msg"
    if not folder.is_dir():
        pytest.skip("the interfaces are not built in this environment")
    built = sorted(folder.glob("*.json"))
    assert built
    for path in built:
        hashes = json.loads(path.read_text())["type_hashes"]
        expected = {entry["type_name"]: entry["hash_string"] for entry in hashes}
        name = f"ses_gcn_ros/msg/{path.stem}"
        assert typestore().hash_rihs01(name) == expected[name]


def test_bytes_are_those_of_rclpy():
    serialization = pytest.importorskip("rclpy.serialization")
    built = pytest.importorskip("ses_gcn_ros.msg")
    observation = observations(3)[2]
    kind = "ses_gcn_ros/msg/SkeletonArray"
    data = bytes(typestore().serialize_cdr(skeletons_message(observation), kind))
    theirs = serialization.deserialize_message(data, built.SkeletonArray)
    assert [s.person_id for s in theirs.skeletons] == ["0", "1"]
    again = typestore().deserialize_cdr(serialization.serialize_message(theirs), kind)
    assert_same([observation_from_message(again)], [observation])


def test_a_newer_metadata_version_is_said_and_the_files_are_read(tmp_path):
    write_bag(tmp_path / "bag", a=2)
    metadata = tmp_path / "bag" / "metadata.yaml"
    metadata.write_text(metadata.read_text().replace("version: 9", "version: 12"))
    with open_bag(tmp_path / "bag") as bag:
        assert len(list(bag.raw({"/a": "/a"}))) == 2
        (note,) = bag.notes
    assert "version 12, newer than the 9" in note


def test_a_part_that_is_missing_is_named_behind_what_is_there(tmp_path):
    write_bag(tmp_path / "bag", a=2)
    metadata = tmp_path / "bag" / "metadata.yaml"
    listed = "  - bag.mcap\n"
    assert listed in metadata.read_text()
    metadata.write_text(metadata.read_text().replace(listed, f"{listed}  - bag_1.mcap\n"))
    found = []
    with pytest.raises(BagError, match=r"lacks bag_1\.mcap"):
        found.extend(read_current(tmp_path / "bag"))
    assert len(found) == 2


@pytest.mark.parametrize("place", ["alone", "in a folder"])
def test_a_file_that_was_compressed_as_a_whole_is_read(tmp_path, place):
    write_bag(tmp_path / "bag", a=3)
    data = (tmp_path / "bag" / "bag.mcap").read_bytes()
    folder = tmp_path / "packed"
    folder.mkdir()
    (folder / "bag.mcap.zstd").write_bytes(zstandard.compress(data))
    path = folder / "bag.mcap.zstd" if place == "alone" else folder
    assert len(list(read_current(path))) == 3
    assert [file.name for file in folder.iterdir()] == ["bag.mcap.zstd"]


def test_messages_that_were_compressed_one_by_one_are_read_without_metadata(tmp_path):
    content = typestore().serialize_cdr(message(FLOAT, data=2.5), FLOAT)
    with BagWriter(tmp_path / "bag") as bag:
        bag.write("/a", FLOAT, 0, zstandard.compress(bytes(content)))
    (found,) = read_messages(tmp_path / "bag" / "bag.mcap")
    assert found.content.data == 2.5


def bomb(size: int = 4 << 30) -> bytes:
    """A zstd frame of 130 kB that unpacks to 4 GiB of zeros: blocks of one byte, repeated."""
    block = 1 << 17
    head = b"\x28\xb5\x2f\xfd\xc0\x38" + size.to_bytes(8, "little")
    more = (block << 3 | 0b010).to_bytes(3, "little") + b"\0"
    last = (block << 3 | 0b011).to_bytes(3, "little") + b"\0"
    return head + more * (size // block - 1) + last


def chunk_of(data: bytes, compression: str) -> bytes:
    """A whole mcap of nothing but that chunk."""
    records = RecordBuilder()
    Header(profile="ros2", library="").write(records)
    Chunk(compression, data, 0, 0, 0, 4 << 30).write(records)
    DataEnd(0).write(records)
    Footer(0, 0, 0).write(records)
    return MCAP0_MAGIC + records.end() + MCAP0_MAGIC


@pytest.mark.parametrize("place", ["file", "chunk", "message", "message by its metadata"])
def test_what_unpacks_to_gigabytes_is_refused_in_little_memory(tmp_path, place):
    path = tmp_path / "bag.mcap"
    if place == "file":
        path = tmp_path / "bag.mcap.zstd"
        path.write_bytes(bomb())
    elif place == "chunk":
        path.write_bytes(chunk_of(bomb(), "zstd"))
    else:
        path = tmp_path / "bag"
        with BagWriter(path) as bag:
            bag.write("/a", FLOAT, 0, bomb())
    if "metadata" in place:
        file = path / "metadata.yaml"
        text = re.sub("compression_format: .*", "compression_format: zstd", file.read_text())
        file.write_text(re.sub("compression_mode: .*", "compression_mode: message", text))
    with in_a_gibibyte(), pytest.raises(BagError, match=r"more than \d+ MiB"):
        list(read_messages(path))


def test_of_what_is_refused_nothing_is_left(tmp_path):
    with pytest.raises(InputError), BagWriter(tmp_path / "bag"):
        raise InputError("the third take is damaged")
    assert list(tmp_path.iterdir()) == []


def test_older_skeletons_are_given_in_the_definition_of_today(sample):
    """The sample that ships was recorded before skeletons had a covariance and a liveness."""
    kind = "ses_gcn_ros/msg/SkeletonArray"
    raw = next(entry for entry in read_current(sample) if entry.type == kind)
    (person,) = typestore().deserialize_cdr(raw.data, kind).skeletons
    assert len(person.positions) == 45
    assert (len(person.covariance), person.liveness) == (0, -1.0)
