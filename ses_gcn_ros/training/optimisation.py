"""Optimiser and learning rate of a recipe."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from ses_gcn_ros.training.recipe import TrainingRecipe


def make_optimiser(plan: TrainingRecipe, network: nn.Module) -> torch.optim.Optimizer:
    """AdamW whose decay spares biases and scales, or Adam as the papers use it."""
    parameters = list(network.parameters())
    if plan.optimiser == "adam":
        return torch.optim.Adam(parameters, lr=plan.learning_rate, weight_decay=plan.weight_decay)
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.ndim > 1]},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        groups, lr=plan.learning_rate, betas=(0.9, 0.98), weight_decay=plan.weight_decay
    )


class Schedule:
    """How long a recipe trains, and how fast at each step.

    Parameters
    ----------
    plan : TrainingRecipe
        What to do.
    per_epoch : int
        Steps of an epoch; 0 where the recipe counts steps.

    Attributes
    ----------
    steps : int
        Optimiser steps in all.
    """

    def __init__(self, plan: TrainingRecipe, per_epoch: int) -> None:
        self._plan, self._per_epoch = plan, per_epoch
        self.steps = plan.epochs * per_epoch or plan.steps

    def learning_rate(self, step: int) -> float:
        """Rate of a step, counted from 0."""
        plan = self._plan
        highest = plan.learning_rate * min(1.0, (step + 1) / plan.warm_up)
        if plan.milestones:
            epoch = step // self._per_epoch
            return float(highest * 0.1 ** sum(epoch >= stone for stone in plan.milestones))
        return highest * 0.5 * (1 + math.cos(math.pi * step / self.steps))
