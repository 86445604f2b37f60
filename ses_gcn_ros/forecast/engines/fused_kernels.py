"""A forecast as a few GPU kernels, in Triton: framing, layers, and the way to positions.

Features lie as (person, joint, frame, feature), with joints and features rounded up to what a
product of Triton takes; what is added is zero. A layer's program is one frame of one person: it
mixes frames and joints for a block of features at a time, which goes through the feature map before
it leaves the chip, so that a layer reads its input and writes its output and nothing else.
"""

import triton
import triton.language as tl


@triton.jit
def _last(values, frame, last):
    """What values (joints, frames) are at one frame, (joints,)."""
    return tl.sum(tl.where(frame[None, :] == last, values, 0.0), axis=1)


@triton.jit
def frame_history(
    history,  # (N, T, J, 3)
    features,  # (N, J', T, C')
    base,  # (N, 2, 3, J'): last position and last velocity in the person's frame
    turn,  # (N, 8): cosine and sine of the heading, origin
    seen,  # (N, J')
    pairs,  # (P, J'): left joints positive, right joints negative
    cosines,  # (T', T'), transposed
    units,
    position_scale,
    motion_scale,
    JOINTS: tl.constexpr,
    FRAMES: tl.constexpr,
    WIDE_JOINTS: tl.constexpr,
    WIDE_FRAMES: tl.constexpr,
    WIDTH: tl.constexpr,
    PAIRS: tl.constexpr,
    ROOT: tl.constexpr,
    ORIGIN: tl.constexpr,
    HEADING: tl.constexpr,
    MOTION: tl.constexpr,
    FREQUENCY: tl.constexpr,
    VISIBILITY: tl.constexpr,
):
    """`framing.frame` for one person a program."""
    person = tl.program_id(0)
    joint, frame = tl.arange(0, WIDE_JOINTS), tl.arange(0, WIDE_FRAMES)
    real = joint < JOINTS
    inside = real[:, None] & (frame[None, :] < FRAMES)
    place = history + ((person * FRAMES + frame[None, :]) * JOINTS + joint[:, None]) * 3
    x = tl.load(place, inside, 0.0) * units
    y = tl.load(place + 1, inside, 0.0) * units
    z = tl.load(place + 2, inside, 0.0) * units

    known = (x == x) & (y == y) & (z == z)
    whole = real & (tl.min(known.to(tl.int32), axis=1) == 1)
    count = tl.maximum(tl.sum(whole.to(tl.float32), axis=0), 1.0)
    x = tl.where(whole[:, None], x, (tl.sum(tl.where(whole[:, None], x, 0.0), axis=0) / count))
    y = tl.where(whole[:, None], y, (tl.sum(tl.where(whole[:, None], y, 0.0), axis=0) / count))
    z = tl.where(whole[:, None], z, (tl.sum(tl.where(whole[:, None], z, 0.0), axis=0) / count))

    origin_x = 0.0
    origin_y = 0.0
    origin_z = 0.0
    if ORIGIN:
        origin_x = tl.sum(tl.where(joint == ROOT, _last(x, frame, FRAMES - 1), 0.0), axis=0)
        origin_y = tl.sum(tl.where(joint == ROOT, _last(y, frame, FRAMES - 1), 0.0), axis=0)
        origin_z = tl.sum(tl.where(joint == ROOT, _last(z, frame, FRAMES - 1), 0.0), axis=0)
        x -= origin_x
        y -= origin_y
        z -= origin_z
    cosine = 1.0
    sine = 0.0
    if HEADING:
        pair = tl.arange(0, PAIRS)
        share = tl.load(pairs + pair[:, None] * WIDE_JOINTS + joint[None, :])
        ends = tl.sum(tl.where((share != 0) & whole[None, :], 1, 0), axis=1)
        across_x = tl.sum(share * _last(x, frame, FRAMES - 1)[None, :], axis=1)
        across_y = tl.sum(share * _last(y, frame, FRAMES - 1)[None, :], axis=1)
        across_x = tl.sum(tl.where(ends == 2, across_x, 0.0), axis=0)
        across_y = tl.sum(tl.where(ends == 2, across_y, 0.0), axis=0)
        length = tl.sqrt(across_x * across_x + across_y * across_y)
        faces = length > 1e-6
        cosine = tl.where(faces, across_x / length, 1.0)
        sine = tl.where(faces, across_y / length, 0.0)
        turned = x * cosine + y * sine
        y = y * cosine - x * sine
        x = turned

    x_last = _last(x, frame, FRAMES - 1)
    y_last = _last(y, frame, FRAMES - 1)
    z_last = _last(z, frame, FRAMES - 1)
    here = base + person * 6 * WIDE_JOINTS + joint
    tl.store(here, x_last)
    tl.store(here + WIDE_JOINTS, y_last)
    tl.store(here + 2 * WIDE_JOINTS, z_last)
    tl.store(here + 3 * WIDE_JOINTS, x_last - _last(x, frame, FRAMES - 2))
    tl.store(here + 4 * WIDE_JOINTS, y_last - _last(y, frame, FRAMES - 2))
    tl.store(here + 5 * WIDE_JOINTS, z_last - _last(z, frame, FRAMES - 2))
    tl.store(seen + person * WIDE_JOINTS + joint, whole.to(tl.float32))
    tl.store(turn + person * 8, cosine)
    tl.store(turn + person * 8 + 1, sine)
    tl.store(turn + person * 8 + 2, origin_x)
    tl.store(turn + person * 8 + 3, origin_y)
    tl.store(turn + person * 8 + 4, origin_z)

    to = features + ((person * WIDE_JOINTS + joint[:, None]) * FRAMES + frame[None, :]) * WIDTH
    basis = tl.load(cosines + frame[:, None] * WIDE_FRAMES + frame[None, :])
    _put(to, x * position_scale, basis, inside, FREQUENCY)
    _put(to + 1, y * position_scale, basis, inside, FREQUENCY)
    _put(to + 2, z * position_scale, basis, inside, FREQUENCY)
    if MOTION:
        _put(to + 3, (x - x_last[:, None]) * motion_scale, basis, inside, FREQUENCY)
        _put(to + 4, (y - y_last[:, None]) * motion_scale, basis, inside, FREQUENCY)
        _put(to + 5, (z - z_last[:, None]) * motion_scale, basis, inside, FREQUENCY)
    if VISIBILITY:
        flag = tl.where(inside & whole[:, None], 1.0, 0.0)
        _put(to + (3 + 3 * MOTION), flag, basis, inside, FREQUENCY)


@triton.jit
def _put(to, values, basis, inside, FREQUENCY: tl.constexpr):
    """Store one feature (joints, frames), by frequency where that is asked for."""
    values = tl.where(inside, values, 0.0)
    if FREQUENCY:
        values = tl.dot(values, basis, input_precision="ieee")
    tl.store(to, values, inside)


@triton.jit
def layer(
    x,  # (N, J', T, INPUTS)
    y,  # (N, J', T, OUTPUTS), or (N, J', TO_JOINT) from the last, the frames of a feature together
    time,  # (T, T, J'): to a frame, from a frame
    space,  # (T, J', J')
    low,  # (INPUTS,)
    high,
    weight,  # (INPUTS, WIDE + REST)
    residual,  # the same, or anything
    bias,  # (WIDE + REST,)
    slope,
    FRAMES: tl.constexpr,
    WIDE_JOINTS: tl.constexpr,
    INPUTS: tl.constexpr,
    OUTPUTS: tl.constexpr,
    TO_JOINT: tl.constexpr,  # from one to the next in y
    TO_FRAME: tl.constexpr,
    TO_FEATURE: tl.constexpr,
    WIDE: tl.constexpr,
    REST: tl.constexpr,
    MAPPED: tl.constexpr,
    BLOCK: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """`FoldedLayer` for one frame of one person a program."""
    person, frame = tl.program_id(0), tl.program_id(1)
    joint, feature = tl.arange(0, WIDE_JOINTS), tl.arange(0, BLOCK)
    wide = tl.arange(0, WIDE)
    rows = x + (person * WIDE_JOINTS + joint[:, None]) * FRAMES * INPUTS + feature[None, :]
    mixing = tl.load(space + (frame * WIDE_JOINTS + joint[:, None]) * WIDE_JOINTS + joint[None, :])
    step: tl.constexpr = WIDE + REST
    total = tl.zeros((WIDE_JOINTS, WIDE), tl.float32)
    if REST > 0:
        rest = tl.arange(0, REST)
        more = tl.zeros((WIDE_JOINTS, REST), tl.float32)
    for first in range(0, INPUTS, BLOCK):
        mixed = tl.zeros((WIDE_JOINTS, BLOCK), tl.float32)
        for other in tl.static_range(FRAMES):
            share = tl.load(time + (frame * FRAMES + other) * WIDE_JOINTS + joint)
            mixed += share[:, None] * tl.load(rows + other * INPUTS + first)
        mixed = tl.dot(mixing, mixed, input_precision=PRECISION)
        mixed = tl.maximum(mixed, tl.load(low + first + feature)[None, :])
        mixed = tl.minimum(mixed, tl.load(high + first + feature)[None, :])
        at = weight + (first + feature[:, None]) * step
        total = tl.dot(mixed, tl.load(at + wide[None, :]), total, input_precision=PRECISION)
        if REST > 0:
            tail = tl.load(at + WIDE + rest[None, :])
            more = tl.dot(mixed, tail, more, input_precision=PRECISION)
        if MAPPED:
            here = tl.load(rows + frame * INPUTS + first)
            at = residual + (first + feature[:, None]) * step
            total = tl.dot(here, tl.load(at + wide[None, :]), total, input_precision=PRECISION)
            if REST > 0:
                tail = tl.load(at + WIDE + rest[None, :])
                more = tl.dot(here, tail, more, input_precision=PRECISION)
    row = (person * WIDE_JOINTS + joint[:, None]) * FRAMES + frame
    if not MAPPED:
        total += tl.load(x + row * INPUTS + wide[None, :])
    total += tl.load(bias + wide)[None, :]
    total = tl.where(total > 0, total, slope * total)
    to = y + (person * WIDE_JOINTS + joint[:, None]) * TO_JOINT + frame * TO_FRAME
    fits = (wide < OUTPUTS)[None, :]
    tl.store(to + wide[None, :] * TO_FEATURE, total, fits)
    if REST > 0:
        fits = (WIDE + rest < OUTPUTS)[None, :]
        if not MAPPED:
            inside = (WIDE + rest < INPUTS)[None, :]
            more += tl.load(x + row * INPUTS + WIDE + rest[None, :], inside, 0.0)
        more += tl.load(bias + WIDE + rest)[None, :]
        more = tl.where(more > 0, more, slope * more)
        tl.store(to + (WIDE + rest[None, :]) * TO_FEATURE, more, fits)


@triton.jit
def _finish(total, bias, x, slope, SKIP: tl.constexpr):
    """A convolution's bias, activation and skip connection."""
    total += tl.load(bias)[None, :]
    total = tl.where(total > 0, total, slope * total)
    if SKIP:
        total += tl.load(x)
    return total


@triton.jit
def convolve(
    x,  # (N, J', INPUTS)
    y,  # (N, J', 3, H'), or positions (N, H, J, 3) from the last
    weight,  # (TAPS, INPUTS, 3, H')
    bias,  # (3, H')
    slope,
    base,
    turn,
    seen,
    reach,  # (H',)
    scale,  # (H',)
    units,
    JOINTS: tl.constexpr,
    WIDE_JOINTS: tl.constexpr,
    INPUTS: tl.constexpr,
    HORIZON: tl.constexpr,
    WIDE_HORIZON: tl.constexpr,
    TAPS: tl.constexpr,
    SKIP: tl.constexpr,
    LAST: tl.constexpr,
    OFFSET: tl.constexpr,
    BLOCK: tl.constexpr,
    STEPS: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """A convolution over joints for some steps of a person; the last ends as `framing.unframe`."""
    person = tl.program_id(0)
    joint, deep = tl.arange(0, WIDE_JOINTS), tl.arange(0, BLOCK)
    step = tl.program_id(1) * STEPS + tl.arange(0, STEPS)
    a = tl.zeros((WIDE_JOINTS, STEPS), tl.float32)
    b = tl.zeros((WIDE_JOINTS, STEPS), tl.float32)
    c = tl.zeros((WIDE_JOINTS, STEPS), tl.float32)
    for tap in tl.static_range(TAPS):
        other = joint + (tap - TAPS // 2)
        there = ((other >= 0) & (other < JOINTS))[:, None]
        rows = x + (person * WIDE_JOINTS + other[:, None]) * INPUTS + deep[None, :]
        at = weight + (tap * INPUTS + deep[:, None]) * 3 * WIDE_HORIZON + step[None, :]
        for first in range(0, INPUTS, BLOCK):
            part = tl.load(rows + first, there, 0.0)
            from_here = at + first * 3 * WIDE_HORIZON
            a = tl.dot(part, tl.load(from_here), a, input_precision=PRECISION)
            b = tl.dot(part, tl.load(from_here + WIDE_HORIZON), b, input_precision=PRECISION)
            c = tl.dot(part, tl.load(from_here + 2 * WIDE_HORIZON), c, input_precision=PRECISION)
    own = x + (person * WIDE_JOINTS + joint[:, None]) * INPUTS + step[None, :]
    a = _finish(a, bias + step, own, slope, SKIP)
    b = _finish(b, bias + WIDE_HORIZON + step, own + WIDE_HORIZON, slope, SKIP)
    c = _finish(c, bias + 2 * WIDE_HORIZON + step, own + 2 * WIDE_HORIZON, slope, SKIP)
    if not LAST:
        to = y + (person * WIDE_JOINTS + joint[:, None]) * 3 * WIDE_HORIZON + step[None, :]
        tl.store(to, a)
        tl.store(to + WIDE_HORIZON, b)
        tl.store(to + 2 * WIDE_HORIZON, c)
    else:
        if OFFSET:
            here = base + person * 6 * WIDE_JOINTS + joint
            far = tl.load(reach + step)[None, :]
            size = tl.load(scale + step)[None, :]
            moved = tl.load(here + 3 * WIDE_JOINTS)[:, None]
            a = tl.load(here)[:, None] + far * moved + a * size
            moved = tl.load(here + 4 * WIDE_JOINTS)[:, None]
            b = tl.load(here + WIDE_JOINTS)[:, None] + far * moved + b * size
            moved = tl.load(here + 5 * WIDE_JOINTS)[:, None]
            c = tl.load(here + 2 * WIDE_JOINTS)[:, None] + far * moved + c * size
        cosine, sine = tl.load(turn + person * 8), tl.load(turn + person * 8 + 1)
        turned = a * cosine - b * sine + tl.load(turn + person * 8 + 2)
        b = a * sine + b * cosine + tl.load(turn + person * 8 + 3)
        c = c + tl.load(turn + person * 8 + 4)
        known = (tl.load(seen + person * WIDE_JOINTS + joint) > 0)[:, None]
        fits = (joint < JOINTS)[:, None] & (step < HORIZON)[None, :]
        to = y + ((person * HORIZON + step[None, :]) * JOINTS + joint[:, None]) * 3
        tl.store(to, tl.where(known, turned * units, float("nan")), fits)
        tl.store(to + 1, tl.where(known, b * units, float("nan")), fits)
        tl.store(to + 2, tl.where(known, c * units, float("nan")), fits)
