"""Is the network worth listening to here? Its errors lately, beside what needs no training.

For each kind of motion and each group of joints the errors of the network, of the last pose and of
the damped velocity are averaged over the last minutes. Where the network is behind, the better of
the two speaks in its place, until the network, which goes on being scored, has caught up.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.forecast.adaptive import METHODS, Due
from ses_gcn_ros.forecast.calibration import KINDS
from ses_gcn_ros.skeleton import get_layout

MEMORY = 180.0  # s; time constant of forgetting
SETTLED = 20.0  # s of a kind of motion before it is judged
BEHIND, LEVEL = 1.05, 1.0  # ratio to the better baseline from which it is used, and no longer
GROUPS = ("arms", "legs", "trunk")
_LIMBS = {"arms": ("elbow", "wrist", "hand"), "legs": ("knee", "ankle", "foot", "toe", "heel")}
_LONGEST = 0.5  # s; a gap between observations counts as no more


class OnlineScore:
    """Errors lately, and what is used in place of the network.

    Attributes
    ----------
    members : NDArray, shape (3, J), bool
        Joints of `GROUPS`.
    used : NDArray, shape (4, 3), int
        Number in `adaptive.METHODS` of what speaks for each kind of motion and group of joints.
    """

    def __init__(self, layout: str) -> None:
        names = get_layout(layout).canonical
        groups = [
            next((g for g, parts in _LIMBS.items() if any(p in name for p in parts)), "trunk")
            for name in names
        ]
        self.members = np.array([[group == wanted for group in groups] for wanted in GROUPS])
        self._share = self.members.astype(np.float32)
        self.used = np.ones((len(KINDS), len(GROUPS)), np.int64)  # the network
        # Seconds, and seconds times errors [m], of every kind, group and method but the first.
        self._seconds = np.zeros((len(KINDS), len(GROUPS)))
        self._errors = np.zeros((len(KINDS), len(GROUPS), len(METHODS) - 1))

    def observe(self, results: Sequence[Due], kinds: NDArray[np.int64], elapsed: float) -> None:
        """Learn from what became of everybody's forecasts in the last `elapsed` seconds.

        `kinds` (P, H) is the motion that each was made in, -1 where none fell due.
        """
        elapsed = min(elapsed, _LONGEST)
        errors = np.stack([due.errors[1:] for due in results])  # (P, methods, H, J)
        known: NDArray[np.bool_] = np.all(np.isfinite(errors), axis=1)
        errors = np.where(known[:, None], errors, 0)
        kept = np.exp(-elapsed / MEMORY)
        for kind in np.unique(kinds[kinds >= 0]):
            chosen = ((kinds == kind)[..., None] & known).astype(np.float32)  # (P, H, J)
            by_joint = np.einsum("pmhj,phj->jm", errors, chosen)
            count, total = self._share @ chosen.sum(axis=(0, 1)), self._share @ by_joint
            there = count > 0
            mean = total[there] / count[there, None]
            self._errors[kind, there] = kept * self._errors[kind, there] + elapsed * mean
            self._seconds[kind, there] = kept * self._seconds[kind, there] + elapsed
            self._judge(int(kind))

    def _judge(self, kind: int) -> None:
        for group in np.flatnonzero(self._seconds[kind] >= SETTLED):
            network, *baselines = self._errors[kind, group]
            best = int(np.argmin(baselines))
            limit = BEHIND if self.used[kind, group] == 1 else LEVEL
            self.used[kind, group] = 2 + best if network > limit * baselines[best] else 1

    def behind(self, kind: int) -> bool:
        """Whether anything speaks in the network's place for people who move so."""
        return bool((self.used[kind] > 1).any())

    def choose(
        self, kind: int, network: NDArray[np.float32], baselines: Sequence[NDArray[np.float32]]
    ) -> tuple[NDArray[np.float32], str]:
        """Path to give out, (H, J, 3), and what speaks in the network's place; '' where nothing.

        Parameters
        ----------
        kind : int
            Motion it is made in.
        network : NDArray, shape (H, J, 3)
            What the network answers.
        baselines : sequence of NDArray
            Last pose and damped velocity, likewise.
        """
        used = self.used[kind]
        if (used == 1).all():
            return network, ""
        path = network.copy()
        for joints, method in zip(self.members, used, strict=True):
            if method > 1:
                path[:, joints] = baselines[method - 2][:, joints]
        said = ", ".join(
            f"{group}: {METHODS[method]}"
            for group, method in zip(GROUPS, used, strict=True)
            if method > 1
        )
        return path, said

    def _mean(self, kind: int, group: int) -> NDArray[np.float64]:
        mean: NDArray[np.float64] = 1000 * self._errors[kind, group] / self._seconds[kind, group]
        return mean  # mm

    def report(self) -> dict[str, str]:
        """Errors by kind of motion and group of joints, for diagnostics."""
        return {
            f"error {GROUPS[group]} {KINDS[kind]}": "network {:.0f} mm, last pose {:.0f} mm, "
            "damped velocity {:.0f} mm".format(*self._mean(kind, group))
            for kind, group in np.argwhere(self._seconds > 0)
        }

    def warning(self) -> str:
        """Where the network is behind, in words; empty where it is nowhere."""
        behind = [
            f"{GROUPS[group]} of people {KINDS[kind]} ({self._mean(kind, group)[0]:.0f} mm, "
            f"{METHODS[self.used[kind, group]].replace('_', ' ')} "
            f"{self._mean(kind, group)[self.used[kind, group] - 1]:.0f} mm)"
            for kind, group in np.argwhere(self.used > 1)
        ]
        return f"the network is behind for {'; '.join(behind)}" if behind else ""
