"""Training ends when validation no longer gets better, and gives the best weights it had."""

from __future__ import annotations

import pytest
import torch

from ses_gcn_ros.datasets.sequences import Recording, read_recording
from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.forecast import build_engine
from ses_gcn_ros.training.evaluation import measure
from ses_gcn_ros.training.forecasting import ForecastTrainer
from ses_gcn_ros.training.recipe import make_recipe
from ses_gcn_ros.training.sources import split

torch.set_num_threads(1)


def recipe(**training):
    """Learns too fast to get better for long."""
    plan = {"steps": 60, "batch": 4, "warm_up": 1, "checkpoint_every": 2, "patience": 3}
    return make_recipe(
        "hasty",
        {
            "model": {"widths": [8, 4], "head": "linear", "origin": True, "offset": True},
            "data": {"held_out_every": 3, "stride": 8},
            "training": {**plan, "learning_rate": 1.0, "average": 0.0, **training},
        },
    )


@pytest.fixture(scope="module")
def parts(shared_data):
    whole = read_recording(shared_data / "motion" / "cmu.npz")
    return split(Recording(whole.name, whole.sequences[:9]).sequences, recipe().data)


def error_of(weights, parts):
    engine = build_engine(weights, "eager", "cpu")
    return float(measure(engine, parts.calibrate, 10).distance[weights.name].mean())


def test_it_ends_early_with_the_best_weights(parts, tmp_path):
    trainer = ForecastTrainer(recipe(), parts, tmp_path / "c.checkpoint")
    trainer.run()
    validations = [row[2] for row in trainer.log]
    best = min(validations)
    assert trainer.step < 60
    assert validations.index(best) == len(validations) - 1 - 3
    assert error_of(trainer.weights(), parts) == pytest.approx(best, rel=1e-5)


def test_an_interrupted_run_ends_where_it_would_have(parts, tmp_path):
    alone = ForecastTrainer(recipe(), parts, tmp_path / "alone.checkpoint")
    alone.run()

    class Killed(BaseException):
        pass

    def kill(step, steps, loss):
        if step >= alone.step - 4:
            raise Killed

    with pytest.raises(Killed):
        ForecastTrainer(recipe(), parts, tmp_path / "killed.checkpoint").run(kill)
    resumed = ForecastTrainer(recipe(), parts, tmp_path / "killed.checkpoint")
    resumed.run()
    assert resumed.log == alone.log
    for name, tensor in alone.weights().tensors.items():
        assert (tensor == resumed.weights().tensors[name]).all()


def test_a_margin_that_leaves_no_room_is_refused():
    with pytest.raises(ConfigError, match="together they must stay below 1"):
        make_recipe("r", {"data": {"held_out_every": 2}, "calibration": {"margin": 0.05}})
