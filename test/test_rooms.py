"""Data flows one way through the rooms of the package."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "ses_gcn_ros"

# Each may import those before it; "" is what lies beside the rooms: skeletons, errors and the like.
ORDER = (
    "",
    "transforms",
    "bags",
    "models",
    "forecast",
    "pose",
    "actions",
    "safety",
    "datasets",
    "training",
    "replay",
    "evaluation",  # a name of before, which leads to replay
    "nodes",
    "studies",
    "commands",
)
TOP = {"cli"}  # beside the rooms, and above all of them
# What the core must not know. `underlay/` may be anybody's tf2.
ROS = re.compile(r"rclpy|.*_msgs|std_srvs|builtin_interfaces|tf2_.*|launch.*")


@cache
def nodes(path: Path) -> list[ast.AST]:
    """Whatever the syntax tree of a file consists of."""
    return list(ast.walk(ast.parse(path.read_text())))


@cache
def imports(path: Path) -> set[str]:
    """Modules that a file imports, wherever in it."""
    found = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room_of(module: str) -> str | None:
    """Room of a module of ours, "" beside the rooms; None for others' and for what has no room."""
    first, _, rest = module.partition(".")
    name = rest.partition(".")[0]
    if first != PACKAGE.name or name in {"", "__version__", *TOP}:
        return None
    return name if (PACKAGE / name).is_dir() else ""


FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.stem not in TOP)


def test_there_is_no_room_without_a_place_in_the_order():
    rooms = {path.relative_to(PACKAGE).parts[0] for path in FILES if path.parent != PACKAGE}
    assert rooms == set(ORDER) - {""}


@pytest.mark.parametrize("room", ORDER)
def test_no_arrow_goes_back(room: str):
    later = set(ORDER[ORDER.index(room) + 1 :])
    back = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in FILES
        if room_of(".".join(path.relative_to(ROOT).with_suffix("").parts)) == room
        for module in imports(path)
        if room_of(module) in later
    ]
    assert back == []


def test_the_core_knows_no_ros():
    allowed = {"nodes", "studies"}  # studies has nodes of its own, which measure the others
    knowing = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in FILES
        if path.relative_to(PACKAGE).parts[0] not in allowed
        for module in imports(path)
        if ROS.fullmatch(module.partition(".")[0]) or module.startswith("ses_gcn_ros.msg")
    ]
    assert knowing == []


def test_no_class_has_the_name_of_another():
    where: dict[str, list[str]] = {}
    for path in FILES:
        for node in nodes(path):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                where.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert {name: files for name, files in where.items() if len(files) > 1} == {}
