#!/usr/bin/env python3
"""Mutation score of the safety core: random small mistakes, and whether its tests notice them.

    .venv/bin/python tools/mutate_safety.py --mutants 200 -o mutants

Each mutant changes one place of ses_gcn_ros/safety/ in a copy of the tree: a comparison, an
operator, a number, a condition, a minimum for a maximum, or a statement that goes. A mutant is
killed if a test of test/safety fails, or all take five times their processor time; the tests that
reach its line come first, then all others. Survivors are to be killed by a test, or shown to be
equivalent, by their reasons, in test/safety/equivalent_mutants.json.

Journalled in mutants/mutants.jsonl: the same command goes on where it was killed, and tries what
survived again. Places are drawn by a hash of what they say, so that a change of the code elsewhere
changes few of them. The result is mutants/mutants.json, for `ses-gcn evidence`.
"""

from __future__ import annotations

import argparse
import ast
import copy
import hashlib
import json
import os
import resource
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import coverage
import hypothesis  # noqa: F401  (imported once, before the forks)
import numba  # noqa: F401
import pytest
import scipy.optimize
import scipy.spatial.transform  # noqa: F401

ROOT = Path(__file__).resolve().parents[1]
SAFETY = Path("ses_gcn_ros/safety")
TESTS = "test/safety"
EQUIVALENT = ROOT / TESTS / "equivalent_mutants.json"
COMPILING = 60.0  # s of processor time, at most, that a changed kernel takes

Place = tuple[str, str, str, str, int]  # file, function, text before and after, which of its like

_COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_OPERATORS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.And: ast.Or, ast.Or: ast.And, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
}  # fmt: skip
_CALLS = {"min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum",
          "any": "all", "all": "any"}  # fmt: skip


def mutations(node: ast.AST) -> Iterator[ast.AST]:
    """What a node may turn into."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARISONS:
        changed = copy.deepcopy(node)
        changed.ops = [_COMPARISONS[type(node.ops[0])]()]
        yield changed
    elif isinstance(node, ast.BinOp | ast.BoolOp) and type(node.op) in _OPERATORS:
        changed = copy.deepcopy(node)
        changed.op = _OPERATORS[type(node.op)]()
        yield changed
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        value = node.value
        larger = value + 1 if isinstance(value, int) else 1.5 * value
        for other in (larger, -value) if value else (1, -1):
            yield ast.Constant(type(value)(other))
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        yield copy.deepcopy(node.operand)
    elif isinstance(node, ast.If | ast.IfExp | ast.While):
        changed = copy.deepcopy(node)
        changed.test = ast.UnaryOp(ast.Not(), changed.test)
        yield changed
    elif isinstance(node, ast.Call):
        name = node.func
        text = name.id if isinstance(name, ast.Name) else getattr(name, "attr", "")
        if text in _CALLS:
            changed = copy.deepcopy(node)
            if isinstance(changed.func, ast.Name):
                changed.func.id = _CALLS[text]
            else:
                changed.func.attr = _CALLS[text]
            yield changed
    elif isinstance(node, ast.AugAssign | ast.Raise) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    ):
        yield ast.Pass()


def sites(tree: ast.Module) -> Iterator[tuple[ast.AST, str, int | None, ast.AST, ast.AST, str]]:
    """Parent, field, index, node, mutant and function of every place.

    Annotations, decorators, texts, and ranges and help of options are left out.
    """
    skipped: set[int] = set()
    function: dict[int, str] = {}
    for node in ast.walk(tree):
        for name in ("annotation", "returns", "decorator_list"):
            part = getattr(node, name, None)
            for root in part if isinstance(part, list) else [part] if part else []:
                skipped |= {id(child) for child in ast.walk(root)}
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "option":
            skipped |= {id(c) for k in node.keywords for c in ast.walk(k)}
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            skipped |= {id(child) for child in ast.walk(node)}
        if isinstance(node, ast.JoinedStr):
            skipped |= {id(child) for child in ast.walk(node)}
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            outer = function.get(id(node), "")
            within = f"{outer}.{node.name}" if outer else node.name
            function |= {id(child): within for child in ast.walk(node)}
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            for index, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if isinstance(node, ast.AST) and id(node) not in skipped:
                    for mutant in mutations(node):
                        yield parent, name, index, node, mutant, function.get(id(node), "")


def places(path: Path) -> Iterator[tuple[Place, int]]:
    """Every place of a file, and its line; in the order of `sites`."""
    like: Counter[Sequence[str]] = Counter()
    for _, _, _, node, mutant, function in sites(ast.parse(path.read_text())):
        text = function, *(ast.unparse(part).splitlines()[0] for part in (node, mutant))
        like[text] += 1
        yield (path.name, *text, like[text]), getattr(node, "lineno", 0)


def draw(count: int, seed: int) -> list[tuple[Place, int, int]]:
    """Random places, each with its line and its number among the `sites` of its file."""
    found = [
        (place, line, number)
        for path in sorted((ROOT / SAFETY).glob("*.py"))
        for number, (place, line) in enumerate(places(path))
    ]
    found.sort(key=lambda entry: hashlib.sha256(repr((seed, entry[0])).encode()).digest())
    return found[:count]


def mutated(text: str, number: int) -> str:
    """The source with one of its `sites` changed."""
    tree = ast.parse(text)
    parent, field, index, node, mutant, _ = list(sites(tree))[number]
    ast.copy_location(mutant, node)
    if index is None:
        setattr(parent, field, mutant)
    else:
        getattr(parent, field)[index] = mutant
    return ast.unparse(ast.fix_missing_locations(tree))


class Watch:
    """A plug-in of pytest: runs tests in an order, notes which failed first, and what each took."""

    def __init__(self, order: Sequence[str] = (), lines: coverage.Coverage | None = None) -> None:
        self._order = {name: place for place, name in enumerate(order)}
        self._lines = lines
        self.failed = ""
        self.seconds: dict[str, float] = {}

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        items.sort(key=lambda item: self._order.get(item.nodeid, len(self._order)))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        if self._lines:
            self._lines.switch_context(nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration
        if report.failed:
            self.failed = self.failed or report.nodeid


def run_tests(
    tree: Path, order: Sequence[str] = (), limit: float | None = None, covered: Path | None = None
) -> dict[str, Any]:
    """Run the tests of a tree in a fork, which spares importing what never changes.

    `passed`, the first test that `failed`, `cpu` [s], and what each test took in `seconds`. With
    `covered`, the lines that each reaches are written there. Stopped after `limit` [s] of CPU.
    """
    answer = tree / "answer.json"
    answer.unlink(missing_ok=True)
    if child := os.fork():
        _, status, usage = os.wait4(child, 0)
        found = json.loads(answer.read_text()) if answer.is_file() else {}
        died = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else "collecting"
        cpu = usage.ru_utime + usage.ru_stime
        return {"passed": False, "failed": died, "cpu": cpu} | found
    try:
        os.dup2(os.open(tree / "output", os.O_CREAT | os.O_WRONLY | os.O_TRUNC), 1)
        os.dup2(1, 2)
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_CPU, (round(limit), round(limit)))
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.chdir(tree)
        sys.path.insert(0, str(tree))
        lines = None
        if covered:
            lines = coverage.Coverage(str(covered), include=[str(tree / SAFETY / "*")])
            lines.start()
        watch = Watch(order, lines)
        code = pytest.main(["-q", "-x", "-p", "no:cacheprovider", TESTS], plugins=[watch])
        if lines:
            lines.stop()
            lines.save()
        said = {"passed": code == 0, "failed": watch.failed or "collecting"}
        answer.write_text(json.dumps(said | {"seconds": watch.seconds}))
    finally:
        os._exit(0)


def baseline(tree: Path, covered: Path, saved: Path) -> dict[str, Any]:
    """Run the tests without any mutant; from the last time if nothing has changed since."""
    digest = hashlib.sha256()
    for path in sorted([*(tree / "ses_gcn_ros").rglob("*.py"), *(tree / TESTS).rglob("*.py")]):
        digest.update(path.read_bytes())
    if saved.is_file() and (found := json.loads(saved.read_text()))["of"] == digest.hexdigest():
        return found | {"again": True}
    found = run_tests(tree, covered=covered) | {"of": digest.hexdigest()}
    if found["passed"]:
        saved.write_text(json.dumps(found))
    return found | {"again": False}


class Order:
    """Which tests come first: those that reach a line, then those that killed most in its file."""

    def __init__(self, seconds: dict[str, float], covered: Path, tree: Path) -> None:
        self._seconds, self._folder = seconds, tree / SAFETY
        self._data = coverage.CoverageData(str(covered))
        self._data.read()

    def of(self, place: Place, line: int, done: dict[Place, dict[str, Any]]) -> list[str]:
        reaching = self._data.contexts_by_lineno(str(self._folder / place[0])).get(line, [])
        kills = Counter(e["by"] for p, e in done.items() if p[0] == place[0] and e["killed"])
        return sorted(
            self._seconds,
            key=lambda name: (name not in reaching, -kills[name], self._seconds[name]),
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutants", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--out", type=Path, default=Path("mutants"))
    options = parser.parse_args()
    os.environ.setdefault("SES_GCN_SHARED", str(ROOT.parent / "shared"))
    options.out.mkdir(parents=True, exist_ok=True)
    log = options.out / "mutants.jsonl"
    done: dict[Place, dict[str, Any]] = {}
    for text in log.read_text().splitlines() if log.exists() else []:
        entry = json.loads(text)
        done[tuple(entry["place"])] = entry
    equivalent = {tuple(e["place"]): e["why"] for e in json.loads(EQUIVALENT.read_text())}
    chosen = draw(options.mutants, options.seed)
    left = [c for c in chosen if c[0] not in equivalent and not done.get(c[0], {}).get("killed")]
    tree, covered, kept = (options.out.resolve() / name for name in ("tree", "covered", "compiled"))
    compiled = tree / SAFETY / "__pycache__"
    keep_out = shutil.ignore_patterns(".*", "build", "install", "log", "mutants*")
    if left:
        shutil.copytree(ROOT, tree, symlinks=True, ignore=keep_out, dirs_exist_ok=True)
        usual = baseline(tree, covered, options.out / "baseline.json")
        if not kept.is_dir() or not usual["again"]:
            shutil.copytree(compiled, kept, dirs_exist_ok=True)
        if not usual["passed"]:
            print(f"{usual['failed']} fails without any mutant; mend that first")
            return 2
        order = Order(usual["seconds"], covered, tree)
    for place, line, number in left:
        shutil.rmtree(compiled)
        shutil.copytree(kept, compiled)
        path = tree / SAFETY / place[0]
        original, before = path.read_text(), path.stat()
        path.write_text(mutated(original, number))
        limit = 5.0 * usual["cpu"] + COMPILING
        ran = run_tests(tree, order.of(place, line, done), limit)
        path.write_text(original)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        killed = not ran["passed"]
        entry = {
            "place": place, "line": line, "killed": killed, "cpu": round(ran["cpu"], 1),
            "by": ran["failed"] if killed else "", "at": round(time.time()),
        }  # fmt: skip
        done[place] = entry
        with log.open("a") as file:
            print(json.dumps(entry), file=file, flush=True)
        print("killed  " if killed else "SURVIVED", *place[:4], f"line {line}", flush=True)
    result = [
        {"file": place[0], "line": line, "before": place[2], "after": place[3],
         "killed": place not in equivalent and done[place]["killed"],
         "equivalent": equivalent.get(place, "")}
        for place, line, _ in chosen
    ]  # fmt: skip
    (options.out / "mutants.json").write_text(json.dumps(result, indent=1) + "\n")
    killed = sum(entry["killed"] for entry in result)
    same = sum(bool(entry["equivalent"]) for entry in result)
    score = 100.0 * killed / max(len(result) - same, 1)
    print(
        f"{killed} of {len(result)} mutants killed, {same} of the others equivalent: {score:.1f} %"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
