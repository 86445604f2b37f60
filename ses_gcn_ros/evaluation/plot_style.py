"""How pictures look: two themes of one palette, which people of all colour vision can read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import matplotlib
from matplotlib import font_manager
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnchoredOffsetbox, HPacker, TextArea

_FONTS = ("Inter", "Source Sans 3", "Noto Sans", "Liberation Sans", "Arial", "DejaVu Sans")
DPI = 160


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


@contextmanager
def styled(theme: Theme) -> Iterator[None]:
    """Make figures in a theme."""
    there = {entry.name for entry in font_manager.fontManager.ttflist}
    settings: Any = {
        "font.family": [name for name in _FONTS if name in there] or ["sans-serif"],
        "font.size": 9.0,
        "text.color": theme.ink,
        "axes.edgecolor": theme.quiet,
        "axes.labelcolor": theme.quiet,
        "axes.linewidth": 0.6,
        "xtick.color": theme.quiet,
        "ytick.color": theme.quiet,
        "xtick.major.size": 0,
        "ytick.major.size": 0,
        "figure.facecolor": theme.paper,
        "axes.facecolor": theme.paper,
        "savefig.facecolor": theme.paper,
        "lines.solid_capstyle": "round",
    }
    with matplotlib.rc_context(settings):
        yield


def bare(axes: Axes) -> None:
    """Take away what is not data: the frame, but for the lower edge."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0)


def headline(figure: Figure, theme: Theme, title: str, subtitle: str, level: str = "") -> None:
    """Put a title and, below it, a level in its colour and a subtitle at the upper left."""
    inch = 1 / figure.get_figheight()
    left = 0.15 / figure.get_figwidth()
    figure.text(left, 1 - 0.1 * inch, title, size=13, weight="bold", va="top")
    text: list[Artist] = [TextArea(subtitle, textprops={"color": theme.quiet})]
    if level:
        text.insert(0, TextArea(level, textprops={"color": theme.level(level), "weight": "bold"}))
    figure.add_artist(
        AnchoredOffsetbox(
            "upper left", child=HPacker(children=text, pad=0, sep=8), frameon=False, pad=0,
            borderpad=0, bbox_to_anchor=(left, 1 - 0.36 * inch),
            bbox_transform=figure.transFigure,
        )
    )  # fmt: skip


def png(figure: Figure) -> bytes:
    """Render a figure, the same bytes every time."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()
