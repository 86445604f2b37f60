"""The protective separation distance once more, in plain NumPy: what the loops are held to."""

from __future__ import annotations

import numpy as np


def stopping_time(speed, speeds, times):
    """T_s over a table that goes on as in its last interval."""
    slope = (times[-1] - times[-2]) / (speeds[-1] - speeds[-2])
    beyond = np.maximum(np.asarray(speed) - speeds[-1], 0.0)
    return np.interp(speed, speeds, times) + slope * beyond


def moving(v_h, towards, speed, t_r, t_s):
    """S_h + S_r + S_s (ISO/TS 15066:2016, 5.5.4.2.3), T_s being that of the whole robot."""
    return v_h * (t_r + t_s) + towards * t_r + 0.5 * speed * t_s


def highest_speed(room, needs, top=100.0):
    """Highest speed whose need fits into the room, by bisection; `needs` rises with the speed."""
    if not needs(0.0) <= room:
        return 0.0
    low, high = 0.0, top
    for _ in range(100):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if needs(middle) <= room else (low, middle)
    return low


def segment_distance(p, u, q, v):
    """Distance of the axes p + s u and q + t v, s and t in 0 to 1, with s and t, by golden search.

    The distance to a segment is convex along the other, so its minimum is found without any formula
    for two segments.
    """

    def nearest(point):
        t = np.clip((point - q) @ v / max(v @ v, 1e-300), 0.0, 1.0)
        return np.linalg.norm(point - q - t * v), t

    low, high, golden = 0.0, 1.0, (np.sqrt(5.0) - 1.0) / 2.0
    for _ in range(80):
        a, b = high - golden * (high - low), low + golden * (high - low)
        if nearest(p + a * u)[0] <= nearest(p + b * u)[0]:
            high = b
        else:
            low = a
    s = min((0.0, 1.0, 0.5 * (low + high)), key=lambda share: nearest(p + share * u)[0])
    return (*nearest(p + s * u)[:1], s, nearest(p + s * u)[1])
