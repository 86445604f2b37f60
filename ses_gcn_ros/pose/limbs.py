"""Limbs that keep their length: a person's bones, learnt while watching."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.skeleton import get_layout

_REMEMBERED = 50  # frames that a limb's length is taken from
_NEEDED = 10  # frames before it is trusted
_PASSES = 6
_STIFFNESS = 0.8  # share of a limb's deviation that a pass takes away
# Pairs of joints that no bone ties; their distance changes as the trunk bends and the head turns.
_LOOSE = ("nose", "eye", "ear", "mouth", "thumb", "index", "pinky", "toe", "heel")


class LimbKeeper:
    """Estimate the lengths of one person's limbs and move joints so that they keep them.

    The length of a limb is the median over the last frames and both sides of the body. Joints are
    moved along their limbs, those that are less certain more (position-based dynamics).

    Parameters
    ----------
    layout : str
        Joint layout.

    References
    ----------
    Müller et al.: Position Based Dynamics, VRIPHYS 2006.
    """

    def __init__(self, layout: str) -> None:
        shape = get_layout(layout)
        rigid = [all(word not in name for word in _LOOSE) for name in shape.joints]
        limbs = [(a, b) for a, b in shape.limbs if rigid[a] and rigid[b]]
        self._ends = np.array(limbs, int).reshape(-1, 2)
        order = {frozenset(limb): i for i, limb in enumerate(limbs)}
        other = [order[frozenset((shape.mirror[a], shape.mirror[b]))] for a, b in limbs]
        self._mirror = np.array(other, int)
        self._seen = np.full((_REMEMBERED, len(limbs)), np.nan)
        self._frames = 0

    @property
    def lengths(self) -> NDArray[np.float64]:
        """Lengths [m] of the limbs that are held, shape (L,); NaN while not known."""
        both = np.concatenate((self._seen, self._seen[:, self._mirror]))
        counted = np.isfinite(both).sum(axis=0)
        middle = np.full(len(self._ends), np.nan)
        known = counted >= 2 * _NEEDED
        if known.any():
            middle[known] = np.nanmedian(both[:, known], axis=0)
        return middle

    def fit(
        self, positions: NDArray[np.float64], sigma: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Joints (J, 3) [m] with limbs of the person's own lengths; NaN stays NaN.

        Parameters
        ----------
        positions : NDArray, shape (J, 3)
            Joints as measured [m].
        sigma : NDArray, shape (J,), optional
            Their standard deviations [m]; by default all are equally certain.
        """
        first, second = self._ends.T
        self._seen[self._frames % _REMEMBERED] = np.linalg.norm(
            positions[second] - positions[first], axis=-1
        )
        self._frames += 1
        lengths = self.lengths
        held = np.isfinite(lengths) & np.isfinite(positions[first] + positions[second]).all(-1)
        if not held.any():
            return positions
        first, second, lengths = first[held], second[held], lengths[held]
        mobility = np.ones(len(positions)) if sigma is None else sigma**2
        share = mobility[first] / (mobility[first] + mobility[second])
        degree = np.bincount(np.concatenate((first, second)), minlength=len(positions))
        degree = np.maximum(degree, 1)[:, None]
        moved = positions.copy()
        for _ in range(_PASSES):
            along = moved[second] - moved[first]
            length = np.maximum(np.linalg.norm(along, axis=-1, keepdims=True), 1e-9)
            push = _STIFFNESS * along * (1.0 - lengths[:, None] / length)
            change = np.zeros_like(moved)
            np.add.at(change, first, share[:, None] * push)
            np.add.at(change, second, -(1.0 - share)[:, None] * push)
            moved += change / degree
        return moved
