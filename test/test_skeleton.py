"""Layouts and the maps between them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from ses_gcn_ros.errors import InputError
from ses_gcn_ros.skeleton import (
    Skeleton,
    check_skeleton,
    check_skeletons,
    convert,
    get_layout,
    layout_names,
    mapping,
)

SIZES = {
    "chico15": 15,
    "h36m17": 17,
    "h36m22": 22,
    "cmu25": 25,
    "smpl22": 22,
    "h36m32": 32,
    "mediapipe33": 33,
    "coco17": 17,
    "openpose18": 18,
    "openpose25": 25,
    "zed34": 34,
    "zed38": 38,
    "kinect32": 32,
    "hri15": 15,
    "kinect20": 20,
}
layouts = st.sampled_from(layout_names())
WITHOUT_HIPS = ("h36m22", "cmu25")
seeds = st.integers(0, 2**32 - 1)


def random_skeleton(layout: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    joints = len(get_layout(layout).joints)
    positions = generator.normal(size=(4, joints, 3)).astype(np.float32)
    return positions, generator.uniform(size=(4, joints)).astype(np.float32)


def test_all_layouts_have_their_number_of_joints():
    assert {name: len(get_layout(name).joints) for name in layout_names()} == SIZES


@pytest.mark.parametrize("name", layout_names())
def test_parents_form_one_tree(name):
    layout = get_layout(name)
    assert layout.parents.count(-1) == 1
    assert layout.parents[layout.root] == -1
    for joint in range(len(layout.joints)):
        steps = 0
        while joint != layout.root:
            joint = layout.parents[joint]
            steps += 1
            assert steps < len(layout.joints), "the way to the root runs in a circle"


@pytest.mark.parametrize("name", layout_names())
def test_joint_names_are_unique(name):
    joints = get_layout(name).joints
    assert len(set(joints)) == len(joints)


@pytest.mark.parametrize("name", layout_names())
def test_mirror_is_an_involution_that_swaps_the_sides_and_keeps_the_tree(name):
    layout = get_layout(name)
    mirror = np.array(layout.mirror)
    assert (mirror[mirror] == np.arange(len(mirror))).all()
    swap = {"r_": "l_", "l_": "r_"}
    for joint, other in zip(layout.joints, mirror, strict=True):
        side = joint[:2]
        assert layout.joints[other] == swap.get(side, side) + joint[2:]
    for joint, parent in enumerate(layout.parents):
        mirrored = -1 if parent < 0 else mirror[parent]
        assert layout.parents[mirror[joint]] == mirrored


@pytest.mark.parametrize("name", layout_names())
def test_limbs_are_the_same_on_both_sides(name):
    layout = get_layout(name)
    mirror = layout.mirror
    radius = {frozenset(limb): r for limb, r in zip(layout.limbs, layout.limb_radii, strict=True)}
    for limb, r in radius.items():
        assert radius[frozenset(mirror[joint] for joint in limb)] == r
    assert len(radius) == len(layout.limbs), "no limb twice"


@pytest.mark.parametrize("name", layout_names())
def test_limbs_reach_hands_feet_and_head_without_a_gap(name):
    layout = get_layout(name)
    joined = {layout.limbs[0][0]}
    # h36m32's coincident joints (spine_base on hip, …) join what the limbs leave open.
    links = [
        *layout.limbs,
        *(
            (a, b)
            for b, a in enumerate(layout.parents)
            if a >= 0 and layout.canonical[a] == layout.canonical[b]
        ),
    ]
    for _ in links:
        joined |= {j for link in links if joined & set(link) for j in link}
    reached = {layout.canonical[joint] for joint in joined}
    for part in ("wrist", "ankle", "knee", "elbow", "shoulder"):
        assert {f"r_{part}", f"l_{part}"} <= reached
    assert reached & {"nose", "head", "head_top"}


def test_radii_are_those_of_a_body():
    for name in layout_names():
        assert all(0.04 <= radius <= 0.2 for radius in get_layout(name).limb_radii)


def test_limb_names_read_from_the_trunk_outwards():
    names = get_layout("chico15").limb_names()
    assert "r_elbow-r_wrist" in names
    assert "hip-c_shoulder" in names
    assert len(names) == 14


def test_unknown_layout_is_named_with_the_known_ones():
    with pytest.raises(InputError, match=r"'chico51'.*chico15"):
        get_layout("chico51")


@given(layouts, layouts)
def test_rows_of_a_mapping_sum_to_one_or_are_empty(source, target):
    weights = mapping(source, target)
    assert weights.shape == (SIZES[target], SIZES[source])
    empty = (weights == 0).all(axis=1)
    np.testing.assert_allclose(weights[~empty].sum(axis=1), 1, atol=1e-12)


@given(layouts, seeds)
def test_converting_to_the_same_layout_changes_nothing(layout, seed):
    positions, confidence = random_skeleton(layout, seed)
    converted, trust = convert(positions, confidence, layout, layout)
    np.testing.assert_array_equal(converted, positions)
    np.testing.assert_array_equal(trust, confidence)


@given(layouts, layouts, seeds)
def test_conversion_commutes_with_rigid_motion(source, target, seed):
    positions, confidence = random_skeleton(source, seed)
    rotation = Rotation.random(random_state=seed).as_matrix()
    move = lambda points: points @ rotation.T + [3.0, -2.0, 0.5]  # noqa: E731
    moved, _ = convert(move(positions), confidence, source, target)
    converted, _ = convert(positions, confidence, source, target)
    np.testing.assert_allclose(moved, move(converted), atol=1e-4)


@given(layouts, layouts, seeds)
def test_conversion_commutes_with_mirroring(source, target, seed):
    positions, confidence = random_skeleton(source, seed)
    flip = np.array([-1, 1, 1], np.float32)
    before = convert(
        positions[:, list(get_layout(source).mirror)] * flip,
        confidence[:, list(get_layout(source).mirror)],
        source,
        target,
    )
    converted, trust = convert(positions, confidence, source, target)
    after = list(get_layout(target).mirror)
    np.testing.assert_allclose(before[0], converted[:, after] * flip, atol=1e-5)
    np.testing.assert_array_equal(before[1], trust[:, after])


@given(layouts, layouts, seeds)
@settings(max_examples=50)
def test_an_unseen_joint_makes_only_what_needs_it_unseen(source, target, seed):
    positions, confidence = random_skeleton(source, seed)
    unseen = seed % SIZES[source]
    positions[:, unseen] = np.nan
    converted, trust = convert(positions, confidence, source, target)
    weights = mapping(source, target)
    lacking = (weights[:, unseen] != 0) | (weights == 0).all(axis=1)
    assert (np.isnan(converted).any(axis=(0, 2)) == lacking).all()
    assert (trust[:, lacking] == 0).all()
    assert np.isfinite(trust).all()


def test_confidence_is_the_least_of_the_joints_used():
    positions = np.zeros((17, 3))
    confidence = np.ones(17)
    coco = get_layout("coco17").joints
    confidence[coco.index("l_shoulder")] = 0.25
    _, trust = convert(positions, confidence, "coco17", "chico15")
    chico = get_layout("chico15").joints
    assert trust[chico.index("c_shoulder")] == 0.25
    assert trust[chico.index("r_shoulder")] == 1


@pytest.mark.parametrize("source", [name for name in layout_names() if name not in WITHOUT_HIPS])
def test_every_layout_with_hips_gives_a_whole_chico_skeleton(source):
    assert (mapping(source, "chico15") != 0).any(axis=1).all()


@pytest.mark.parametrize("name", WITHOUT_HIPS)
def test_layouts_of_benchmarks_have_no_hips_to_give(name):
    available = (mapping(name, "chico15") != 0).any(axis=1)
    missing = {j for j, a in zip(get_layout("chico15").joints, available, strict=True) if not a}
    assert missing == {"hip", "r_hip", "l_hip"}


def test_h36m_subsets_are_the_published_indices():
    full = get_layout("h36m32")
    used = [2, 3, 4, 5, 7, 8, 9, 10, 12, 13, 14, 15, 17, 18, 19, 21, 22, 25, 26, 27, 29, 30]
    assert get_layout("h36m22").canonical == tuple(full.canonical[i] for i in used)
    used = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
    assert get_layout("h36m17").canonical == tuple(full.canonical[i] for i in used)


def test_kinect20_is_the_skeleton_of_msr_action3d(shared_data: Path):
    recordings = np.load(shared_data / "actions" / "msr_action3d.npz")
    layout = get_layout("kinect20")
    assert {frozenset(limb) for limb in layout.limbs} == {
        frozenset(map(int, bone)) for bone in recordings["bones"]
    }
    # Feet point forwards, so that the left is where up × forwards points (camera frame, y up).
    positions = recordings["positions"].reshape(-1, 20, 3)
    positions = positions[positions.any(axis=(1, 2))]
    at = {joint: positions[:, i] for i, joint in enumerate(layout.joints)}
    forwards = at["l_foot"] - at["l_ankle"] + at["r_foot"] - at["r_ankle"]
    left = np.cross([0.0, 1.0, 0.0], forwards)
    across = at["l_shoulder"] - at["r_shoulder"]
    assert np.median((left * across).sum(axis=-1)) > 0
    assert (np.median(at["head"][:, 1]) > np.median(at["hip_center"][:, 1])).all()


def test_chico15_orders_the_cmu_recordings(shared_data: Path):
    """Shoulder centre and hip are midpoints there, and the limbs keep their lengths."""
    motion = np.load(shared_data / "motion" / "cmu.npz")
    positions = motion["positions_mm"][: motion["lengths"][0]] / 1000
    layout = get_layout("chico15")
    at = {joint: positions[:, i] for i, joint in enumerate(layout.joints)}
    for middle, pair in {"hip": "hip", "c_shoulder": "shoulder"}.items():
        np.testing.assert_allclose(at[middle], (at[f"r_{pair}"] + at[f"l_{pair}"]) / 2, atol=2e-3)
    for limb, (a, b) in zip(layout.limb_names(), layout.limbs, strict=True):
        if "nose" in limb or limb == "hip-c_shoulder":
            continue  # joined by more than one bone
        assert np.linalg.norm(positions[:, a] - positions[:, b], axis=1).std() < 0.02, limb


def skeleton(**changes) -> Skeleton:
    fields = {
        "person_id": "7",
        "layout": "chico15",
        "positions": np.zeros((15, 3), np.float32),
        "confidence": np.ones(15, np.float32),
    }
    return Skeleton(**{**fields, **changes})


def test_a_skeleton_with_unseen_joints_is_good():
    positions = np.zeros((15, 3), np.float32)
    positions[3] = np.nan
    check_skeleton(skeleton(positions=positions))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layout": "stick"}, "unknown joint layout 'stick'"),
        ({"positions": np.zeros((14, 3), np.float32)}, r"person '7'.*\(14, 3\).*\(15, 3\)"),
        ({"confidence": np.ones(3, np.float32)}, r"confidence \(3,\)"),
        ({"positions": np.full((15, 3), np.inf, np.float32)}, "infinite"),
        ({"positions": np.full((15, 3), 1e19, np.float32)}, "more than 10000 m from the origin"),
        ({"positions": np.full((15, 3), (1.0, np.nan, 1.0), np.float32)}, "one coordinate is NaN"),
        ({"confidence": np.full(15, 1.5, np.float32)}, "1.5"),
        ({"confidence": np.full(15, np.nan, np.float32)}, "0 to 1"),
        ({"person_id": "p" * 10_000}, r"person_id 'p+ … p+' has 10000 characters"),
        ({"person_id": "p\x1b[31m\n"}, r"person_id 'p\\x1b\[31m\\n' has .* all of them printable"),
    ],
)
@pytest.mark.filterwarnings("error")  # of numpy, over squares too large for float32
def test_a_bad_skeleton_is_refused_with_what_is_wrong(changes, message):
    with pytest.raises(InputError, match=message):
        check_skeleton(skeleton(**changes))


def test_convert_refuses_another_shape():
    with pytest.raises(InputError, match=r"coco17.*\(\.\.\., 17, 3\)"):
        convert(np.zeros((15, 3)), np.ones(15), "coco17", "chico15")


@pytest.mark.parametrize(
    "changes",
    [
        {"positions": np.full((15, 3), np.inf, np.float32)},
        {"confidence": np.full(15, 1.5, np.float32)},
        {"confidence": np.full(15, np.nan, np.float32)},
        {"confidence": np.ones(14, np.float32)},
        {"layout": "chico16"},
    ],
)
def test_all_at_once_are_refused_as_one_by_one(changes):
    hidden = skeleton(positions=np.full((15, 3), np.nan, np.float32))
    check_skeletons([])
    check_skeletons([skeleton(), hidden])
    wrong = skeleton(**changes)
    with pytest.raises(InputError) as alone:
        check_skeleton(wrong)
    with pytest.raises(InputError) as together:
        check_skeletons([skeleton(), hidden, wrong])
    assert str(together.value) == str(alone.value)
