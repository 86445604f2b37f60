"""The command as it is installed."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[1] / "resource" / "ses-gcn.in"


def test_a_second_process_imports_the_program_without_running_it():
    """As multiprocessing does for the reader of a long bag."""
    assert "main" in runpy.run_path(str(PROGRAM), run_name="__mp_main__")


@pytest.mark.parametrize(
    "command",
    [
        "params safety_node",
        pytest.param("params --json", marks=pytest.mark.slow),
        pytest.param("params --yaml", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize(
    ("stream", "code", "said"),
    [(">&-", 0, ""), (">/dev/full", 1, "error: No space left on device\n"), ("2>&-", 0, "")],
)
def test_output_that_nobody_takes_is_no_traceback(command, stream, code, said):
    words = f"{sys.executable} -m ses_gcn_ros.cli {command} {stream}"
    run = subprocess.run(words, shell=True, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (code, said)


def test_a_terminal_of_few_characters_gets_others_for_those_that_it_lacks():
    ascii_only = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    command = [sys.executable, "-m", "ses_gcn_ros.cli", "params", "safety_node"]
    run = subprocess.run(command, capture_output=True, env=ascii_only)
    assert (run.returncode, run.stderr) == (0, b"")
    assert run.stdout.isascii()
