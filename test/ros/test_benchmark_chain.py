"""The benchmark's measurements that need nodes: every answer is found, the floor beside it."""

from __future__ import annotations

from ses_gcn_ros.studies.benchmarks import nodes


def test_both_chains_answer():
    section = nodes.chain(True, lambda text: None)
    assert [(row["people"], row["stage"]) for row in section.rows] == [
        (1, "forecast"),
        (1, "state"),
    ]
    forecast, state = section.rows
    for row in section.rows:
        assert 0 < row["median"] <= row["p99"]
        assert 0 < row["floor_median"] <= row["floor_p99"]
        assert 0 < row["answered"] <= 1
    assert forecast["median"] < state["median"]
    assert forecast["conversion"] > 0
    assert forecast["inference"] > 0
    assert state["cpu"] > 0
    assert state["floor_cpu"] > 0


def test_a_person_s_actions_are_answered():
    (row,) = nodes.crowd(True, lambda text: None, people=1).rows
    assert row["people"] == 1
    assert 0 < row["median"] <= row["p99"]
    assert 0 < row["answered"] <= 1
    assert row["cpu"] > 0


def test_a_forecaster_starts_and_its_memory_is_known():
    (row,) = nodes.footprint(True, lambda text: None).rows
    assert row["by"] == "compiled"
    assert 0 < row["message"] <= row["forecast"]
    assert 50e6 < row["memory"] < 2e9
