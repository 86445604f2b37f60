"""Numbers of a replay as files: JSON for programs, CSV for tables."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """Plain values for JSON: numbers to six decimals, None for what is not known."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return round(float(value), 6) if math.isfinite(value) else None
    if isinstance(value, np.integer):
        return int(value)
    return value


def write_json(path: Path, content: Any) -> None:
    """Write JSON with sorted keys; the file appears when it is whole."""
    _write(path, json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def write_csv(path: Path, summary: dict[str, Any]) -> None:
    """Write every number of a summary as a row: where it is found, index within a list, value."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["name", "index", "value"])
    for section in sorted(summary):
        if section not in ("parameters", "versions", "format"):
            rows.writerows(_rows(section, summary[section]))
    _write(path, text.getvalue())


def _rows(name: str, value: Any) -> Iterator[tuple[str, int | str, Any]]:
    if isinstance(value, dict):
        for key in sorted(value):
            yield from _rows(f"{name}.{key}", value[key])
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, (dict, list)):
                yield from _rows(f"{name}.{index}", item)
            else:
                yield name, index, item
    else:
        yield name, "", value


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
