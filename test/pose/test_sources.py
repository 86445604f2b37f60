"""Frames from files and slots, and the worker that takes them."""

from __future__ import annotations

import struct
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.pose.sources import NewestFrame, VideoFile, Webcam, Worker, open_pictures


@pytest.fixture(scope="module")
def video(shared_data: Path) -> str:
    return str(shared_data / "media" / "one_person.mp4")


def test_every_frame_of_a_file_is_given_with_its_time(video):
    source = VideoFile(video, clock=lambda: 1000.0)
    frames = list(source)
    stamps = [frame.stamp for frame in frames]
    assert len(frames) == source.frames == 149
    assert stamps[0] == 1000.0
    assert sorted(set(stamps)) == stamps
    assert stamps[-1] - stamps[0] == pytest.approx(148 / source.fps, abs=0.2)
    assert {frame.rgb.shape for frame in frames} == {(360, 640, 3)}
    assert source.dropped == 0


def test_a_slow_taker_of_a_live_video_loses_frames_not_time(video):
    source = VideoFile(video, realtime=True)
    frames = iter(source)
    taken = [next(frames)]
    source._stop.wait(0.5)  # the taker is busy
    taken.append(next(frames))
    assert source.dropped > 5
    assert taken[1].stamp >= 0.4
    source.close()
    assert list(frames) == []


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("none.mp4", "'none.mp4' does not exist"), ("text.mp4", "can't be read; is it a video")],
)
def test_what_is_no_video_is_refused(tmp_path, monkeypatch, name, sentence):
    monkeypatch.chdir(tmp_path)
    Path("text.mp4").write_text("not a video at all")
    with pytest.raises(InputError, match=sentence):
        VideoFile(name)


def test_a_webcam_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="webcam 97 can't be opened"):
        Webcam(97)


def test_the_newest_frame_wins_and_the_others_are_counted():
    slot: NewestFrame[int] = NewestFrame()
    for number in range(5):
        slot.put(number)
    frames = iter(slot)
    assert next(frames) == 4
    assert slot.dropped == 4
    slot.close()
    assert list(frames) == []


def test_a_worker_answers_frame_by_frame_and_outlives_errors():
    slot: NewestFrame[int] = NewestFrame()
    told = threading.Semaphore(0)
    pool = ThreadPoolExecutor(1)
    worker = Worker(slot, lambda number: pool.submit(lambda: 12 // number), told.release)
    worker.start()
    outcomes = []
    for number in (3, 0, 4):
        slot.put(number)
        assert told.acquire(timeout=120)
        outcomes += list(worker.take())
    worker.close()
    assert [outcome.result for outcome in outcomes] == [4, None, 3]
    assert isinstance(outcomes[1].error, ZeroDivisionError)
    assert told.acquire(timeout=120)  # told of the end too
    assert worker.ended


def test_a_worker_that_never_began_can_be_closed(video):
    worker = Worker(VideoFile(video), lambda frame: Future(), lambda: None)
    worker.close()
    assert not worker.ended


def test_a_worker_that_was_given_no_frame_ends():
    told = threading.Event()
    worker = Worker(NewestFrame(), lambda frame: Future(), told.set)
    worker.start()
    worker.close()
    assert told.wait(10.0)  # it doesn't wait for a frame that never was
    assert worker.ended
    assert list(worker.take()) == []


def test_a_video_can_begin_again_with_stamps_that_go_on(video):
    source = VideoFile(video, loop=True)
    frames = []
    for frame in source:
        frames.append(frame)
        if len(frames) == 2 * source.frames + 3:
            source.close()
    stamps = np.array([frame.stamp for frame in frames])
    assert (np.diff(stamps) > 0.0).all()
    assert stamps[source.frames] - stamps[source.frames - 1] == pytest.approx(1.0 / source.fps)
    np.testing.assert_array_equal(frames[0].rgb, frames[source.frames].rgb)


def test_a_picture_is_a_video_of_one_frame(video, tmp_path):
    [first] = [next(iter(VideoFile(video)))]
    path = tmp_path / "photo.PNG"
    cv2.imwrite(str(path), first.rgb[..., ::-1])
    [frame] = open_pictures(str(path), lambda: 1.0)
    assert frame.stamp == 1.0
    np.testing.assert_array_equal(frame.rgb, first.rgb)
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"photo\.PNG': compressed image of 7 bytes"):
        open_pictures(str(path))
    with pytest.raises(InputError, match="can't be read: No such file"):
        open_pictures(str(tmp_path / "none.jpg"))


ONE = 1 << 16  # in the fixed point of a track's header


@pytest.mark.parametrize(
    ("matrix", "turns"),
    [((0, ONE, -ONE, 0), 3), ((-ONE, 0, 0, -ONE), 2), ((0, -ONE, ONE, 0), 1)],
)
def test_a_phones_video_is_turned_as_its_header_says(video, tmp_path, matrix, turns):
    (a, b, c, d), data = matrix, bytearray(Path(video).read_bytes())
    at = data.index(b"tkhd") + 44  # ISO 14496-12, 8.3.2
    struct.pack_into(">9i", data, at, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path = tmp_path / "phone.mp4"
    path.write_bytes(data)
    turned, stored = VideoFile(str(path)), next(iter(VideoFile(video))).rgb
    rgb = next(iter(turned)).rgb
    np.testing.assert_array_equal(rgb, np.rot90(stored, turns))
    assert (turned.height, turned.width) == rgb.shape[:2]
