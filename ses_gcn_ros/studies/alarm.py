"""How well the probability of a contact is calibrated: fitted on a recording, judged on another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ses_gcn_ros.datasets.sequences import Sequence as Motion
from ses_gcn_ros.datasets.sequences import at_rate, window_starts
from ses_gcn_ros.forecast.alarm import HORIZONS, THRESHOLD, ContactAlarm, reliability, urgency
from ses_gcn_ros.forecast.baselines import constant_velocity
from ses_gcn_ros.forecast.engine import Engine
from ses_gcn_ros.skeleton import get_layout
from ses_gcn_ros.studies.collisions import Encounter, axis_distances

_BATCH = 128
_AWAY = (0.3, 1.8)  # m from root to root of those who are put near one another

Floats = NDArray[np.float64]


def measure(
    engine: Engine, encounters: Iterable[Encounter], links: NDArray[np.int64], stride: int
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """z by the network and by constant velocity, and whether contact came, each of shape (W, 5).

    Windows in which there is contact already are left out.
    """
    limbs = np.asarray(get_layout(engine.layout).limbs)
    length, step = engine.observed + engine.horizon, 1 / engine.fps
    last = np.round(np.array(HORIZONS) / step).astype(int) - 1
    found: list[tuple[Floats, Floats, NDArray[np.bool_]]] = []
    for met in encounters:
        starts = window_starts(len(met.person), length, stride)
        for first in range(0, len(starts), _BATCH):
            rows = starts[first : first + _BATCH, None] + np.arange(length)
            person, robot = met.person[rows], met.robot[rows]
            ahead = person[:, engine.observed - 1 :]
            real = axis_distances(ahead, limbs, robot, links).min((-2, -1))
            free = real[:, 0] >= THRESHOLD
            if not free.any():
                continue
            history = np.ascontiguousarray(person[free, : engine.observed])
            path, radius, *_ = engine.predict_with_radius(history)
            assert radius is not None
            grown = radius[:, :, limbs].max(axis=-1)
            z = [
                urgency(axis_distances(p, limbs, robot[free], links), grown, step)
                for p in (path, constant_velocity(history, engine.horizon))
            ]
            begun = np.minimum.accumulate(real[free, 1:], axis=1)[:, last] < THRESHOLD
            found.append((z[0], z[1], begun))
    network, velocity, contact = zip(*found, strict=True)
    return np.concatenate(network), np.concatenate(velocity), np.concatenate(contact)


def placed(
    sequences: Sequence[Motion], fps: float, length: int, count: int
) -> tuple[list[Encounter], NDArray[np.int64]]:
    """Encounters of recorded people with others, who are put near them and stand for a robot.

    The other faces anywhere, 0.3 to 1.8 m away in the last frame. Gives the encounters of `length`
    frames at `fps` [Hz], and the links (M, 2), which are the limbs of the people's one layout.
    """
    rng = np.random.default_rng(0)
    layout = get_layout(sequences[0].layout)
    people = [at_rate(sequence, fps) for sequence in sequences]
    people = [person for person in people if len(person) >= length]
    weight = np.array([len(person) for person in people], float)
    encounters = []
    for number in range(count):
        windows = []
        for which in rng.choice(len(people), 2, p=weight / weight.sum()):
            start = rng.integers(len(people[which]) - length + 1)
            windows.append(people[which][start : start + length])
        person, other = windows
        turn, bearing = rng.uniform(-np.pi, np.pi, 2)
        root = other[-1, layout.root].copy()
        root[2] = 0
        other = (other - root) @ Rotation.from_euler("z", turn).as_matrix().T
        away = rng.uniform(*_AWAY) * np.array([np.cos(bearing), np.sin(bearing), 0])
        there = person[-1, layout.root] * [1, 1, 0] + away
        encounters.append(Encounter(f"placed {number}", person, (other + there).astype(np.float32)))
    return encounters, np.asarray(layout.limbs)


def summarise(
    alarm: ContactAlarm, network: Floats, velocity: Floats, contact: NDArray[np.bool_]
) -> dict[str, Any]:
    """Reliability of a probability at each horizon, as it is printed."""
    said = alarm.probability(network, velocity)
    horizons = {}
    for k, horizon in enumerate(HORIZONS):
        bins, error, brier = reliability(said[:, k], contact[:, k])
        rate = float(contact[:, k].mean())
        horizons[f"{horizon:g}"] = {
            "contacts_percent": round(100 * rate, 2),
            "said_percent": round(100 * float(said[:, k].mean()), 2),
            "calibration_error": round(error, 4),
            "brier": round(brier, 4),
            "brier_of_the_rate": round(rate * (1 - rate), 4),
            "average_precision": {
                "together": round(average_precision(said[:, k], contact[:, k]), 3),
                "network": round(average_precision(-network[:, k], contact[:, k]), 3),
                "constant_velocity": round(average_precision(-velocity[:, k], contact[:, k]), 3),
            },
            "bins": [[b.windows, round(b.said, 3), round(b.happened, 3)] for b in bins],
        }
    return {"windows": len(contact), "coefficients": alarm.coefficients.round(4).tolist()} | {
        "horizons": horizons
    }


def average_precision(urgent: Floats, contact: NDArray[np.bool_]) -> float:
    """Mean precision at each contact, windows in order of urgency; NaN without a contact."""
    came = contact[np.argsort(-urgent, kind="stable")]
    precision = came.cumsum() / np.arange(1, len(came) + 1)
    return float(precision[came].mean()) if came.any() else float("nan")


def as_text(summary: dict[str, Any]) -> str:
    """Table of a summary."""
    lines = [
        f"{summary['windows']} windows without contact yet",
        f"{'by':>6}{'contacts':>10}{'said':>8}{'calibration error':>19}{'Brier':>9}"
        f"{'of the rate':>13}{'AP together':>13}{'network':>9}{'velocity':>10}",
    ]
    for horizon, at in summary["horizons"].items():
        lines.append(
            f"{horizon + ' s':>6}{at['contacts_percent']:>9.1f}%{at['said_percent']:>7.1f}%"
            f"{at['calibration_error']:>19.3f}{at['brier']:>9.3f}{at['brier_of_the_rate']:>13.3f}"
            + "".join(
                f"{value:>{width}.3f}"
                for value, width in zip(at["average_precision"].values(), (13, 9, 10), strict=True)
            )
        )
        bins = ", ".join(f"{said:.2f} → {came:.2f} ({n})" for n, said, came in at["bins"])
        lines.append(f"{'':6}  said → came (windows): {bins}")
    return "\n".join(lines)
