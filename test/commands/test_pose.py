"""``ses-gcn pose``: a video becomes a bag of skeletons and a video that shows them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

pytest.importorskip("mediapipe", reason="these tests need mediapipe")

from ses_gcn_ros.bags.messages import Observation, observation_from_message
from ses_gcn_ros.bags.rosbag2 import read_messages
from ses_gcn_ros.bags.video_journal import Renaming, VideoJournal
from ses_gcn_ros.commands.pose import pose
from ses_gcn_ros.errors import ConfigError, InputError, SesGcnError
from ses_gcn_ros.pose.estimator import PoseEstimator
from ses_gcn_ros.skeleton import Skeleton

app = typer.Typer()
app.command()(pose)


@pytest.fixture(scope="module")
def clip(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first 12 frames of a person."""
    capture = cv2.VideoCapture(str(shared_data / "media" / "one_person.mp4"))
    path = tmp_path_factory.mktemp("clip") / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (640, 360))
    for _ in range(12):
        writer.write(capture.read()[1])
    writer.release()
    return path


def run(*arguments: object):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(result.exception, SesGcnError):
        raise result.exception
    return result


def test_every_frame_becomes_a_message_and_a_picture(clip, model, tmp_path):
    bag, overlay = tmp_path / "bag", tmp_path / "drawn.mp4"
    pose_in_cell = ("--target-frame", "world", "--camera-pose", "3 0 1.5 0 0.1 3.14")
    result = run(clip, "-o", bag, "--overlay", overlay, "--model", model, *pose_in_cell, "--json")
    assert result.exit_code == 0
    summary = json.loads(result.stdout)
    assert summary["frames"] == 12
    assert summary["frames_by_person"] == {"p1": 12}

    seen = [observation_from_message(m.content) for m in read_messages(bag, ["/skeletons"])]
    assert len(seen) == 12
    np.testing.assert_allclose(np.diff([frame.stamp for frame in seen]), 0.04, atol=1e-6)
    assert {frame.frame_id for frame in seen} == {"world"}
    nose, hip = seen[5].people[0].positions[[7, 0]]
    assert nose[2] > hip[2]  # z is up in the world

    drawn = cv2.VideoCapture(str(overlay))
    assert drawn.get(cv2.CAP_PROP_FRAME_COUNT) == 12
    original = cv2.VideoCapture(str(clip))
    difference = np.abs(drawn.read()[1].astype(int) - original.read()[1])
    assert (difference.max(axis=-1) > 60).sum() > 200
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bag", "drawn.mp4"]


def test_an_interrupted_run_continues_with_the_same_identities(clip, model, tmp_path, monkeypatch):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    run(clip, "-o", whole, "--model", model, "--max-people", 1)
    process, calls = PoseEstimator.process, []

    def fail_later(self, *arguments, **named):
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return process(self, *arguments, **named)

    monkeypatch.setattr(PoseEstimator, "process", fail_later)
    assert run(clip, "-o", cut, "--model", model, "--max-people", 1).exit_code != 0
    assert not cut.exists()
    [journal] = [path for path in tmp_path.iterdir() if path.name == ".cut.journal"]
    journal.write_bytes(journal.read_bytes()[:-5])  # as a power cut would leave it

    result = run(clip, "-o", cut, "--model", model, "--max-people", 1, "--json")
    assert json.loads(result.stdout)["resumed_after"] == 6
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut", "whole"]
    once, twice = (
        [observation_from_message(m.content) for m in read_messages(bag, ["/skeletons"])]
        for bag in (whole, cut)
    )
    assert len(once) == len(twice) == 12
    for a, b in zip(once, twice, strict=True):
        assert a.stamp == b.stamp
        assert [p.person_id for p in a.people] == [p.person_id for p in b.people] == ["p1"]
        np.testing.assert_allclose(a.people[0].positions, b.people[0].positions, atol=0.02)


@pytest.mark.parametrize("damage", ["zeros", "length", "flipped bit"])
def test_a_damaged_journal_is_good_up_to_the_damage(tmp_path, damage):
    skeleton = Skeleton("p1", "chico15", np.ones((15, 3), np.float32), np.ones(15, np.float32))
    path = tmp_path / "journal"
    with VideoJournal(path, {"video": "a"}) as journal:
        for frame in range(9):
            journal.append(Observation(float(frame), "world", [skeleton]))
    content = bytearray(path.read_bytes())
    start = len(content) // 2
    if damage == "zeros":
        content[start : start + 300] = bytes(300)
    elif damage == "length":
        record = (len(content) - content.index(b"\n") - 1) // 9
        at = content.index(b"\n") + 1 + 4 * record
        content[at : at + 4] = b"\xff" * 4
    else:
        content[start] ^= 1
    path.write_bytes(content)
    with VideoJournal(path, {"video": "a"}) as journal:
        assert [frame.stamp for frame in journal.frames] == [0.0, 1.0, 2.0, 3.0]
        journal.append(Observation(4.0, "world", [skeleton]))
    with VideoJournal(path, {"video": "a"}) as journal:
        assert len(journal.frames) == 5


def test_a_photograph_becomes_a_bag_of_one_frame(clip, model, tmp_path):
    photo = tmp_path / "photo.jpg"
    cv2.imwrite(str(photo), cv2.VideoCapture(str(clip)).read()[1])
    result = run(photo, "-o", tmp_path / "bag", "--model", model, "--json")
    assert json.loads(result.stdout)["frames_by_person"] == {"p1": 1}


def test_a_video_that_was_cut_short_says_of_how_many_frames(clip, model, tmp_path):
    video = tmp_path / "cut.avi"
    video.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    result = run(video, "-o", tmp_path / "bag", "--model", model, "--max-people", 1, "--json")
    summary = json.loads(result.stdout)
    assert 0 < summary["frames"] < summary["frames_announced"] == 12
    assert f"ends after {summary['frames']} of 12 frames: it is cut short" in result.stderr


def test_the_overlay_replaces_neither_the_video_nor_anything_unasked(clip, model, tmp_path):
    video, other = tmp_path / "walk.avi", tmp_path / "other.mp4"
    video.write_bytes(clip.read_bytes())
    other.write_bytes(b"mine")
    for overlay, options in ((video, ["--overwrite"]), (other, [])):
        with pytest.raises(ConfigError, match="choose another name"):
            run(video, "-o", tmp_path / "bag", "--model", model, "--overlay", overlay, *options)
    assert video.read_bytes() == clip.read_bytes()
    assert other.read_bytes() == b"mine"


def test_a_journal_of_other_settings_is_not_continued(clip, model, tmp_path):
    journal = tmp_path / ".bag.journal"
    journal.write_bytes(b'{"video": "another"}\n' + bytes(100))
    result = run(clip, "-o", tmp_path / "bag", "--model", model, "--max-people", 1, "--json")
    assert json.loads(result.stdout)["resumed_after"] == 0
    assert [path.name for path in tmp_path.iterdir()] == ["bag"]


def test_who_was_there_before_keeps_the_name_and_who_is_new_gets_an_unused_one():
    def person(name: str, x: float) -> Skeleton:
        return Skeleton(name, "chico15", np.full((15, 3), x, np.float32), np.ones(15, np.float32))

    names = Renaming([Observation(1.0, "world", [person("p1", 0.0), person("p4", 2.0)])])
    names.learn([person("p1", 2.05), person("p2", 9.0)], [person("p1", 0.0), person("p4", 2.0)])
    renamed = names.apply([person("p1", 2.1), person("p2", 9.0), person("p3", 5.0)])
    assert [p.person_id for p in renamed] == ["p4", "p5", "p6"]


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        (["none.mp4", "-o", "bag"], InputError, "video 'none.mp4' does not exist"),
        (["taken", "-o", "bag"], InputError, "video 'taken' is a folder"),
        (["taken/none.avi", "-o", "bag"], InputError, "none.avi' has no frame that can be decoded"),
        (["CLIP", "-o", "bag", "--layout", "coco17"], ConfigError, "takes one of chico15"),
        (["CLIP", "-o", "bag", "--camera-pose", "a b"], ConfigError, "it takes six numbers"),
        (["CLIP", "-o", "bag", "--target-frame", "world"], ConfigError, "say with --camera-pose"),
        (["CLIP", "-o", "taken"], ConfigError, "'taken' exists"),
        (["CLIP", "-o", "bag", "--overlay", "no/where.mp4"], ConfigError, "can't be written"),
    ],
)
def test_what_cannot_be_done_is_said_and_leaves_nothing(
    clip, model, tmp_path, monkeypatch, arguments, error, sentence
):
    monkeypatch.chdir(tmp_path)
    Path("taken").mkdir()
    cv2.VideoWriter("taken/none.avi", cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (64, 48)).release()
    arguments = [str(clip) if argument == "CLIP" else argument for argument in arguments]
    with pytest.raises(error, match=sentence):
        run(*arguments, "--model", model)
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
