"""SemGCN (Zhao et al., CVPR 2019): what its layers promise."""

from __future__ import annotations

import pytest
import torch

from ses_gcn_ros.models.lifters import NonLocal, SemGCN, SemGraphConv, bone_adjacency, last_seen
from ses_gcn_ros.models.lifting import LiftingConfig, make_network
from ses_gcn_ros.skeleton import get_layout

PARENTS = get_layout("chico15").parents


def count(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("channelwise", [False, True])
def test_every_joint_shares_its_attention_among_itself_and_its_neighbours(
    channelwise: bool,
) -> None:
    torch.manual_seed(0)
    adjacency = bone_adjacency(PARENTS)
    layer = SemGraphConv(3, 8, adjacency, channelwise)
    torch.nn.init.normal_(layer.logits)
    attention = layer.attention()
    assert attention.shape == (8 if channelwise else 1, 15, 15)
    torch.testing.assert_close(attention.sum(dim=-1), torch.ones(len(attention), 15))
    assert torch.all((attention > 0) == (adjacency > 0))


@pytest.mark.parametrize("channelwise", [False, True])
def test_the_layer_is_equation_2_and_3_of_the_paper_written_out(channelwise: bool) -> None:
    torch.manual_seed(1)
    layer = SemGraphConv(3, 4, bone_adjacency(PARENTS), channelwise).double()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(15, 2, 3, dtype=torch.float64)
    attention = layer.attention().expand(4, 15, 15)
    expected = torch.zeros(15, 2, 4, dtype=torch.float64)
    for joint in range(15):
        for other in range(15):
            weight = layer.own_weight if joint == other else layer.near_weight
            expected[joint] += attention[:, joint, other] * (x[other] @ weight)
    torch.testing.assert_close(layer(x), expected + layer.bias)


def test_a_joint_hears_of_its_neighbours_only_but_of_all_in_a_non_local_block() -> None:
    torch.manual_seed(2)
    layer, relate = SemGraphConv(4, 4, bone_adjacency(PARENTS)), NonLocal(4).eval()
    torch.nn.init.ones_(relate.norm.weight)
    x = torch.randn(15, 1, 4)
    moved = x.clone()
    moved[3] += 1.0  # the right foot
    heard = (layer(moved) - layer(x)).abs().amax(dim=(1, 2)) > 1e-6
    assert heard.nonzero().flatten().tolist() == [2, 3]
    related = (relate(moved) - relate(x)).abs().amax(dim=(1, 2)) > 1e-9
    assert related.sum() > 2


def test_a_non_local_block_begins_as_the_identity() -> None:
    torch.manual_seed(3)
    x = torch.randn(15, 5, 8)
    torch.testing.assert_close(NonLocal(8)(x), x)


def test_the_published_size_is_0_43_million_parameters_and_0_27_without_non_local_blocks() -> None:
    full = SemGCN(LiftingConfig(), PARENTS)
    plain = SemGCN(LiftingConfig(nonlocal_blocks=False), PARENTS)
    assert count(full) == pytest.approx(0.43e6, abs=0.01e6)
    assert count(plain) == pytest.approx(0.27e6, abs=0.01e6)


def test_published_baseline_has_4_3_million_parameters() -> None:
    linear = make_network(LiftingConfig(kind="linear", width=1024, blocks=2, dropout=0.5))
    assert round(count(linear) / 1e6, 1) == 4.3


def test_resgcn_cannot_tell_left_from_right_and_semantic_edges_can() -> None:
    torch.manual_seed(4)
    mirror = list(get_layout("chico15").mirror)
    x = torch.randn(6, 15, 4)
    for semantic in (False, True):
        torch.manual_seed(5)
        network = SemGCN(
            LiftingConfig(semantic=semantic, nonlocal_blocks=False, width=16, blocks=1), PARENTS
        ).eval()
        for module in network.modules():
            if isinstance(module, SemGraphConv):
                torch.nn.init.normal_(module.logits)
        for parameter in network.leave.parameters():
            torch.nn.init.normal_(parameter)
        with torch.no_grad():
            swapped = network(x[:, mirror])[:, mirror]
            same = torch.allclose(swapped, network(x), atol=1e-5)
        assert same != semantic


def test_joints_last_seen_are_taken_from_the_newest_image_that_shows_them() -> None:
    images = torch.tensor(
        [[[1.0, 2.0, 1.0, 3.0, 4.0, 1.0, 0.5], [5.0, 6.0, 1.0, 0.0, 0.0, 0.0, 0.5]]]
    )
    torch.testing.assert_close(last_seen(images), torch.tensor([[[3.0, 4.0], [5.0, 6.0]]]))


def test_an_untrained_flat_network_answers_with_the_joints_as_seen() -> None:
    torch.manual_seed(6)
    network = SemGCN(LiftingConfig(flat=True, width=8, blocks=1), PARENTS).eval()
    x = torch.randn(2, 15, 4)
    x[..., 2] = 1.0
    answer = network(x)
    torch.testing.assert_close(answer[..., :2], 0.4 * x[..., :2])
    assert torch.all(answer[..., 2] == 0.0)
