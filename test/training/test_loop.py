"""Training is seeded, survives being killed, and stops with a sentence when it goes wrong."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from ses_gcn_ros import forecast
from ses_gcn_ros.datasets.sequences import Recording, read_recording
from ses_gcn_ros.errors import ConfigError, ModelError
from ses_gcn_ros.training.forecasting import ForecastTrainer, train
from ses_gcn_ros.training.recipe import Recipe, load_recipe, make_recipe
from ses_gcn_ros.training.sources import split

torch.set_num_threads(1)


def tiny(**training) -> Recipe:
    """A recipe that is done in a second."""
    plan = {"steps": 12, "batch": 4, "warm_up": 2, "dropout": 0.2, "checkpoint_every": 3}
    return make_recipe(
        "tiny",
        {
            "model": {
                "widths": [8, 4],
                "head": "linear",
                "origin": True,
                "heading": True,
                "offset": True,
                "motion": True,
                "visibility": True,
            },
            "data": {"held_out_every": 3, "stride": 8},
            "training": {**plan, **training},
            "augment": {"tempo": 0.2, "size": 0.1, "noise": 0.005, "unseen_share": 0.3},
        },
    )


@pytest.fixture(scope="module")
def recording(shared_data) -> Recording:
    whole = read_recording(shared_data / "motion" / "cmu.npz")
    return Recording(whole.name, whole.sequences[:9], whole.about)


class Killed(BaseException):
    """Stands for a signal: nothing in the package catches it."""


def kill_at(step: int):
    def progress(now: int, steps: int, loss: float) -> None:
        if now >= step:
            raise Killed

    return progress


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(recording, tmp_path):
    first, again, other = (
        train(tiny(seed=1), recording, tmp_path / f"{run}.safetensors", seed=seed)
        for run, seed in enumerate((None, 1, 2))
    )
    assert [weights.about["seed"] for weights in (first, again, other)] == ["1", "1", "2"]
    for name, tensor in first.tensors.items():
        np.testing.assert_array_equal(tensor, again.tensors[name])
    assert any(not np.array_equal(t, other.tensors[n]) for n, t in first.tensors.items())


def test_a_run_killed_again_and_again_gives_the_weights_of_one_left_alone(recording, tmp_path):
    alone, killed = tmp_path / "alone.safetensors", tmp_path / "killed.safetensors"
    train(tiny(), recording, alone)
    for step in (3, 6, 9):
        with pytest.raises(Killed):
            train(tiny(), recording, killed, progress=kill_at(step))
        assert not killed.exists()
    train(tiny(), recording, killed)
    assert killed.read_bytes() == alone.read_bytes()
    assert not killed.with_suffix(".checkpoint").exists()
    logs = [path.with_suffix(".csv").read_text() for path in (alone, killed)]
    assert logs[0] == logs[1]
    assert [line.split(",")[0] for line in logs[0].splitlines()] == ["step", "3", "6", "9", "12"]


def test_the_weights_carry_radius_licence_and_origin(recording, tmp_path):
    path = tmp_path / "w.safetensors"
    train(tiny(), recording, path)
    weights = forecast.read_weights(path)
    assert weights.name == "tiny"
    assert weights.coverage == 0.95
    assert weights.radius.shape == (25, 15)
    assert (np.diff(weights.radius.mean(axis=1)) > 0).all()
    assert "mocap.cs.cmu.edu" in weights.about["acknowledgement"]
    assert weights.about["data"] == "cmu.npz, without every 3th recording"
    answer = forecast.load(path, device="cpu").predict(np.zeros((1, 10, 15, 3), np.float32))
    assert np.isfinite(answer).all()


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_checkpoint(recording, tmp_path):
    trainer = ForecastTrainer(
        tiny(), split(recording.sequences, tiny().data), tmp_path / "c.checkpoint"
    )
    with pytest.raises(Killed):
        trainer.run(kill_at(6))
    kept = trainer.checkpoint.read_bytes()
    with torch.no_grad():
        trainer.network.layers[0].pointwise.weight.fill_(float("nan"))
    saved = []
    trainer.save = lambda: saved.append(trainer.step)
    with pytest.raises(ModelError, match=r"the loss is nan between steps 6 and 9; lower training"):
        trainer.run()
    assert saved == [6]
    assert trainer.checkpoint.read_bytes() == kept


def test_a_full_disk_leaves_the_last_checkpoint(recording, tmp_path, monkeypatch):
    parts, path = split(recording.sequences, tiny().data), tmp_path / "c.checkpoint"
    with pytest.raises(Killed):
        ForecastTrainer(tiny(), parts, path).run(kill_at(6))
    trainer = ForecastTrainer(tiny(), parts, path)
    assert trainer.step == 6
    before = path.read_bytes()

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        trainer.save()
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c.checkpoint", "c.csv"]


def test_a_checkpoint_of_another_run_is_refused_and_kept(recording, tmp_path):
    out = tmp_path / "w.safetensors"
    with pytest.raises(Killed):
        train(tiny(), recording, out, progress=kill_at(3))
    checkpoint = out.with_suffix(".checkpoint")
    before = checkpoint.read_bytes()
    with pytest.raises(ConfigError, match=r"was made with training.seed = 0, now it is 5; remove"):
        train(tiny(seed=5), recording, out)
    fewer = Recording(recording.name, recording.sequences[:6], recording.about)
    with pytest.raises(ConfigError, match="was made with data = "):
        train(tiny(), fewer, out)
    assert checkpoint.read_bytes() == before
    checkpoint.write_bytes(b"something else")
    with pytest.raises(ConfigError, match="is no checkpoint"):
        train(tiny(), recording, out)


def test_training_learns(recording, tmp_path):
    recipe = tiny(steps=120, checkpoint_every=20, dropout=0.0, batch=8, learning_rate=0.01)
    losses = []
    train(recipe, recording, tmp_path / "w.safetensors", progress=lambda _, __, x: losses.append(x))
    assert losses[-1] < 0.9 * losses[0]


def test_a_student_comes_to_answer_as_its_teacher(recording, tmp_path):
    rng = np.random.default_rng(0)
    teacher = train(tiny(steps=1), recording, tmp_path / "untaught.safetensors")
    tensors = {
        name: tensor + rng.normal(0, 0.02, tensor.shape).astype(np.float32)
        if name.startswith("decoder")
        else tensor
        for name, tensor in teacher.tensors.items()
    }
    path = tmp_path / "teacher.safetensors"
    forecast.write_weights(path, dataclasses.replace(teacher, tensors=tensors))
    plan = {"steps": 60, "checkpoint_every": 20, "dropout": 0.0, "batch": 8, "learning_rate": 0.01}
    held_out = split(recording.sequences, tiny().data).held_out[0]
    history = np.stack([held_out.positions[at : at + 10] for at in range(0, 200, 20)])
    answer = forecast.load(path).predict(history)
    apart = []
    for taught in (0.0, 1.0):
        recipe, out = tiny(teacher=str(path), taught=taught, **plan), tmp_path / f"{taught}.st"
        train(recipe, recording, out)
        apart.append(np.abs(forecast.load(out).predict(history) - answer).mean())
    assert apart[1] < 0.2 * apart[0], apart


def test_a_teacher_that_is_not_there_or_sees_motion_differently_is_refused(recording, tmp_path):
    with pytest.raises(ModelError, match=r"none\.safetensors"):
        train(tiny(teacher="none.safetensors"), recording, tmp_path / "w.safetensors")
    with pytest.raises(ConfigError, match="teacher 'sesgcn_workcell' of recipe 'tiny' sees motion"):
        train(tiny(teacher="sesgcn_workcell"), recording, tmp_path / "w.safetensors")
    assert not any(tmp_path.iterdir())


def test_recipes_that_go_on_from_each_other_are_refused(recording, tmp_path):
    one, other = (str(tmp_path / f"{name}.yaml") for name in ("one", "other"))
    for path, after in ((one, other), (other, one)):
        data = {"held_out_subjects": [], "calibrate_subjects": [], "held_out_every": 3}
        content = {"like": "sesgcn_cmu", "data": data, "training": {"after": after}}
        Path(path).write_text(json.dumps(content))
    with pytest.raises(ConfigError, match="goes on from itself"):
        train(load_recipe(one), recording, tmp_path / "w.safetensors")
    assert len(list(tmp_path.iterdir())) == 2


def test_a_mean_is_over_what_its_recipes_train(recording, tmp_path):
    shared = {"head": "linear", "origin": True, "heading": True, "offset": True, "gate": 8}
    member = {
        "model": {**shared, "visibility": True, "widths": [8, 8]},
        "data": {"held_out_every": 3, "stride": 4},
        "training": {"steps": 4, "batch": 4, "checkpoint_every": 2},
    }
    paths = [str(tmp_path / f"{network}.yaml") for network in ("sesgcn", "jointformer")]
    for path in paths:
        model = {**member["model"], "network": Path(path).stem}
        Path(path).write_text(json.dumps({**member, "model": model}))
    mean = {**member, "training": {"members": paths}}
    out = tmp_path / "mean.safetensors"
    weights = train(make_recipe("mean", mean), recording, out)
    assert weights.config.members == ("sesgcn 8 8", "jointformer 8 8")
    assert weights.about["members"] == ", ".join(paths)
    assert weights.calibration is not None
    least, most = map(float, weights.about["coverage_of_halves_percent"].split(" to "))
    assert 85 < least <= most < 100  # nine recordings
    first = np.array(recording.sequences[0].positions[None, :10])
    alone = [forecast.load(tmp_path / f"mean.{n}.safetensors") for n in ("sesgcn", "jointformer")]
    path, _ = forecast.load(out).predict_with_scale(first)
    np.testing.assert_allclose(path, sum(e.predict(first) for e in alone) / 2, atol=1e-4)

    with pytest.raises(ConfigError, match="was made with seed 0, not 3"):
        train(make_recipe("mean", mean), recording, out, seed=3)

    shaky = make_recipe("mean", {**mean, "calibration": {"camera_share": 1.0}})
    again = tmp_path / "again.safetensors"
    anew = train(shaky, recording, again, start=weights, calibrate_only=True)
    assert anew.about.keys() == weights.about.keys()
    for name, tensor in weights.tensors.items():
        np.testing.assert_array_equal(anew.tensors[name], tensor)
    assert anew.calibration.quantile[:, 0].mean() > 1.2 * weights.calibration.quantile[:, 0].mean()
    cell = dataclasses.replace(recording, name="cell.npz", about={"licence": "the cell's"})
    other = train(shaky, cell, again, start=weights, calibrate_only=True)
    assert other.about["calibrated_on"].startswith("cell.npz")
    told = {n: t for n, t in weights.about.items() if n != "coverage_of_halves_percent"}
    assert told.items() <= other.about.items()
    with pytest.raises(ConfigError, match="weights 'mean' are another network than 'tiny'"):
        train(tiny(), recording, again, start=weights, calibrate_only=True)

    (tmp_path / "whole.yaml").write_text(json.dumps(mean))
    for training, sentence in (
        ({"members": [paths[0], str(tmp_path / "whole.yaml")]}, "whole.yaml', itself a mean"),
        ({"members": [paths[0], "sesgcn_cmu"]}, "networks that see motion differently"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            make_recipe("mean", {**member, "training": training})
