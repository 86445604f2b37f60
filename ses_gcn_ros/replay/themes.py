"""Colours of pictures and pages: two themes of one palette, for people of all colour vision."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Theme:
    """Colours of a picture; levels and series after Okabe and Ito (2008)."""

    paper: str
    ink: str
    quiet: str
    grid: str
    line: str
    shade: str
    person: str
    person_fill: str
    person_edge: str
    forecast: str
    forecast_fill: str
    forecast_edge: str
    robot: str
    robot_fill: str
    alarm: str
    clear: str
    reduced: str
    stop: str
    baseline_1: str
    baseline_2: str

    def level(self, name: str) -> str:
        """Colour of CLEAR, REDUCED or STOP."""
        return {"CLEAR": self.clear, "REDUCED": self.reduced, "STOP": self.stop}.get(
            name, self.quiet
        )


LIGHT = Theme(
    paper="#ffffff",
    ink="#1c2430",
    quiet="#6b7684",
    grid="#e8ebef",
    line="#c9d0d8",
    shade="#f1f3f5",
    person="#0b5c94",
    person_fill="#d3e6f3",
    person_edge="#a9cde6",
    forecast="#a3337d",
    forecast_fill="#f7e6f1",
    forecast_edge="#e6c3da",
    robot="#3d4550",
    robot_fill="#d3d7dc",
    alarm="#c2410c",
    clear="#009e73",
    reduced="#e69f00",
    stop="#c2410c",
    baseline_1="#8a939e",
    baseline_2="#b0762b",
)
DARK = Theme(
    paper="#14181e",
    ink="#e8ecf1",
    quiet="#93a0ae",
    grid="#262d36",
    line="#46505c",
    shade="#1c222a",
    person="#7cc4f2",
    person_fill="#1b3d55",
    person_edge="#356b8f",
    forecast="#ea86c4",
    forecast_fill="#3a2434",
    forecast_edge="#6b3d5c",
    robot="#c3cad3",
    robot_fill="#454e59",
    alarm="#ff8a5c",
    clear="#2cc79b",
    reduced="#f2b632",
    stop="#ff8a5c",
    baseline_1="#8a95a2",
    baseline_2="#d9a25a",
)
THEMES = {"light": LIGHT, "dark": DARK}
