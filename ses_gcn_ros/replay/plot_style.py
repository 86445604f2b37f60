"""How pictures look: fonts, frames, headlines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import matplotlib
from matplotlib import font_manager
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnchoredOffsetbox, HPacker, TextArea

from ses_gcn_ros.replay.themes import DARK, LIGHT, THEMES, Theme

__all__ = ["DARK", "LIGHT", "THEMES", "Theme", "bare", "headline", "png", "styled"]

_FONTS = ("Inter", "Source Sans 3", "Noto Sans", "Liberation Sans", "Arial", "DejaVu Sans")
DPI = 160


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
