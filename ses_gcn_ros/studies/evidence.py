"""The page docs/evidence.md: what the safety part was held against, from what commands wrote."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ses_gcn_ros.errors import MISSHAPEN, InputError
from ses_gcn_ros.resources import parse_json
from ses_gcn_ros.studies import attack_search, braking, collisions, soak

HEAD = """# Evidence

What the safety part has been held against, with the commands that print the figures; every run
that was made for it is in them. None of this is a certification. Distances of capsules are held
against a collision library in `test/safety/test_capsules_coal.py`; what they cost is in
[benchmarks](benchmarks.md). This page is written by

    ses-gcn evidence --from docs/evidence.json -o docs/evidence.md --overwrite
"""
ATTACK = """## Attacks in a closed loop

People within the floors who want to be touched, robots that obey after the reaction time and brake
as the monitor is told, and the faults of the inputs by name; three runs in five are changes to
those that came nearest. A contact counts by the monitor's own capsules around people and links as
they really are; it is over the limit if the link is faster than 0.05 m/s. In the first table,
runs with probabilities of contact were made before the last pose counted in them (commit 7f50fec).
The last table is of the code of November 30, 2026 (`--runs 2500 --seed 29`).
"""
BEFORE = """## The same attacks before

The searches found these contacts in the monitor of commit 12c1171, which took the stopping time
from the closest point's speed towards the person and forgot people after two seconds.
"""
BRAKING = """## Braking for real people

Recorded motions are turned and shifted so that a hand goes to the middle of the moving demo
robot's sweep, 0.3 m to each side by chance. Image to monitor takes 70 ms, the camera has 2 mm of
noise, the forecaster is the real one, and the robot brakes with the deceleration that the monitor
is told. The fence is a field around the whole sweep, as far out as ISO 13855 asks for with the
same constants. A contact is covered by the standard's model if no touching limb came faster, over
T_r + T_s, than the floor of v_h for it.
"""
FAULTS = """## Faults

    SES_GCN_FAULTS=50 SES_GCN_FAULT_REPORT=faults.json pytest test/safety/test_core_fault_table.py
    SES_GCN_FAULTS=50 SES_GCN_FAULT_REPORT=faults.json pytest test/ros/test_fault_table.py \\
        test/ros/test_pose_faults.py test/ros/test_clock_leaps.py

Reports add up, so that a table may be made in pieces and some faults tried more often than others.
First the core on a simulated clock, then real processes of robot, forecaster and safety node over
DDS; "times" is how often each came, at random moments. A state has to say STOP with the fault's
name in its reasons, and from then on none may say anything else while the fault lasts. The time is
from the injection to that state; over DDS to its arrival, for which the test allows 0.35 s more
than the limit. Where a limit is that of somebody who walks in (1.54 s from 2.6 m, 2.76 s from
4.5 m, at 1.55 m/s), the time is until the robot stands, and the limit when they would touch it.
"""
SOAK = """## Running for long

    ses-gcn soak --minutes 30 --people 4
"""
COLLISIONS = """## Foreseen contacts

    ses-gcn collisions handover_dev.npz --json

CHICO's task on handovers: the giver's limbs are the robot, 10 frames are observed, 25 forecast, and
a contact is a distance of the axes under 130 mm.
"""
MUTANTS = """## Mutants

Random changes to one place of the safety core, kernels included, and whether test/safety notices.
Those that change nothing are named with the reason, and reckoned apart.
"""


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
    parts = [HEAD]
    for kind, (about, show) in _SECTIONS.items():
        try:
            if content.get(kind):
                parts += [about, *(show(entry) + "\n" for entry in content[kind])]
        except MISSHAPEN as error:
            raise InputError(f"--{kind} holds not what its command writes: {error!r}") from error
    return "\n".join(parts)


def _faults(found: Mapping[str, Any]) -> str:
    lines = ["| fault | times | limit [s] | STOP after, median [s] | longest [s] |"]
    lines.append("| --- | ---: | ---: | ---: | ---: |")
    for name, entry in found.items():
        times = entry["reactions_s"]
        lines.append(
            f"| {name} | {len(times)} | {entry['limit_s']:.2f} | {statistics.median(times):.2f} | "
            f"{max(times):.2f} |"
        )
    return "\n".join(lines)


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


_SECTIONS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "attack": (ATTACK, _attack),
    "attack-before": (BEFORE, attack_search.as_markdown),
    "braking": (BRAKING, _braking),
    "faults": (FAULTS, _faults),
    "soak": (SOAK, _fenced(soak.as_text)),
    "collisions": (COLLISIONS, _fenced(collisions.as_text)),
    "mutants": (MUTANTS, _mutants),
}
KINDS = tuple(_SECTIONS)
