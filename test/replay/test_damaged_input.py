"""Bags, journals and summaries, damaged at random: one sentence, nothing overwritten, no traceback.

See `mutants`, whose long form is ``SES_GCN_MUTANTS=10000``.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from mutants import MUTANTS, in_one_sentence, mutants, survive
from rosbags.rosbag2 import StoragePlugin, Writer

from ses_gcn_ros.bags.messages import NANO, Observation, skeletons_message, typestore
from ses_gcn_ros.bags.rosbag2 import BagWriter, open_bag, write_skeletons
from ses_gcn_ros.bags.video_journal import VideoJournal
from ses_gcn_ros.errors import BagError, SesGcnError
from ses_gcn_ros.pose.config import PoseConfig
from ses_gcn_ros.replay.events import EventReader, PeopleSeen, Refused
from ses_gcn_ros.replay.options import Naming, find_topics
from ses_gcn_ros.replay.summary import compare, read_summary
from ses_gcn_ros.skeleton import Skeleton

KIND = "ses_gcn_ros/msg/SkeletonArray"


def observations(count: int = 12) -> list[Observation]:
    rng = np.random.default_rng(0)
    certain = np.ones(15, np.float32)
    return [
        Observation(
            1.0 + k / 25,
            "world",
            [Skeleton("1", "chico15", rng.normal(size=(15, 3)).astype(np.float32), certain)],
        )
        for k in range(count)
    ]


def everybody(path: Path) -> int:
    """How often people are seen in a bag, as a replay reads it."""
    with open_bag(path) as bag:
        topics = find_topics(bag.topics, Naming())
        events = EventReader(bag, topics, Naming(), "world", PoseConfig())
        return sum(isinstance(event, PeopleSeen) for event in events)


@pytest.fixture(params=["mcap", "cut mcap", "sqlite3", "metadata"])
def bag(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path]:
    """A bag, and the file of it that is to be damaged."""
    path = tmp_path / "bag"
    if request.param == "sqlite3":
        with Writer(path, version=9, storage_plugin=StoragePlugin.SQLITE3) as writer:
            connection = writer.add_connection("/skeletons", KIND, typestore=typestore())
            for seen in observations():
                data = typestore().serialize_cdr(skeletons_message(seen), KIND)
                writer.write(connection, round(seen.stamp * NANO), data)
        return path, next(path.glob("*.db3"))
    with BagWriter(path) as writer:
        write_skeletons(writer, "/skeletons", observations())
    if request.param == "metadata":
        return path, path / "metadata.yaml"
    file = next(path.glob("*.mcap"))
    if request.param == "cut mcap":
        data = file.read_bytes()
        file.write_bytes(data[: data.rindex(b"\x0f\x04\x00\x00\x00\x00\x00\x00\x00")])
    return file, file


@pytest.mark.parametrize("seed", [1])
def test_a_damaged_bag_is_read_up_to_the_damage_or_refused_in_one_sentence(bag, seed):
    path, file = bag
    survive(file, lambda _: everybody(path), seed)


@pytest.mark.parametrize("damage", ["data = 'x'", "data = 7", "timestamp = 'x'"])
def test_a_row_of_another_type_is_damage(tmp_path, damage):
    """A database of SQLite takes any type in any column."""
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.SQLITE3) as writer:
        connection = writer.add_connection("/skeletons", KIND, typestore=typestore())
        for seen in observations(3):
            data = typestore().serialize_cdr(skeletons_message(seen), KIND)
            writer.write(connection, round(seen.stamp * NANO), data)
    (file,) = (tmp_path / "bag").glob("*.db3")
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.execute(f"UPDATE messages SET {damage} WHERE id = 2")
        database.commit()
    with pytest.raises(BagError, match="it may be truncated"):
        everybody(tmp_path / "bag")


def test_messages_whose_definition_in_the_bag_lacks_a_field_are_refused_by_name(tmp_path):
    with BagWriter(tmp_path / "bag") as writer:
        write_skeletons(writer, "/skeletons", observations())
    (file,) = (tmp_path / "bag").glob("*.mcap")
    data = file.read_bytes()
    file.write_bytes(
        data.replace(b"builtin_interfaces/Time stamp", b"builtin_interfaces/Time stomp")
    )
    with open_bag(file) as bag:
        topics = find_topics(bag.topics, Naming())
        events = list(EventReader(bag, topics, Naming(), "world", PoseConfig()))
    reasons = {event.sentence for event in events if isinstance(event, Refused)}
    assert reasons == {"std_msgs/msg/Header has no 'stamp' by the bag's definition of it"}
    assert not any(isinstance(event, PeopleSeen) for event in events)


def test_a_damaged_journal_keeps_what_comes_before_the_damage(tmp_path):
    path, run = tmp_path / ".bag.journal", {"video": "walk.mp4"}
    expected = observations()
    with VideoJournal(path, run) as journal:
        for seen in expected:
            journal.append(seen)
    for data in mutants(path.read_bytes(), MUTANTS, 2):
        path.write_bytes(data)
        with VideoJournal(path, run) as journal:
            found = list(journal.frames)
            assert path.read_bytes() == data
        for seen, kept in zip(expected, found, strict=False):
            assert kept.stamp == pytest.approx(seen.stamp, abs=1e-6)
            np.testing.assert_array_equal(kept.people[0].positions, seen.people[0].positions)


def damaged_json(summary: object, rng: np.random.Generator) -> object:
    """A copy in which one value, chosen on the way down, is another or missing."""
    others = [None, [], {}, "x", -1, True, [None], {"a": 1}, 1e308, [[[]]]]
    if isinstance(summary, dict) and summary and rng.random() < 0.9:
        chosen = str(rng.choice(sorted(summary)))
        if rng.random() < 0.2:
            return {key: value for key, value in summary.items() if key != chosen}
        return {**summary, chosen: damaged_json(summary[chosen], rng)}
    if isinstance(summary, list) and summary and rng.random() < 0.7:
        chosen = int(rng.integers(len(summary)))
        return [
            *summary[:chosen],
            damaged_json(summary[chosen], rng),
            *summary[chosen + 1 :],
        ]
    return others[rng.integers(len(others))]


def test_a_damaged_summary_is_compared_or_refused_in_one_sentence(tmp_path):
    whole = {
        "bag": "a",
        "partial": False,
        "people": 1,
        "frames": 10,
        "duration_s": 1.0,
        "forecasts": {
            "count": 9,
            "compared": 5,
            "fallbacks": {},
            "horizons_s": [0.08, 0.4, 1.0],
            "mpjpe_mm": {
                kind: {name: [1.0, 2.0, None] for name in ("forecast", "last_pose")}
                for kind in ("at", "up_to")
            },
            "coverage": {"promised": 0.9, "measured": 0.8, "radius_mm": [1.0, 2.0, 3.0]},
        },
        "safety": {"availability": 0.5, "worst": {"separation_m": 0.4}, "false_stops": 1},
        "collision": {"precision": 0.5, "lead_time_s": {"median": 0.2}},
        "stream": {"gaps": 0, "dropped": 2},
        "ages_ms": {"skeleton": {"p99": 3.0}},
    }
    path, rng = tmp_path / "summary.json", np.random.default_rng(3)
    text = json.dumps(whole)
    for number, data in enumerate(mutants(text.encode(), MUTANTS, 3)):
        if number % 2:
            data = json.dumps(damaged_json(whole, rng)).encode()
        path.write_bytes(data)
        try:
            assert isinstance(compare(whole, read_summary(path)), list)
        except SesGcnError as error:
            in_one_sentence(error)


def test_what_a_killed_recorder_left_in_a_write_ahead_log_counts(tmp_path):
    source, killed = tmp_path / "bag", tmp_path / "killed"
    with Writer(source, version=9, storage_plugin=StoragePlugin.SQLITE3) as writer:
        connection = writer.add_connection("/skeletons", KIND, typestore=typestore())
        for seen in observations(20)[:10]:
            data = typestore().serialize_cdr(skeletons_message(seen), KIND)
            writer.write(connection, round(seen.stamp * NANO), data)
    (file,) = source.glob("*.db3")
    killed.mkdir()
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA wal_autocheckpoint=0")
        for seen in observations(20)[10:]:
            data = bytes(typestore().serialize_cdr(skeletons_message(seen), KIND))
            row = (1, round(seen.stamp * NANO), data)
            database.execute(
                "INSERT INTO messages(topic_id, timestamp, data) VALUES (?, ?, ?)", row
            )
        database.commit()
        for name in (file.name, f"{file.name}-wal"):
            shutil.copyfile(source / name, killed / name)
    assert everybody(killed) == 20
    assert sorted(path.name for path in killed.iterdir()) == [file.name, f"{file.name}-wal"]
