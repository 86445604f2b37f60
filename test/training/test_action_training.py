"""Networks for actions train by the trainer of forecasts, by recipes that mean every option."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from scipy.special import log_softmax

from ses_gcn_ros.actions.weights import build_network
from ses_gcn_ros.actions.windows import Joints
from ses_gcn_ros.datasets.actions import (
    ActionSet,
    LabelledMotion,
    cut,
    of_classes,
    read_actions,
)
from ses_gcn_ros.errors import ConfigError, InputError, ModelError
from ses_gcn_ros.resources import share_path
from ses_gcn_ros.training.actions import (
    ActionRecipe,
    ActionTask,
    answers,
    evaluate,
    gain,
    load_action_recipe,
    make_action_recipe,
    stages,
    train_actions,
    train_and_calibrate,
    train_in_order,
    untrained,
    varied_recipes,
)

SMALL = {
    "network": "esgn",
    "options": {"width": 8},
    "window": {"frames": 8, "sampling": "even"},
    "augment": {"rotation": 0.1},
    "training": {"epochs": 3, "batch": 16, "warm_up": 1, "checkpoint_every": 2},
}
SPARSE = {
    **SMALL,
    "network": "sparse_stgcn",
    "options": {"sparsities": [0.5, 0.9], "widths": [8, 8, 16], "edges": "free", "warm_up": 0.5},
}


def recipe(tmp_path: Path, **changes: object) -> ActionRecipe:
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump({**SMALL, **changes}))
    return load_action_recipe(str(path))


@pytest.fixture(scope="module")
def florence(shared_data: Path) -> ActionSet:
    data = read_actions(shared_data / "actions" / "florence3d.npz")
    return of_classes(data, [data.labels[i] for i in (0, 3, 5)])  # wave, clap, sit down


def test_the_recipes_that_ship_give_nothing_that_is_not_used():
    names = [path.stem for path in share_path("config", "actions").glob("*_*.yaml")]
    names.remove("workcell_data")
    assert len(names) >= 12
    for name in names:
        assert load_action_recipe(name).name == name


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"training": {"patience": 3}}, "gives training.patience, which has no use"),
        ({"training": {"steps": 3, "epochs": 2}}, "training.steps.*training.epochs counts"),
        ({"training": {"milestones": [2]}}, "training.milestones.*count training.epochs"),
        ({"window": {"stride": 0.5}}, "window.stride.*takes whole recordings"),
        ({"window": {"sampling": "even", "crops": 3}}, "window.crops.*same frames"),
        ({"training": {"taught": 0.3}}, "training.taught.*no training.after"),
        ({"training": {"teacher": "w"}}, "training.teacher, which has no use"),
        ({"objective": {"regularisation": 0.1}}, "objective.regularisation.*is none"),
        ({"objective": {"balanced": True}}, "objective.balanced.*seen once"),
        ({"loss": {}}, "unknown section 'loss'"),
        ({"network": 3}, "no mapping with a 'network'"),
        ({"options": [0.5]}, "section 'options' of recipe .* is no mapping"),
    ],
)
def test_an_option_without_a_use_is_refused(tmp_path: Path, changes, sentence):
    with pytest.raises(ConfigError, match=sentence) as caught:
        recipe(tmp_path, **changes)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("kind", [SMALL, SPARSE], ids=["esgn", "sparse assembly"])
def test_a_run_that_was_killed_ends_where_it_would_have(tmp_path: Path, florence, kind):
    small = recipe(tmp_path, **kind)
    network = train_in_order(small, florence, seed=1)[-1]

    def kill(step: int, steps: int, loss: float) -> None:
        if step >= 4:
            raise KeyboardInterrupt

    checkpoint = tmp_path / "out.checkpoint"
    with pytest.raises(KeyboardInterrupt):
        train_actions(small, florence, 1, kill, checkpoint)
    resumed = train_actions(small, florence, 1, checkpoint=checkpoint)
    whole = network.state_dict()
    for name, tensor in resumed.tensors.items():
        np.testing.assert_array_equal(tensor, whole[name], err_msg=name)
    windows = cut(florence, small.window, florence.labels)
    np.testing.assert_array_equal(
        answers(network, windows, small.window, florence.joints),
        answers(build_network(resumed), windows, small.window, florence.joints),
    )


def cut_from_dense(tmp_path: Path, dense_epochs: int, **training: object) -> ActionRecipe:
    """A sparse recipe that goes on from the same network without a cut."""
    plan = {**SMALL["training"], "average": 0.0, "learning_rate": 0.01}
    dense = {**SPARSE, "options": {**SPARSE["options"], "sparsities": [0.0]}}
    dense["training"] = {**plan, "epochs": dense_epochs}
    path = tmp_path / "dense.yaml"
    path.write_text(yaml.safe_dump(dense))
    options = {**SPARSE["options"], "sparsities": [0.5], "warm_up": 0.0, "ramp": 0.5}
    plan |= {"epochs": 10, "after": str(path), **training}
    return recipe(tmp_path, **{**SPARSE, "options": options, "training": plan})


def test_a_sparse_network_goes_on_from_a_dense_one_and_learns_its_answers(tmp_path, florence):
    train = florence.of_subjects(["1", "3", "5", "7", "9"])
    off = {}
    for taught in (0.0, 1.0):
        small = cut_from_dense(tmp_path, 20, taught=taught)
        networks = train_in_order(small, train, seed=0)
        windows = cut(train, small.window, train.labels)
        told, said = (
            log_softmax(answers(n, windows, small.window, train.joints), axis=1) for n in networks
        )
        off[taught] = (np.exp(told) * (told - said)).sum(axis=1).mean()
        assert (said.argmax(axis=1) == windows.labels).mean() > 0.8
        kept = [layer.kept().float().mean() for layer in networks[1].convolutions().values()]
        assert max(kept) < 0.55
    assert off[1.0] < 0.5 * off[0.0]


def test_each_level_of_an_assembly_goes_on_from_a_dense_network_of_its_own(tmp_path, florence):
    small = cut_from_dense(tmp_path, 20, taught=0.5)
    small = dataclasses.replace(small, options={**small.options, "sparsities": [0.3, 0.7]})
    train = florence.of_subjects(["1", "3", "5", "7", "9"])
    dense, trained = train_in_order(small, train, 0, checkpoint=tmp_path / "a.checkpoint")
    planned = stages(small, tmp_path / "a.checkpoint")
    assert len({path for _, _, path in planned if path.is_file()}) == 3
    (other,) = train_in_order(planned[0][0], train, seed=1)  # trained again: what the second had
    windows = cut(train, small.window, train.labels)

    def told(*networks):
        return [answers(one, windows, small.window, train.joints) for one in networks]

    begun = ActionTask(small, train, 0, dense, other).network()
    first, second, *levels = told(dense, other, *begun.levels)
    np.testing.assert_allclose(levels, [first, second], atol=1e-4)
    assert np.abs(first - second).max() > 0.1
    np.testing.assert_allclose(
        *told(ActionTask(small, train, 0, dense, dense).network(), dense), atol=1e-4
    )
    ended, *alone = told(trained, *trained.levels)
    assert (ended.argmax(axis=1) == windows.labels).mean() > 0.8
    assert np.abs(alone[0] - alone[1]).max() > 0.1
    for level, sparsity in zip(trained.levels, (0.3, 0.7), strict=True):
        kept = torch.cat([layer.kept().flatten() for layer in level.convolutions().values()])
        assert kept.float().mean() == pytest.approx(1 - sparsity, abs=0.02)


@pytest.mark.parametrize(
    ("given", "sentence"), [(0.95, "0.95; it takes a list"), ([], "is empty; give a share")]
)
def test_sparsities_that_are_no_list_of_shares_are_refused(tmp_path, florence, given, sentence):
    small = cut_from_dense(tmp_path, 2)
    small = dataclasses.replace(small, options={**small.options, "sparsities": given})
    with pytest.raises(ConfigError, match=sentence):
        train_in_order(small, florence, seed=0)


def test_how_a_recipe_does_beside_what_it_went_on_from_is_told(tmp_path, florence):
    small, split = cut_from_dense(tmp_path, 2), [["1", "3", "5", "7", "9"]]
    found = evaluate(small, florence, split, (0, 1))
    dense = evaluate(load_action_recipe(small.training.after), florence, split, (0, 1))
    assert found["start_accuracy_per_seed"] == dense["accuracy_per_seed"]
    assert "start_accuracy" not in dense


def test_a_run_killed_while_it_goes_on_from_another_ends_where_it_would_have(tmp_path, florence):
    small, checkpoint = cut_from_dense(tmp_path, 3), tmp_path / "out.checkpoint"
    whole = train_actions(small, florence, seed=1)
    seen: list[int] = []

    def kill(step: int, steps: int, loss: float) -> None:
        seen.append(steps)
        if len(set(seen)) == 2 and step >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_actions(small, florence, 1, kill, checkpoint)
    again: list[int] = []
    resumed = train_actions(small, florence, 1, lambda s, n, loss: again.append(n), checkpoint)
    assert set(again) == {seen[-1]}  # what came first is not trained twice
    for name, tensor in whole.tensors.items():
        np.testing.assert_array_equal(tensor, resumed.tensors[name], err_msg=name)


def never(step: int, steps: int, loss: float) -> None:
    pytest.fail("it trained")


def test_what_a_recipe_can_not_go_on_from_is_told(tmp_path, florence):
    wider = {**SPARSE["options"], "sparsities": [0.9], "widths": [8, 8, 8]}
    small = cut_from_dense(tmp_path, 1)
    with pytest.raises(ModelError, match="another network's"):  # before anything is trained
        train_actions(dataclasses.replace(small, options=wider), florence, 0, never)
    window = dataclasses.replace(small.window, frames=9)
    with pytest.raises(ConfigError, match="sees motion differently"):
        train_actions(dataclasses.replace(small, window=window), florence, 0)
    training = {**SMALL["training"], "after": str(tmp_path / "small.yaml")}
    with pytest.raises(ConfigError, match="goes on from itself"):
        train_actions(recipe(tmp_path, training=training), florence, 0)


def test_another_seed_or_other_people_make_another_run(tmp_path: Path, florence):
    small = recipe(tmp_path)
    first = ActionTask(small, florence, seed=0).identity()
    assert first == ActionTask(small, florence, seed=0).identity()
    assert first != ActionTask(small, florence, seed=1).identity()
    assert first != ActionTask(small, florence.of_subjects("123"), seed=0).identity()


def test_an_epoch_shows_every_window_once_and_balanced_steps_every_class_alike(tmp_path, florence):
    task = ActionTask(recipe(tmp_path, window={"frames": 8, "sampling": "even"}), florence, 0)
    seen = [task.batch(step, np.random.default_rng(step)).labels for step in range(task.per_epoch)]
    counts = np.bincount(np.concatenate(seen))
    assert counts.sum() == 16 * (len(florence.recordings) // 16)
    most = of_classes(florence, florence.labels[:2])
    few = dataclasses.replace(
        most,
        recordings=tuple(
            r for i, r in enumerate(most.recordings) if r.label != most.labels[0] or i < 9
        ),
    )
    even = recipe(tmp_path, training={"steps": 5, "batch": 64}, objective={"balanced": True})
    task = ActionTask(even, few, 0)
    drawn = np.concatenate([task.batch(s, np.random.default_rng(s)).labels for s in range(5)])
    assert 0.4 < drawn.mean() < 0.6


def test_mixtures_of_windows_have_the_mixed_labels(tmp_path: Path, florence):
    plain, mixed = (
        ActionTask(recipe(tmp_path, augment={"mixed": share}), florence, 0).batch(
            0, np.random.default_rng(3)
        )
        for share in (0.0, 0.5)
    )
    shares = mixed.labels.numpy()
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-6)
    assert 0 < (shares.max(axis=1) < 0.99).sum() < len(shares)
    # A mixture lies on the line between two of the windows that were drawn.
    whole, x = plain.motion.flatten(1).double().numpy(), mixed.motion.flatten(1).double().numpy()
    for row, label in zip(x, shares, strict=True):
        between = [
            (np.linalg.norm(row - w - t * (v - w)), 1 - t, i, j)
            for i, w in enumerate(whole)
            for j, v in enumerate(whole)
            for t in [np.clip((row - w) @ (v - w) / max((v - w) @ (v - w), 1e-12), 0, 1)]
        ]
        off, share, i, j = min(between)
        assert off < 1e-4
        expected = np.zeros(3)
        expected[plain.labels[i]] += share
        expected[plain.labels[j]] += 1 - share
        np.testing.assert_allclose(label, expected, atol=1e-3)


def test_variations_are_every_combination_and_are_compared_by_seed(tmp_path: Path, florence):
    recipe(tmp_path)
    path = str(tmp_path / "small.yaml")
    names = [r.name for r in varied_recipes(path, ["network=sgn,esgn", "training.batch=8,16"])]
    assert names == [f"network={n}, batch={b}" for n in ("sgn", "esgn") for b in (8, 16)]
    lists = varied_recipes(path, ["options.kernels=[3],[3, 5]"])
    assert [r.options["kernels"] for r in lists] == [[3], [3, 5]]
    assert [r.name for r in varied_recipes(path, [])] == ["small"]
    for wrong in ("options.width", "options.width=", "options.width=[1"):
        with pytest.raises(ConfigError, match="varies nothing"):
            varied_recipes(path, [wrong])
    split = [["1", "3", "5"]]
    first, second = (evaluate(r, florence, split, (0, 1)) for r in lists)
    assert first["parameters"] < second["parameters"]
    assert len(first["runs"]) == 2
    assert first["accuracy"] == pytest.approx(np.mean(first["accuracy_per_seed"]))
    mean, low, high = gain(first, second)
    assert mean == pytest.approx(second["accuracy"] - first["accuracy"])
    assert low <= mean <= high
    alone = evaluate(lists[0], florence, split, (0,))
    assert np.isnan(gain(alone, alone)[1])


def test_a_recipe_may_see_some_joints_alone(tmp_path: Path, florence):
    arms = ["neck", "l_elbow", "l_wrist", "r_elbow", "r_wrist"]
    window = {"frames": 8, "sampling": "even", "joints": arms}
    weights = train_actions(recipe(tmp_path, window=window), florence, seed=0)
    assert weights.joints.names == tuple(arms)
    with pytest.raises(InputError, match="no joint 'tail'"):
        florence.only(["tail"])


@pytest.mark.parametrize("kind", [{}, {"network": "linear", "options": {}}], ids=["esgn", "linear"])
def test_it_learns_what_unseen_people_do(tmp_path: Path, florence, kind):
    plan = {"epochs": 30, "batch": 16, "warm_up": 1, "average": 0.8, "learning_rate": 0.01}
    small = recipe(tmp_path, training=plan, **kind)
    weights = train_actions(small, florence.of_subjects("13579"), seed=0)
    test = florence.without_subjects("13579")
    windows = cut(test, small.window, test.labels)
    logits = answers(build_network(weights), windows, small.window, test.joints)
    assert (logits.argmax(axis=1) == windows.labels).mean() > 0.6  # a third by chance
    assert weights.labels == florence.labels


def test_the_threshold_keeps_what_was_never_trained_on_unknown(tmp_path: Path, shared_data: Path):
    """Florence's bows are novel, sitting down is learnt as none of the classes."""
    small = recipe(tmp_path, training={"epochs": 30, "batch": 16, "warm_up": 1, "average": 0.8})
    data = read_actions(shared_data / "actions" / "florence3d.npz")
    names = {"wave": "wave", "clap": "clap", "tie_lace": "tie_lace", "sit_down": "unknown"}
    data = dataclasses.replace(
        data,
        recordings=tuple(
            dataclasses.replace(r, label=names[r.label])
            for r in data.recordings
            if r.label in names
        ),
        labels=("wave", "clap", "tie_lace", "unknown"),
        held_out=("[2468]", "10"),
        strange=tuple(r for r in data.recordings if r.label == "bow"),
        novel=("bow",),
    )
    strict, told = train_and_calibrate(small, data, seed=0, risk=0.05, novelty=0.7)
    lax, more = train_and_calibrate(small, data, seed=0, risk=0.6, novelty=0.0)
    assert told.unknown["bow"] >= 0.7
    assert strict.threshold > lax.threshold
    assert told.coverage < more.coverage
    assert set(told.per_class) == {"wave", "clap", "tie_lace"}
    assert told.macro_f1 == more.macro_f1 > 0.5
    with pytest.raises(ConfigError, match="nobody is held out"):
        train_and_calibrate(small, dataclasses.replace(data, held_out=()), seed=0)


def test_a_network_can_be_trained_on_longer_windows_than_it_answers_from():
    joints = Joints.of_layout("chico15")
    stream = np.ones((60, 15, 3), np.float32) * np.arange(1, 61)[:, None, None]
    parts = tuple(LabelledMotion(stream, label, "1", 30.0) for label in ("walk", "idle"))
    window = {"duration": 0.9, "frames": 10, "sampling": "even", "centring": "none"}
    content = {"network": "linear", "window": window, "augment": {"longer": 0.3}}
    recipe = make_action_recipe("longer", content)
    task = ActionTask(recipe, ActionSet(parts, ("walk", "idle"), joints), 0)
    batch = task.batch(0, np.random.default_rng(0)).motion[:, 0, :, 0, 0]
    assert np.ptp(batch.numpy(), axis=1).round().tolist() == [35] * len(batch)  # 36 frames, 1.2 s
    weights = untrained(recipe, ActionSet(parts, ("walk", "idle"), joints))
    assert weights.window.duration == 0.9
    whole = {**content, "window": {**window, "duration": 0.0}}
    with pytest.raises(ConfigError, match=r"augment.longer, which has no use"):
        make_action_recipe("whole", whole)
