"""What commands print: no number of a table is cut, no unit is lost, a sentence is one line."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from command_line import commands
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from ses_gcn_ros import cli
from ses_gcn_ros.commands import terminal

CELLS = st.one_of(
    st.floats(0, 1e6).map(lambda value: f"{value:.2f}"),
    st.sampled_from(["sesgcn_workcell, 25 steps", "", "r_elbow-r_wrist", "−0.31", "1.0 [m]"]),
)


@given(st.lists(st.lists(CELLS, min_size=4, max_size=4), min_size=1), st.integers(16, 120))
def test_every_cell_is_shown_whole(rows, width):
    printed = io.StringIO()
    console = Console(file=printed, width=width, markup=False, highlight=False, emoji=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(terminal, "out", lambda: console)
        terminal.show(("by", "median ms", "p99 ms", "times faster"), rows, "What it takes")
    lines = printed.getvalue().splitlines()
    assert "What it takes" in printed.getvalue()
    for row in rows:
        for cell in row:
            assert any(cell in line for line in lines), cell
    table = any("┃" in line for line in lines)
    assert not table or max(map(len, lines)) <= width


def test_help_keeps_the_units():
    kept = 0
    for name, command in commands().items():
        shown = CliRunner().invoke(cli.app, [*name.split(), "--help"], env={"COLUMNS": "200"})
        text = " ".join(shown.output.split())
        for parameter in command.params:
            units = re.findall(r"\[\S+\]", getattr(parameter, "help", None) or "")
            assert all(unit in text for unit in units), (name, parameter.name)
            kept += len(units)
    assert kept >= 13


def test_a_sentence_goes_down_a_pipe_in_one_line_with_its_brackets(capsys):
    said = "'shift [old]' and 'x[/y]' " * 40
    for console in (terminal.out(), terminal.err()):
        console.print(said)
    assert [text.splitlines() for text in capsys.readouterr()] == [[said], [said]]


@pytest.mark.parametrize(
    ("package", "line", "extra"),
    [
        ("cv2", "pose VIDEO -o BAG", "pose"),
        ("torch", "train --data MOTION -o OUT.safetensors", "train"),
        ("rosbags", "evaluate BAG", "replay"),
    ],
)
def test_a_package_that_is_missing_is_one_sentence_that_names_the_extra(package, line, extra):
    program = f"import sys; sys.modules['{package}'] = None; from ses_gcn_ros import cli; "
    command = [sys.executable, "-c", program + "sys.exit(cli.main())", *line.split()]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 1
    (sentence,) = run.stderr.splitlines()
    assert sentence.endswith(f"pip install 'ses_gcn_ros[{extra}]'")


def test_a_streams_coverage_goes_to_a_table_program(shared_data):
    data = [f"--{name}={shared_data / 'motion' / 'cmu62.npz'}" for name in ("before", "after")]
    short = ["--recipe=none", "--streams=1", "--first=5", "--settle=1", "--measured=5"]
    run = CliRunner().invoke(cli.app, ["evaluate-stream", *data, *short, "--csv"])
    rows = list(csv.DictReader(io.StringIO(run.stdout)))
    assert list(rows[0]) == ["step", "adaptive %", "adaptive mm", "calibrated %", "calibrated mm"]
    assert [int(row["step"]) for row in rows] == list(range(1, 26))
    for row in rows:
        assert 0 <= float(row["adaptive %"]) <= 100
        assert float(row["adaptive mm"]) > 0


def test_an_alarms_figures_go_to_a_table_program(shared_data):
    arguments = ["alarm", str(shared_data / "motion" / "handover_dev.npz"), "--every=150"]
    said, table = (
        CliRunner().invoke(cli.app, [*arguments, "--stride=20", form]).stdout
        for form in ("--json", "--csv")
    )
    rows = {row["by [s]"]: row for row in csv.DictReader(io.StringIO(table))}
    horizons = json.loads(said)["horizons"]
    assert list(rows) == list(horizons)
    for horizon, figures in horizons.items():
        assert float(rows[horizon]["Brier"]) == pytest.approx(figures["brier"], abs=5e-4)
        assert not rows[horizon]["AP together"]  # nobody met, and a dash is no number


def test_what_a_library_remarks_on_in_passing_is_not_printed(tmp_path):
    """numpy warns of numbers that are too large for float32, before they are refused."""
    path = tmp_path / "large.npz"
    bones, people = np.array([[0, 1]]), np.array(["a", "b"])
    some = {"lengths": np.array([5, 5]), "action": people, "subject": people, "bones": bones}
    np.savez(path, positions=np.full((10, 2, 3), 1e300), **some)
    program = "import sys; from ses_gcn_ros import cli; sys.exit(cli.main())"
    command = [sys.executable, "-c", program, "actions", "evaluate", "--data", str(path)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 1
    (sentence,) = run.stderr.splitlines()
    assert "too large for float32" in sentence
