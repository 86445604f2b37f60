"""The commands of forecasting from a shell's side."""

from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from ses_gcn_ros import forecast
from ses_gcn_ros.commands import training
from ses_gcn_ros.commands.windows import evaluate_windows
from ses_gcn_ros.errors import ConfigError, ModelError
from ses_gcn_ros.forecast.weights import weights_path

app = typer.Typer()
for command in (training.import_official, training.train, evaluate_windows):
    app.command()(command)


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_official_weights_are_imported_with_a_summary(shared_data, tmp_path):
    official, out = shared_data / "official", tmp_path / "o.safetensors"
    result = run(
        "import-official",
        official / "chico_3d_25frames_Student.pth",
        "--mask-a",
        official / "maskA_25fps.npy",
        "--mask-t",
        official / "maskT_25fps.npy",
        "-o",
        out,
        "--json",
    )
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert summary["horizon"] == 25
    assert summary["layout"] == "chico15"
    assert forecast.load(out, device="cpu").horizon == 25


def test_one_mask_alone_is_a_sentence(shared_data, tmp_path):
    official = shared_data / "official"
    result = run(
        "import-official",
        official / "chico_3d_25frames_Student.pth",
        "--mask-a",
        official / "maskA_25fps.npy",
        "-o",
        tmp_path / "o.safetensors",
    )
    assert isinstance(result.exception, ModelError)
    assert "needs both masks" in str(result.exception)


@pytest.mark.parametrize(
    ("more", "sentence"), [((), "exists; choose another"), (("--steps", 5), "trains nothing")]
)
def test_who_only_calibrates_replaces_nothing_and_trains_nothing(
    shared_data, tmp_path, more, sentence
):
    """A checkpoint is of another run's then."""
    out, data = tmp_path / "own.safetensors", shared_data / "motion" / "idle_dev.npz"
    for path in (out, out.with_suffix(".checkpoint")):
        path.write_text("somebody's")
    command = ("train", "--calibrate-only", "--data", data, "--start", weights_path(""), "-o", out)
    result = run(*command, *more)
    assert isinstance(result.exception, ConfigError)
    assert sentence in str(result.exception)
    assert out.read_text() == "somebody's"


def test_windows_are_evaluated_as_text_json_and_csv(shared_data, tmp_path):
    table = tmp_path / "table.csv"
    data = shared_data / "motion" / "cmu.npz"
    result = run(
        "evaluate-windows", "--data", data, "--part", "test", "--stride", 40, "--csv", table
    )
    assert result.exit_code == 0, result.output
    assert "averaged up to the frame" in result.stdout
    assert table.read_text().startswith("table,name,frame,")
    result = run("evaluate-windows", "--data", data, "--part", "test", "--stride", 40, "--json")
    assert json.loads(result.stdout)["frames"] == [1, 2, 4, 10, 14, 25]


def test_an_unknown_part_is_a_sentence(shared_data):
    data = shared_data / "motion" / "cmu.npz"
    result = run("evaluate-windows", "--data", data, "--part", "half")
    assert isinstance(result.exception, ConfigError)
    assert "it takes one of all, held_out" in str(result.exception)


@pytest.mark.parametrize("name", ["import-official", "train", "evaluate-windows"])
def test_every_command_shows_an_example(name):
    assert "Example: ses-gcn" in run(name, "--help").stdout
