"""A small network of random weights."""

from __future__ import annotations

import numpy as np
import torch

from ses_gcn_ros.actions.weights import ActionWeights, build_network
from ses_gcn_ros.actions.windows import Joints, WindowConfig

UPPER = "hip nose c_shoulder r_shoulder r_elbow r_wrist l_shoulder l_elbow l_wrist"


def random_weights(network: str = "esgn", **options: object) -> ActionWeights:
    """A small network of random weights, normalisations included, for the upper body."""
    torch.manual_seed(0)
    joints, _ = Joints.of_layout("chico15").only(UPPER.split())
    window = WindowConfig(duration=1.2, frames=16, sampling="even", facing=True)
    weights = ActionWeights(
        network, options, joints, ("idle", "walk", "reach"), 3, window, {}, "small", "chico15"
    )
    module = build_network(weights)
    for part in module.modules():
        if hasattr(part, "running_mean"):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
    for name, parameter in module.named_parameters():
        if name.endswith("neighbours.weight"):
            torch.nn.init.normal_(parameter, 0, 0.1)
    weights.tensors.update({n: np.array(t.numpy()) for n, t in module.state_dict().items()})
    return weights
