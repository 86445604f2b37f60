"""What a training step costs, for the authors' network and for ours."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ses_gcn_ros.studies.benchmarks.engines import REFERENCE, synthetic_histories
from ses_gcn_ros.studies.benchmarks.harness import (
    Column,
    Progress,
    Section,
    compare,
    one_thread,
    take_turns,
)

_RECIPE = "sesgcn_workcell"


def run(quick: bool, progress: Progress) -> Section:
    """Steps of the recipe of the weights that ship, in one thread."""
    with one_thread():
        import torch

        from ses_gcn_ros.models.config import build_network
        from ses_gcn_ros.studies.reference import ReferenceModel
        from ses_gcn_ros.training.forecasting import augmented_batch
        from ses_gcn_ros.training.recipe import load_recipe

        recipe = load_recipe(_RECIPE)
        config, batch = recipe.model, recipe.training.batch
        progress(f"training, batches of {batch}")
        rng = np.random.default_rng(0)
        windows = synthetic_histories(config, batch, frames=config.observed + config.horizon)
        framed = augmented_batch(windows, rng, config, recipe.augment)
        features, target = (
            torch.from_numpy(np.ascontiguousarray(array))
            for array in (framed.features, framed.target)
        )

        def steps_of(network: torch.nn.Module) -> Callable[[], object]:
            for tensor in network.state_dict().values():  # the reference has none of its own
                if tensor.is_floating_point():
                    tensor.uniform_(0, 0.05)
            optimiser = torch.optim.AdamW(network.parameters(), lr=1e-4)
            network.train()

            def step() -> None:
                loss = torch.linalg.vector_norm(network(features)[..., :3] - target, dim=-1).mean()
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()

            return step

        durations = take_turns(
            {
                REFERENCE: steps_of(ReferenceModel(config)),
                "ours": steps_of(build_network(config)),
                "batch": lambda: augmented_batch(windows, rng, config, recipe.augment),
            },
            1.0 if quick else 10.0,
        )
    rows = compare(durations)
    for row in rows:
        row["windows"] = batch / float(row["median"] or np.nan)
    del rows[-1]["ratio"]  # drawing a batch is no step
    return Section(
        name="training",
        title="Training, one core",
        about=f"Forward, backward and optimiser step on {batch} windows with the network of "
        f"recipe {_RECIPE}, as its authors wrote it and as it is here; 'batch' draws and augments "
        "the windows of a step.",
        columns=[
            Column("by", "by"),
            Column("median", "median ms", 1e3, 1),
            Column("windows", "windows/s"),
            Column("ratio", "× faster", 1, 1),
        ],
        rows=rows,
    )
