"""What a forecast costs on a GPU, beside the authors' own model on the same one.

Next to each engine stands what nothing can be faster than: as many empty kernels between the same
copies, and the forecast's operations and bytes at the rates that the card reaches with large ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.forecast.engines.folding import FoldedNetwork, fold
from ses_gcn_ros.forecast.engines.fused_packing import PackedForecast, pack
from ses_gcn_ros.forecast.engines.recording import BATCHES, Recordings, require_gpu
from ses_gcn_ros.forecast.weights import DEFAULT_WEIGHTS, Weights, read_weights
from ses_gcn_ros.models.config import ModelConfig
from ses_gcn_ros.studies.benchmarks.engines import LARGER, measure, untrained
from ses_gcn_ros.studies.benchmarks.section import Column, Progress, Section, Value
from ses_gcn_ros.studies.benchmarks.timing import COLUMNS

_SIDE, _BYTES, _TIMES = 8192, 1 << 30, 10  # of large products and copies, and how many of them


def run(quick: bool, progress: Progress, weights: Sequence[Weights] = ()) -> Section:
    """Every engine of a GPU against the authors' model there.

    Parameters
    ----------
    quick : bool
        Half a second for each batch size instead of three.
    progress : callable
        Told what comes next.
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
) -> tuple[list[dict[str, Value]], dict[str, str]]:
    network, config = fold(weights), weights.config
    packed = pack(network, config)
    launches = 1 + len(packed.layers) + len(packed.head)
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
            done, moved = people * operations(network, config), moved_bytes(packed, config, people)
            row |= {"launches": launches, "operations": done, "bytes": moved}
            row["at_peak"] = max(done / card.operations, moved / card.bytes)
    return rows, missing


def _empty(torch: Any, config: ModelConfig, launches: int) -> Recordings:
    """As many launches and the same copies, but nothing computed."""

    def prepare(people: int) -> tuple[Any, Callable[[], Any]]:
        question = torch.zeros(people, config.observed, config.joints, 3, device="cuda")
        answer = torch.zeros(people, config.horizon, config.joints, 3, device="cuda")
        one = torch.zeros(1, device="cuda")

        def launch() -> Any:
            for _ in range(launches):
                one.add_(1)
            return answer

        return question, launch

    return Recordings(prepare)


def operations(network: FoldedNetwork, config: ModelConfig) -> int:
    """Floating-point operations of one person's forecast in a folded network's products."""
    joints, frames, horizon = config.joints, config.observed, config.horizon
    products = 0
    for layer in network.layers:
        inputs, outputs = layer.weight.shape
        mixing = joints * frames * inputs * (frames + joints)
        maps = 1 if layer.residual is None else 2
        products += mixing + maps * joints * frames * inputs * outputs
    for convolution in network.convolutions:
        products += joints * convolution.weight.size
    if network.linear is not None:
        products += joints * frames * config.widths[-1] * horizon * 3
    return 2 * products


def moved_bytes(packed: PackedForecast, config: ModelConfig, people: int) -> int:
    """Bytes that the kernels read or write at least: constants once, what is in between twice."""
    stages = [packed.framing, *packed.layers, *packed.head]
    arrays: list[NDArray[np.float64]] = [a for stage in stages for a in stage.constants]
    between = config.observed * sum(packed.widths) + packed.depth
    between += (len(packed.head) - 1) * 3 * packed.steps
    ends = 3 * config.joints * (config.observed + config.horizon)
    return 4 * (sum(a.size for a in arrays) + people * (2 * packed.joints * between + ends))
