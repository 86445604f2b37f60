"""State dicts as the authors of SeS-GCN save them."""

from __future__ import annotations

import torch


def human36m_state(horizon: int = 25, joints: int = 22, observed: int = 10) -> dict:
    """A state dict with the authors' names, for 22 joints."""
    generator = torch.Generator().manual_seed(0)
    state = {}

    def draw(name: str, *shape: int) -> None:
        state[name] = 0.1 * torch.randn(*shape, generator=generator)

    def norm(name: str, size: int) -> None:
        draw(f"{name}.weight", size)
        draw(f"{name}.bias", size)
        draw(f"{name}.running_mean", size)
        state[f"{name}.running_var"] = torch.ones(size)
        state[f"{name}.num_batches_tracked"] = torch.tensor(7)

    widths = (3, 66, 66, 66, 66, 3)
    for i in range(5):
        layer = f"st_gcnns.{i}"
        draw(f"{layer}.gcn.A", observed, joints, joints)
        draw(f"{layer}.gcn.T", joints, observed, observed)
        draw(f"{layer}.dsc.depthwise.0.weight", widths[i], 1, 1, 1)
        draw(f"{layer}.dsc.depthwise.0.bias", widths[i])
        norm(f"{layer}.dsc.depthwise.1", widths[i])
        draw(f"{layer}.dsc.pointwise.weight", widths[i + 1], widths[i], 1, 1)
        draw(f"{layer}.dsc.pointwise.bias", widths[i + 1])
        draw(f"{layer}.prelu.weight", 1)
        draw(f"{layer}.prelu2.weight", 1)
        if widths[i] != widths[i + 1]:
            draw(f"{layer}.residual.0.weight", widths[i + 1], widths[i], 1, 1)
            draw(f"{layer}.residual.0.bias", widths[i + 1])
            norm(f"{layer}.residual.1", widths[i + 1])
    for i in range(4):
        draw(f"txcnns.{i}.block.0.weight", horizon, horizon if i else observed, 3, 3)
        draw(f"txcnns.{i}.block.0.bias", horizon)
        norm(f"txcnns.{i}.block.1", horizon)
        draw(f"prelus.{i}.weight", 1)
    return state
