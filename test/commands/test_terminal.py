"""However narrow a terminal is, no number of a table is cut."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

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
