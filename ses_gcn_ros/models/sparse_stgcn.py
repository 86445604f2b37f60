"""Sparse ST-GCN: convolutions whose weaker weights are cut by learned scores, and assemblies.

Xie et al.: sparse spatial temporal graph convolutional networks for skeleton action recognition,
2025. https://arxiv.org/abs/2505.10679 What is cut is decided anew in every forward pass; scores
learn through the cut (straight-through), so that a weight can come back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ses_gcn_ros.config import option
from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.models.stgcn import Stgcn, StgcnConfig


@dataclass(frozen=True)
class SparseConfig:
    """What is cut, and when."""

    sparsities: tuple[float, ...] = option(
        (0.95,), "share of weights cut; several make an assembly", minimum=0, maximum=0.999
    )
    scope: str = option(
        "layer",
        "weights that compete: of a layer, each cut by the same share (layer) or small ones by "
        "less (erk), or of the whole network",
        choices=("layer", "erk", "network"),
    )
    filters: bool = option(False, "cut whole filters, so that the network gets smaller and faster")
    legacy_skips: bool = option(
        False, "cut skips at a score of zero whatever the sparsity, as the published code does"
    )
    warm_up: float = option(0.6, "share of training before anything is cut", minimum=0, maximum=1)
    ramp: float = option(
        0.0, "share of training over which the cut then grows; 0: at once", minimum=0, maximum=1
    )
    penalty: float = option(
        0.0, "weight of the norm of what is about to be cut, before it is", minimum=0, maximum=10
    )


class _StraightThrough(torch.autograd.Function):
    """W ⊙ [S ≥ τ], with the gradient of the scores as if the mask were they."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, score: Tensor, threshold: Tensor) -> Tensor:
        mask = (score >= threshold).to(weight.dtype)
        ctx.save_for_backward(weight, mask)
        return weight * mask

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, Tensor, None]:
        weight, mask = ctx.saved_tensors
        (gradient,) = gradients
        along = gradient * weight
        if mask.shape != weight.shape:
            along = along.sum(dim=tuple(range(1, weight.ndim)), keepdim=True)
        return gradient * mask, along, None


class SparseConv2d(nn.Conv2d):
    """Convolution whose weights with a score below the threshold are zero.

    Attributes:
    - `score`: one per weight, or one per filter.
    - `threshold`: least score kept; minus infinity keeps all.
    """

    threshold: Tensor
    filters = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        score = torch.empty_like(self.weight)
        nn.init.kaiming_uniform_(score, a=math.sqrt(5))
        if self.filters:
            score = score.flatten(1).mean(dim=1).view(-1, 1, 1, 1)
        self.score = nn.Parameter(score)
        self.register_buffer("threshold", torch.tensor(-math.inf), persistent=False)

    def kept(self) -> Tensor:
        """Boolean mask of the weights in use."""
        return (self.score >= self.threshold).expand_as(self.weight)

    def masked(self) -> Tensor:
        """Weights in use, zero elsewhere."""
        return _StraightThrough.apply(self.weight, self.score, self.threshold)

    @torch.no_grad()
    def settle(self) -> None:
        """Cut for good: what is not kept becomes zero, and scores of ±1 only say what is."""
        kept = self.score >= self.threshold
        self.weight.mul_(kept)
        self.score.copy_(torch.where(kept, 1.0, -1.0))
        self.threshold.zero_()

    def forward(self, x: Tensor) -> Tensor:
        """Convolution with what is kept."""
        return self._conv_forward(x, self.masked(), self.bias)


class FilterConv2d(SparseConv2d):
    """Sparse convolution that keeps or cuts whole filters."""

    filters = True


class SparseStgcn(Stgcn):
    """ST-GCN with sparse convolutions.

    `config`, `adjacency`, `classes`, `channels`: as of `Stgcn`.
    `sparse`: what is cut, and when.
    `target`: share of weights cut in the end.
    """

    def __init__(
        self,
        config: StgcnConfig,
        adjacency: NDArray[Any],
        classes: int,
        channels: int = 3,
        sparse: SparseConfig | None = None,
        target: float = 0.95,
    ) -> None:
        self.sparse, self.target = sparse or SparseConfig(), target
        kind = FilterConv2d if self.sparse.filters else SparseConv2d
        super().__init__(config, adjacency, classes, channels, kind)
        self._weight = 0.0

    def convolutions(self) -> dict[str, SparseConv2d]:
        """Sparse convolutions by name."""
        return {n: m for n, m in self.named_modules() if isinstance(m, SparseConv2d)}

    @torch.no_grad()
    def cut(self, sparsity: float) -> None:
        """Set the thresholds for a share of weights to cut; zero keeps all but legacy skips."""
        layers = self.convolutions()
        skips = {n for n in layers if ".skip" in n} if self.sparse.legacy_skips else set()
        thresholds = self.thresholds(sparsity) if sparsity else {}
        for name, layer in layers.items():
            if name in skips:
                layer.threshold.zero_()
            else:
                layer.threshold.copy_(thresholds.get(name, torch.tensor(-math.inf)))

    @torch.no_grad()
    def thresholds(self, sparsity: float) -> dict[str, Tensor]:
        """Least score that a cut of a share of all weights keeps in each layer."""
        layers = self.convolutions()
        if self.sparse.scope == "network":
            shared = kth_score(torch.cat([m.score.flatten() for m in layers.values()]), sparsity)
            return dict.fromkeys(layers, shared)
        shares = dict.fromkeys(layers, sparsity)
        if self.sparse.scope == "erk":
            shapes = {name: layer.weight.shape for name, layer in layers.items()}
            shares = erk_sparsities(shapes, sparsity)
        return {n: kth_score(layer.score.flatten(), shares[n]) for n, layer in layers.items()}

    def set_progress(self, done: float) -> None:
        """Cut what is due after a share of the training; 1 is its end."""
        plan = self.sparse
        self._weight = plan.penalty * min(done / max(plan.warm_up, 1e-9), 1.0)
        if done < plan.warm_up:
            self.cut(0.0)
        elif plan.ramp:
            self.cut(self.target * min((done - plan.warm_up) / plan.ramp, 1.0))
        else:
            self.cut(self.target)

    def current_penalty(self) -> Tensor:
        """Term of the loss: shrinks what will be cut, more as the cut comes nearer."""
        if not self._weight or not self.target:
            return self.classifier.bias.new_zeros(())
        return self._weight * self.penalty(self.target)

    def penalty(self, sparsity: float) -> Tensor:
        """Σ over layers of the norm of the weights that a cut to `sparsity` would remove."""
        thresholds = self.thresholds(sparsity)
        parts = [
            torch.linalg.vector_norm(layer.weight * (layer.score < thresholds[name]))
            for name, layer in self.convolutions().items()
        ]
        return torch.stack(parts).sum()


def kth_score(scores: Tensor, sparsity: float) -> Tensor:
    """Threshold that cuts a share of scores: the k-th smallest, k = 1 + round(s (n − 1))."""
    return scores.kthvalue(1 + round(sparsity * (len(scores) - 1))).values


def erk_sparsities(shapes: Mapping[str, Sequence[int]], sparsity: float) -> dict[str, float]:
    """Share of each layer's weights that is cut where all together lose `sparsity`.

    Erdős–Rényi kernel (Evci et al.: Rigging the Lottery, ICML 2020): layers keep in proportion to
    the sum of their dimensions, not to the product, so that small ones stay nearly whole.
    """
    size = {name: math.prod(shape) for name, shape in shapes.items()}
    left = (1 - sparsity) * sum(size.values())
    kept: dict[str, float] = {}
    # Smallest first: a layer that would keep more than it has is whole, the others share the rest.
    order = sorted(shapes, key=lambda name: size[name] / sum(shapes[name]))
    for place, name in enumerate(order):
        part = sum(shapes[name]) / sum(sum(shapes[other]) for other in order[place:])
        kept[name] = min(left * part, size[name])
        left -= kept[name]
    return {name: 1 - kept[name] / size[name] for name in shapes}


class Assembly(nn.Module):
    """Networks of several sparsities on the same motion; the answer is that of their mean.

    `networks`: one per level, their own classifiers included.
    """

    def __init__(self, networks: list[SparseStgcn], classes: int) -> None:
        super().__init__()
        self.levels = networks  # the same, by their own type
        self.networks = nn.ModuleList(networks)
        self.classifier = nn.Linear(networks[0].classifier.in_features, classes)

    def set_progress(self, done: float) -> None:
        """Cut what is due in every network."""
        for network in self.levels:
            network.set_progress(done)

    def current_penalty(self) -> Tensor:
        """Term of the loss, of all networks."""
        return torch.stack([network.current_penalty() for network in self.levels]).sum()

    def heads(self, x: Tensor) -> list[Tensor]:
        """Logits of the mean features, then of each network's own: (N, classes) each."""
        pooled = [network.features(x).mean(dim=(1, 3, 4)) for network in self.levels]
        own = [n.classifier(f) for n, f in zip(self.levels, pooled, strict=True)]
        return [self.classifier(torch.stack(pooled).mean(dim=0)), *own]

    def forward(self, x: Tensor) -> Tensor:
        """Shape (N, M, T, V, C) → logits (N, classes)."""
        return self.heads(x)[0]


def settle(network: SparseStgcn | Assembly) -> None:
    """Cut a network for good, as at the end of its training."""
    network.set_progress(1.0)
    for part in network.modules():
        if isinstance(part, SparseConv2d):
            part.settle()


@torch.no_grad()
def go_on_from(network: nn.Module, *states: Mapping[str, Tensor]) -> None:
    """Give a network the weights of a trained one, or an assembly those of one for each level.

    These may be dense where it is sparse. What is large is kept first (Han et al.: Learning both
    Weights and Connections for Efficient Neural Networks, NeurIPS 2015): scores begin as
    magnitudes. Raises ModelError if the weights are another network's.
    """
    parts = network.levels if isinstance(network, Assembly) else [network]
    for part, state in zip(parts, states, strict=True):
        given = {name: tensor for name, tensor in state.items() if not name.endswith(".score")}
        own = {name: tensor for name, tensor in part.state_dict().items() if name in given}
        if [t.shape for t in own.values()] != [t.shape for t in given.values()]:
            raise ModelError("weights to go on from are another network's")
        part.load_state_dict(given, strict=False)
    if isinstance(network, Assembly):
        heads = [level.classifier.state_dict() for level in network.levels]
        mean = {name: torch.stack([head[name] for head in heads]).mean(dim=0) for name in heads[0]}
        network.classifier.load_state_dict(mean)
    for layer in network.modules():
        if isinstance(layer, SparseConv2d):
            size = layer.weight.abs()
            layer.score.copy_(size.mean((1, 2, 3), True) if layer.filters else size)
