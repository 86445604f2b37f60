"""The page docs/evidence.md: what the safety part was held against, from what commands wrote."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ses_gcn_ros.errors import MISSHAPEN, InputError
from ses_gcn_ros.resources import markdown_table, parse_json, parse_yaml
from ses_gcn_ros.studies import ASSETS, attack_search, braking, collisions, soak


def read(kind: str, paths: Sequence[Path]) -> list[Any]:
    """What commands wrote, one entry per file.

    Raises InputError if a file is missing, is no JSON or, of "from", holds other kinds.
    """
    found = []
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8")
            lines = text.splitlines() if path.suffix == ".jsonl" else [text]
            entries = [parse_json(line) for line in lines]
        except (OSError, ValueError) as error:
            raise InputError(f"--{kind} '{path}' can't be read: {error}") from error
        if kind == "from" and not (isinstance(entries[0], dict) and entries[0].keys() <= {*KINDS}):
            raise InputError(f"--from '{path}' holds no evidence; --save writes a file that does")
        found.append(entries if path.suffix == ".jsonl" else entries[0])
    return found


def markdown(content: Mapping[str, Sequence[Any]]) -> str:
    """The page, from lists of what was read by kind; kinds without an entry are left out.

    Raises InputError for an entry that is not what its command writes.
    """
    prose = parse_yaml((ASSETS / "evidence.yaml").read_text("utf-8"))
    parts = [prose["head"]]
    for kind, show in _SECTIONS.items():
        try:
            if content.get(kind):
                parts += [prose[kind], *(show(entry) + "\n" for entry in content[kind])]
        except MISSHAPEN as error:
            raise InputError(f"--{kind} holds not what its command writes: {error!r}") from error
    return "\n".join(parts)


def _faults(found: Mapping[str, Any]) -> str:
    rows = []
    for name, entry in found.items():
        times = entry["reactions_s"]
        figures = (entry["limit_s"], statistics.median(times), max(times))
        rows.append((name, len(times), *(f"{seconds:.2f}" for seconds in figures)))
    headings = ("fault", "times", "limit [s]", "STOP after, median [s]", "longest [s]")
    return markdown_table(headings, rows, range(1, 5))


def _mutants(found: Sequence[Mapping[str, Any]]) -> str:
    same = [entry for entry in found if entry["equivalent"]]
    killed, of = sum(entry["killed"] for entry in found), len(found) - len(same)
    lines = [
        f"    .venv/bin/python tools/mutate_safety.py --mutants {len(found)}\n",
        f"{killed} of {of} killed, {100 * killed / max(of, 1):.1f} %; {len(same)} equivalent.\n",
    ]
    for entry in found:
        if not entry["killed"]:
            why = f"equivalent, {entry['equivalent']}" if entry["equivalent"] else "survived"
            change = f"`{entry['before']}` → `{entry['after']}`"
            lines.append(f"- {entry['file']}:{entry['line']} {change}: {why}")
    return "\n".join(lines)


def _fenced(show: Callable[[Any], str]) -> Callable[[Any], str]:
    return lambda found: f"```\n{show(found)}\n```"


def _braking(found: dict[str, Any]) -> str:
    asked = f"handover_dev.npz cmu.npz --runs {found['runs']}"
    return f"    ses-gcn braking-study {asked} -o braking\n\n{braking.as_markdown(found)}"


def _attack(found: Mapping[str, Any]) -> str:
    """A table of attacks under its command, which may have asked for one variant or scenario."""
    asked = f"--runs {found['total']['runs']}"
    scenarios = {name for rows in found["variants"].values() for name in rows if name != "all"}
    for option, names in (("variant", set(found["variants"])), ("scenario", scenarios)):
        if len(names) == 1:
            asked += f' --{option} "{names.pop()}"'
    return f"    ses-gcn attack {asked} -o attack\n\n{attack_search.as_markdown(found)}"


_SECTIONS: dict[str, Callable[[Any], str]] = {
    "attack": _attack,
    "attack-before": attack_search.as_markdown,
    "braking": _braking,
    "faults": _faults,
    "soak": _fenced(soak.as_text),
    "collisions": _fenced(collisions.as_text),
    "mutants": _mutants,
}
KINDS = tuple(_SECTIONS)
