"""Recipes decide everything, and mistakes in them are named."""

from __future__ import annotations

import pytest

from ses_gcn_ros.datasets.sequences import read_recording
from ses_gcn_ros.errors import ConfigError, InputError
from ses_gcn_ros.models.config import parameter_count
from ses_gcn_ros.resources import share_path
from ses_gcn_ros.training.recipe import DataRecipe, flat, load_recipe, make_recipe
from ses_gcn_ros.training.sources import split


@pytest.mark.parametrize(
    "name", sorted(path.stem for path in share_path("config", "training").glob("*.yaml"))
)
def test_recipes_that_ship_load(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    beside = name.startswith(("mean_", "jointformer_wide"))
    assert parameter_count(recipe.model) <= (260_000 if beside else 100_000)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"modle": {}}, "unknown section 'modle'"),
        ({"training": {"stpes": 3}}, "section 'training': unknown parameter 'stpes'"),
        ({"training": {"steps": "many"}}, "parameter 'steps' is 'many'"),
        ({"augment": {"noise": -1.0}}, r"'noise' is -1.0; it must lie in \[0.0, 0.2\]"),
        ({"model": []}, "keeps nothing from training"),
        ({"model": [1]}, "section 'model' of recipe 'r' is no mapping"),
        ({"model": {}, "data": {}}, "keeps nothing from training"),
        ({"model": {"joints": 22}}, "gives 22 joints; layout chico15 has 15"),
        ({"model": {"layout": "octopus"}}, "octopus"),
        (
            {"data": {"held_out_every": 3}, "calibration": {"camera_share": 0.5}},
            "gives calibration.camera_share, which only a network with a learnt base",
        ),
        (
            {"data": {"held_out_every": 3}, "training": {"taught": 0.5}},
            "gives training.taught, but no training.teacher",
        ),
        ("text", "is no mapping of sections"),
    ],
)
def test_mistakes_are_named(content, sentence):
    with pytest.raises(ConfigError, match=sentence):
        make_recipe("r", content)


def test_unknown_recipes_are_answered_with_the_known_ones(tmp_path):
    with pytest.raises(ConfigError, match=r"no recipe 'nonsense'; known are .*sesgcn_workcell"):
        load_recipe("nonsense")
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(ConfigError, match=r"bad.yaml' can't be read"):
        load_recipe(str(tmp_path / "bad.yaml"))


def test_a_recipe_gives_what_differs_from_the_one_it_is_like(tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("like: sesgcn_workcell_anew\ntraining: {steps: 7}\ndata: {stride: 5}")
    found, other = load_recipe(str(mine)), load_recipe("sesgcn_workcell_anew")
    assert found.name == "mine"
    changed = {key for key, value in flat(found).items() if value != flat(other)[key]}
    assert changed == {"training.steps", "data.stride"}
    assert (found.training.steps, found.data.stride) == (7, 5)
    for content, sentence in (
        (f"like: {mine}", r"is like itself \(.*mine.yaml → .*mine.yaml\)"),
        ("like: nonsense", "no recipe 'nonsense'"),
        (f"like: {tmp_path / 'list.yaml'}", "list.yaml', which is no mapping"),
    ):
        (tmp_path / "list.yaml").write_text("[1]")
        mine.write_text(content)
        with pytest.raises(ConfigError, match=sentence):
            load_recipe(str(mine))


def test_the_peers_are_trained_alike():
    """Networks that are compared differ in nothing but the network."""
    first = flat(load_recipe("sesgcn_workcell_anew"))
    for name in ("simlpe_workcell", "jointformer_workcell", "stsgcn_workcell"):
        other = flat(load_recipe(name))
        differs = {key for key, value in other.items() if value != first[key]}
        assert differs <= {"model.network", "model.widths", "training.dropout"}, name


def test_nobody_is_in_two_parts(shared_data):
    sequences = read_recording(shared_data / "motion" / "cmu.npz").sequences
    recipe = load_recipe("sesgcn_cmu").data
    parts = split(sequences, recipe)
    names = [{s.name for s in part} for part in (parts.train, parts.calibrate, parts.test)]
    assert not names[0] & names[1]
    assert not names[0] & names[2]
    assert not names[1] & names[2]
    assert {s.name for s in parts.held_out} == names[1] | names[2]
    assert {s.subject for s in parts.held_out} == set(recipe.held_out_subjects)
    assert not {s.subject for s in parts.train} & set(recipe.held_out_subjects)


def test_two_people_of_a_recording_stay_together(shared_data):
    sequences = read_recording(shared_data / "motion" / "handover_dev.npz").sequences
    parts = split(sequences, DataRecipe(held_out_every=10))
    assert {s.index % 10 for s in parts.held_out} == {9}
    assert 9 not in {s.index % 10 for s in parts.train}
    assert len(parts.held_out) == 2 * 77
    assert not {s.index for s in parts.calibrate} & {s.index for s in parts.test}


def test_an_empty_part_is_refused(shared_data):
    sequences = read_recording(shared_data / "motion" / "cmu.npz").sequences
    with pytest.raises(InputError, match=r"holding out subjects 99 of 209 .* none for calibration"):
        split(sequences, DataRecipe(held_out_subjects=("99",)))
    with pytest.raises(InputError, match="none for training"):
        split(sequences, DataRecipe(held_out_every=1))


def test_a_recording_without_its_list_of_subjects_is_named(shared_data, tmp_path):
    alone = tmp_path / "cmu.npz"  # whose subjects are in cmu.json
    alone.symlink_to(shared_data / "motion" / "cmu.npz")
    with pytest.raises(InputError, match=r"none of 209 sequences says whose it is; .* \.json"):
        split(read_recording(alone).sequences, DataRecipe(held_out_subjects=("02",)))
