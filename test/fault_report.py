"""How often the fault tables inject each fault, and what they write down.

SES_GCN_FAULTS=50 injects each fault fifty times instead of once; SES_GCN_FAULT_REPORT=faults.json
adds the reaction times of what was run to a file that `ses-gcn evidence --faults` takes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

REPEATS = int(os.environ.get("SES_GCN_FAULTS", "1"))
REPORT = os.environ.get("SES_GCN_FAULT_REPORT", "")


def write_report(reactions: Mapping[str, tuple[float, list[float]]]) -> None:
    """Add limit and reaction times [s] of faults by name to the report, where one is wanted."""
    if REPORT:
        path = Path(REPORT)
        written = json.loads(path.read_text()) if path.exists() else {}
        for name, (limit, times) in reactions.items():
            entry = written.setdefault(name, {"limit_s": limit, "reactions_s": []})
            entry["reactions_s"] += [round(t, 3) for t in times]
        path.write_text(json.dumps(written) + "\n")
