"""``ses-gcn calibrate``: boards in pictures to transforms in files, and a sentence for the rest."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from boards import PLACES, film_board
from typer.testing import CliRunner

from ses_gcn_ros.commands.pose import calibrate
from ses_gcn_ros.errors import ConfigError, InputError, SesGcnError
from ses_gcn_ros.pose.calibration import read_calibration

app = typer.Typer()
app.command()(calibrate)


@pytest.fixture(scope="module")
def cell(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures of a board from two cameras, and their intrinsics."""
    folder = tmp_path_factory.mktemp("cell")
    film_board(folder)
    return folder


def run(*arguments: object):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(result.exception, SesGcnError):
        raise result.exception
    return result


def cameras(cell: Path) -> list[str]:
    words = []
    for name in PLACES:
        words += ["--camera", f"{name}={cell / name}"]
        words += ["--intrinsics", f"{name}={cell / name}.yaml"]
    return words


BOARD = ("--board", "7x5", "--square", 0.1, "--marker", 0.075)


def test_two_cameras_are_placed_by_a_board_at_its_place_in_the_cell(cell, tmp_path):
    out, launch = tmp_path / "found.yaml", tmp_path / "found.launch.py"
    arguments = ("-o", out, "--launch", launch, "--board-pose", "1 0 0.8 0 0 0", "--json")
    result = run(*cameras(cell), *BOARD, *arguments)
    assert result.exit_code == 0, result.output
    assert sorted(json.loads(result.stdout)["cameras"]) == ["left", "right"]
    frame, transforms = read_calibration(out)
    assert frame == "world"
    for name, place in PLACES.items():
        found = transforms[f"{name}_optical_frame"][:3, 3]
        np.testing.assert_allclose(found, np.add(place, (1.0, 0.0, 0.8)), atol=0.01)
    assert "left_optical_frame" in launch.read_text()


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        (("--camera", "left"), ConfigError, "--camera is 'left'; it takes NAME=PATH"),
        (("--camera", "left=a"), ConfigError, "camera 'left' has no intrinsics"),
        (("--camera", "a=b", "--camera", "a=c"), ConfigError, "--camera names 'a' twice"),
        (("CELL", "--board", "7"), ConfigError, "--board is '7'; it takes COLUMNSxROWS"),
        (("CELL", "--board-pose", "1 2"), ConfigError, "--board-pose is '1 2'; it takes six"),
        (("CELL", "--board", "9x6"), InputError, "camera 'left': none of 1 pictures shows"),
        (("CELL", "--height", "17"), ConfigError, "--height is 17 m; it takes 1.0 to 2.5"),
    ],
)
def test_what_cannot_be_done_is_said_and_leaves_nothing(cell, tmp_path, arguments, error, sentence):
    words = [word for a in arguments for word in (cameras(cell) if a == "CELL" else [a])]
    with pytest.raises(error, match=sentence):
        run(*words, "-o", tmp_path / "found.yaml")
    assert list(tmp_path.iterdir()) == []
