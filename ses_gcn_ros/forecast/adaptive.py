"""A radius that keeps its coverage on line: adaptive conformal inference, one state per step.

Gibbs and Candès, *Adaptive Conformal Inference Under Distribution Shift*, NeurIPS 2021: the share
of misses α that a radius is asked for is moved by what was missed, α ← α + γ (α* − missed), and
the radius is the (1 − α)-quantile of recent scores. A score is an error in units of the calibrated
radius of its step and joint, so one factor per step scales the radii of all joints. Scores are kept
as a histogram that forgets, so that neither memory nor time grow.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.forecast.config import ForecastConfig
from ses_gcn_ros.forecast.kernels import kernel
from ses_gcn_ros.npz import load_arrays

RECENT = 60.0  # s that coverage and error are averaged over
SETTLED = 30.0  # s of data before coverage can be judged
_LONGEST = 0.5  # s; a gap between observations counts as no more
_EDGES = np.geomspace(1 / 50, 50, 161)  # of the histogram's bins
_RATIOS = _EDGES[1:] / _EDGES[:-1]
_PRIOR = 10.0  # s of data that the calibration counts as
_FEWEST, _MOST = 0.002, 0.3  # limits of α
_FORMAT = 1


class AdaptiveRadius:
    """Radius per step and joint that follows what happens.

    Parameters
    ----------
    radius : NDArray, shape (H, J)
        Calibrated radius [m], a factor of 1.
    coverage : float
        Share of joints that are to be within it, 1 − α*.
    config : ForecastConfig
        How fast and how far it may change.

    Attributes
    ----------
    factor : NDArray, shape (H,)
        By which the calibrated radius of each step is multiplied.
    radius : NDArray, shape (H, J), float32
        The radius as it is now [m].
    seconds : float
        How much has been learnt from, in all [s].
    """

    def __init__(
        self, radius: NDArray[np.float32], coverage: float, config: ForecastConfig
    ) -> None:
        loops = kernel("learning")
        self._learn, self._quantiles = loops.learn, loops.quantiles
        self._starts = loops.starts_of(_EDGES)
        self._base, self._target = np.ascontiguousarray(radius, np.float32), 1 - coverage
        self._config = config
        steps = len(radius)
        self._alpha = np.full(steps, self._target)
        # Before anything is known: heavy-tailed, and the calibrated radius holds as it says.
        below = 1 - self._target**_EDGES  # share of scores below each edge
        share = np.diff(np.concatenate([[0.0], below[1:]]))
        self._counts = np.tile(_PRIOR * share / share.sum(), (steps, 1))
        # Sums over recent time, decaying: seconds seen, seconds covered, errors times seconds.
        self._recent = np.zeros((3, steps))
        self.seconds = 0.0
        self._rescale()

    def observe(
        self, errors: NDArray[np.floating], issued: NDArray[np.floating], elapsed: float
    ) -> None:
        """Learn from what became of forecasts.

        Parameters
        ----------
        errors : NDArray, shape (P, H, J)
            Distance of each joint from where it was forecast [m], of each person and step; NaN
            where there was no forecast or no joint.
        issued : NDArray, shape (P, H)
            `factor` that each of these forecasts was given out with.
        elapsed : float
            Time since the last call [s].
        """
        elapsed = min(elapsed, _LONGEST)
        config = self._config
        anything = self._learn(
            np.ascontiguousarray(errors, np.float32),
            np.ascontiguousarray(issued, np.float64),
            *(self._base, _EDGES, self._starts),
            *(elapsed, config.adaptive_rate * elapsed, self._target, _FEWEST, _MOST),
            *(np.exp(-elapsed / config.adaptive_memory), np.exp(-elapsed / RECENT)),
            *(self._alpha, self._counts, self._recent),
        )
        if anything:
            self.seconds += elapsed
            self._rescale()

    def _rescale(self) -> None:
        """Quantile of the recent scores at each step."""
        place, share = np.empty(len(self._alpha), np.int64), np.empty(len(self._alpha))
        self._quantiles(self._counts, self._alpha, place, share)
        factor = _EDGES[place] * _RATIOS[place] ** share
        config = self._config
        # Not np.clip, which takes three times as long for so few.
        self.factor = np.minimum(np.maximum(factor, config.adaptive_least), config.adaptive_most)
        self.radius = (self._base * self.factor[:, None]).astype(np.float32)

    @property
    def coverage(self) -> NDArray[np.float64]:
        """Share of joints that were within the radius given out, recently, shape (H,)."""
        return self._recent[1] / np.where(self._recent[0] > 0, self._recent[0], np.nan)

    @property
    def error(self) -> NDArray[np.float64]:
        """Mean error of recent forecasts at each step [m], shape (H,)."""
        return self._recent[2] / np.where(self._recent[0] > 0, self._recent[0], np.nan)

    def warning(self) -> str:
        """Where coverage has left its band, in words; empty if it has not or can't be judged."""
        away = self.coverage - (1 - self._target)
        judged = self._recent[0] > RECENT * (1 - np.exp(-SETTLED / RECENT)) * (1 - 1e-6)
        outside = np.where(judged, np.abs(away), 0) > self._config.coverage_band
        if not outside.any():
            return ""
        worst = int(np.argmax(np.where(outside, np.abs(away), 0)))
        return (
            f"coverage {self.coverage[worst]:.3f} at step {worst + 1}, asked "
            f"{1 - self._target:.3f} ± {self._config.coverage_band:.3f}"
        )

    def report(self) -> dict[str, str]:
        """Coverage, error and factor lately at the first, middle and last step, for diagnostics."""
        steps = sorted({0, (len(self.factor) - 1) // 2, len(self.factor) - 1})
        values = {"radius learnt from": f"{self.seconds:.0f} s"}
        if not self.seconds:
            return values
        for step in steps:
            values[f"coverage step {step + 1}"] = f"{self.coverage[step]:.3f}"
            values[f"mpjpe step {step + 1}"] = f"{1000 * self.error[step]:.1f} mm"
            values[f"radius factor step {step + 1}"] = f"{self.factor[step]:.2f}"
        values["coverage least"] = f"{np.nanmin(self.coverage):.3f}"
        values["coverage most"] = f"{np.nanmax(self.coverage):.3f}"
        return values

    def packed(self) -> bytes:
        """What was learnt, as the content of a file for `restore`."""
        arrays: dict[str, Any] = {
            "format": np.array(_FORMAT),
            "base": self._base,
            "target": np.array(self._target),
            "alpha": self._alpha,
            "counts": self._counts,
            "recent": self._recent,
            "seconds": np.array(self.seconds),
        }
        content = io.BytesIO()
        np.savez(content, **arrays)
        return content.getvalue()

    def restore(self, path: Path) -> None:
        """Go on from what was learnt before; does nothing if there is no such file.

        Raises
        ------
        InputError
            If the file is damaged or belongs to other weights; nothing is changed then.
        """
        if not path.exists():
            return
        arrays = load_arrays(path)
        shapes = {"alpha": self._alpha, "counts": self._counts, "recent": self._recent}
        usable = int(arrays.get("format", 0)) == _FORMAT and all(
            name in arrays
            and arrays[name].shape == own.shape
            and np.isfinite(arrays[name]).all()
            and (arrays[name] >= 0).all()
            for name, own in (*shapes.items(), ("seconds", np.zeros(())))
        )
        if not usable or not (arrays["counts"].sum(axis=1) > 0).all():
            raise InputError(f"'{path}' holds no state of an adaptive radius")
        if not np.array_equal(arrays["base"], self._base) or arrays["target"] != self._target:
            raise InputError(f"'{path}' was learnt with other weights or another coverage")
        self._alpha = np.clip(arrays["alpha"], _FEWEST, _MOST)
        self._counts, self._recent = np.array(arrays["counts"]), np.array(arrays["recent"])
        self.seconds = float(arrays["seconds"])
        self._rescale()
