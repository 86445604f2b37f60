"""Every requirement names tests that are there, and every test that it names is run."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "requirements.md"
ROW = re.compile(r"^\| (R\d+) \|(.*)\|(.*)\|$", re.MULTILINE)
TEST = re.compile(r"`(test/[\w/]+\.py)(?:::(\w+))?`")


def requirements() -> list[tuple[str, str]]:
    return [(number, tests) for number, _, tests in ROW.findall(PAGE.read_text())]


def functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_numbers_go_on_without_a_gap():
    assert [int(number[1:]) for number, _ in requirements()] == list(
        range(1, len(requirements()) + 1)
    )


@pytest.mark.parametrize(("number", "tests"), requirements())
def test_a_requirement_is_shown_by_tests_that_exist(number, tests):
    named = TEST.findall(tests)
    assert named, f"{number} names no test"
    for file, function in named:
        assert (ROOT / file).is_file(), f"{number} names {file}, which is not there"
        assert not function or function in functions(ROOT / file), f"{number}: {file}::{function}"
