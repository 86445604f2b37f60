"""Every network takes and gives the same, and its tensors are known without building it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.fft import dct

from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.forecast.engine import build_engine
from ses_gcn_ros.forecast.weights import Weights
from ses_gcn_ros.models.config import ModelConfig, build_network, parameter_count, tensor_shapes
from ses_gcn_ros.models.framing import cosines

FRAMED = {"origin": True, "heading": True, "offset": True, "motion": True, "visibility": True}
CONFIGS = {
    "published SeS-GCN": ModelConfig(),
    "SeS-GCN of other sizes": ModelConfig(joints=22, observed=8, horizon=5),
    "SeS-GCN as ours": ModelConfig(widths=(32, 48, 8), head="linear", motion=True, visibility=True),
    "published STS-GCN": ModelConfig(network="stsgcn", widths=(64, 32, 64, 3)),
    "STS-GCN of other sizes": ModelConfig(
        network="stsgcn", joints=22, observed=8, horizon=5, widths=(16, 8), head="linear"
    ),
    "siMLPe": ModelConfig(network="simlpe", widths=(96,) * 4, **FRAMED),
    "siMLPe of other sizes": ModelConfig(
        network="simlpe", joints=22, observed=8, horizon=5, widths=(16, 16)
    ),
    "a mean": ModelConfig(
        network="mean",
        widths=(),
        members=("sesgcn 16 8", "jointformer 16 16"),
        head="linear",
        **FRAMED,
    ),
}


@pytest.fixture(params=CONFIGS.values(), ids=CONFIGS)
def config(request) -> ModelConfig:
    return request.param


def test_tensors_have_the_shapes_that_are_foretold(config):
    network = build_network(config)
    actual = {
        name: tuple(tensor.shape)
        for name, tensor in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    assert actual == tensor_shapes(config)
    assert parameter_count(config) == sum(p.numel() for p in network.parameters())


def test_people_of_a_batch_do_not_touch_one_another(config):
    torch.manual_seed(0)
    network = build_network(config).eval()
    for parameter in network.parameters():  # some start at zero: give them something to say
        torch.nn.init.normal_(parameter, std=0.1)
    x = torch.randn(3, config.observed, config.joints, config.features)
    with torch.no_grad():
        together = network(x)
        alone = torch.cat([network(person[None]) for person in x])
    assert together.shape == (3, config.horizon, config.joints, 3)
    torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-4)
    assert not torch.allclose(together[0], together[1])


def test_everything_learns(config):
    torch.manual_seed(0)
    network = build_network(config, dropout=0.1)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    network(
        torch.randn(4, config.observed, config.joints, config.features)
    ).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_the_published_sts_gcn_has_the_published_number_of_parameters():
    # Table 2 of the paper: 57,500 for 22 joints, 10 frames in, 25 out.
    config = ModelConfig(
        network="stsgcn", layout="any", joints=22, horizon=25, widths=(64, 32, 64, 3)
    )
    assert parameter_count(config) == pytest.approx(57_500, rel=0.001)


def test_the_published_simlpe_has_the_published_number_of_parameters():
    # 0.14 million for 22 joints and 50 frames in all.
    config = ModelConfig(network="simlpe", joints=22, observed=40, horizon=10, widths=(66,) * 48)
    assert parameter_count(config) == 48 * (50 * 51 + 2 * 66) + 2 * 66 * 67 == 137_580


def test_the_cosine_transform_is_the_orthonormal_one():
    basis = cosines(35)
    np.testing.assert_allclose(basis, dct(np.eye(35), norm="ortho", axis=0), atol=1e-6)


def test_an_untrained_simlpe_answers_what_it_is_the_offset_from():
    network = build_network(ModelConfig(network="simlpe", widths=(8, 8), **FRAMED)).eval()
    assert not network(torch.randn(2, 10, 15, 7)).any()


def test_the_blocks_of_a_simlpe_are_of_one_width():
    with pytest.raises(ModelError, match=r"of one width, not \(8, 16\)"):
        build_network(ModelConfig(network="simlpe", widths=(8, 16)))


def test_members_of_a_mean_learn_by_themselves():
    config = CONFIGS["a mean"]
    network = build_network(config)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    x = torch.randn(4, config.observed, config.joints, config.features)
    alone = torch.stack([member(x) for member in network.members])
    assert not torch.allclose(alone[0], alone[1])
    torch.testing.assert_close(network(x), alone)  # in training, as here
    network.eval()
    alone = torch.stack([member(x) for member in network.members])
    torch.testing.assert_close(network(x), alone.mean(dim=0))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"members": ("octopus 8 8",)}, "has 'octopus 8 8' for a member; it takes one of sesgcn, "),
        ({"members": ("mean 8",)}, "has 'mean 8' for a member"),
        ({"members": ("sesgcn 8 x",)}, "has 'sesgcn 8 x' for a member"),
        ({"members": ("jointformer 8 16",)}, r"of one width, not \(8, 16\)"),
        ({"members": ()}, "network mean takes members and no widths"),
        ({"members": ("simlpe 8",), "widths": (8,)}, "network mean takes members and no widths"),
        ({"members": ("simlpe 8",), "network": "simlpe"}, "any other no members"),
    ],
)
def test_a_mean_of_anything_else_is_refused(given, sentence):
    with pytest.raises(ModelError, match=sentence):
        ModelConfig(**{"network": "mean", "widths": (), "head": "linear"} | given).check()


@pytest.mark.parametrize("network", ["stsgcn", "simlpe"])
def test_an_engine_is_found_for_every_network(network):
    config = ModelConfig(network=network, widths=(8, 8), head="linear", **FRAMED)
    state = build_network(config).state_dict()
    tensors = {name: state[name].numpy() for name in tensor_shapes(config)}
    engine = build_engine(Weights(config, tensors, network))
    history = np.cumsum(np.full((1, 10, 15, 3), 0.01, np.float32), axis=1)
    assert engine.predict(history).shape == (1, 25, 15, 3)
