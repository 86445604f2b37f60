"""What a forecast costs, beside the authors' own model on one core.

The reference is timed on features that are ready; engines are timed from history to positions,
with every check and conversion that a node pays for.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.forecast.engine import Engine, build_engine
from ses_gcn_ros.forecast.weights import DEFAULT_WEIGHTS, Weights, read_weights
from ses_gcn_ros.models.config import UNITS_PER_METRE, ModelConfig, tensor_shapes
from ses_gcn_ros.models.framing import frame, hold_bones, unframe
from ses_gcn_ros.studies.benchmarks.harness import (
    COLUMNS,
    Cell,
    Column,
    Progress,
    Section,
    compare,
    one_thread,
    take_turns,
)

REFERENCE, FLOOR = "reference", "empty kernels"
LARGER = ModelConfig(layout="h36m22", joints=22)  # the published network for Human3.6M
PEOPLE = (1, 8, 64)
ENGINES = {"cpu": ("compiled", "onnx", "eager"), "cuda": ("cuda", "graph", "eager")}


def run(quick: bool, progress: Progress, weights: Sequence[Weights] = ()) -> Section:
    """Every engine on the CPU against the authors' model, one thread each.

    Raises ModelError if torch is missing, which runs the reference.

    Parameters
    ----------
    quick : bool
        Half a second for each batch size instead of six.
    weights : sequence of Weights
        Networks to run besides the one that ships and an untrained one of the published size for
        Human3.6M.
    """
    rows: list[dict[str, Cell]] = []
    notes: list[str] = []
    for network in (read_weights(DEFAULT_WEIGHTS), untrained(LARGER), *weights):
        more, missing = measure(network, PEOPLE, seconds=0.5 if quick else 6.0, progress=progress)
        rows += more
        notes += [f"{name} was not measured: {why}" for name, why in missing.items()]
    return Section(
        name="engines",
        title="Forecast, one core",
        about="From history to positions in one thread, call after call, contenders taking turns "
        "of 50 ms; the first calls of a turn don't count, because the others have emptied the "
        "caches. The reference is the network as its authors wrote it, timed without any "
        "preparation of its input; the error is against it in double precision.",
        columns=[
            Column("weights", "weights"),
            Column("people", "people"),
            Column("by", "by"),
            *COLUMNS,
        ],
        rows=rows,
        notes=list(dict.fromkeys(notes)),
    )


def measure(
    weights: Weights,
    people: Sequence[int],
    *,
    seconds: float,
    progress: Progress,
    device: str = "cpu",
    floor: Callable[[NDArray[np.float32]], object] | None = None,
) -> tuple[list[dict[str, Cell]], dict[str, str]]:
    """Rows of all engines for each batch size, the reference first; why an engine is missing.

    `floor` is timed beside them, if there is one: what no engine can be faster than.
    """
    # made-up motion is unlike any known, and the answer would be a baseline's
    weights = dataclasses.replace(weights, familiarity=None)
    engines: dict[str, Engine] = {}
    missing: dict[str, str] = {}
    for name in ENGINES[device]:
        try:
            engines[name] = build_engine(weights, name, device)
        except ModelError as error:
            missing[name] = str(error)
    rows = []
    with one_thread():
        for count in people:
            progress(f"{weights.name}, {count} people")
            rows += _compare_engines(weights, engines, count, seconds, device, floor)
    return rows, missing


def untrained(config: ModelConfig) -> Weights:
    """Weights that nobody trained, of a size at which numbers stay about one."""
    rng = np.random.default_rng(0)
    tensors: dict[str, NDArray[np.generic]] = {}
    for name, shape in tensor_shapes(config).items():
        kind = name.rpartition(".")[2]
        if kind == "running_var" or kind.startswith("mask") or "norm" in name:
            tensors[name] = np.ones(shape, np.float32)
        else:
            spread = 0.5 / np.sqrt(np.prod(shape[1:]))
            tensors[name] = rng.normal(0, spread, shape).astype(np.float32)
    return Weights(config, tensors, f"untrained, {config.joints} joints")


def synthetic_histories(
    config: ModelConfig, people: int, *, frames: int | None = None
) -> NDArray[np.float32]:
    """Smooth motion of made-up people around (1, 1, 1) m, shape (N, T, J, 3) [m].

    Its speed and extent are a person's; what a network makes of it does not matter here.
    """
    rng = np.random.default_rng(0)
    pose = 1 + rng.normal(0, 0.4, (people, 1, config.joints, 3))
    velocity = rng.normal(0, 0.5, (people, 1, config.joints, 3))
    acceleration = rng.normal(0, 1.0, (people, 1, config.joints, 3))
    seconds = (np.arange(frames or config.observed) / config.fps)[:, None, None]
    path = pose + velocity * seconds + 0.5 * acceleration * seconds**2
    return path.astype(np.float32)


def _compare_engines(
    weights: Weights,
    engines: Mapping[str, Engine],
    people: int,
    seconds: float,
    device: str,
    floor: Callable[[NDArray[np.float32]], object] | None,
) -> list[dict[str, Cell]]:
    import torch

    from ses_gcn_ros.studies.reference import reference_model

    config = weights.config
    history = synthetic_histories(config, people)
    scale = np.float32(UNITS_PER_METRE[config.unit])
    framed = frame(history * scale, config)
    features = torch.from_numpy(np.ascontiguousarray(framed.features))

    def positions(answer: NDArray[np.floating]) -> NDArray[np.float32]:
        path = unframe(answer, framed, config) / scale
        if config.bones:
            hold_bones(path, history, config.layout)
        return path

    with torch.inference_mode():
        expected = positions(reference_model(weights).double()(features.double()).numpy())
        network, there = reference_model(weights).to(device), features.to(device)
        finish = torch.cuda.synchronize if device == "cuda" else _nothing
        alone = positions(network(there).cpu().numpy())
        errors: dict[str, float | None] = {REFERENCE: float(np.abs(alone - expected).max())}
        calls: dict[str, Callable[[], object]] = {REFERENCE: lambda: (network(there), finish())}
        for name, engine in engines.items():
            errors[name] = float(np.abs(engine.predict(history) - expected).max())
            calls[name] = lambda engine=engine: engine.predict(history)  # type: ignore[misc]
        if floor is not None:
            calls[FLOOR], errors[FLOOR] = lambda: floor(history), None
        durations = take_turns(calls, seconds)
    return compare(durations, errors, weights=weights.name, people=people)


def _nothing() -> None:
    """What there is to wait for on a CPU."""
