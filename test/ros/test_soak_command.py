"""``ses-gcn soak`` with the real nodes: what it writes down, not how busy this machine is."""

from __future__ import annotations

import json
import os
import subprocess
import sys


def test_a_short_soak_writes_down_states_and_memory(tmp_path, ros_domain):
    out = tmp_path / "soak.json"
    command = [sys.executable, "-m", "ses_gcn_ros.cli", "soak", "--minutes", "0.2"]
    # on a domain that is free: this process may not yet have left its own
    alone = {name: value for name, value in os.environ.items() if name != "ROS_DOMAIN_ID"}
    words = [*command, "--people", "2", "-o", str(out), "--json"]
    said = subprocess.run(words, capture_output=True, text=True, env=alone)
    assert said.returncode in (0, 1), said.stderr
    summary = json.loads(out.read_text())
    assert summary == json.loads(said.stdout)
    assert summary["people"] == 2
    assert summary["states"] > 100
    assert set(summary["nodes"]) == {"demo_robot", "forecaster_node", "safety_node"}
    for node in summary["nodes"].values():
        assert 10 < node["own_mb"]["first"] < 2000
    assert sum(summary["levels"].values()) == summary["states"]
    assert summary["passed"] == (said.returncode == 0)
