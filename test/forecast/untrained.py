"""Weights that nobody trained, for tests that ask about everything but accuracy."""

from __future__ import annotations

import numpy as np
import torch

from ses_gcn_ros.forecast.weights import Weights
from ses_gcn_ros.models.config import ModelConfig, build_network, tensor_shapes

FRAMED = {"origin": True, "heading": True, "offset": True, "motion": True, "visibility": True}


def make_weights(config: ModelConfig, seed: int = 0) -> Weights:
    """Untrained weights of a network, with a radius."""
    torch.manual_seed(seed)
    state = build_network(config).state_dict()
    rng = np.random.default_rng(seed)
    tensors = {name: state[name].numpy() for name in tensor_shapes(config)}
    for name, tensor in tensors.items():
        # Some parts start at zero: give them something to say.
        if name.startswith(("decoder.linear", "decoder.body", "decoder.hidden", "base.")):
            tensors[name] = rng.normal(0, 0.1, tensor.shape).astype(np.float32)
    radius = np.linspace(0.02, 0.5, config.horizon, dtype=np.float32)[:, None]
    return Weights(
        config=config,
        tensors=tensors,
        name="untrained",
        radius=np.repeat(radius, config.joints, axis=1),
        coverage=0.95,
    )
