"""``ses-gcn actions``: what it prints, writes and refuses."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from ses_gcn_ros.actions.weights import UNKNOWN, read_action_weights
from ses_gcn_ros.cli import app
from ses_gcn_ros.datasets.actions import read_segments, write_segments
from ses_gcn_ros.errors import ConfigError, InputError
from ses_gcn_ros.resources import share_path

SMALL = {
    "network": "esgn",
    "options": {"width": 4},
    "window": {"frames": 8, "sampling": "even"},
    "training": {"epochs": 2, "batch": 32, "warm_up": 1},
}


def run(*arguments: object):
    return CliRunner().invoke(app, ["actions", *map(str, arguments)])


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(SMALL))
    return path


@pytest.fixture
def florence(shared_data: Path) -> Path:
    return shared_data / "actions" / "florence3d.npz"


def test_people_are_trained_on_or_tested_on(florence: Path, small: Path):
    command = ("evaluate", "--data", florence, "--recipe", small, "--seeds", 2)
    result = run(*command, "--train-subjects", "1,3,5,7,9", "--json")
    summary = json.loads(result.stdout)
    assert summary["recipe"] == "small"
    assert len(summary["accuracy_per_seed"]) == len(summary["runs"]) == 2
    assert all(set(r["test_subjects"]) == set("2468") | {"10"} for r in summary["runs"])
    assert 0 <= summary["accuracy"] <= 1
    assert isinstance(run(*command).exception, ConfigError)
    found = run(*command, "--among", "1,3", "--leave-one-out", "--json", "--seeds", 1)
    assert [r["test_subjects"] for r in json.loads(found.stdout)["runs"]] == [["1"], ["3"]]
    wrong = run(*command, "--train-subjects", "1,99").exception
    assert isinstance(wrong, InputError)
    assert "subject '99'; subjects are 1, 2" in str(wrong)


def test_variations_are_told_as_gains_over_the_first(florence: Path, small: Path):
    command = ("evaluate", "--data", florence, "--recipe", small, "--train-subjects", "1,3,5,7,9")
    result = run(*command, "--seeds", 2, "--vary", "options.pooling=attention,none")
    assert "pooling=attention: " in result.stdout
    assert "pooling=none: " in result.stdout
    assert result.stdout.count(" points to the first (") == 1
    assert isinstance(run(*command, "--vary", "options.tail=1,2").exception, ConfigError)


def test_recipes_are_compared(florence: Path, small: Path, tmp_path: Path):
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump({**SMALL, "options": {"width": 4, "members": 2}}))
    command = ("evaluate", "--data", florence, "--train-subjects", "1,3,5,7,9", "--json")
    one, two = json.loads(run(*command, "--recipe", f"{small},{other}").stdout)
    assert (one["recipe"], two["recipe"]) == ("small", "other")
    assert two["parameters"] == 2 * one["parameters"]
    assert [len(summary["runs"][0]["members"]) for summary in (one, two)] == [0, 2]
    assert two["gain"]["mean"] == pytest.approx(two["accuracy"] - one["accuracy"])


def test_weights_are_trained_and_name_what_they_were_made_of(florence, small, tmp_path: Path):
    out = tmp_path / "own.safetensors"
    result = run("train", "--data", florence, "--recipe", small, "-o", out)
    assert result.exit_code == 0
    weights = read_action_weights(out)
    assert len(weights.labels) == 9
    assert weights.about == {"data": "florence3d.npz", "recipe": "small", "seed": "0"}
    assert not list(tmp_path.glob("*.checkpoint"))


def test_a_full_disk_costs_no_training(florence, small, tmp_path: Path, monkeypatch):
    plan = {**SMALL["training"], "after": str(small)}
    after = tmp_path / "after.yaml"
    after.write_text(yaml.safe_dump({**SMALL, "training": plan}))
    command = ("train", "--data", florence, "--recipe", after, "-o", tmp_path / "own.safetensors")
    with monkeypatch.context() as patch:
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        patch.setattr("ses_gcn_ros.actions.weights.write_weights_file", Mock(side_effect=full))
        assert run(*command).exception is full
    result = run(*command)
    assert result.exit_code == 0
    assert "step " not in result.stdout
    assert not list(tmp_path.glob("*.checkpoint"))


def test_a_bag_is_labelled_once_and_the_table_is_left_to_be_corrected(tmp_path: Path):
    bag = tmp_path / "visitor"
    shutil.copytree(share_path("config", "demo", "visitor"), bag)
    result = run("label", bag)
    assert result.exit_code == 0
    segments = read_segments(bag / "actions.csv")
    assert {label for *_, label in segments} <= {*read_action_weights().labels, UNKNOWN}
    assert "walk" in {label for *_, label in segments}  # the visitor walks up, and away again
    assert all(start < end for _, start, end, _ in segments)
    assert "exists; choose another name" in str(run("label", bag).exception)
    # Somebody corrects the table: all was done 0.4 s before it was told.
    early = [(who, start - 0.4, end - 0.4, label) for who, start, end, label in segments]
    write_segments(bag / "actions.csv", early)
    found = json.loads(run("delay", "--data", bag, "--json").stdout)
    assert found["changes"] == found["told"] > 0
    assert found["median"] == pytest.approx(0.4, abs=0.1)


def test_parity_ends_with_an_error_where_the_answer_is_another(golden: Path, tmp_path: Path):
    arrays = dict(np.load(golden / "sgn_j20c20.npz"))
    assert run("parity", golden / "sgn_j20c20.npz").exit_code == 0
    arrays["y64"] = arrays["y64"] + 2e-4 * np.abs(arrays["y64"]).max()
    np.savez(tmp_path / "other.npz", **arrays)
    result = run("parity", tmp_path / "other.npz")
    assert result.exit_code == 1
    assert "DIFFERENT" in result.stdout
