"""What ``ses-gcn watch`` draws of a reading."""

from __future__ import annotations

import copy
import io

import pytest
from rich.console import Console

from ses_gcn_ros.commands.workcell import drawing

TERMS = ("reaction_time", "stopping_time", "human_term", "reaction_term", "stopping_term")
READING = {
    "domain": 60,
    "namespace": "/cell_1",
    "state": {
        **dict.fromkeys(("human_speed", "robot_speed", *TERMS), 0.125),
        **dict.fromkeys(("intrusion", "human_uncertainty", "robot_uncertainty"), 0.0625),
        **{"skeleton_age": 0.031, "forecast_age": float("inf"), "tf_age": 0.004},
        **{"separation": 12.3456, "protective_distance": 1.6475, "margin": float("nan")},
        **{"level": "REDUCED", "speed_factor": 0.4321, "time_to_breach": 0.8, "age_s": 0.01},
        **{"person_id": "p[1]", "human_limb": "r_elbow-r_wrist", "robot_frame": "tool0"},
        **{"zone": "door", "reasons": ["separation 12.35 m within [0, 1.65]", "speeding up"]},
    },
    "nodes": [
        {
            "name": "/cell_1/safety_node",
            "status": "WARN",
            "message": "publisher of forecasts gone",
            "age_s": 0.5,
            "values": {"rate_hz": "1234567.8", "latency_p99_ms": "nan"},
        }
    ],
    "streams": [{"topic": "/cell_1/skeletons", "publishers": 1, "rate_hz": 24.96, "age_s": None}],
    "elsewhere": [],
    "people": [{"id": "p[1]", "forecast": "sesgcn", "action": "walk", "probability": 0.987}],
}


def drawn(reading: dict, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, markup=False, highlight=False)
    console.print(drawing(reading))
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_no_number_and_no_bracket_is_cut(width):
    text = " ".join(drawn(READING, width).split())
    for shown in ("REDUCED at 0.43", "12.35 m", "1.65 m", "1234567.8", "25.0", "99 %", "0.12 m/s"):
        assert shown in text or shown in text.replace(" ", ""), shown
    assert "p[1]" in text
    assert "…" not in text


def test_a_state_that_fell_silent_is_no_state():
    silent = copy.deepcopy(READING)
    silent["state"]["age_s"] = 3.0
    text = drawn(silent, 80)
    assert "silent for 3.0 s, which counts as a STOP" in text
    assert "REDUCED" not in text
    nobody = {**READING, "state": None}
    assert "a robot is to stand" in drawn(nobody, 80)
    assert "in /left, /right" in drawn({**nobody, "elsewhere": ["/left", "/right"]}, 200)
