"""Every change of the answer is one line, on request also in a file that survives trouble."""

from __future__ import annotations

import json
import os

import pytest
from safety_scenes import Scene, settled

from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.safety import EventLog


def test_a_change_is_one_line_with_its_numbers_and_no_change_is_none():
    log, scene = EventLog(""), settled(3.0)
    assert log.observe(scene.tick()) == "CLEAR, factor 1.00: nothing holds the robot"
    assert [log.observe(scene.tick()) for _ in range(20)] == [None] * 20
    scene.skeletons_on = False
    lines = [log.observe(scene.tick()) for _ in range(30)]
    said = [line for line in lines if line]
    assert len(said) == 2  # the skeletons, then the forecasts
    assert said[0].startswith("STOP, factor 0.00: skeletons stale: 0.26 s > 0.25 s")


def test_numbers_alone_are_no_change():
    log, scene = EventLog(""), Scene(1.6)
    scene.run(2.0)
    log.observe(scene.tick())
    scene.speed = -0.1
    assert not any(log.observe(scene.tick()) for _ in range(10))


def test_the_file_holds_one_json_object_per_change(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text('{"from": "an earlier run"}\n')
    log, scene = EventLog(str(path)), settled(3.0)
    log.observe(scene.tick())
    scene.x = 0.5
    log.observe(scene.tick())
    earlier, clear, stop = map(json.loads, path.read_text().splitlines())
    assert earlier == {"from": "an earlier run"}
    assert (clear["level"], clear["time_to_breach"]) == ("CLEAR", None)
    assert (stop["level"], stop["person_id"]) == ("STOP", "p1")
    assert stop["stamp"] == scene.now
    assert stop["human_term"] > 0


def test_a_full_disk_is_said_and_got_over(monkeypatch, tmp_path):
    path = tmp_path / "events.jsonl"
    log, scene = EventLog(str(path)), settled(3.0)
    good, torn = os.write, []

    def full(file: int, data: bytes) -> int:
        torn.append(good(file, data[:10]))
        return torn[-1]

    monkeypatch.setattr("ses_gcn_ros.safety.assessment.os.write", full)
    assert log.observe(scene.tick())
    assert "no space for the whole line; 1 lines lost" in log.problem
    monkeypatch.undo()
    scene.x = 0.5
    log.observe(scene.tick())
    assert log.problem == ""
    (line,) = path.read_text().splitlines()
    assert json.loads(line)["lost_lines"] == 1


def test_a_file_that_cannot_be_written_is_refused_at_the_start(tmp_path):
    with pytest.raises(ConfigError, match=r"event_log '.*nowhere.*' can't be written"):
        EventLog(str(tmp_path / "nowhere" / "events.jsonl"))


def test_no_file_is_left_open(tmp_path):
    log, scene = EventLog(str(tmp_path / "events.jsonl")), settled(3.0)
    before = len(os.listdir("/proc/self/fd"))
    for x in 10 * (0.5, None):
        scene.x = x
        log.observe(scene.tick())
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_flickering_cell_says_each_cause_once_in_a_while_and_how_it_ends():
    log, scene = EventLog(""), settled(3.0)
    said: list[str] = []
    changes = 0
    for tick in range(400):  # eight seconds in which something changes all the time
        scene.skeletons_on = tick % 40 < 15
        changes += log.observe(scene.tick()) is not None
        said += filter(None, [log.due(scene.now)])
    assert changes > 15
    assert len(said) < 10
    scene.skeletons_on = True
    for _ in range(500):
        log.observe(scene.tick())
        said += filter(None, [log.due(scene.now)])
    assert said[-1].startswith("CLEAR")
    assert log.due(scene.now + 100.0) == ""
