"""``ses-gcn evaluate-pose``: figures of every mode, and a sentence for a mode that is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from ses_gcn_ros.commands.pose import evaluate_pose
from ses_gcn_ros.errors import ConfigError

app = typer.Typer()
app.command()(evaluate_pose)


def run(*arguments: object):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(result.exception, ConfigError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def test_every_mode_is_measured_and_the_seed_decides(shared_data: Path):
    motion = shared_data / "motion" / "cmu.npz"
    arguments = (motion, "--scenes", 2, "--crossings", 1, "--seed", 3, "--json")
    first = json.loads(run(*arguments))
    one = ["monocular", "monocular_both", "monocular_height", "monocular_unposed"]
    assert sorted(first["results"]) == ["crossings", *one, "multiview", "rgbd"]
    assert 0.0 < first["results"]["multiview"]["mean_mm"] < 60.0
    assert first["results"]["rgbd"]["frames"] == 16
    assert first["results"]["crossings"]["crossings"] == 1
    again = json.loads(run(motion, "--scenes", 2, "--seed", 3, "--json", "--mode", "rgbd"))
    assert again["results"]["rgbd"] == first["results"]["rgbd"]


def test_the_table_names_what_was_measured(shared_data: Path):
    text = run(shared_data / "motion" / "cmu.npz", "--scenes", 1, "--mode", "multiview")
    assert "multiview" in text
    assert "kept their identities" not in text


def test_an_unknown_mode_is_refused(shared_data: Path):
    with pytest.raises(ConfigError, match="--mode is 'sonar'; it takes one of multiview"):
        run(shared_data / "motion" / "cmu.npz", "--mode", "sonar")
    with pytest.raises(ConfigError, match="--fault is 'fog'; it takes one of none, pose, focal"):
        run(shared_data / "motion" / "cmu.npz", "--fault", "fog")
