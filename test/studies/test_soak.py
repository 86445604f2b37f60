"""The soak test's crowd and its figures; test/ros/test_soak_command.py runs it over DDS."""

from __future__ import annotations

import mmap
import os

import numpy as np
import pytest

from ses_gcn_ros.studies.simulated_cells import Crowd
from ses_gcn_ros.studies.soak import MEGABYTE, as_text, memory, summarise


def test_the_crowd_moves_as_people_do_without_a_break():
    crowd = Crowd(4)
    times = np.arange(0.0, 40.0, 1 / 30)
    seen = [crowd.at(time) for time in times]
    assert {person.person_id for person in seen[0]} == {"1", "2", "3", "4"}
    positions = np.array([[person.positions for person in people] for people in seen])
    speed = np.linalg.norm(np.diff(positions, axis=0), axis=-1) * 30
    assert speed.max() < 6.0, "nobody leaps, not where the recording turns back either"
    assert np.ptp(positions[:, :, 0], axis=0).max(axis=-1).min() > 1.0, "everybody walks about"
    apart = np.linalg.norm(positions[:, 0, 0] - positions[:, 2, 0], axis=-1)
    assert apart.max() > 1.0


def test_the_memory_of_this_process_is_found_and_grows_with_what_it_holds():
    resident, own = memory(os.getpid())
    assert 10 * MEGABYTE < own < resident
    # asked of the system, since an array may come out of memory freed before and still resident
    size = 40 * int(MEGABYTE)
    with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as held:
        held.write(b"x" * size)
        assert memory(os.getpid())[1] - own > 0.8 * size


def run_of(late: float = 0.0, leak: float = 0.0):
    stamps = 100.0 + 0.02 * np.arange(1000)
    stamps[500:] += late
    used = {"node": [(t, 90e6, 50e6 + leak * t) for t in np.arange(0.0, 100.0, 5.0)]}
    return summarise(stamps, stamps + 0.001, 0.02, used, warm_up=20.0)


def test_a_punctual_run_of_flat_memory_passes():
    summary = run_of()
    assert summary["passed"]
    assert summary["missed_made"] == summary["missed_arrived"] == 0
    assert summary["gap_made_s"]["max"] == pytest.approx(0.02)
    assert summary["nodes"]["node"]["own_mb"]["first"] == pytest.approx(50.0)
    assert "passed" in as_text(summary | {"people": 4, "camera_hz": 30.0})


def test_one_missed_deadline_fails():
    summary = run_of(late=0.05)
    assert summary["missed_made"] == 1
    assert not summary["passed"]


def test_a_leak_fails():
    summary = run_of(leak=0.1e6)  # 8 MB after warm-up
    assert not summary["nodes"]["node"]["flat"]
    assert not summary["passed"]
    assert "grows" in as_text(summary | {"people": 4, "camera_hz": 30.0})
