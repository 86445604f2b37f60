"""Two processes that share each batch train to the weights that one gives with all of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from processes import start, write_motion, write_recipe

from ses_gcn_ros import forecast
from ses_gcn_ros.datasets.sequences import Recording, read_recording
from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.models.framing import damped_velocity
from ses_gcn_ros.training.forecasting import ForecastTrainer, train
from ses_gcn_ros.training.recipe import load_recipe
from ses_gcn_ros.training.sources import split
from ses_gcn_ros.training.trainer import Processes

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def data(shared_data, tmp_path_factory):
    whole = read_recording(shared_data / "motion" / "cmu.npz")
    some = Recording(whole.name, whole.sequences[:9], whole.about)
    return write_motion(tmp_path_factory.mktemp("motion") / "some.npz", some)


def histories(data):
    positions = read_recording(data).sequences[0].positions
    return np.stack([positions[first : first + 10] for first in range(0, 100, 10)])


def answers_of(weights, data):
    return forecast.build_engine(weights, "eager", "cpu").predict(histories(data))


def baseline(data):
    return damped_velocity(histories(data), 25)


def test_two_processes_give_what_one_gives_with_the_same_batch(data, tmp_path):
    recipe = write_recipe(tmp_path / "tiny.yaml", steps=12, dropout=0.0)
    alone, both = tmp_path / "alone.safetensors", tmp_path / "both.safetensors"
    errors = tmp_path / "errors.txt"
    process = start(recipe, data, both, processes=2, log=errors)
    one = train(load_recipe(str(recipe)), read_recording(data), alone)
    assert process.wait(timeout=240) == 0, errors.read_text()[-3000:]
    two = forecast.read_weights(both)
    # Biases before a normalisation change nothing but wander: answers are compared, not tensors.
    answers = [answers_of(weights, data) for weights in (one, two)]
    np.testing.assert_allclose(answers[0], answers[1], atol=2e-4)
    assert np.abs(answers[0] - baseline(data)).max() > 0.01  # it has learnt something
    np.testing.assert_allclose(one.radius, two.radius, rtol=1e-2)
    assert not both.with_suffix(".checkpoint").exists()
    columns = [path.with_suffix(".csv").read_text().splitlines() for path in (alone, both)]
    losses = [[float(row.split(",")[1]) for row in rows[1:]] for rows in columns]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)


def test_more_processes_than_windows_are_refused(data, tmp_path):
    recipe = load_recipe(str(write_recipe(tmp_path / "tiny.yaml")))
    parts = split(read_recording(data).sequences, recipe.data)
    processes = Processes()
    processes.count = 9
    with pytest.raises(ConfigError, match="9 processes can't share a batch of 8 windows"):
        ForecastTrainer(recipe, parts, tmp_path / "c.checkpoint", processes)


def test_half_precision_learns_the_same_to_its_precision(data, tmp_path):
    losses = []
    for precision in ("float32", "bfloat16"):
        recipe = write_recipe(tmp_path / f"{precision}.yaml", steps=30, precision=precision)
        out = tmp_path / f"{precision}.safetensors"
        weights = train(load_recipe(str(recipe)), read_recording(data), out)
        assert {tensor.dtype for tensor in weights.tensors.values()} == {np.dtype(np.float32)}
        rows = out.with_suffix(".csv").read_text().splitlines()[1:]
        losses.append([float(row.split(",")[1]) for row in rows])
    assert losses[0] != losses[1]
    np.testing.assert_allclose(losses[0], losses[1], rtol=0.05)
