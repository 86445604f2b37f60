"""Curve of a student's error over the share of adjacency entries that its masks keep."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from ses_gcn_ros.replay.figures import Theme, bare, headline, styled
from ses_gcn_ros.training.students import CurvePoint

_NAMES = {"keep": "share of each adjacency", "threshold": "one threshold for all"}


def mask_figure(points: Sequence[CurvePoint], steps: int, theme: Theme) -> Figure:
    """Draw mean errors of students against their teacher's.

    Parameters
    ----------
    points : sequence of CurvePoint
        From `mask_curve`, the teacher first.
    steps : int
        For how many steps the students were trained on.
    theme : Theme
        Colours.
    """
    colours = {"keep": theme.person, "threshold": theme.forecast}
    teacher = points[0]
    with styled(theme):
        figure = Figure(figsize=(6.8, 4.0))
        axes = figure.add_axes((0.085, 0.115, 0.88, 0.69))
        for level, text in ((1.0, "teacher"), (1.02, "2 % more")):
            axes.axhline(level * teacher.mean_mm, color=theme.baseline_1, lw=0.9, zorder=1)
            axes.annotate(
                text, (0.01, level * teacher.mean_mm), (0, 2), xycoords=("axes fraction", "data"),
                textcoords="offset points", color=theme.quiet, size=8,
            )  # fmt: skip
        for way, colour in colours.items():
            line = sorted((p.kept, p.mean_mm, bool(p.emptied)) for p in points if p.way == way)
            kept = [100 * share for share, _, _ in line]
            axes.plot(kept, [mean for _, mean, _ in line], color=colour, lw=1.8, label=_NAMES[way])
            for share, (_, mean, empty) in zip(kept, line, strict=True):
                fill = theme.paper if empty else colour
                axes.plot(share, mean, "o", color=colour, mfc=fill, ms=5)
        axes.set(xlim=(0, 102), xlabel="% of adjacency entries kept")
        axes.grid(axis="y", color=theme.grid, lw=0.6)
        axes.set_axisbelow(True)
        axes.legend(frameon=False, loc="upper right")
        bare(axes)
        trained = f"trained on for {steps} steps" if steps else "not trained on"
        subtitle = f"MPJPE in mm over all frames, students {trained}; hollow: a layer is emptied"
        headline(figure, theme, "What sparser masks cost", subtitle)
    return figure
