"""The protocol of a commissioning: one page and the same as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from ses_gcn_ros import __version__
from ses_gcn_ros.audit import configuration_digest
from ses_gcn_ros.replay.commissioning import Commissioning
from ses_gcn_ros.replay.report import Chart, Fact, Line, PageSection, Table, render_sections
from ses_gcn_ros.resources import plain
from ses_gcn_ros.safety import (
    SafetyConfig,
    StoppingTable,
    allowed_speed,
    braking,
    protective_distance,
)

_COLOURS = ("person", "forecast", "baseline2", "baseline1", "ink")
_MOST = 3.0  # m that the curve of allowed speeds ends at


def distance_curves(found: Commissioning) -> dict[str, list[list[float]]]:
    """S_p [m] over the robot's speed [m/s], and the speed allowed over distance, by payload."""
    config, table = found.config, found.table
    case = {"human_speed": config.human_speed, "reaction_time": config.reaction_time}
    rest = config.intrusion + config.human_uncertainty + config.robot_uncertainty
    speeds = np.linspace(0.0, config.robot_speed_max, 60)
    distances = np.linspace(0.0, _MOST, 60)
    curves: dict[str, list[list[float]]] = {}
    for payload, times in zip(table.payloads, table.times, strict=True):
        brakes = StoppingTable.of(table.speeds, times)
        needed = [
            rest + protective_distance(robot_speed=float(v), table=brakes, **case) for v in speeds
        ]
        allowed = [
            min(allowed_speed(float(d) - rest, table=brakes, **case), config.robot_speed_max)
            for d in distances
        ]
        curves[f"{payload:g} kg"] = [speeds.tolist(), needed, distances.tolist(), allowed]
    return curves


def protocol(found: Commissioning, *, date: str, signed_by: str, cell: str) -> dict[str, Any]:
    """Everything that is in the protocol, as plain values.

    `signed_by`: who answers for it; empty for nobody yet.
    `cell`: parameter file that came of it.
    """
    return dict(
        plain(
            {
                "date": date,
                "signed_by": signed_by or None,
                "cell": cell,
                "software": __version__,
                "configuration": configuration_digest(found.config),
                "checks_passed": all(check.ok for check in found.checks),
                "parameters": {name: getattr(found.config, name) for name in found.reasons},
                "reasons": found.reasons,
                "quantities": [asdict(quantity) for quantity in found.quantities],
                "stops": [asdict(stop) for stop in found.stops],
                "stops_not_used": found.refused,
                "stopping_table": asdict(found.table),
                "checks": [asdict(check) for check in found.checks],
                "assumed": dict(found.assumed),
                "protective_distance": distance_curves(found),
            }
        )
    )


def protocol_page(found: Commissioning, numbers: dict[str, Any]) -> str:
    """HTML of the protocol; `numbers` is what `protocol` gives."""
    config = found.config
    brakes = braking(config)[0]
    top = config.robot_speed_max
    t_s = float(brakes.time(top))
    needed = protective_distance(
        human_speed=config.human_speed, robot_speed=top, reaction_time=config.reaction_time,
        table=brakes, intrusion=config.intrusion, human_uncertainty=config.human_uncertainty,
        robot_uncertainty=config.robot_uncertainty,
    )  # fmt: skip
    signed = numbers["signed_by"]
    failed = [check for check in found.checks if not check.ok]
    return render_sections(
        [_measured(found), _distances(found), _stops(found), _checked(found)],
        title=numbers["cell"],
        verdict=[
            f"At {top:g} m/s this cell keeps {needed:.2f} m between person and robot.",
            f"Signed off by {signed} on {numbers['date']}." if signed else "Not signed off.",
        ],
        facts_line=f"commissioned {numbers['date']} · configuration {numbers['configuration']}",
        facts=[
            Fact(f"{1e3 * config.reaction_time:.0f} ms", "T_r, image to braking"),
            Fact(f"{1e3 * config.robot_reaction_time:.0f} ms", "of it the robot's"),
            Fact(f"{1e3 * t_s:.0f} ms", f"T_s from {top:g} m/s"),
            Fact(f"{config.human_uncertainty:.3f} m", "Z_d of a person"),
            Fact(f"{needed:.2f} m", f"S_p at {top:g} m/s"),
            Fact(f"{len(failed)}", "checks not passed", "alarm" if failed else ""),
        ],
        problems=[f"{check.name}: {check.found}" for check in failed],
        parameters={
            "safety_node": {
                name: value for name, value in vars(config).items()
                if value != getattr(SafetyConfig(), name)
            }
        },
    )  # fmt: skip


def _measured(found: Commissioning) -> PageSection:
    rows = [
        [q.name, str(q.count), *(f"{v:.3f} {q.unit}" for v in (q.mean, q.spread, q.worst)),
         f"{q.reckoned:.3f} {q.unit}", f"{q.margin:.3f} {q.unit}", q.note]
        for q in found.quantities
    ]  # fmt: skip
    head = ["", "n", "mean", "std. dev.", "worst", "reckoned with", "margin", ""]
    written = [[name, str(getattr(found.config, name)), why] for name, why in found.reasons.items()]
    return PageSection(
        "What was measured",
        ["Reckoned with is the worst, or the mean and three standard deviations if that is more, "
         "where no quantile is named."],
        [],
        [Table(rows, head), Table(written, ["parameter", "value", "from"], "What was written")],
    )  # fmt: skip


def _distances(found: Commissioning) -> PageSection:
    curves = distance_curves(found)
    colours = [_COLOURS[i % len(_COLOURS)] for i in range(len(curves))]
    needed = [
        Line(name, colour, values[0], list(values[1]), 2.0)
        for (name, values), colour in zip(curves.items(), colours, strict=True)
    ]
    allowed = [
        Line(name, colour, values[2], list(values[3]), 2.0)
        for (name, values), colour in zip(curves.items(), colours, strict=True)
    ]
    highest = max(values[1][-1] for values in curves.values())
    return PageSection(
        "Protective distance",
        ["A person comes straight at the robot at the floor of v_h, and the robot at the person."],
        [
            Chart("allowed", "Speed allowed over distance [m/s]", allowed,
                  (0.0, 1.1 * found.config.robot_speed_max), " m/s", 2, " m"),
            Chart("needed", "S_p over the robot's speed [m]", needed, (0.0, 1.1 * highest), " m",
                  2, " m/s"),
        ],
        [],
    )  # fmt: skip


def _stops(found: Commissioning) -> PageSection:
    table = found.table
    head = ["payload", *(f"from {speed:.2f} m/s" for speed in table.speeds)]
    rows = [
        [f"{payload:g} kg", *(f"{time:.3f} s" for time in times)]
        for payload, times in zip(table.payloads, table.times, strict=True)
    ]
    each = [
        [f"{s.payload:g} kg", f"{s.speed:.3f} m/s", f"{1e3 * s.reaction:.1f} ms",
         f"{1e3 * s.stopping:.1f} ms", f"{s.misfit:.1%}"]
        for s in sorted(found.stops, key=lambda s: (s.payload, s.speed))
    ]  # fmt: skip
    tables = [
        Table(rows, head, "Stopping table"),
        Table(each, ["payload", "speed", "T_r", "T_s", "misfit"], "Every stop", folded=True),
    ]
    if found.refused:
        refused = [[why, str(count)] for why, count in found.refused.items()]
        tables.append(Table(refused, ["stops that were not used", ""], "Not used", folded=True))
    return PageSection("Stops", [], [], tables)


def _checked(found: Commissioning) -> PageSection:
    rows = [[c.name, c.found, "passed" if c.ok else "NOT PASSED"] for c in found.checks]
    return PageSection(
        "Checked and assumed", [], [],
        [
            Table(rows, ["check", "found", ""], "Checks of camera, transforms and clocks"),
            Table([list(pair) for pair in found.assumed], ["assumed, not measured", ""], "Assumed"),
        ],
    )  # fmt: skip
