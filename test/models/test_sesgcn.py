"""SeS-GCN has the published sizes, and a student sees only what its masks leave."""

from __future__ import annotations

import pytest
import torch

from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.models.config import ModelConfig, parameter_count
from ses_gcn_ros.models.sesgcn import SeSGCN

UNUSED = 5  # the authors' checkpoints count five PReLU slopes that their code never calls


@pytest.mark.parametrize(
    ("joints", "horizon", "published"),
    [(15, 10, 37_886), (15, 25, 53_591), (22, 10, 54_336), (22, 25, 70_041)],
)
def test_the_published_network_has_the_published_number_of_parameters(joints, horizon, published):
    config = ModelConfig(layout="any", joints=joints, horizon=horizon)
    network = SeSGCN(config)
    assert sum(p.numel() for p in network.parameters()) == published - UNUSED
    assert parameter_count(config) == published - UNUSED


def test_a_student_does_not_depend_on_masked_entries():
    torch.manual_seed(0)
    network = SeSGCN(ModelConfig()).eval()
    space, time = torch.rand(5, 10, 15, 15).round(), torch.rand(5, 15, 10, 10).round()
    for layer, kept_joints, kept_frames in zip(network.layers, space, time, strict=True):
        layer.graph.mask_space.copy_(kept_joints)
        layer.graph.mask_time.copy_(kept_frames)
    x = torch.randn(2, 10, 15, 3)
    with torch.no_grad():
        before = network(x)
        for layer, kept in zip(network.layers, space, strict=True):
            layer.graph.space += 100 * (1 - kept)
        masked_changed = network(x)
        network.layers[1].graph.space += space[1]
        kept_changed = network(x)
    torch.testing.assert_close(masked_changed, before)
    assert not torch.allclose(kept_changed, before)


def test_training_and_inference_agree_on_the_activation():
    network = SeSGCN(ModelConfig())
    activation = network.layers[0].activation
    x = torch.randn(100)
    torch.testing.assert_close(activation.train()(x), activation.eval()(x))


def test_the_published_decoder_takes_three_features():
    with pytest.raises(ModelError, match="takes 3 features per joint, not 16"):
        SeSGCN(ModelConfig(widths=(66, 16)))
