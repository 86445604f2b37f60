"""What the text of a page is made of: numbers shown large, tables, curves, sections."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Fact:
    """A number that is shown large."""

    value: str
    label: str
    colour: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of text; without a head the first column says what the second is.

    A `folded` one is opened by whoever wants to see it.
    """

    rows: list[list[str]]
    head: list[str] = field(default_factory=list)
    title: str = ""
    folded: bool = False


@dataclass(frozen=True)
class Line:
    """One curve; None where unknown. `colour` names one of the page's."""

    name: str
    colour: str
    x: list[float]
    y: list[float | None]
    width: float = 1.6
    dash: str = ""


@dataclass(frozen=True)
class Chart:
    """Curves over one axis, read off with a finger; fields are named as in the script."""

    id: str
    title: str
    lines: list[Line]
    y: tuple[float, float]
    unit: str
    digits: int = 0
    xUnit: str = " s"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the script."""
        x = self.lines[0].x
        return {**asdict(self), "label": self.title, "x": [min(0.0, x[0]), x[-1]]}


def text_of(value: float | None, unit: str = "", digits: int = 2) -> str:
    """Number with its unit; a dash where it is unknown."""
    return "–" if value is None else f"{value:.{digits}f}{unit}"


def share_of(value: float | None, digits: int = 0) -> str:
    """Share as percent; a dash where it is unknown."""
    return "–" if value is None else f"{value:.{digits}%}"


@dataclass(frozen=True)
class Section:
    """A part of the page under one heading."""

    title: str
    text: list[str] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
