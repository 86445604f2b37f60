"""What every section of the benchmark gives: rows of figures, and how to show them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

Value = str | int | float | None
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Column:
    """One column of a section's table.

    Attributes
    ----------
    key : str
        Of the rows' values, which are in SI units.
    heading : str
        With the unit that the values are shown in.
    scale : float
        Factor from SI to that unit.
    digits : int
        After the decimal point.
    """

    key: str
    heading: str
    scale: float = 1.0
    digits: int = 0

    def show(self, row: Mapping[str, Value]) -> str:
        """Value of a row as text; empty where the row has none."""
        value = row.get(self.key)
        if value is None or isinstance(value, str):
            return value or ""
        return f"{self.scale * value:.{self.digits}f}"


@dataclass(frozen=True)
class Section:
    """Figures of one kind.

    Attributes
    ----------
    name : str
        Short name, by which the command selects it.
    title : str
        Heading.
    about : str
        What was measured, and how, in a sentence or two.
    columns : sequence of Column
        How rows are shown.
    rows : list of dict
        Figures by column key; keys without a column are in the JSON alone.
    notes : list of str
        What was not measured, and why.
    """

    name: str
    title: str
    about: str
    columns: Sequence[Column]
    rows: list[dict[str, Value]]
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """As plain containers; `from_json` is the way back."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Section:
        """Section that `as_json` was made from."""
        columns = [Column(**column) for column in content["columns"]]
        return cls(**{**content, "columns": columns})
