"""What the page's script draws from: packed frames, states, and where to look from."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ses_gcn_ros.replay.recording import Replay
from ses_gcn_ros.safety import Level, SafetyConfig, limb_capsules
from ses_gcn_ros.safety.people import body
from ses_gcn_ros.skeleton import get_layout

UNKNOWN = np.iinfo(np.int16).min  # stands for NaN
MILLIMETRE = 0.001  # m
_KINDS = {"f4": "<f4", "u1": "u1", "u4": "<u4", "i2": "<i2"}

Floats = NDArray[np.float32]
Array = NDArray[np.float64]

MOST_FRAMES = 2400  # on a page; of a longer run evenly spaced ones and all around the worst
AROUND = 1.0  # s before and after a moment
_VIEW_ANGLE = np.radians(17.5)  # half of what the page's camera sees
_NEAR = (1.2, 2.5)  # m from the robot: people within have to fit into the picture
MOST_STATES = 20_000
_SHOWN = 2.5  # m; separations beyond don't matter and would flatten what does


def pack(values: ArrayLike, kind: str) -> dict[str, Any]:
    """Array as it is, row by row: kind f4, u1, u4 or i2."""
    data = np.ascontiguousarray(np.asarray(values).ravel(), _KINDS[kind])
    return {"kind": kind, "data": base64.b64encode(data.tobytes()).decode()}


def pack_metres(values: ArrayLike) -> dict[str, Any]:
    """Lengths [m] as whole millimetres, at most 32 m; NaN and infinity become unknown."""
    millimetres = np.round(np.asarray(values, np.float64) / MILLIMETRE)
    known = np.isfinite(millimetres)
    limited = np.clip(np.where(known, millimetres, 0), UNKNOWN + 1, -UNKNOWN - 1)
    return {**pack(np.where(known, limited, UNKNOWN), "i2"), "unit": MILLIMETRE}


def chosen_frames(
    replay: Replay, moments: list[float], most: int = MOST_FRAMES
) -> NDArray[np.int64]:
    """Indices of the frames that go on the page, in order; `moments` are the worst ones [s]."""
    count = len(replay.time)
    if count <= most:
        return np.arange(count)
    time = np.asarray(replay.time)
    near = np.zeros(count, bool)
    for moment in moments:
        near |= np.abs(time - moment) <= AROUND
    close = np.flatnonzero(near)[: most // 2]
    even = np.linspace(0, count - 1, most - len(close)).round().astype(np.int64)
    return np.unique(np.concatenate([close, even]))


def scene_data(replay: Replay, moments: list[float]) -> dict[str, Any]:
    """Packed frames of a run, all around its worst `moments` [s], and the view on it."""
    about = replay.about
    frames = chosen_frames(replay, moments)
    counts = np.diff(replay.rows)[frames]
    rows = np.concatenate(
        [np.arange(replay.rows[i], replay.rows[i + 1]) for i in frames] or [np.zeros(0, np.int64)]
    ).astype(np.int64)
    robot = np.asarray(replay.robot[frames])
    positions = np.asarray(replay.positions[rows])
    starts = np.concatenate([[0], np.cumsum(counts)])
    return {
        "duration": round(about.duration, 3),
        "joints": len(get_layout(about.layout).joints),
        "limbs": _limbs(about.layout),
        "linkRadii": [round(radius, 4) for radius in about.link_radii] if robot.size else [],
        "steps": [round(step, 3) for step in about.steps],
        "ids": list(about.person_ids),
        "reason": [about.frame_reasons[i] for i in frames] if about.frame_reasons else [""],
        "time": pack(np.asarray(replay.time)[frames], "f4"),
        "rows": pack(starts, "u4"),
        "person": pack(np.asarray(replay.person[rows]), "i2"),
        "positions": pack_metres(positions),
        "forecast": pack_metres(np.asarray(replay.forecast[rows])),
        "radius": pack_metres(np.asarray(replay.radius[rows])),
        "robot": pack_metres(robot),
        "pair": pack_metres(_pairs(replay, frames, starts, positions, robot)),
        "view": _view(positions, robot),
    }


def _limbs(layout: str) -> list[list[float]]:
    """First and second joint, radius [m] and, for a hand beyond a wrist, its reach [m]."""
    shape, reach = body(layout), SafetyConfig().hand_reach
    limbs = [
        [int(a), int(b), round(float(radius), 4), 0]
        for a, b, radius in zip(shape.starts, shape.ends, shape.radii, strict=True)
    ]
    hands = [[*limb[:3], reach] for limb, hand in zip(limbs, shape.hands, strict=True) if hand]
    return limbs + hands


def _pairs(
    replay: Replay,
    frames: NDArray[np.int64],
    starts: NDArray[np.int64],
    positions: Floats,
    robot: Floats,
) -> Floats:
    """Closest points of person and robot at each frame (F, 2, 3) [m]: as stated, else measured."""
    pairs = np.full((len(frames), 2, 3), np.nan, np.float32)
    if len(replay.states.time):
        stated = replay.answers[frames]
        pairs[:, 0] = replay.states.human_point[stated]
        pairs[:, 1] = replay.states.robot_point[stated]
    if not robot.size:
        return pairs
    radii = np.asarray(replay.about.link_radii)
    reach = SafetyConfig().hand_reach
    for index in np.flatnonzero(np.isnan(pairs).any(axis=(1, 2))):
        people = positions[starts[index] : starts[index + 1]]
        if not len(people) or np.isnan(robot[index]).all():
            continue
        limbs = limb_capsules(people.astype(float), replay.about.layout, hand_reach=reach)
        nearest = limbs.to_links(robot[index, :, 0], robot[index, :, 1], radii).nearest()
        if np.isfinite(nearest.distance):
            pairs[index] = nearest.a_point, nearest.b_point
    return pairs


def _view(positions: Floats, robot: Floats) -> dict[str, Any]:
    """Where the page's camera looks at first: robot and the people near it, across their line."""
    joints = positions.reshape(-1, 3)
    joints = joints[np.isfinite(joints).all(axis=1)]
    links = robot.reshape(-1, 3)
    links = links[np.isfinite(links).all(axis=1)]
    if not len(joints) and not len(links):
        return {"target": [0, 0, 1], "distance": 6, "yaw": 0.8, "pitch": 0.4, "side": 0}
    across = 0.0
    if len(links):
        base = np.nanmedian(robot[:, 0, 0], axis=0)
        away = np.linalg.norm(joints[:, :2] - base[:2], axis=1)
        joints = next((joints[away < limit] for limit in _NEAR if (away < limit).any()), joints)
        heading = joints[:, :2].mean(axis=0) - base[:2] if len(joints) else np.array([1.0, 0.0])
        across = float(np.arctan2(heading[0], -heading[1]))
    cloud = np.concatenate([joints, links])
    low, high = np.quantile(cloud, 0.02, axis=0), np.quantile(cloud, 0.98, axis=0)
    target = (low + high) / 2
    size = float(np.quantile(np.linalg.norm(cloud - target, axis=1), 0.98)) + 0.25
    return {
        "target": [round(float(value), 3) for value in target],
        "distance": round(float(np.clip(size / np.sin(_VIEW_ANGLE), 2.0, 20.0)), 2),
        "yaw": round(across - 0.45, 3),
        "pitch": 0.35,
        "side": round(across, 3),
    }


def chosen_states(replay: Replay, most: int = MOST_STATES) -> NDArray[np.int64]:
    """Indices of the states that go on the page: of neighbours the one with the least margin."""
    states = replay.states
    inside = np.flatnonzero((states.time >= 0) & (states.time <= replay.about.duration + 1e-6))
    if len(inside) <= most:
        return inside
    margin = np.asarray(states.margin, np.float64)[inside]
    margin = np.where(np.isfinite(margin), margin, np.inf)
    starts = np.linspace(0, len(inside), most + 1).astype(np.int64)[:-1]
    least = np.minimum.reduceat(margin, starts)
    owner = np.searchsorted(starts, np.arange(len(inside)), side="right") - 1
    hits = np.flatnonzero(margin == least[owner])
    _, first = np.unique(owner[hits], return_index=True)
    return inside[hits[first]]


def states_data(replay: Replay) -> dict[str, Any]:
    """Packed states; plain values for JSON."""
    chosen, states = chosen_states(replay), replay.states
    packed = {
        name: pack(np.asarray(getattr(states, name))[chosen], "f4")
        for name in ("time", "separation", "protective", "factor")
    }
    return {**packed, "level": pack(np.asarray(states.level)[chosen], "u1")}


def level_bands(replay: Replay) -> list[tuple[float, float, str]]:
    """Stretches of one level: start and end [s], and its name."""
    length = replay.about.duration
    found = spans(np.asarray(replay.states.time), np.asarray(replay.states.level, int))
    return [
        (round(max(first, 0.0), 3), round(min(last, length), 3), level)
        for first, last, level in found
        if last > 0 and first < length
    ]


def highest_shown(replay: Replay) -> float:
    """Upper end of the separations' axis [m]."""
    separation = np.asarray(replay.states.separation)
    separation = separation[np.isfinite(separation)]
    return round(float(min(max(separation.max(initial=0.5), 0.5), _SHOWN)) * 1.08, 3)


def spans(time: Array, level: NDArray[np.int_]) -> list[tuple[float, float, str]]:
    """Stretches of one level: start and end [s], and its name."""
    if not len(time):
        return []
    changes = np.flatnonzero(np.diff(level)) + 1
    starts = np.concatenate([[0], changes])
    ends = np.concatenate([changes, [len(time) - 1]])
    return [
        (float(time[a]), float(time[b]), Level(level[a]).name)
        for a, b in zip(starts, ends, strict=True)
    ]
