"""What a forecast costs on a GPU, beside the authors' own model on the same one.

Next to each engine stands what nothing can be faster than: as many empty kernels between the same
copies, and the forecast's operations and bytes at the rates that the card reaches with large ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.forecast.cuda import (
    BATCHES,
    FoldedModule,
    Recordings,
    TorchForecast,
    require_gpu,
)
from ses_gcn_ros.forecast.folding import FoldedNetwork, fold
from ses_gcn_ros.forecast.weights import DEFAULT_WEIGHTS, Weights, read_weights
from ses_gcn_ros.models.config import ModelConfig
from ses_gcn_ros.studies.benchmarks.engines import LARGER, measure, untrained
from ses_gcn_ros.studies.benchmarks.harness import COLUMNS, Cell, Column, Progress, Section

_SIDE, _BYTES, _TIMES = 8192, 1 << 30, 10  # of large products and copies, and how many of them


def run(quick: bool, progress: Progress, weights: Sequence[Weights] = ()) -> Section:
    """Every engine of a GPU against the authors' model there.

    Parameters
    ----------
    quick : bool
        Half a second for each batch size instead of three.
    weights : sequence of Weights
        Networks to run besides the one that ships and an untrained one of the published size for
        Human3.6M.
    """
    section = Section(
        name="gpu",
        title="Forecast, on a GPU",
        about="Engines from history to positions in the computer's memory; the reference, the "
        "network as its authors wrote it, on features that are on the GPU already and with its "
        "answer left there; call after call by turns, all in full float32. 'Empty kernels' are as "
        "many launches as engine cuda makes, between the same copies. Launches, floating-point "
        "operations and bytes are engine cuda's; 'at peak' is how long the card would take for the "
        "operations or for the bytes, whichever is longer, at the rates that it reaches with large "
        "ones.",
        columns=[
            Column("weights", "weights"),
            Column("people", "people"),
            Column("by", "by"),
            *COLUMNS,
            Column("launches", "launches"),
            Column("operations", "MFLOP", 1e-6, 1),
            Column("bytes", "MB", 1e-6, 2),
            Column("at_peak", "at peak µs", 1e6, 1),
        ],
        rows=[],
    )
    try:
        torch = require_gpu()
    except ModelError as error:
        section.notes.append(f"not measured: {error}")
        return section
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        progress("the GPU's rates")
        card = Card.measure(torch)
        for network in (read_weights(DEFAULT_WEIGHTS), untrained(LARGER), *weights):
            seconds = 0.5 if quick else 3.0
            rows, missing = _measure(torch, network, card, seconds, progress)
            section.rows.extend(rows)
            section.notes.extend(f"{name} was not measured: {why}" for name, why in missing.items())
    section.notes.append(
        f"{card.name} with torch {torch.__version__}: {card.operations / 1e12:.1f} TFLOP/s in "
        f"float32 products of {_SIDE} × {_SIDE}, {card.bytes / 1e12:.2f} TB/s in copies of "
        f"{_BYTES >> 20} MiB"
    )
    return section


@dataclass(frozen=True)
class Card:
    """A GPU's name, and how many float32 operations and bytes it manages in a second."""

    name: str
    operations: float
    bytes: float

    @classmethod
    def measure(cls, torch: Any) -> Card:
        """Rates with a large product and a large copy."""
        a = torch.ones(_SIDE, _SIDE, device="cuda")
        product = torch.empty_like(a)
        duration = _duration(torch, lambda: torch.mm(a, a, out=product))
        source = torch.zeros(_BYTES, dtype=torch.uint8, device="cuda")
        copy = torch.empty_like(source)
        return cls(
            name=torch.cuda.get_device_name(),
            operations=2 * _SIDE**3 / duration,
            bytes=2 * _BYTES / _duration(torch, lambda: copy.copy_(source)),
        )


def _duration(torch: Any, call: Callable[[], object]) -> float:
    """Of one of many calls in a row [s]."""
    call()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(_TIMES):
        call()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / _TIMES


def _measure(
    torch: Any, weights: Weights, card: Card, seconds: float, progress: Progress
) -> tuple[list[dict[str, Cell]], dict[str, str]]:
    network, config = fold(weights), weights.config
    launches, done_once = _launches(torch, weights), operations(torch, weights)
    rows, missing = measure(
        weights,
        BATCHES,
        seconds=seconds,
        progress=progress,
        device="cuda",
        floor=_empty(torch, config, launches),
    )
    for row in rows:
        if row["by"] == "cuda":
            people = int(row["people"] or 0)
            done, moved = people * done_once, moved_bytes(network, config, people)
            row |= {"launches": launches, "operations": done, "bytes": moved}
            row["at_peak"] = max(done / card.operations, moved / card.bytes)
    return rows, missing


def _launches(torch: Any, weights: Weights) -> int:
    """Kernels of one forecast by engine cuda, counted while they are launched one by one."""
    config = weights.config
    forecast = TorchForecast(config, FoldedModule(weights, "cuda"), "cuda")
    history = torch.zeros(1, config.observed, config.joints, 3, device="cuda")
    forecast(history)
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.inference_mode(), torch.profiler.profile(activities=activities) as profile:
        forecast(history)
        torch.cuda.synchronize()
    return sum(
        event.device_type == torch.autograd.DeviceType.CUDA and "Mem" not in event.name
        for event in profile.events()
    )


def _empty(torch: Any, config: ModelConfig, launches: int) -> Recordings:
    """As many kernels and the same copies, but nothing computed."""
    one = torch.zeros(1, device="cuda")

    def launch(question: Any) -> Any:
        for _ in range(launches):
            one.add_(1)
        shape = len(question), config.horizon, config.joints, 3
        return torch.zeros(shape, device="cuda")

    return Recordings((config.observed, config.joints, 3), launch)


def operations(torch: Any, weights: Weights) -> int:
    """Floating-point operations of one person's forecast by engine cuda, as torch counts them."""
    from torch.utils.flop_counter import FlopCounterMode

    config, counter = weights.config, FlopCounterMode(display=False)
    with counter, torch.inference_mode():
        features = torch.zeros(1, config.observed, config.joints, config.features)
        FoldedModule(weights, "cpu")(features)
    total: int = counter.get_total_flops()
    return total


def moved_bytes(network: FoldedNetwork, config: ModelConfig, people: int) -> int:
    """Bytes that the kernels read or write at least: constants once, what is in between twice."""
    rows = config.joints * config.observed
    constants = len(network.layers) * rows * rows
    constants += sum(layer.weight.size for layer in network.layers)
    constants += sum(convolution.weight.size for convolution in network.convolutions)
    constants += network.linear[0].size if network.linear is not None else 0
    between = rows * (config.features + sum(config.widths))
    between += sum(config.joints * len(stage.bias) for stage in network.convolutions)
    ends = 3 * config.joints * (config.observed + config.horizon)
    return 4 * (constants + people * (2 * between + ends))
