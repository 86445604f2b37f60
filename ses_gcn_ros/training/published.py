"""Figures that others published, to stand beside ours. Quoted, not measured here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Quoted:
    """Errors that were published for one protocol.

    Attributes
    ----------
    source : str
        Where they stand.
    note : str
        What has to be known to compare.
    figures : dict of str to float
        MPJPE by method [mm].
    """

    source: str
    note: str
    figures: dict[str, float]


_POSTER = "poster of Sampieri et al., ECCV 2022"
_MIXED = (
    "10 frames in, 25 out; the table mixes errors at the last frame with averages over all and "
    "does not say which is which"
)
QUOTED: dict[str, tuple[Quoted, ...]] = {
    "h36m": (
        Quoted(
            _POSTER,
            _MIXED,
            {"HisRep": 112.1, "MSR-GCN": 114.1, "STS-GCN": 75.6, "SeS-GCN": 72.9},
        ),
    ),
    "chico": (
        Quoted(
            _POSTER,
            _MIXED,
            {"HisRep": 76.4, "MSR-GCN": 136.5, "STS-GCN": 59.0, "SeS-GCN": 53.0},
        ),
        Quoted(
            "abstract of Sampieri et al., ECCV 2022", "at 1 s, the last frame", {"SeS-GCN": 85.3}
        ),
    ),
}
