"""What networks cost: forecasts on a CPU and on a GPU, actions, a training step.

Forecasts stand beside the authors' own model. The reference is timed on features that are ready;
engines are timed from history to positions, with every check and conversion that a node pays for.
On a GPU there is beside each engine what nothing can be faster than: as many empty kernels between
the same copies, and the forecast's operations and bytes at the rates that the card reaches with
large ones.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.actions.engine import ActionEngine, load_engine
from ses_gcn_ros.actions.recogniser import ActionConfig, Recogniser
from ses_gcn_ros.actions.weights import (
    ActionWeights,
    build_network,
    read_action_weights,
    write_action_weights,
)
from ses_gcn_ros.actions.windows import Joints, WindowConfig
from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.forecast.cuda import BATCHES, FoldedModule, Recordings, TorchForecast, require_gpu
from ses_gcn_ros.forecast.engine import Engine, build_engine
from ses_gcn_ros.forecast.folding import FoldedNetwork, fold
from ses_gcn_ros.forecast.weights import DEFAULT_WEIGHTS, Weights, read_weights
from ses_gcn_ros.models.config import UNITS_PER_METRE, ModelConfig, tensor_shapes
from ses_gcn_ros.models.framing import frame, hold_bones, unframe
from ses_gcn_ros.skeleton import Skeleton, get_layout
from ses_gcn_ros.studies.benchmarks.harness import (
    Cell,
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


def engines(quick: bool, progress: Progress, weights: Sequence[Weights] = ()) -> Section:
    """Every engine on the CPU against the authors' model, one thread each.

    Raises ModelError if torch is missing, which runs the reference.

    `quick`: half a second for each batch size instead of six.
    `weights`: networks to run besides the one that ships and an untrained one of the published size
    for Human3.6M.
    """
    rows: list[dict[str, Cell]] = []
    notes: list[str] = []
    for network in (read_weights(DEFAULT_WEIGHTS), untrained(LARGER), *weights):
        more, missing = measure(network, PEOPLE, seconds=0.5 if quick else 6.0, progress=progress)
        rows += more
        notes += [f"{name} was not measured: {why}" for name, why in missing.items()]
    return Section("engines", rows, list(dict.fromkeys(notes)))


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


_SIDE, _BYTES, _TIMES = 8192, 1 << 30, 10  # of large products and copies, and how many of them


def gpu(quick: bool, progress: Progress, weights: Sequence[Weights] = ()) -> Section:
    """Every engine of a GPU against the authors' model there.

    `quick`: half a second for each batch size instead of three.
    `weights`: networks to run besides the one that ships and an untrained one of the published size
    for Human3.6M.
    """
    section = Section("gpu")
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
            rows, missing = _measure_card(torch, network, card, seconds, progress)
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


def _measure_card(
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
    return counter.get_total_flops()


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


_RECIPE = "sesgcn_workcell"


def training(quick: bool, progress: Progress) -> Section:
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
    return Section("training", rows, numbers={"batch": batch, "recipe": _RECIPE})


CUT = 0.95  # share of weights
_WIDTHS = (32, 32, 32, 32, 64, 64, 64, 128, 128, 128)  # of the recipes for MSR Action3D
_CROWD = 16


def actions(quick: bool, progress: Progress) -> Section:
    """Every engine against torch on the same network, and the recogniser with a crowd."""
    seconds = 0.5 if quick else 4.0
    with one_thread():
        from ses_gcn_ros.actions.engine import TorchEngine

        shipped, dense, sparse = (
            read_action_weights(),
            _untrained_stgcn(None),
            _untrained_stgcn(CUT),
        )
        rows: list[dict[str, Cell]] = []
        for people in (1, 4):
            progress(f"actions, {people} people")
            rows += _action_rows(
                shipped.name,
                people,
                {
                    "torch": (TorchEngine(shipped), shipped),
                    "folded": (load_engine(shipped), shipped),
                },
                seconds,
            )
            rows += _action_rows(
                "ST-GCN on kinect20",
                people,
                {
                    "torch, dense": (TorchEngine(dense), dense),
                    f"loops, {CUT:.0%} cut": (load_engine(sparse), sparse),
                },
                seconds,
            )
    progress(f"actions, messages of {_CROWD} people")
    name = f"{shipped.name}, a message at 30 Hz"
    durations = take_turns({"recogniser": _message_of_crowd(shipped)}, seconds)
    rows += compare(durations, network=name, people=_CROWD)
    del rows[-1]["ratio"]  # to itself
    return Section("actions", rows)


def _action_rows(
    name: str,
    people: int,
    contenders: dict[str, tuple[ActionEngine, ActionWeights]],
    seconds: float,
) -> list[dict[str, Cell]]:
    weights = next(iter(contenders.values()))[1]
    shape = (people, weights.window.frames, len(weights.joints.names), weights.channels)
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    calls = {by: (lambda e=engine: e.run(x)) for by, (engine, _) in contenders.items()}
    rows = compare(take_turns(calls, seconds), network=name, people=people)
    return [row | {"size": _file_size(contenders[str(row["by"])][1])} for row in rows]


def _file_size(weights: ActionWeights) -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        write_action_weights(path, weights, half=True)
        return path.stat().st_size


def _untrained_stgcn(cut: float | None) -> ActionWeights:
    """ST-GCN as on MSR Action3D, dense or with a share of its weights cut."""
    import torch

    from ses_gcn_ros.models.sparse_stgcn import SparseStgcn, settle

    weights = ActionWeights(
        network="stgcn" if cut is None else "sparse_stgcn",
        options={"widths": _WIDTHS}
        | ({} if cut is None else {"sparsities": (cut,), "scope": "erk"}),
        joints=Joints.of_layout("kinect20"),
        labels=tuple(map(str, range(20))),
        channels=9,
        window=WindowConfig(frames=32),
        tensors={},
    )
    torch.manual_seed(0)
    network = build_network(weights)
    if isinstance(network, SparseStgcn):
        settle(network)
    return replace(weights, tensors={n: t.numpy() for n, t in network.state_dict().items()})


def _message_of_crowd(weights: ActionWeights) -> Callable[[], object]:
    """A call that takes in one more message of a crowd and answers it."""
    recogniser, frames = Recogniser(weights, ActionConfig()), count()
    layout = get_layout(weights.layout)
    rng = np.random.default_rng(0)
    shape = (_CROWD, len(layout.joints), 3)
    poses = rng.normal(0, 0.4, shape).astype(np.float32)
    certain = np.ones(len(layout.joints), np.float32)

    def message() -> None:
        frame = next(frames)
        swayed = poses + np.float32(0.05 * np.sin(frame / 10))
        people = [Skeleton(str(i), layout.name, one, certain) for i, one in enumerate(swayed)]
        recogniser.observe(frame / 30, people)
        recogniser.recognise()

    for _ in range(60):  # until everybody was seen for a window
        message()
    return message
