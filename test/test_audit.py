"""The audit log: whole after a kill, and no change to it goes unnoticed."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ses_gcn_ros.audit import FIRST, AuditLog, configuration_digest, rotated, verify
from ses_gcn_ros.cli import app
from ses_gcn_ros.drivers import BridgeConfig
from ses_gcn_ros.errors import ConfigError, InputError

CHANGES = 10_000
KILLS = int(os.environ.get("SES_GCN_KILLS", "8"))  # the figure in docs/safety.md is of 100
WRITER = """
import itertools, sys
from ses_gcn_ros.audit import AuditLog
from ses_gcn_ros.drivers import BridgeConfig
log = AuditLog(sys.argv[1], BridgeConfig(), 2000)
for number in itertools.count():
    log.record("event", number=number)
    print(number, flush=True)
"""


@dataclass(frozen=True)
class Settings:
    speed: float = 1.0


def written(path: Path, events: int = 40, size: float = 2000) -> AuditLog:
    log = AuditLog(str(path), Settings(), size)
    for number in range(events):
        log.record("event", number=number, reason="person 1: 0.31 m — näher", unknown=float("nan"))
    return log


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for f in [*rotated(path), path] for line in f.read_text().splitlines()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def test_events_are_lines_of_json_in_files_that_follow_each_other(path):
    log = written(path)
    found = verify(path)
    assert found.ok
    assert len(found.files) > 3
    assert (found.previous, found.last_hash) == (FIRST, log.hash)
    assert found.configurations == (configuration_digest(Settings()),)
    events = lines(path)
    assert [e["number"] for e in events if e["event"] == "event"] == list(range(40))
    assert events[1]["reason"] == "person 1: 0.31 m — näher"
    assert events[1]["unknown"] is None
    first_lines = [json.loads(Path(file).read_text().splitlines()[0]) for file in found.files]
    assert {line["event"] for line in first_lines} == {"begin"}
    assert max(Path(file).stat().st_size for file in found.files) < 2400
    assert verify(Path(found.files[2])).ok  # one alone, too


def test_every_change_of_a_single_byte_is_found(path):
    written(path, 24)
    files = [Path(file) for file in verify(path).files]
    contents = [file.read_bytes() for file in files]
    opened = [os.open(file, os.O_WRONLY) for file in files]
    rng = random.Random(20)
    for _ in range(CHANGES):
        number = rng.randrange(len(files))
        at = rng.randrange(len(contents[number]))
        before = contents[number][at : at + 1]
        os.pwrite(opened[number], bytes([before[0] ^ rng.randrange(1, 256)]), at)
        found = verify(path)
        assert not found.ok, (files[number], at)
        assert Path(found.file) in files[number : number + 2]
        os.pwrite(opened[number], before, at)
    assert verify(path).ok
    for file in opened:
        os.close(file)


@pytest.mark.parametrize("file", [1, -1])
def test_lines_removed_swapped_or_added_are_found_where_they_are(path, file):
    written(path)
    files = [Path(name) for name in verify(path).files]
    there = files[file].read_bytes().splitlines(keepends=True)
    for changed, line in (
        (there[:2] + there[3:], 3),
        ([there[0], there[2], there[1], *there[3:]], 2),
        ([*there[:3], there[2], *there[3:]], 4),
        (there[1:], 1),
    ):
        files[file].write_bytes(b"".join(changed))
        found = verify(path)
        assert (found.ok, Path(found.file), found.line) == (False, files[file], line)


def test_a_missing_file_is_found_unless_it_is_the_oldest_and_then_it_is_said(path):
    written(path)
    files = [Path(name) for name in verify(path).files]
    files[0].unlink()
    found = verify(path)
    assert found.ok
    assert found.previous != FIRST
    files[2].unlink()
    found = verify(path)
    assert not found.ok
    assert Path(found.file) == files[3]
    assert "does not follow" in found.problem


def test_missing_newest_lines_show_against_a_hash_that_was_noted(path):
    noted = written(path).hash
    assert verify(path, noted).ok
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert verify(path).ok
    assert "lines are missing" in verify(path, noted).problem


def test_a_restart_goes_on_in_the_same_chain_and_says_what_it_runs_with(path):
    written(path, 3).close()
    log = AuditLog(str(path), Settings(speed=0.5))
    log.record("event", number=3)
    found = verify(path)
    assert found.ok
    assert len(found.configurations) == 2
    assert [e["event"] for e in lines(path)].count("begin") == 2


def test_a_line_that_was_cut_off_is_named_and_taken_back_at_the_next_start(path):
    written(path, 3, size=1e6).close()
    text = path.read_bytes()
    for kept in (1, 5, 30, len(text.splitlines()[-1])):
        cut = text[: text.rfind(b"\n", 0, -1) + 1 + kept]
        path.write_bytes(cut)
        assert "cut off" in verify(path).problem
        AuditLog(str(path), Settings()).close()
        assert verify(path).ok
        assert lines(path)[-1]["torn_bytes"] == kept


def test_a_killed_process_loses_no_event_but_the_one_it_was_writing(path):
    rng = random.Random(9)
    noted = 0
    for _ in range(KILLS):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(rng.uniform(0.0, 0.05))
        process.send_signal(signal.SIGKILL)
        said = [int(line) for line in process.stdout.read().split()]
        process.wait()
        AuditLog(str(path), Settings()).close()
        assert verify(path).ok
        events = lines(path)
        last = max(e["number"] for e in events[noted:] if e["event"] == "event")
        assert last >= max(said, default=0)
        noted = len(events)


def test_a_full_disk_loses_events_but_not_the_log(monkeypatch, path):
    log = written(path, 2, size=1e6)
    good, room = os.write, 100

    def full(file: int, data: bytes) -> int:
        return good(file, data[:room])

    monkeypatch.setattr(os, "write", full)
    for lost in (1, 2):
        log.record("event", number=7)
        assert log.problem == f"audit_log: no space for the whole line; {lost} events lost"
    log.retry()
    assert log.lost == 2
    assert verify(path).ok
    monkeypatch.undo()
    log.retry()
    assert (log.problem, log.lost) == ("", 0)
    assert lines(path)[-1] | {"lost_events": 2, "event": "recovered"} == lines(path)[-1]
    assert verify(path).ok


def test_a_disk_that_fills_up_while_a_new_file_begins_leaves_a_whole_chain(monkeypatch, path):
    log = written(path, 3, size=900)
    good = os.write
    monkeypatch.setattr(os, "write", lambda file, data: good(file, data[:10]))
    log.record("event", number=3)
    assert log.problem
    monkeypatch.undo()
    log.record("event", number=4)
    assert not log.problem
    assert verify(path).ok


def test_a_log_that_was_moved_away_goes_on_in_a_new_file(path):
    log = written(path, 3, size=1e6)
    path.rename(path.with_name("audit.jsonl.1"))
    log.record("event", number=3)
    assert verify(path).ok
    assert [e["number"] for e in lines(path) if e["event"] == "event"] == [0, 1, 2, 3]


def test_what_is_no_audit_log_is_left_as_it_is(path, tmp_path):
    for text in ("hello", '{"hash": 3}\n', "a: 1\n"):
        path.write_text(text)
        with pytest.raises(ConfigError, match="holds something else"):
            AuditLog(str(path), Settings())
        assert path.read_text() == text
    with pytest.raises(ConfigError, match="can't be written"):
        AuditLog(str(tmp_path / "nowhere" / "audit.jsonl"), Settings())
    path.write_text("")
    with pytest.raises(InputError, match="holds no events"):
        verify(path)


def test_two_processes_never_write_one_log(path):
    log = written(path, 1)
    with pytest.raises(ConfigError, match="another process writes it"):
        AuditLog(str(path), Settings())
    log.close()


def test_the_command_names_the_bad_line_and_fails(path):
    written(path, 3, size=1e6)
    good = CliRunner().invoke(app, ["audit", "verify", str(path)])
    assert good.exit_code == 0
    assert "4 events in 1 files are as they were written" in good.output
    path.write_bytes(path.read_bytes().replace(b"0.31", b"0.32", 1))
    bad = CliRunner().invoke(app, ["audit", "verify", str(path)])
    assert bad.exit_code == 1
    assert "line 2: was changed" in bad.output
    as_json = CliRunner().invoke(app, ["audit", "verify", str(path), "--json"])
    assert (json.loads(as_json.output)["line"], as_json.exit_code) == (2, 1)


def test_files_that_were_filled_are_found_whatever_the_name(tmp_path):
    path = tmp_path / "audit [1].jsonl"
    with contextlib.closing(AuditLog(str(path), BridgeConfig(), 1.0)) as log:
        for number in range(3):
            log.record("state", number=number)
    assert len(verify(path).files) > 1
    assert verify(path).ok
