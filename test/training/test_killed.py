"""A training process that is killed at random moments gives the weights of one left alone.

``SES_GCN_KILLS=10 pytest test/training/test_killed.py`` kills it ten times.
"""

from __future__ import annotations

import os
import random
import signal
import time

import torch
from processes import start, write_motion, write_recipe

from ses_gcn_ros.datasets.sequences import Recording, read_recording
from ses_gcn_ros.training.forecasting import train
from ses_gcn_ros.training.recipe import load_recipe

KILLS = int(os.environ.get("SES_GCN_KILLS", "1"))
SHARE = 1.0 / (KILLS + 1)  # of the run, at most, until each kill


def test_a_run_killed_at_random_moments_gives_the_weights_of_one_left_alone(shared_data, tmp_path):
    torch.set_num_threads(1)
    whole = read_recording(shared_data / "motion" / "cmu.npz")
    some = Recording(whole.name, whole.sequences[:9], whole.about)
    data = write_motion(tmp_path / "some.npz", some)
    steps = 100 * (KILLS + 1)
    recipe = write_recipe(tmp_path / "tiny.yaml", steps=steps, every=5)
    alone, killed = tmp_path / "alone.safetensors", tmp_path / "killed.safetensors"
    train(load_recipe(str(recipe)), read_recording(data), alone)

    chance = random.Random(os.environ.get("SES_GCN_SEED", "0"))
    log = killed.with_suffix(".csv")
    for kill in range(KILLS):
        process = start(recipe, data, killed)
        # A random step to be killed at, and a random moment within it.
        moment = int((kill + chance.random()) * SHARE * steps)
        while process.poll() is None and _steps(log) < moment:
            time.sleep(0.002 + 0.02 * chance.random())
        assert process.poll() is None, "it ended before it could be killed"
        process.send_signal(signal.SIGKILL)
        assert process.wait(timeout=120) == -signal.SIGKILL
        assert not killed.exists()
        left = {path.name for path in tmp_path.iterdir()} - {"killed.csv", "killed.checkpoint"}
        assert {name for name in left if not name.endswith(".tmp")} == {
            *("some.npz", "tiny.yaml", "alone.safetensors", "alone.csv")
        }
    last = start(recipe, data, killed)
    assert last.wait(timeout=240) == 0
    assert killed.read_bytes() == alone.read_bytes()
    assert log.read_bytes() == alone.with_suffix(".csv").read_bytes()


def _steps(log) -> int:
    lines = log.read_text().splitlines() if log.is_file() else []
    return int(lines[-1].split(",")[0]) if len(lines) > 1 else 0
