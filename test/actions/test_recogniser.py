"""A stream of skeletons becomes labels that last, and ``unknown`` where there is no telling."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from small_network import random_weights

from ses_gcn_ros.actions.engine import TorchEngine, load_engine
from ses_gcn_ros.actions.recogniser import ActionConfig, Recogniser
from ses_gcn_ros.actions.weights import UNKNOWN, ActionWeights, build_network
from ses_gcn_ros.datasets.actions import ActionSet, LabelledMotion
from ses_gcn_ros.errors import ConfigError, InputError
from ses_gcn_ros.models.sgn import STREAMS
from ses_gcn_ros.replay.events import label_delays
from ses_gcn_ros.skeleton import Skeleton, get_layout

STANDING = np.array(
    [
        [0, 0, 0.95],
        [-0.1, 0, 0.95],
        [-0.1, 0, 0.5],
        [-0.1, 0, 0.1],
        [0.1, 0, 0.95],
        [0.1, 0, 0.5],
        [0.1, 0, 0.1],
        [0, 0.1, 1.65],
        [0, 0, 1.45],
        [-0.2, 0, 1.45],
        [-0.3, 0, 1.2],
        [-0.3, 0.1, 1.0],
        [0.2, 0, 1.45],
        [0.3, 0, 1.2],
        [0.3, 0.1, 1.0],
    ],
    np.float32,
)


def person(name: str = "ann", shift: float = 0.0, layout: str = "chico15") -> Skeleton:
    positions = STANDING + np.float32([shift, 0, 0])
    joints = len(get_layout(layout).joints)
    if joints != 15:
        positions = np.resize(positions, (joints, 3)).astype(np.float32)
    return Skeleton(name, layout, positions, np.ones(joints, np.float32))


class Scripted:
    """Engine that answers what it is told."""

    name = "scripted"

    def __init__(self, classes: int = 3) -> None:
        self.answer, self.classes, self.batches = 0, classes, []

    def run(self, x):
        self.batches.append(len(x))
        logits = np.zeros((len(x), self.classes), np.float32)
        logits[:, self.answer] = 8.0
        return logits, np.full((len(x), 9), 1 / 9, np.float32)


def recogniser(threshold: float = 0.5, **options: float) -> tuple[Recogniser, Scripted]:
    weights = dataclasses.replace(random_weights(width=4), threshold=threshold)
    made = Recogniser(weights, ActionConfig(**options))
    made._engine = engine = Scripted()
    return made, engine


def play(made: Recogniser, seconds: float, start: float = 0.0, fps: float = 30.0, people=None):
    labels = []
    for stamp in start + np.arange(0, seconds, 1 / fps):
        made.observe(float(stamp), people or [person()])
        labels.append([(float(stamp), a.label, a.since, a.reason) for a in made.recognise()])
    return labels


@pytest.mark.parametrize(
    ("network", "options"),
    [
        ("sgn", {"width": 8}),
        ("esgn", {"width": 8}),
        ("esgn", {"width": 8, "fusion": "concat", "pooling": "received", "dilated": True}),
        ("esgn", {"width": 4, "members": 3, "without_bones": 1}),
        ("esgn", {"width": 8, "pooling": "none", "kernels": (3, 5), "streams": ("joint", "bone")}),
    ],
)
def test_folded_and_torch_answer_the_same(network: str, options: dict):
    weights = random_weights(network, **options)
    x = np.random.default_rng(1).normal(size=(4, 16, 9, 3)).astype(np.float32)
    folded, torch_ = load_engine(weights).run(x), TorchEngine(weights).run(x)
    np.testing.assert_allclose(folded[0], torch_[0], atol=1e-4 * np.abs(torch_[0]).max())
    np.testing.assert_allclose(folded[1], torch_[1], atol=1e-5)


def test_members_answer_with_the_mean_of_their_probabilities_and_some_see_no_bones():
    network = build_network(random_weights(width=4, members=3, without_bones=1))
    x = torch.randn(5, 1, 16, 9, 3)
    alone = torch.stack([member(x) for member in network.members]).softmax(dim=-1)
    torch.testing.assert_close(network(x).softmax(dim=-1), alone.mean(dim=0))
    seen = [set(member.streams) for member in network.members]
    assert seen == [{"joint", "velocity"}, set(STREAMS), set(STREAMS)]
    with pytest.raises(ConfigError, match="without_bones is 2; there are only 1 members"):
        random_weights(width=4, without_bones=2)


def test_the_linear_baseline_runs_where_the_networks_do():
    x = np.random.default_rng(1).normal(size=(4, 16, 9, 3)).astype(np.float32)
    logits, importance = load_engine(random_weights("linear")).run(x)
    still = load_engine(random_weights("linear")).run(x[:, ::-1].copy())[0]
    np.testing.assert_allclose(logits, still, atol=1e-5)  # statistics know no order
    assert logits.shape == (4, 3)
    assert importance.shape == (4, 0)


def test_a_label_is_given_once_most_of_a_window_was_seen():
    made, _ = recogniser()
    labels = play(made, 2.0)
    assert labels[5][0][1] == UNKNOWN
    assert labels[5][0][3] == "seen too briefly"
    assert labels[-1][0][1] == "idle"
    assert 0.6 * 1.2 <= labels[-1][0][2] <= 1.2


def test_a_flicker_does_not_change_the_label_and_a_change_does():
    made, engine = recogniser(hold=0.25, rate=30)
    play(made, 2.0)
    engine.answer = 1
    flicker = play(made, 0.15, start=2.0)
    engine.answer = 0
    play(made, 0.5, start=2.2)
    assert {label for ((_, label, _, _),) in flicker} == {"idle"}
    engine.answer = 2
    changed = play(made, 1.0, start=3.0)
    first = next(stamp for ((stamp, label, _, _),) in changed if label == "reach")
    assert 0.25 <= first - 3.0 <= 0.35


def test_what_is_not_sure_enough_is_unknown_at_once():
    made, engine = recogniser(threshold=0.9, rate=30)
    play(made, 2.0)
    engine.run = lambda x: (np.zeros((len(x), 3), np.float32), np.zeros((len(x), 0), np.float32))
    (label,) = play(made, 0.05, start=2.0)[-1]
    assert label[1] == UNKNOWN
    assert label[3] == "not sure enough"


def test_a_short_gap_is_bridged_and_a_long_one_begins_anew():
    made, _ = recogniser(rate=30)
    play(made, 2.0)
    assert play(made, 0.1, start=2.4)[-1][0][1] == "idle"
    assert play(made, 0.1, start=4.5)[-1][0][1] == UNKNOWN


def test_another_person_under_the_same_name_is_not_mixed_with_the_first():
    made, _ = recogniser(rate=30)
    play(made, 2.0)
    swapped = play(made, 0.1, start=2.0, people=[person(shift=3.0)])
    assert swapped[-1][0][1] == UNKNOWN
    assert swapped[-1][0][3] == "seen too briefly"


def test_unseen_joints_are_bridged_and_a_person_without_joints_is_unknown():
    made, engine = recogniser(rate=30)
    rng = np.random.default_rng(0)
    for stamp in np.arange(0, 2, 1 / 30):
        one = person()
        one.positions[rng.integers(15)] = np.nan
        made.observe(float(stamp), [one])
        made.recognise()
    assert engine.batches
    blind = dataclasses.replace(person("bob"), positions=np.full((15, 3), np.nan, np.float32))
    labels = play(made, 2.0, start=2.0, people=[blind])
    assert labels[-1][0][1] == UNKNOWN
    assert labels[-1][0][3] == "too few joints"


def test_people_are_answered_in_batches_and_take_turns():
    made, engine = recogniser(rate=6)
    crowd = [person(f"p{n}", shift=float(n)) for n in range(16)]
    labels = play(made, 2.5, people=crowd)
    assert len(labels[-1]) == 16
    assert {label for _, label, _, _ in labels[-1]} == {"idle"}
    assert max(engine.batches) <= 4


@pytest.mark.parametrize("people", [1, 4, 8, 16, 32])
def test_everybody_is_answered_alike_often_and_all_together_no_more_than_the_node_can(people: int):
    made, engine = recogniser(rate=10, answers=80)
    crowd = [person(f"p{n}", shift=float(n)) for n in range(people)]
    play(made, 2.0, people=crowd)
    engine.batches.clear()
    play(made, 4.0, start=2.0, people=crowd)
    per_second = sum(engine.batches) / 4
    assert per_second <= min(10 * people, 80) + people / 4
    assert per_second >= 0.7 * min(10 * people, 80)
    answered = [one.answered for one in made._people.values()]
    assert max(answered) - min(answered) <= max(1 / 10, people / 80) + 2 / 30


@pytest.mark.parametrize("layout", ["coco17", "mediapipe33", "kinect20", "openpose25"])
def test_other_layouts_are_converted(layout: str):
    made, _ = recogniser()
    labels = play(made, 1.5, people=[person(layout=layout)])
    assert labels[-1][0][1] in ("idle", UNKNOWN)


def test_a_stamp_that_does_not_grow_is_refused_and_a_clock_set_back_begins_anew():
    made, _ = recogniser()
    made.observe(10.0, [person()])
    with pytest.raises(InputError, match="stamps must grow"):
        made.observe(10.0, [person()])
    made.observe(1.0, [person()])


def test_weights_survive_a_file(tmp_path):
    from ses_gcn_ros.actions.weights import read_action_weights, write_action_weights

    weights = dataclasses.replace(random_weights(width=8), temperature=1.5, threshold=0.7)
    write_action_weights(tmp_path / "w.safetensors", weights, half=True)
    read = read_action_weights(tmp_path / "w.safetensors")
    assert isinstance(read, ActionWeights)
    assert (read.labels, read.joints, read.window) == (
        weights.labels,
        weights.joints,
        weights.window,
    )
    assert (read.temperature, read.threshold) == (1.5, 0.7)
    x = np.random.default_rng(1).normal(size=(2, 16, 9, 3)).astype(np.float32)
    before, after = load_engine(weights).run(x)[0], load_engine(read).run(x)[0]
    np.testing.assert_allclose(before, after, atol=0.02 * np.abs(before).max())


def test_a_delay_is_the_time_from_a_change_until_its_label_is_told(monkeypatch):
    """Somebody stands for 3 s, walks for 3 s, then does what the weights don't know."""

    class Watching(Scripted):
        def run(self, x):
            self.answer = int(np.abs(x[0, -1] - x[0, -2]).mean() > 1e-3)
            return super().run(x)

    monkeypatch.setattr("ses_gcn_ros.actions.engine.load_engine", lambda weights: Watching())
    weights = dataclasses.replace(random_weights(width=4), threshold=0.5)
    names = get_layout("chico15").joints
    columns = [names.index(name) for name in weights.joints.names]
    still = np.repeat(STANDING[None, columns], 75, axis=0)
    walk = still + np.arange(75, dtype=np.float32)[:, None, None] * np.float32([0.03, 0, 0])
    parts = [("idle", still, 0.0), ("walk", walk, 3.0), ("dance", walk + 2.25, 6.0)]
    data = ActionSet(
        tuple(LabelledMotion(x, label, "1", 25.0, "a", start) for label, x, start in parts[::-1]),
        weights.labels,
        weights.joints,
        "chico15",
    )
    for hold in (0.2, 0.6):
        (delay,) = label_delays(data, weights, ActionConfig(rate=25, hold=hold))
        assert hold <= delay <= hold + 0.2
    longer = dataclasses.replace(data, recordings=data.recordings[-1:])
    assert not len(label_delays(longer, weights, ActionConfig()))
