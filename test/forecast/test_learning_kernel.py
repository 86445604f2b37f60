"""The compiled loops of learning give what NumPy gives, to the last bit."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ses_gcn_ros.forecast import AdaptiveRadius, ForecastConfig
from ses_gcn_ros.forecast.adaptive import _EDGES, PendingForecasts, starts_of
from ses_gcn_ros.models.framing import DAMPING, reach

STEPS, JOINTS = 6, 4
BASE = np.linspace(0.02, 0.5, STEPS, dtype=np.float32)[:, None].repeat(JOINTS, axis=1)
CONFIG = ForecastConfig()


def due_by_numpy(waiting: PendingForecasts, before, now):
    (earlier, start), (later, end) = before, now
    due = waiting._stamps + waiting._ahead[:, None]  # (H, capacity)
    falls = (due > earlier) & (due <= later)
    which = np.argmax(np.where(falls, waiting._stamps, -np.inf), axis=1)
    rows = np.arange(len(which))
    there = falls[rows, which]
    share = np.where(there, (due[rows, which] - earlier) / (later - earlier), 0)
    seen = start + share.astype(np.float32)[:, None, None] * (end - start)
    last, velocity = waiting._motions[:, which]
    covered = reach(STEPS, DAMPING)[:, None, None]
    paths = *waiting._paths[:, which, rows], last, last + covered * velocity
    distance = np.linalg.norm(np.stack(paths) - seen, axis=-1)
    distance[:, ~there] = np.nan
    kinds = np.where(there, waiting._kinds[which], -1)
    return distance, distance[0] / waiting._bases[which, rows], waiting._factors[which, rows], kinds


def learn_by_numpy(state, errors, scores, issued, elapsed: float):
    """α, counts and recent sums after `AdaptiveRadius.observe`, and the factors they lead to."""
    alpha, counts, recent = state
    known = np.isfinite(errors)
    count = known.sum(axis=(0, 2))
    steps = count > 0
    scores = np.where(known, scores, np.inf)
    covered = (scores <= issued[..., None]).sum(axis=(0, 2)) / np.maximum(count, 1)
    moved = alpha + CONFIG.adaptive_rate * elapsed * ((1 - 0.95) - (1 - covered))
    alpha = np.where(steps, np.clip(moved, 0.002, 0.3), alpha)
    bins = np.clip(np.searchsorted(_EDGES, scores) - 1, 0, len(_EDGES) - 2)
    rows = np.broadcast_to(np.arange(STEPS)[:, None], scores.shape)[known]
    weight = (elapsed / np.maximum(count, 1))[rows]
    new = np.bincount(rows * (len(_EDGES) - 1) + bins[known], weight, counts.size)
    kept = np.exp(-elapsed / CONFIG.adaptive_memory)
    counts = np.where(steps[:, None], kept * counts + new.reshape(counts.shape), counts)
    mean = np.where(known, errors, 0).sum(axis=(0, 2), dtype=float) / np.maximum(count, 1)
    seen = elapsed * np.stack([np.ones_like(mean), covered, mean])
    recent = np.where(steps, np.exp(-elapsed / 60) * recent + seen, recent)

    heaped = np.cumsum(counts, axis=1)
    wanted = (1 - alpha) * heaped[:, -1]
    place = np.argmax(heaped >= wanted[:, None], axis=1)
    above = heaped[np.arange(STEPS), place]
    inside = counts[np.arange(STEPS), place]
    share = np.clip((wanted - (above - inside)) / np.maximum(inside, 1e-12), 0, 1)
    factor = _EDGES[place] * (_EDGES[place + 1] / _EDGES[place]) ** share
    return (alpha, counts, recent), factor


@settings(max_examples=30)
@given(seed=st.integers(0, 2**31), size=st.floats(0.01, 100), people=st.integers(1, 3))
def test_a_stream_teaches_what_numpy_would(seed, size, people):
    rng = np.random.default_rng(seed)
    radius = AdaptiveRadius(BASE, 0.95, CONFIG)
    waiting = [PendingForecasts(BASE, 0.04) for _ in range(people)]
    clock, body = 1.7e9, np.zeros((people, JOINTS, 3), np.float32)
    for _ in range(30):
        elapsed = rng.uniform(0.01, 0.1)
        moved = body + rng.normal(0, 0.02, body.shape).astype(np.float32)
        moved[rng.random(moved.shape[:2]) < 0.1] = np.nan
        pairs = [((clock, body[p]), (clock + elapsed, moved[p])) for p in range(people)]
        found = [w.errors(*pair) for w, pair in zip(waiting, pairs, strict=True)]
        for due, w, pair in zip(found, waiting, pairs, strict=True):
            errors, scores, issued, kinds = due_by_numpy(w, *pair)
            np.testing.assert_allclose(due.errors, errors, rtol=1e-5, atol=1e-7)
            np.testing.assert_allclose(due.scores, scores, rtol=1e-5, atol=1e-7)
            np.testing.assert_array_equal(due.factors, issued)
            np.testing.assert_array_equal(due.kinds, kinds)
        errors = np.stack([due.errors[0] for due in found])
        scores = np.stack([due.scores for due in found])
        issued = np.stack([due.factors for due in found])
        before = radius._alpha.copy(), radius._counts.copy(), radius._recent.copy()
        state, factor = learn_by_numpy(before, errors, scores, issued, elapsed)
        radius.observe(errors, issued, elapsed, scores)
        np.testing.assert_array_equal(radius._alpha, state[0])
        np.testing.assert_array_equal(radius._counts, state[1])
        np.testing.assert_allclose(radius._recent, state[2], rtol=1e-12)
        np.testing.assert_allclose(radius.factor, np.clip(factor, 0.1, 5), rtol=1e-9)
        clock, body = clock + elapsed, np.where(np.isnan(moved), body, moved)
        for p in range(people):
            off = rng.normal(0, size, (STEPS, JOINTS, 3)) * BASE[..., None]
            base = BASE * np.float32(rng.uniform(0.5, 2))
            recent = body[p] + rng.normal(0, 0.01, (2, JOINTS, 3)).astype(np.float32)
            path = body[p] + off.astype(np.float32)
            kind = int(rng.integers(4))
            waiting[p].add(clock, path, radius.factor, base, recent=recent, kind=kind)


@given(st.floats(0, width=32) | st.just(np.inf) | st.sampled_from(_EDGES.tolist()))
def test_no_bin_is_missed_from_where_its_search_begins(score):
    bits = np.float32(score).view(np.int32)
    right = np.clip(np.searchsorted(_EDGES, np.float32(score)) - 1, 0, len(_EDGES) - 2)
    start = starts_of(_EDGES)[bits >> 19]
    assert right - 3 <= start <= right
