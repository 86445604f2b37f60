"""What the page's 3D view is drawn from: chosen frames, packed, and where to look from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.replay.replay import Replay
from ses_gcn_ros.replay.report.packing import pack, pack_metres
from ses_gcn_ros.safety import SafetyConfig, capsule_distances, limb_capsules
from ses_gcn_ros.safety.people import body
from ses_gcn_ros.skeleton import get_layout

Floats = NDArray[np.float32]

MOST_FRAMES = 2400  # on a page; of a longer run evenly spaced ones and all around the worst
AROUND = 1.0  # s before and after a moment
_VIEW_ANGLE = np.radians(17.5)  # half of what the page's camera sees
_NEAR = (1.2, 2.5)  # m from the robot: people within have to fit into the picture


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
    stated = np.asarray(replay.state)[frames]
    pairs = np.full((len(frames), 2, 3), np.nan, np.float32)
    if len(replay.states.time):
        known = stated >= 0
        pairs[known, 0] = replay.states.human_point[stated[known]]
        pairs[known, 1] = replay.states.robot_point[stated[known]]
    if not robot.size:
        return pairs
    radii = np.asarray(replay.about.link_radii)
    reach = SafetyConfig().hand_reach
    for index in np.flatnonzero(np.isnan(pairs).any(axis=(1, 2))):
        people = positions[starts[index] : starts[index + 1]]
        if not len(people) or np.isnan(robot[index]).all():
            continue
        limbs = limb_capsules(people.astype(float), replay.about.layout, hand_reach=reach)
        found = capsule_distances(
            limbs.start[..., None, :], limbs.end[..., None, :], limbs.radius[..., None],
            robot[index, :, 0], robot[index, :, 1], radii,
        )  # fmt: skip
        distance = np.where(np.isnan(found.distance), np.inf, found.distance)
        least = np.unravel_index(distance.argmin(), distance.shape)
        if np.isfinite(distance[least]):
            pairs[index] = found.a_point[least], found.b_point[least]
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
