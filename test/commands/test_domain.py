"""A demo runs in a ROS domain that nobody else on the machine uses."""

import socket
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from ses_gcn_ros import bringup
from ses_gcn_ros.bringup import demo_environment
from ses_gcn_ros.cli import app
from ses_gcn_ros.errors import ConfigError


def test_a_free_domain_is_chosen_on_this_machine_alone(monkeypatch):
    monkeypatch.delenv("ROS_DOMAIN_ID", raising=False)
    environment = demo_environment()
    assert 60 <= int(environment["ROS_DOMAIN_ID"]) < 100
    assert environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"


def test_two_that_start_at_once_choose_different_domains(monkeypatch):
    monkeypatch.delenv("ROS_DOMAIN_ID", raising=False)
    mine = demo_environment()["ROS_DOMAIN_ID"]  # where no node is yet
    choose = "from ses_gcn_ros import bringup; print(bringup.demo_environment()['ROS_DOMAIN_ID'])"
    theirs = subprocess.run([sys.executable, "-c", choose], capture_output=True, text=True)
    assert theirs.stdout.strip().isdigit(), theirs.stderr
    assert theirs.stdout.strip() != mine


def test_a_domain_in_use_is_passed_over_or_refused(monkeypatch):
    monkeypatch.setattr(bringup, "_claim", lambda domain: True)
    monkeypatch.delenv("ROS_DOMAIN_ID", raising=False)
    free = demo_environment()["ROS_DOMAIN_ID"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as occupant:
        occupant.bind(("0.0.0.0", 7400 + 250 * int(free) + 10))
        assert demo_environment()["ROS_DOMAIN_ID"] != free
        monkeypatch.setenv("ROS_DOMAIN_ID", free)
        with pytest.raises(ConfigError, match=f"ROS domain {free} is in use on this machine"):
            demo_environment()


@pytest.mark.parametrize("value", ["233", "-1", "seven"])
def test_a_domain_that_does_not_exist_is_refused(monkeypatch, value):
    monkeypatch.setenv("ROS_DOMAIN_ID", value)
    with pytest.raises(ConfigError, match=f"ROS_DOMAIN_ID is '{value}'; it takes 0 to 232"):
        demo_environment()


@pytest.mark.parametrize("command", ["up", "watch", "lifecycle"])
@pytest.mark.parametrize("namespace", ["sp-ace", "9x", "a//b", "ä"])
def test_a_namespace_that_ros_does_not_take_is_a_sentence(command, namespace):
    with pytest.raises(ConfigError, match=f"--namespace is '{namespace}'"):
        CliRunner().invoke(app, [command, "--namespace", namespace], catch_exceptions=False)


def test_nobody_looks_on_in_a_domain_that_cannot_be(monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", "999")
    with pytest.raises(ConfigError, match="ROS_DOMAIN_ID is '999'; it takes 0 to 232"):
        CliRunner().invoke(app, ["lifecycle"], catch_exceptions=False)
