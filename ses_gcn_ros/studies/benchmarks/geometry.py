"""What a distance query of the safety node costs, beside a collision library asked pair by pair."""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.safety import capsule_distances
from ses_gcn_ros.studies.benchmarks.harness import (
    COLUMNS,
    Cell,
    Column,
    Progress,
    Section,
    compare,
    take_turns,
)

Array = NDArray[np.float64]

_PEOPLE = (1, 8)
_LIMBS, _STEPS, _LINKS = 14, 25, 9  # a person's capsules, a second at 25 Hz, an arm's capsules


@dataclass(frozen=True, eq=False)
class GeometryScene:
    """Capsules of people and robot."""

    limbs: Array  # (2, P, T, N, 3): both ends of N limbs of P people at T steps [m]
    links: Array  # (2, T, M, 3): both ends of M links [m]
    # (N,), (M,): [m]
    limb_radii: Array
    link_radii: Array

    @classmethod
    def random(cls, people: int) -> GeometryScene:
        """Capsules of limbs' and links' size around one place; their lengths don't change."""
        rng = np.random.default_rng(people)
        lengths = rng.uniform(0.1, 0.6, (_LIMBS, 1)), rng.uniform(0.1, 0.4, (_LINKS, 1))
        ends = []
        for lead, length in zip(((people, _STEPS, _LIMBS), (_STEPS, _LINKS)), lengths, strict=True):
            start, along = rng.normal(0, 1, (*lead, 3)), rng.normal(0, 1, (*lead, 3))
            along /= np.linalg.norm(along, axis=-1, keepdims=True)
            ends.append(np.stack([start, start + length * along]))
        radii = rng.uniform(0.05, 0.2, _LIMBS), rng.uniform(0.05, 0.1, _LINKS)
        return cls(ends[0], ends[1], radii[0], radii[1])


def geometry(quick: bool, progress: Progress) -> Section:
    """Distances of all limbs to all links over a forecast."""
    rows: list[dict[str, Cell]] = []
    with_coal = _coal_is_there()
    for people in _PEOPLE:
        progress(f"distances, {people} people")
        rows += _query(GeometryScene.random(people), people, with_coal, 0.1 if quick else 3.0)
    return Section(
        name="geometry",
        title="Safety geometry",
        about=f"Every limb ({_LIMBS}) of every person against every link ({_LINKS}) at every step "
        f"({_STEPS}) of a forecast, in one query on one core; coal is a collision library, asked "
        "pair by pair with its shapes and transforms built beforehand.",
        columns=[Column("people", "people"), Column("by", "by"), *COLUMNS],
        rows=rows,
        notes=[] if with_coal else ["coal was not measured: it is not installed"],
    )


def _query(
    scene: GeometryScene, people: int, with_coal: bool, seconds: float
) -> list[dict[str, Cell]]:
    limbs, links = scene.limbs[..., None, :], scene.links[..., None, :, :]
    radii = scene.limb_radii[:, None], scene.link_radii

    def query(backend: str) -> Array:
        return capsule_distances(
            limbs[0], limbs[1], radii[0], links[0], links[1], radii[1], backend=backend
        ).distance

    exact = query("numpy")
    calls: dict[str, Callable[[], object]] = {}
    errors = {"numpy": 0.0}
    if with_coal:
        pairs = _coal_pairs(scene)
        answer = np.array([pair() for pair in pairs]).reshape(exact.shape)
        errors["coal"] = float(np.abs(answer - exact).max())
        calls["coal"] = lambda: [pair() for pair in pairs]
    calls["numpy"] = lambda: query("numpy")
    try:
        errors["numba"] = float(np.abs(query("numba") - exact).max())
        calls["numba"] = lambda: query("numba")
    except ConfigError:  # not installed: numpy is what runs
        pass
    return compare(take_turns(calls, seconds), errors, people=people)


def _coal_pairs(scene: GeometryScene) -> list[Callable[[], float]]:
    """One call per pair, in the order of the query, with nothing left to be made in the call."""
    coal: Any = importlib.import_module("coal")

    def shapes(ends: Array, radii: Array) -> list[Any]:
        lengths = np.linalg.norm(ends[1] - ends[0], axis=-1).reshape(-1, len(radii))[0]
        return [coal.Capsule(*size) for size in zip(radii.tolist(), lengths.tolist(), strict=True)]

    def transforms(ends: Array) -> NDArray[np.object_]:
        turns = _turns(ends[1] - ends[0]).reshape(-1, 3, 3)
        middles = ends.mean(axis=0).reshape(-1, 3)
        made = np.empty(len(middles), object)
        made[:] = [coal.Transform3s(*place) for place in zip(turns, middles, strict=True)]
        return made.reshape(ends.shape[1:-1])

    limbs = shapes(scene.limbs, scene.limb_radii)
    links = shapes(scene.links, scene.link_radii)
    limb_places, link_places = transforms(scene.limbs), transforms(scene.links)
    request, result = coal.DistanceRequest(), coal.DistanceResult()
    return [
        functools.partial(
            coal.distance,
            limbs[n],
            limb_places[p, t, n],
            links[m],
            link_places[t, m],
            request,
            result,
        )
        for p, t, n, m in np.ndindex(*limb_places.shape, len(links))
    ]


def _turns(along: Array) -> Array:
    """Rotations (..., 3, 3) that turn z into the directions (..., 3)."""
    z = along / np.linalg.norm(along, axis=-1, keepdims=True)
    x = np.cross(np.eye(3)[np.abs(z).argmin(axis=-1)], z)
    x /= np.linalg.norm(x, axis=-1, keepdims=True)
    return np.stack([x, np.cross(z, x), z], axis=-1)


def _coal_is_there() -> bool:
    return importlib.util.find_spec("coal") is not None
