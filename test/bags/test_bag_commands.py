"""``ses-gcn sample`` and ``ses-gcn report`` as they are typed."""

from __future__ import annotations

import json
import sys

import pytest

from ses_gcn_ros import cli
from ses_gcn_ros.bags.rosbag2 import read_current


def ses_gcn(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["ses-gcn", *map(str, arguments)])
    try:
        return cli.main()
    except SystemExit as end:
        return int(end.code or 0)


def test_sample_writes_the_sample_and_keeps_what_is_there(
    shared_data, sample, tmp_path, monkeypatch, capsys
):
    motion = shared_data / "motion" / "cmu.npz"
    assert ses_gcn(monkeypatch, "sample", motion, "-o", tmp_path / "bag") == 0
    # the sample that ships was written before skeletons had a covariance
    assert list(read_current(tmp_path / "bag")) == list(read_current(sample))
    assert "mocap.cs.cmu.edu" in capsys.readouterr().err
    assert ses_gcn(monkeypatch, "sample", motion, "-o", tmp_path / "bag") == 1
    assert "exists" in capsys.readouterr().err
    assert ses_gcn(monkeypatch, "sample", motion, "-o", tmp_path / "bag", "--overwrite") == 0


def test_report_prints_the_numbers_it_writes(sample, tmp_path, monkeypatch, capsys):
    assert ses_gcn(monkeypatch, "report", sample, "-o", tmp_path, "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "summary.json").read_text())
    assert printed["frames"] == 372
    assert ses_gcn(monkeypatch, "report", sample, "-o", tmp_path) == 0
    assert "372 in 14.8 s" in capsys.readouterr().out


def test_report_says_in_one_sentence_what_is_wrong(tmp_path, monkeypatch, capsys):
    assert ses_gcn(monkeypatch, "report", tmp_path / "nothing", "-o", tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert error.startswith("error: bag '")
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_results_are_not_taken_for_a_bag(tmp_path, monkeypatch, capsys):
    (tmp_path / "summary.json").write_text("{}")
    assert ses_gcn(monkeypatch, "report", tmp_path, "-o", tmp_path / "out") == 1
    assert "holds results of a bag, no bag: report.html in it" in capsys.readouterr().err
