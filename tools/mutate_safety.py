#!/usr/bin/env python3
"""Mutation score of the safety core: random small mistakes, and whether its tests notice them.

    .venv/bin/python tools/mutate_safety.py --mutants 200 -o mutants

Each mutant changes one place of ses_gcn_ros/safety/ in a copy of the tree: a comparison, an
operator, a number, a condition, a minimum for a maximum, or a statement that goes. Kernels are
compiled anew. A mutant is killed if test/safety fails or takes ten times as long; survivors are
listed with their lines, to be killed by a test or shown to be equivalent. Journalled in
mutants/mutants.jsonl: killed, the same command goes on.
"""

from __future__ import annotations

import argparse
import ast
import copy
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SAFETY = Path("ses_gcn_ros/safety")
TESTS = ["test/safety"]
PASSED_OVER = {"__init__.py"}  # nothing to get wrong

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
        for value in (node.value * 1.5 if node.value else 1.0, -node.value if node.value else -1.0):
            yield ast.Constant(type(node.value)(value) if node.value not in (1, -1) else value * 2)
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


def sites(tree: ast.Module) -> Iterator[tuple[ast.AST, str, int | None, ast.AST, ast.AST]]:
    """Parent, field, index, node and mutant of every place; annotations and texts left out."""
    skipped: set[int] = set()
    for node in ast.walk(tree):
        for name in ("annotation", "returns", "decorator_list"):
            part = getattr(node, name, None)
            for root in part if isinstance(part, list) else [part] if part else []:
                skipped |= {id(child) for child in ast.walk(root)}
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "option":
            skipped |= {id(c) for k in node.keywords for c in ast.walk(k)}  # ranges and help
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            skipped |= {id(child) for child in ast.walk(node)}
        if isinstance(node, ast.JoinedStr):
            skipped |= {id(child) for child in ast.walk(node)}
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            for index, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if isinstance(node, ast.AST) and id(node) not in skipped:
                    for mutant in mutations(node):
                        yield parent, name, index, node, mutant


def draw(count: int, seed: int) -> list[tuple[str, int, str, str, str]]:
    """File, line, text before and after, and the mutated source of random places."""
    places = []
    for path in sorted((ROOT / SAFETY).glob("*.py")):
        if path.name not in PASSED_OVER:
            tree = ast.parse(path.read_text())
            places += [(path.name, number) for number, _ in enumerate(sites(tree))]
    chosen = random.Random(seed).sample(places, min(count, len(places)))
    mutants = []
    for name, number in chosen:
        tree = ast.parse((ROOT / SAFETY / name).read_text())
        parent, field, index, node, mutant = list(sites(tree))[number]
        before, line = ast.unparse(node).splitlines()[0], getattr(node, "lineno", 0)
        ast.copy_location(mutant, node)
        if index is None:
            setattr(parent, field, mutant)
        else:
            getattr(parent, field)[index] = mutant
        after = ast.unparse(ast.fix_missing_locations(mutant)).splitlines()[0]
        mutants.append((name, line, before, after, ast.unparse(ast.fix_missing_locations(tree))))
    return mutants


def run_tests(tree: Path, timeout: float | None) -> tuple[bool, float]:
    """Whether all tests pass, and how long they took [s]."""
    begin = time.monotonic()
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *TESTS]
    try:
        done = subprocess.run(
            command, cwd=tree, timeout=timeout, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return False, time.monotonic() - begin
    return done.returncode == 0, time.monotonic() - begin


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutants", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--out", type=Path, default=Path("mutants"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    log = options.out / "mutants.jsonl"
    done = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    known = {(entry["file"], entry["line"], entry["before"], entry["after"]) for entry in done}
    with tempfile.TemporaryDirectory(prefix="mutants_") as folder:
        tree = Path(folder) / "tree"
        keep_out = shutil.ignore_patterns(".*", "build", "mutants*")
        shutil.copytree(ROOT, tree, symlinks=True, ignore=keep_out)
        passed, usual = run_tests(tree, None)
        if not passed:
            print("the tests of test/safety fail without any mutant; mend that first")
            return 2
        for name, line, before, after, source in draw(options.mutants, options.seed):
            if (name, line, before, after) in known:
                continue
            path = tree / SAFETY / name
            original = path.read_text()
            path.write_text(source)
            survived, seconds = run_tests(tree, 10.0 * usual + 60.0)
            path.write_text(original)
            shutil.copystat(ROOT / SAFETY / name, path)  # what is compiled of it is good again
            entry = {
                "file": name, "line": line, "before": before, "after": after,
                "killed": not survived, "seconds": round(seconds, 1),
            }  # fmt: skip
            done.append(entry)
            with log.open("a") as file:
                print(json.dumps(entry), file=file)
            print(f"{'killed  ' if not survived else 'SURVIVED'} {name}:{line} {before} → {after}")
    killed = sum(entry["killed"] for entry in done)
    print(f"{killed} of {len(done)} mutants killed: {100.0 * killed / max(len(done), 1):.1f} %")
    return 0


if __name__ == "__main__":
    sys.exit(main())
