"""Everybody who is there, in one row of limbs: each the same as if they were alone."""

from __future__ import annotations

import numpy as np

from ses_gcn_ros.safety import SafetyConfig
from ses_gcn_ros.safety.people import People, PeopleTracks
from ses_gcn_ros.skeleton import Skeleton, get_layout

CONFIG = SafetyConfig()
RNG = np.random.default_rng(0)
LIMBS = ("start", "end", "radius")


def walk(name: str, layout: str, unseen: tuple[int, ...] = ()) -> list[Skeleton]:
    """Three frames of a person; some joints are not seen in the last one."""
    joints = len(get_layout(layout).joints)
    first, step = RNG.uniform(-0.25, 0.25, (joints, 3)), RNG.normal(0.0, 0.02, 3)
    frames = np.array([first + k * step for k in range(3)], np.float32)
    frames[-1, list(unseen)] = np.nan
    return [Skeleton(name, layout, shown, np.ones(joints, np.float32)) for shown in frames]


def people(*walks: list[Skeleton]) -> People:
    tracks = PeopleTracks(CONFIG)
    for index, shown in enumerate(zip(*walks, strict=True)):
        tracks.observe(1.0 + 0.04 * index, shown)
    return tracks.people()


def test_a_crowd_has_the_limbs_of_each_of_its_people():
    walks = [
        walk("a", "chico15"),
        walk("b", "chico15"),
        walk("c", "chico15", unseen=(3, 9)),
        walk("d", "chico15", unseen=(5,)),
        walk("e", "coco17"),
        walk("f", "chico15"),
    ]
    crowd, alone = people(*walks), [people(one) for one in walks]
    assert crowd.ids == tuple("abcdef")
    for name in LIMBS:
        expected = np.concatenate([getattr(one.limbs, name) for one in alone])
        np.testing.assert_array_equal(getattr(crowd.limbs, name), expected)
    for name in ("start_velocity", "end_velocity", "floor", "uncertainty", "unseen"):
        expected = np.concatenate([getattr(one, name) for one in alone])
        np.testing.assert_array_equal(getattr(crowd, name), expected)
    assert crowd.limbs.names == sum((one.limbs.names for one in alone), ())
    np.testing.assert_array_equal(
        crowd.person, np.repeat(np.arange(6), [len(one.person) for one in alone])
    )


def test_nobody_has_no_limbs():
    nobody = PeopleTracks(CONFIG).people()
    assert nobody.ids == nobody.limbs.names == ()
    assert len(nobody.person) == len(nobody.limbs.radius) == len(nobody.floor) == 0
