"""Parameter files as people write them: of all of them a replay takes what its nodes know."""

from __future__ import annotations

from pathlib import Path

import pytest

from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.replay.options import node_parameters
from ses_gcn_ros.safety import SafetyConfig


def read(path: Path, content: str | bytes) -> SafetyConfig:
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(data)
    return node_parameters(path, "safety_node", SafetyConfig)


def test_of_what_is_said_to_all_nodes_each_takes_what_it_knows(tmp_path: Path):
    text = "/**:\n  ros__parameters: {use_sim_time: true, world_frame: cell, engine: onnx}\n"
    assert read(tmp_path / "p.yaml", text).world_frame == "cell"


def test_a_misspelt_parameter_of_the_node_itself_is_refused(tmp_path: Path):
    text = "/**/safety_node:\n  ros__parameters: {world_frme: cell}\n"
    with pytest.raises(ConfigError, match="unknown parameter 'world_frme'"):
        read(tmp_path / "p.yaml", text)


@pytest.mark.parametrize(
    "content",
    [
        "/**/safety_node:\n  world_frame: cell\n",
        "world_frame: cell\n",  # would leave every default in force
        "ros__parameters:\n  world_frame: cell\n",
        "safety_node:\n  ros__parameters:\n",
        "safety_node:\n  ros_parameters:\n    world_frame: cell\n",
    ],
)
def test_parameters_that_are_not_below_a_node_and_ros_parameters_are_refused(tmp_path, content):
    with pytest.raises(ConfigError, match="where a mapping belongs; ROS wants the node's name"):
        read(tmp_path / "p.yaml", content)


@pytest.mark.parametrize("section", ["/**", "/*", "**", "/left/safety_node", "/**/safety_node"])
def test_a_section_is_taken_however_it_says_whose_it_is(tmp_path: Path, section: str):
    text = f'"{section}": {{ros__parameters: {{world_frame: cell}}}}\n'
    assert read(tmp_path / "p.yaml", text).world_frame == "cell"


@pytest.mark.parametrize(
    "content", ["ä: 1".encode("latin-1"), "ä: 1".encode("utf-16"), b"[" * 50_000, b"\0", b"a: [1"]
)
def test_what_is_no_yaml_is_one_sentence(tmp_path: Path, content: bytes):
    with pytest.raises(ConfigError, match="can't be read"):
        read(tmp_path / "p.yaml", content)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            "/**:\n  ros__parameters: {rate: 50}\n/**:\n  ros__parameters: {}\n",
            r"'/\*\*' is there tw",
        ),
        ("a: {ros__parameters: {rate: 20.0, rate: 50.0}}\n", "key 'rate' is there twice"),
        ("a: {ros__parameters: {rate: 2026-13-45}}\n", "month must be in 1..12"),
        ("a: {ros__parameters: {rate: !!timestamp x}}\n", "can't be read"),
        ("[" * 5000, "can't be read"),
    ],
)
def test_what_yaml_would_swallow_or_choke_on_is_one_sentence(tmp_path: Path, content, sentence):
    path = tmp_path / "p.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=sentence) as caught:
        node_parameters(path, "safety_node", SafetyConfig)
    assert len(str(caught.value)) <= 400


def test_a_merge_is_no_key_that_is_there_twice(tmp_path: Path):
    path = tmp_path / "p.yaml"
    path.write_text(
        "a: {ros__parameters: &a {rate: 20.0}}\nsafety_node:\n"
        "  ros__parameters: {<<: *a, rate: 40.0}\n"
    )
    assert node_parameters(path, "safety_node", SafetyConfig).rate == 40.0


def test_a_file_whose_aliases_unfold_to_gigabytes_is_one_sentence(tmp_path: Path):
    path = tmp_path / "p.yaml"
    lists = ["&a0 [x, x]", *(f"&a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40))]
    path.write_text(f"safety_node: {{ros__parameters: {{rate: [{', '.join(lists)}]}}}}\n")
    with pytest.raises(ConfigError, match="parameter 'rate' is"):
        node_parameters(path, "safety_node", SafetyConfig)


def test_a_number_as_key_is_nobodys_section(tmp_path: Path):
    text = "1: {ros__parameters: {rate: 20.0}}\n"
    assert read(tmp_path / "p.yaml", text) == SafetyConfig()
