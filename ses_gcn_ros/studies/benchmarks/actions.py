"""What it costs to tell what people are doing: the networks, and a message of a crowd."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np

from ses_gcn_ros.actions.engine import ActionEngine, load_engine
from ses_gcn_ros.actions.recogniser import ActionConfig, Recogniser
from ses_gcn_ros.actions.weights import (
    ActionWeights,
    build_network,
    read_action_weights,
    write_action_weights,
)
from ses_gcn_ros.actions.windows import Joints, WindowConfig
from ses_gcn_ros.skeleton import Skeleton, get_layout
from ses_gcn_ros.studies.benchmarks.harness import (
    Cell,
    Column,
    Progress,
    Section,
    compare,
    one_thread,
    take_turns,
)

CUT = 0.95  # share of weights
_WIDTHS = (32, 32, 32, 32, 64, 64, 64, 128, 128, 128)  # of the recipes for MSR Action3D
_CROWD = 16


def run(quick: bool, progress: Progress) -> Section:
    """Every engine against torch on the same network, and the recogniser with a crowd."""
    seconds = 0.5 if quick else 4.0
    with one_thread():
        from ses_gcn_ros.actions.engine import TorchEngine

        shipped, dense, sparse = read_action_weights(), _untrained(None), _untrained(CUT)
        rows: list[dict[str, Cell]] = []
        for people in (1, 4):
            progress(f"actions, {people} people")
            rows += _rows(
                shipped.name,
                people,
                {
                    "torch": (TorchEngine(shipped), shipped),
                    "folded": (load_engine(shipped), shipped),
                },
                seconds,
            )
            rows += _rows(
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
    durations = take_turns({"recogniser": _crowd(shipped)}, seconds)
    rows += compare(durations, network=name, people=_CROWD)
    del rows[-1]["ratio"]  # to itself
    return Section(
        name="actions",
        title="What people are doing, one core",
        about="A window of everybody through the network in one thread, contenders taking turns; "
        "torch's modules are the reference. The last row is all that the node computes for a "
        "message of a crowd, of whom a quarter is answered at most. Sizes are of weights files "
        "of 16 bit.",
        columns=[
            Column("network", "network"),
            Column("people", "people"),
            Column("by", "by"),
            Column("median", "median ms", 1e3, 2),
            Column("p99", "p99 ms", 1e3, 2),
            Column("ratio", "× faster", 1, 1),
            Column("size", "kB", 1e-3),
        ],
        rows=rows,
    )


def _rows(
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
    return [row | {"size": _bytes(contenders[str(row["by"])][1])} for row in rows]


def _bytes(weights: ActionWeights) -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        write_action_weights(path, weights, half=True)
        return path.stat().st_size


def _untrained(cut: float | None) -> ActionWeights:
    """ST-GCN as on MSR Action3D, dense or with a share of its weights cut."""
    import torch

    from ses_gcn_ros.models.sparse_stgcn import SparseStgcn, settle

    weights = ActionWeights(
        network="stgcn" if cut is None else "sparse_stgcn",
        options={"widths": _WIDTHS} | ({} if cut is None else {"sparsities": (cut,)}),
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


def _crowd(weights: ActionWeights) -> Callable[[], object]:
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
