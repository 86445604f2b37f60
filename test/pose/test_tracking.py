"""Identities over frames: real CMU people who cross, hide, leave and come."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ses_gcn_ros.pose.config import PoseConfig
from ses_gcn_ros.pose.tracking import Liveness, Tracker

EYE = np.array([0.0, -3.0, 1.5])
ASIDE = np.array([1.0, 0.0, 0.0])
UP = np.array([0.0, 0.0, 1.0])
STEP = 0.04


@pytest.fixture(scope="module")
def walker(shared_data: Path) -> np.ndarray:
    """A CMU walk of 3 s at 25 fps, hips over the origin, shape (75, 15, 3) [m]."""
    motion = np.load(shared_data / "motion" / "cmu.npz")
    starts = np.concatenate(([0], np.cumsum(motion["lengths"])[:-1]))
    index = list(motion["ids"]).index("cmu_06_01")
    clip = motion["positions_mm"][starts[index] : starts[index] + 75] * 1e-3
    clip = clip - clip[:, :1] * (1.0, 1.0, 0.0)
    return clip


def crossing(walker: np.ndarray, rng: np.random.Generator, gap: float) -> np.ndarray:
    """Two people who pass one another at `gap` metres, shape (75, 2, 15, 3)."""
    along = np.linspace(-2.0, 2.0, 75)
    speed = rng.uniform(0.8, 1.2)
    offset = rng.uniform(-0.5, 0.5)
    heading = rng.uniform(0.0, 2.0 * np.pi)
    right = np.array([np.cos(heading), np.sin(heading), 0.0])
    forth = np.array([-right[1], right[0], 0.0])
    first = along[:, None] * right + 0.5 * gap * forth
    second = (-speed * along + offset)[:, None] * right - 0.5 * gap * forth
    late = np.roll(walker, 10, axis=0)
    return np.stack((walker + first[:, None], late + second[:, None]), axis=1)


def follow(tracker: Tracker, frames, sigma: float = 0.05) -> list[list[str]]:
    """Names in the order of the people of each frame."""
    names = []
    for number, people in enumerate(frames):
        people = np.asarray(people).reshape(-1, 15, 3)
        tracks = tracker.assign(number * STEP, people, EYE, np.full(len(people), sigma))
        names.append([track.person_id for track in tracks])
    return names


def behind(people: np.ndarray) -> int | None:
    """Which of two people (2, J, 3) the other hides, if their middles are near in the picture."""
    away = people.mean(1) - EYE
    distance = np.linalg.norm(away, axis=1)
    rays = away / distance[:, None]
    return int(distance.argmax()) if np.linalg.norm(rays[0] - rays[1]) < 0.15 else None


@pytest.mark.parametrize("hides", [False, True])
@pytest.mark.parametrize("sigma", [0.05, 0.2])
def test_people_who_cross_keep_their_names(walker, sigma, hides):
    rng = np.random.default_rng(0)
    kept = hidden = 0
    for _ in range(100):
        scene = crossing(walker, rng, gap=0.5)
        scene = scene + rng.normal(0.0, 0.03, scene.shape)
        orders = rng.permuted(np.tile([0, 1], (75, 1)), axis=1)  # found in any order
        seen = [
            [who for who in order if not (hides and who == behind(people))]
            for people, order in zip(scene, orders, strict=True)
        ]
        hidden += sum(len(order) == 1 for order in seen)
        tracker = Tracker(PoseConfig(), dict, "chico15")
        frames = [people[order] for people, order in zip(scene, seen, strict=True)]
        names = follow(tracker, frames, sigma)
        pairs = {pair for row in zip(seen, names, strict=True) for pair in zip(*row, strict=True)}
        kept += sorted(pairs) in ([(0, "p1"), (1, "p2")], [(0, "p2"), (1, "p1")])
    assert kept == 100
    assert (hidden > 500) == hides


def test_a_body_told_at_a_wrong_distance_for_one_picture_keeps_its_name(walker):
    people = walker[:, None] + ASIDE
    frames = list(people)
    wrong = EYE + 0.7 * (people[40, 0] - EYE)  # 30 % nearer, with its sides exchanged
    frames[40] = wrong[[0, 4, 5, 6, 1, 2, 3, 7, 8, 12, 13, 14, 9, 10, 11]][None]
    names = follow(Tracker(PoseConfig(), dict, "chico15"), frames, sigma=0.3)
    assert {name for row in names for name in row} == {"p1"}

    beside = EYE + 0.7 * (people[40] + (1.0, 0.0, 0.0) - EYE)  # that far beside, somebody else
    frames[40] = beside
    assert follow(Tracker(PoseConfig(), dict, "chico15"), frames, sigma=0.3)[40] == ["p2"]


def test_who_is_hidden_for_a_moment_gets_the_name_back(walker):
    scene = crossing(walker, np.random.default_rng(1), gap=0.6)
    frames = [people[:1] if 30 <= number < 45 else people for number, people in enumerate(scene)]
    names = follow(Tracker(PoseConfig(), dict, "chico15"), frames)
    assert names[0] == names[-1] == ["p1", "p2"]
    assert all(row == ["p1"] for row in names[30:45])


def test_who_is_found_where_another_was_lost_is_the_other(walker):
    """Somebody is seen beside another for three pictures; then nobody; then one in that place."""
    one, other = walker[0], walker[0] + 0.9 * ASIDE
    empty = np.zeros((0, 15, 3))
    frames = [[one]] * 10 + [[one, other]] * 3 + [empty] * 15 + [[other]] * 5 + [[one, other]]
    names = follow(Tracker(PoseConfig(), dict, "chico15"), frames)
    assert names[12] == names[-1] == ["p1", "p2"]
    assert names[28:33] == [["p2"]] * 5


def test_who_is_told_where_another_was_hidden_behind_keeps_the_name(walker):
    """Names went to and fro between one player who was seen and one hidden behind."""
    behind_by = 1.3  # of the distance
    pair = np.stack([walker[:12], EYE + behind_by * (walker[:12] - EYE)], axis=1)
    alone = [
        EYE + (behind_by if n % 3 else 1.0) * (body - EYE) for n, body in enumerate(walker[12:18])
    ]
    tracker = Tracker(PoseConfig(), dict, "chico15")
    names = follow(tracker, [*pair, *alone])
    assert names == [["p1", "p2"]] * 12 + [["p1"]] * 6


def test_who_was_away_longer_is_somebody_new(walker):
    config = PoseConfig(track_memory=0.5)
    empty = np.zeros((0, 15, 3))
    frames = [walker[:1]] * 10 + [empty] * 20 + [walker[:1]] * 5
    names = follow(Tracker(config, dict, "chico15"), frames)
    assert [row for row in names if row] == [["p1"]] * 10 + [["p2"]] * 5


def test_a_leap_beyond_the_gate_is_another_person(walker):
    frames = [walker[:1]] * 10 + [walker[:1] + 3.0 * ASIDE]
    assert follow(Tracker(PoseConfig(), dict, "chico15"), frames)[-1] == ["p2"]


def test_names_are_never_given_twice(walker):
    tracker = Tracker(PoseConfig(), dict, "chico15")
    follow(tracker, [walker[:1]])
    tracker.forget()
    assert follow(tracker, [np.stack((walker[0], walker[0] + ASIDE))]) == [["p2", "p3"]]


def test_doubt_about_the_distance_widens_the_gate_along_the_ray_alone(walker):
    depth_camera = PoseConfig(mode="rgbd")
    away = walker[0] - EYE
    away = away / np.linalg.norm(away, axis=1, keepdims=True)
    further = [walker[:1]] * 10 + [walker[:1] + 0.8 * away]
    aside = [walker[:1]] * 10 + [walker[:1] + 0.8 * ASIDE]
    for frames, sigma, name in ((further, 0.05, "p2"), (further, 0.3, "p1"), (aside, 0.3, "p2")):
        assert follow(Tracker(depth_camera, dict, "chico15"), frames, sigma)[-1] == [name]


def shrunk(body):
    """What a detector makes of a thigh that it takes for somebody small and far away."""
    part = body[2] + 0.3 * (body - body[2])
    return EYE + 2.5 * (part - EYE)


def test_a_part_of_a_body_beside_a_cover_is_the_one_who_was_lost_there(walker):
    whole, part = walker[0], shrunk(walker[0])
    frames = [whole[None]] * 20 + [part[None]] * 10 + [whole[None]] * 5
    names = follow(Tracker(PoseConfig(), dict, "chico15"), frames, sigma=0.2)
    assert {name for row in names for name in row} == {"p1"}
    far = follow(Tracker(PoseConfig(), dict, "chico15"), [[whole, part]] * 10, sigma=0.2)
    assert far[-1] == ["p1", "p2"]  # while the one is seen, the other is another
    depth_camera = PoseConfig(mode="rgbd")
    assert follow(Tracker(depth_camera, dict, "chico15"), frames)[20] == ["p2"]


@pytest.mark.parametrize(("clothes", "name"), [((1.0, 0.0), "p1"), ((0.0, 1.0), "p2")])
def test_after_seconds_behind_a_cover_clothes_tell_who_stands_there(walker, clothes, name):
    tracker = Tracker(PoseConfig(), dict, "chico15")
    sigma, nobody = np.array([0.2]), np.zeros((0, 15, 3))
    for frame in range(20):
        tracker.assign(STEP * frame, walker[:1], EYE, sigma, np.array([[1.0, 0.0]]))
    tracker.assign(1.0, nobody, EYE, sigma[:0], np.zeros((0, 2)))
    nearer = (EYE + 0.6 * (walker[0] - EYE))[None]  # half of the body is still hidden
    [track] = tracker.assign(4.0, nearer, EYE, sigma, np.array([clothes]))
    assert track.person_id == name


def test_a_phantom_does_not_take_over_a_settled_name(walker):
    body = walker[0]
    frames = [body[None]] * 10 + [np.stack((body, body + 0.15 * ASIDE))] * 2
    frames += [(body + 0.1 * ASIDE)[None]] * 3  # nearer to the phantom, but one person is left
    names = follow(Tracker(PoseConfig(), dict, "chico15"), frames)
    assert names[11] == ["p1", ""]
    assert names[-1] == ["p1"]


@pytest.mark.parametrize(("mode", "doubted"), [("monocular", 5), ("rgbd", 0)])
def test_who_comes_up_on_somebody_has_a_name_after_a_fifth_of_a_second(walker, mode, doubted):
    frames = [walker[:1]] * 10 + [np.stack((walker[0], walker[0] + 0.15 * ASIDE))] * 10
    names = follow(Tracker(PoseConfig(mode=mode), dict, "chico15"), frames)
    assert names[10:] == [["p1", ""]] * doubted + [["p1", "p2"]] * (10 - doubted)


def test_who_was_taken_for_a_foot_is_known_by_where_the_body_was_before(walker):
    body = walker[0]
    foot, head = (body.mean(0) + 0.1 * (body - body.mean(0)) + d * UP for d in (-0.5, 0.6))
    frames = [body[None]] * 10 + [foot[None]] * 3 + [head[None]] * 3
    names = follow(Tracker(PoseConfig(), dict, "chico15"), frames, sigma=0.2)
    assert {name for row in names for name in row} == {"p1"}


def test_of_two_in_the_same_clothes_the_one_comes_back_who_was_lost_there(walker):
    same, sigma = np.array([[1.0, 0.0]] * 2), np.full(2, 0.05)
    for aside, name in ((0.05, "p1"), (0.6, "p3"), (1.45, "p2")):
        tracker = Tracker(PoseConfig(), dict, "chico15")
        both = np.stack((walker[0], walker[0] + 1.5 * ASIDE))
        for frame in range(10):
            tracker.assign(STEP * frame, both, EYE, sigma, same)
        [back] = tracker.assign(7.0, both[:1] + aside * ASIDE, EYE, sigma[:1], same[:1])
        assert back.person_id == name


@pytest.mark.parametrize(
    ("seen", "worn", "aside", "name"),
    [
        (10.0, (1.0, 0.0), 2.0, "p3"),  # another wears the same: it could be anybody
        (10.0, (1.0, 0.0), 1.2, "p1"),
        (0.9, (0.0, 1.0), 0.9, "p3"),  # other clothes, and nobody was lost there
        (0.9, (1.0, 0.0), 0.9, "p1"),
    ],
)
def test_clothes_tell_who_stands_elsewhere_only_where_nobody_else_wears_them(
    walker, seen, worn, aside, name
):
    tracker, sigma = Tracker(PoseConfig(), dict, "chico15"), np.full(2, 0.05)
    both, same = np.stack((walker[0], walker[0] - 2.0 * ASIDE)), np.array([[1.0, 0.0]] * 2)
    for frame in range(10):
        tracker.assign(STEP * frame, both, EYE, sigma, same)
    last = 9 * STEP
    for stamp in np.arange(last + STEP, last + seen, STEP):
        tracker.assign(stamp, both[1:], EYE, sigma[1:], same[1:])
    people = np.stack((both[0] + aside * ASIDE, both[1]))
    tracks = tracker.assign(last + seen, people, EYE, sigma, np.array([worn, same[1]]))
    assert [track.person_id for track in tracks] == [name, "p2"]


def test_unseen_joints_are_no_reason_to_lose_a_person(walker):
    rng = np.random.default_rng(4)
    frames = np.where(rng.random((75, 1, 15, 1)) < 0.4, np.nan, walker[:, None])
    assert {
        name for row in follow(Tracker(PoseConfig(), dict, "chico15"), frames) for name in row
    } == {"p1"}


def test_appearance_tells_people_apart_where_place_does_not(walker):
    red, blue = np.eye(2)
    body = walker[0]
    tracker = Tracker(PoseConfig(), dict, "chico15")
    sigma = np.array([0.05, 0.05])
    both = np.stack((body, body + 0.4 * ASIDE))
    first = [t.person_id for t in tracker.assign(0.0, both, EYE, sigma, np.stack((red, blue)))]
    merged = body + 0.2 * ASIDE + 0.01 * np.array([[[1.0]], [[-1.0]]]) * ASIDE
    for frame in range(1, 10):
        looks = np.stack((blue, red))  # they stand behind one another, in the other order
        names = [t.person_id for t in tracker.assign(0.04 * frame, merged, EYE, sigma, looks)]
    assert names == first[::-1]


def alive(motion):
    """Liveness after twenty seconds of a body (J, 3) that moves by `motion(t)`, (J, 3) [m]."""
    rng = np.random.default_rng(0)
    body = rng.uniform((-0.5, -0.5, 2.5), (0.5, 0.5, 3.5), (15, 3))
    liveness = Liveness()
    for frame in range(500):
        noise = rng.normal(0.0, 0.002, body.shape)  # of landmarks
        probability = liveness.update(0.04 * frame, body + motion(0.04 * frame) + noise)
    return probability


def test_a_poster_is_not_alive_even_where_the_camera_shakes_and_who_sways_is():
    sway = np.random.default_rng(1).normal(0.0, 0.02, (15, 3))
    shake = np.array((0.02, 0.0, 0.0))
    assert alive(lambda t: 0.0) < 0.3
    assert alive(lambda t: shake * np.sin(20.0 * t)) < 0.3
    leap = np.random.default_rng(2).normal(0.0, 0.3, (15, 3))  # left taken for right, for instance
    assert alive(lambda t: leap * (15.0 <= t < 15.1)) < 0.4
    assert alive(lambda t: sway * np.sin(1.5 * t)) > 0.7
    assert alive(lambda t: sway * 5.0 * (t < 5.0) * np.sin(1.5 * t)) > 0.7  # and then stood still
