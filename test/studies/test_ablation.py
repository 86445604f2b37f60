"""Each variant differs from the recipe by one piece, and is trained once."""

from __future__ import annotations

import json
import math

import pytest
import torch
import typer
from typer.testing import CliRunner

from ses_gcn_ros.commands import training
from ses_gcn_ros.datasets.sequences import Recording, read_recording, write_recording
from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.forecast.weights import Weights
from ses_gcn_ros.models.config import ModelConfig, build_network, tensor_shapes
from ses_gcn_ros.studies import ablation
from ses_gcn_ros.training.recipe import flat, load_recipe

torch.set_num_threads(1)

RECIPE = """
model: {widths: [8, 4], head: linear, origin: true, heading: true, offset: true, motion: true,
  visibility: true}
data: {held_out_every: 3, stride: 8}
training: {batch: 8, warm_up: 2, checkpoint_every: 2}
augment: {tempo: 0.2, noise: 0.005, unseen_share: 0.3}
"""


@pytest.fixture
def few(monkeypatch):
    """Three variants are enough to see that they are trained and kept."""
    chosen = ("complete", "neither", "no flag of visibility")
    monkeypatch.setattr(ablation, "VARIANTS", {name: ablation.VARIANTS[name] for name in chosen})
    return chosen


@pytest.fixture
def run(shared_data, tmp_path):
    whole = read_recording(shared_data / "motion" / "cmu.npz")
    some = Recording(whole.name, whole.sequences[:9], whole.about)
    write_recording(tmp_path / "some.npz", some.sequences, some.about, millimetres=True)
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    app = typer.Typer()
    app.command()(training.ablate)

    def invoke(*arguments: object):
        given = ["--data", tmp_path / "some.npz", "--recipe", tmp_path / "tiny.yaml"]
        given += ["-o", tmp_path / "variants", "--stride", 20, *arguments]
        return CliRunner().invoke(app, [str(argument) for argument in given])

    return invoke


def test_variants_differ_from_the_recipe_in_what_their_name_says():
    recipe = load_recipe("sesgcn_ablation")
    variants = ablation.variants_of(recipe)
    assert next(iter(variants)) == "complete"
    assert len(variants) == len(ablation.VARIANTS)  # it has all pieces
    values = flat(recipe)
    for name, variant in variants.items():
        changed = {key for key, value in flat(variant).items() if value != values[key]}
        asked = {f"{s}.{k}" for s, part in ablation.VARIANTS[name].items() for k in part}
        assert changed == asked


def test_pieces_that_a_recipe_lacks_are_passed_over():
    variants = ablation.variants_of(load_recipe("sesgcn_handover"))
    assert "no shorter strides" not in variants
    assert "no camera noise" in variants


def test_the_table_tells_what_each_piece_is_for(few, run, tmp_path):
    table = tmp_path / "table.csv"
    result = run("--steps", 4, "--csv", table, "--also", tmp_path / "some.npz", "--json")
    assert result.exit_code == 0, result.output
    rows = {row["variant"]: row for row in json.loads(result.stdout)}
    assert tuple(rows) == few
    complete = rows["complete"]
    assert complete["moved"] == pytest.approx(complete["mean"], abs=0.2)
    assert complete["noisy"] > complete["mean"] + 1
    assert complete["unseen"] is not None
    assert rows["no flag of visibility"]["unseen"] is None
    assert all(row["other_last"] > row["other_mean"] for row in rows.values())
    assert len(table.read_text().splitlines()) == 4


def test_a_network_that_takes_absolute_positions_shows_it_when_the_cell_is_moved(shared_data):
    torch.manual_seed(0)
    config = ModelConfig(widths=(8, 3))
    state = build_network(config).state_dict()
    weights = Weights(config, {name: state[name].numpy() for name in tensor_shapes(config)}, "w")
    motion = read_recording(shared_data / "motion" / "cmu.npz").sequences[:1]
    row = ablation.measure_variant("published", weights, motion, (), 40)
    assert abs(row.moved - row.mean) > 100
    assert math.isnan(row.unseen)
    assert math.isnan(row.other_mean)


def test_what_is_trained_is_kept_and_not_mixed_up(few, run, tmp_path):
    assert run("--steps", 2).exit_code == 0
    path = tmp_path / "variants" / "complete.safetensors"
    before = path.stat().st_mtime_ns
    (tmp_path / "variants" / "neither.safetensors").unlink()
    again = run("--steps", 2)
    assert path.stat().st_mtime_ns == before
    assert "neither" in again.stdout
    other = run("--steps", 3)
    assert isinstance(other.exception, ConfigError)
    assert "was trained for 2 steps" in str(other.exception)
