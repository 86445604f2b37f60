"""Rigid transforms as plain tuples of seven floats.

A look-up multiplies about ten of them. At that size tuples of floats are several times faster than
small numpy arrays.
"""

import math
from typing import TypeAlias

Rigid: TypeAlias = tuple[float, float, float, float, float, float, float]
"""Translation x, y, z [m], then the unit quaternion x, y, z, w; named `parent_from_child`."""

IDENTITY: Rigid = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)


def compose(a_from_b: Rigid, b_from_c: Rigid) -> Rigid:
    """Chain two transforms into `a_from_c`."""
    ax, ay, az, ai, aj, ak, aw = a_from_b
    bx, by, bz, bi, bj, bk, bw = b_from_c
    # v + 2w (q × v) + 2 q × (q × v), with the 2 folded into u
    ux = 2.0 * (aj * bz - ak * by)
    uy = 2.0 * (ak * bx - ai * bz)
    uz = 2.0 * (ai * by - aj * bx)
    return (
        ax + bx + aw * ux + aj * uz - ak * uy,
        ay + by + aw * uy + ak * ux - ai * uz,
        az + bz + aw * uz + ai * uy - aj * ux,
        aw * bi + ai * bw + aj * bk - ak * bj,
        aw * bj + aj * bw + ak * bi - ai * bk,
        aw * bk + ak * bw + ai * bj - aj * bi,
        aw * bw - ai * bi - aj * bj - ak * bk,
    )


def invert(a_from_b: Rigid) -> Rigid:
    """Turn `a_from_b` into `b_from_a`."""
    x, y, z, i, j, k, w = a_from_b
    rotation = (0.0, 0.0, 0.0, -i, -j, -k, w)
    return compose(rotation, (-x, -y, -z, 0.0, 0.0, 0.0, 1.0))


def interpolate(start: Rigid, end: Rigid, ratio: float) -> Rigid:
    """Blend two transforms: the translation on a line, the rotation on the shorter great arc.

    `ratio` runs from 0 (`start`) to 1 (`end`).
    """
    ax, ay, az, ai, aj, ak, aw = start
    bx, by, bz, bi, bj, bk, bw = end
    cosine = ai * bi + aj * bj + ak * bk + aw * bw
    # q and −q are the same rotation: take the sign that makes the arc the shorter one.
    sign = 1.0
    if cosine < 0.0:
        cosine, sign = -cosine, -1.0
    half_angle = math.acos(cosine) if cosine < 1.0 else 0.0
    if half_angle > 0.0:
        sine = math.sin(half_angle)
        p = math.sin((1.0 - ratio) * half_angle) / sine
        q = sign * math.sin(ratio * half_angle) / sine
    else:
        p, q = 1.0, 0.0
    return (
        ax + ratio * (bx - ax),
        ay + ratio * (by - ay),
        az + ratio * (bz - az),
        p * ai + q * bi,
        p * aj + q * bj,
        p * ak + q * bk,
        p * aw + q * bw,
    )


def normalize(a_from_b: Rigid) -> Rigid | None:
    """Scale the quaternion to unit length and give it tf2's sign; None where that is impossible.

    tf2 keeps rotations as matrices at its borders, which leaves one sign of the two: `w` positive
    where the rotation is under 120 degrees, else the largest of `x`, `y`, `z` positive.
    """
    x, y, z, i, j, k, w = a_from_b
    norm = math.sqrt(i * i + j * j + k * k + w * w)
    if not 0.0 < norm < math.inf:
        return None
    leading = w if 4.0 * w * w > norm * norm else max(i, j, k, key=abs)
    scale = math.copysign(1.0 / norm, leading)
    return x, y, z, i * scale, j * scale, k * scale, w * scale
