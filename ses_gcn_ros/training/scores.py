"""How far off forecasts are on windows of recorded motion, and how well their radius holds."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence as Sequences
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.datasets.sequences import Sequence
from ses_gcn_ros.datasets.windows import windows
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.forecast.baselines import BASELINES
from ses_gcn_ros.forecast.engine import Engine

_BATCH = 256  # windows forecast at once


@dataclass(frozen=True, eq=False)
class Errors:
    """Distances between forecast and recorded joints.

    Attributes
    ----------
    distance : dict of str to NDArray, shape (W, H, J), float32
        By method: the model under its own name, and each baseline [m].
    model : str
        Name of the model among them.
    group : NDArray, shape (W,), str
        Tags of each window's sequence, joined.
    weight : NDArray, shape (J,)
        Share of each joint in the mean; they add up to less than 1 where a mean is over joints that
        are not forecast and count as 0.
    """

    distance: dict[str, NDArray[np.float32]]
    model: str
    group: NDArray[np.str_]
    weight: NDArray[np.float64]

    def per_step(
        self, method: str, chosen: NDArray[np.bool_] | slice = slice(None)
    ) -> NDArray[np.float64]:
        """Mean error of a method at each step [m], over the chosen windows, shape (H,)."""
        mean: NDArray[np.float64] = self.distance[method][chosen].mean(axis=0) @ self.weight
        return mean


def measure(engine: Engine, sequences: Sequences[Sequence], stride: int) -> Errors:
    """Forecast every window of some sequences.

    Parameters
    ----------
    engine : Engine
        What to measure; the baselines see the same windows.
    sequences : sequence of Sequence
        Resampled to the engine's frame rate.
    stride : int
        Frames from one window to the next.

    Raises
    ------
    InputError
        If the sequences have another layout, or none is as long as a window.
    """
    check_layout(engine, sequences)
    length = engine.observed + engine.horizon
    return measure_windows(engine, windows(sequences, length, engine.fps, stride))


def measure_windows(
    engine: Engine,
    parts: Iterable[tuple[Sequence, NDArray[np.float32]]],
    weight: NDArray[np.float64] | None = None,
) -> Errors:
    """Forecast windows of sequences in the engine's layout, at its frame rate.

    Parameters
    ----------
    engine : Engine
        What to measure; the baselines see the same windows.
    parts : iterable of (Sequence, NDArray)
        Sequences with windows of them, (W, T + H, J, 3) [m].
    weight : NDArray, shape (J,), optional
        Share of each joint in the mean; the same for all if None.
    """
    distance: dict[str, list[NDArray[np.float32]]] = {engine.name: []}
    distance.update({name: [] for name in BASELINES})
    groups: list[str] = []
    for sequence, views in parts:
        groups += [" ".join(sorted(sequence.tags))] * len(views)
        for start in range(0, len(views), _BATCH):
            part = np.ascontiguousarray(views[start : start + _BATCH])
            history, future = part[:, : engine.observed], part[:, engine.observed :]
            answers = {engine.name: engine.predict(history)}
            answers.update({n: f(history, engine.horizon) for n, f in BASELINES.items()})
            for name, answer in answers.items():
                distance[name].append(np.linalg.norm(answer - future, axis=-1))
    joints = distance[engine.name][0].shape[-1]
    return Errors(
        distance={name: np.concatenate(pieces) for name, pieces in distance.items()},
        model=engine.name,
        group=np.array(groups),
        weight=np.full(joints, 1 / joints) if weight is None else weight,
    )


def check_layout(engine: Engine, sequences: Sequences[Sequence]) -> None:
    """Check that an engine takes the layout of all sequences.

    Raises
    ------
    InputError
        Naming the first that has another.
    """
    foreign = next((s for s in sequences if s.layout != engine.layout), None)
    if foreign is not None:
        raise InputError(
            f"sequence '{foreign.name}' has layout {foreign.layout}; {engine.name} takes "
            f"{engine.layout}"
        )


def conformal_radius(distance: NDArray[np.float32], coverage: float) -> NDArray[np.float32]:
    """Radius per step and joint that holds the next unseen error with at least `coverage`.

    Split conformal prediction (Vovk et al. 2005; Lei et al. 2018): the ⌈(n+1)·coverage⌉-th
    smallest of n held-out errors.

    Parameters
    ----------
    distance : NDArray, shape (W, H, J)
        Errors on windows that the model was not trained on [m].
    coverage : float
        Share of joints that are to be within the radius.

    Returns
    -------
    NDArray, shape (H, J), float32 [m]

    Raises
    ------
    InputError
        If there are too few windows for that coverage.
    """
    count = len(distance)
    rank = int(np.ceil((count + 1) * coverage))
    if rank > count:
        raise InputError(
            f"{count} windows are too few to calibrate a coverage of {coverage}; it takes "
            f"{int(np.ceil(coverage / (1 - coverage)))}"
        )
    return np.partition(distance, rank - 1, axis=0)[rank - 1].astype(np.float32)


def coverage_by_step(
    distance: NDArray[np.float32], radius: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Share of joints within their radius at each step, shape (H,)."""
    return np.mean(distance <= radius, axis=(0, 2))
