"""The command as it is installed."""

import runpy
from pathlib import Path

PROGRAM = Path(__file__).parents[1] / "resource" / "ses-gcn.in"


def test_a_second_process_imports_the_program_without_running_it():
    """As multiprocessing does for the reader of a long bag."""
    assert "main" in runpy.run_path(str(PROGRAM), run_name="__mp_main__")
