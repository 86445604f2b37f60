"""The page docs/evidence.md: what the safety part was held against, from what commands wrote."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ses_gcn_ros.errors import MISSHAPEN, InputError
from ses_gcn_ros.resources import markdown_table, parse_json, parse_yaml
from ses_gcn_ros.studies import ASSETS, braking, collisions, soak


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
                parts += [prose[kind], show(content[kind]) + "\n"]
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


def _attack(searches: Sequence[Mapping[str, Any]]) -> str:
    """The searches' commands, and one table of all of them by scenario and variant."""
    variants = list(dict.fromkeys(name for found in searches for name in found["variants"]))
    runs: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    commands = []
    for found in searches:
        asked = f"--runs {found['total']['runs']}"
        scenarios = {name for rows in found["variants"].values() for name in rows if name != "all"}
        for option, names in (("variant", set(found["variants"])), ("scenario", scenarios)):
            if len(names) == 1:
                asked += f' --{option} "{names.pop()}"'
        commands.append(f"    ses-gcn attack {asked} -o attack\n")
        for variant, by_scenario in found["variants"].items():
            for scenario, figures in by_scenario.items():
                runs.setdefault(scenario, {}).setdefault(variant, []).append(figures)
    runs["all"] = runs.pop("all")
    rows = []
    for scenario, found_by in runs.items():
        every = [entry for entries in found_by.values() for entry in entries]
        total = [sum(entry[name] for entry in every) for name in ("runs", "contacts", "violations")]
        total.append(f"{max(entry['worst_contact_speed'] for entry in every):.3f}")
        rows.append((scenario, *total, *(_nearest(found_by.get(name, [])) for name in variants)))
    headings = ("scenario", "runs", "contacts", "over 0.05 m/s", "worst [m/s]", *variants)
    return "".join(commands) + "\n" + markdown_table(headings, rows, range(1, len(headings)))


def _nearest(found: Sequence[Mapping[str, Any]]) -> str:
    seconds, lost = (
        sum(entry[name] for entry in found) for name in ("robot_seconds", "robot_seconds_lost")
    )
    least = min((entry["nearest_miss"] for entry in found), default=float("nan"))
    return f"{least:.2f} m; {100.0 * lost / max(seconds, 1e-9):.0f} %" if found else ""


def _each(show: Callable[[Any], str]) -> Callable[[Sequence[Any]], str]:
    return lambda entries: "\n\n".join(map(show, entries))


_SECTIONS: dict[str, Callable[[Sequence[Any]], str]] = {
    "attack": _attack,
    "braking": _each(_braking),
    "faults": _each(_faults),
    "soak": _each(_fenced(soak.as_text)),
    "collisions": _each(_fenced(collisions.as_text)),
    "mutants": _each(_mutants),
}
KINDS = tuple(_SECTIONS)
