"""Two runs against each other, for the continuous integration of a cell."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path

import pytest

from ses_gcn_ros import cli
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.replay.summary import compare, limb_words, read_summary


@pytest.fixture(scope="module")
def summary(run_report: Path) -> dict:
    return read_summary(run_report)


def regressions(before: dict, after: dict, tolerance: float = 0.05) -> list[str]:
    return [change.name for change in compare(before, after, tolerance) if change.regressed]


def test_a_run_does_not_regress_against_itself(summary):
    assert regressions(summary, summary) == []
    assert len(compare(summary, summary)) >= 10


@pytest.mark.parametrize(
    ("path", "change", "name"),
    [
        (("forecasts", "mpjpe_mm", "at", "forecast", 24), 1.06, "MPJPE at 1 s [mm]"),
        (("forecasts", "mpjpe_mm", "up_to", "forecast", 9), 1.06, "MPJPE up to 0.4 s [mm]"),
        (("forecasts", "coverage", "measured"), 0.5, "shortfall of coverage"),
        (("safety", "worst", "separation_m"), 0.8, "worst separation [m]"),
        (("safety", "mean_factor"), 0.5, "mean speed factor"),
    ],
)
def test_what_gets_worse_beyond_the_tolerance_is_named(summary, path, change, name):
    worse = copy.deepcopy(summary)
    part = worse
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] *= change
    assert regressions(summary, worse) == [name]
    assert regressions(worse, summary) == []


def test_what_stays_within_the_tolerance_is_none(summary):
    worse = copy.deepcopy(summary)
    worse["forecasts"]["mpjpe_mm"]["at"]["forecast"][24] *= 1.06
    assert regressions(summary, worse, tolerance=0.07) == []


def test_one_more_missed_stop_is_a_regression_whatever_the_tolerance_of_none(summary):
    worse = copy.deepcopy(summary)
    worse["safety"]["missed_stops"] += 1
    assert regressions(summary, worse) == ["missed stops"]


def test_a_number_that_is_gone_is_a_regression(summary):
    worse = copy.deepcopy(summary)
    worse["safety"] = None
    assert "availability" in regressions(summary, worse)
    assert regressions(worse, summary) == []


def test_the_command_ends_with_a_code_for_ci(summary, tmp_path, monkeypatch, capsys):
    def run(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["ses-gcn", "compare", *map(str, arguments)])
        try:
            return cli.main()
        except SystemExit as end:
            return int(end.code or 0)

    worse = copy.deepcopy(summary)
    worse["safety"]["false_stops"] += 3
    for name, content in (("a", summary), ("b", worse)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "summary.json").write_text(json.dumps(content))
    assert run(tmp_path / "a", tmp_path / "a" / "summary.json") == 0
    assert run(tmp_path / "a", tmp_path / "b") == 3
    assert "worse" in capsys.readouterr().out
    assert run(tmp_path / "a", tmp_path / "b", "--json") == 3
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows if row["regressed"]] == ["false stops"]


def test_what_is_no_summary_is_refused(tmp_path):
    path = Path(tmp_path / "x.json")
    with pytest.raises(InputError, match="no summary"):
        read_summary(path)
    path.write_text("[]")
    with pytest.raises(InputError, match="holds no object"):
        read_summary(path)


def test_a_change_is_what_was_added_and_the_verdict_says_which_way(summary):
    other = copy.deepcopy(summary)
    other["safety"]["mean_factor"] = 1.5 * summary["safety"]["mean_factor"]
    (change,) = [c for c in compare(summary, other) if c.name == "mean speed factor"]
    assert (change.change, change.verdict) == (pytest.approx(0.5), "better")
    (change,) = [c for c in compare(other, summary) if c.name == "mean speed factor"]
    assert (change.change, change.verdict) == (pytest.approx(-1 / 3), "worse")


@pytest.mark.parametrize(
    ("limb", "words"),
    [
        ("r_elbow-r_wrist", "right forearm"),
        ("l_shoulder-l_elbow", "left upper arm"),
        ("r_knee-r_foot", "right lower leg"),
        ("l_ankle-l_foot", "left foot"),
        ("l_hip-r_hip", "hip"),
        ("hip-c_shoulder", "trunk"),
        ("", ""),
    ],
)
def test_limbs_are_named_as_people_do(limb, words):
    assert limb_words(limb) == words
