"""The part of a page about what was done: states, stops, collisions."""

from __future__ import annotations

from typing import Any

from ses_gcn_ros.replay.report.blocks import Section, Table, share_of, text_of

_LISTED = 25


def stops_section(safety: dict[str, Any] | None) -> Section | None:
    """Section on the safety part of a summary; None without states."""
    if safety is None:
        return None
    rows = [[name, f"{seconds:.1f} s"] for name, seconds in safety["seconds"].items()]
    rows += [
        ["availability, the share of time at full speed", share_of(safety["availability"], 1)],
        ["mean speed factor", text_of(safety["mean_factor"])],
        ["stops", str(safety["stops"])],
        ["  caused by people", str(safety["stops_by_people"])],
        ["  of these false: nobody came under the protective distance",
         str(safety["false_stops"])],
        ["missed: contact range reached before the robot could rest", str(safety["missed_stops"])],
    ]  # fmt: skip
    tables = [Table(rows)]
    if safety["stop_reasons"]:
        kinds = sorted(safety["stop_reasons"].items(), key=lambda item: -item[1])
        tables.append(Table([[why, str(count)] for why, count in kinds], ["stopped by", "times"]))
    listed = safety["stops_at"][:_LISTED]
    if listed:
        rows = [
            [f"{stop['at_s']:.2f} s", f"{stop['length_s']:.2f} s", stop["kind"], stop["reason"]]
            for stop in listed
        ]
        rest = len(safety["stops_at"]) - len(listed)
        title = "Stops" if rest <= 0 else f"The first {len(listed)} stops"
        tables.append(Table(rows, ["at", "for", "kind", "reason"], title, folded=True))
    return Section("States and stops", [], [], tables)


def collisions_section(collisions: dict[str, Any] | None) -> Section | None:
    """Section on predicted collisions; None where there was no window to judge."""
    if not collisions or not collisions["windows"]:
        return None
    text = [
        f"A window is a forecast of {collisions['horizon_s']:.2f} s; it collides if the surfaces "
        f"of a limb and a link come under {1e3 * collisions['threshold_m']:.0f} mm. The robot is "
        "where it was, so that only the forecast of the person is judged."
    ]
    counts = ("true_positives", "false_positives", "false_negatives", "true_negatives")
    rows = [["windows", str(collisions["windows"])]]
    rows += [[name.replace("_", " "), str(collisions[name])] for name in counts]
    rows += [
        [name, text_of(collisions[key], digits=3)]
        for name, key in (("precision", "precision"), ("recall", "recall"), ("F1", "f1"))
    ]
    rows += [
        ["approaches under the threshold", str(collisions["collisions"])],
        ["  of these forecast before", str(collisions["collisions_warned"])],
    ]
    lead = collisions["lead_time_s"]
    if lead:
        rows.append(["  how long before, median", f"{lead['median']:.2f} s"])
    return Section("Predicted collisions", text, [], [Table(rows)])
