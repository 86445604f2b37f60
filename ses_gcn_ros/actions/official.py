"""Networks for actions as their authors saved them, turned into ours, and held against them.

Sources: yysijie/st-gcn (Yan et al., AAAI 2018), nagyrajmund/st-gcn (Nagy, Panesar, Qian, 2020),
microsoft/SGN (Zhang et al., CVPR 2020), davelailai/Sparse-ST-GCN (Xie et al., 2025).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ses_gcn_ros.actions.weights import ActionWeights, write_action_weights
from ses_gcn_ros.actions.windows import NTU_NAMES, NTU_PARENTS, Joints, WindowConfig
from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.models.sgn import Sgn
from ses_gcn_ros.models.sparse_stgcn import Assembly, SparseConfig, SparseStgcn, settle
from ses_gcn_ros.models.stgcn import (
    Stgcn,
    StgcnConfig,
    adjacency_subsets,
    hop_distances,
    normalised,
)
from ses_gcn_ros.npz import load_arrays, load_checkpoint
from ses_gcn_ros.skeleton import get_layout

State = Mapping[str, Tensor]

Names = tuple[tuple[str, str], ...]  # patterns of their names, ours


def _units(where: str, parts: str) -> Names:
    """Names of the parts of an ST-GCN's units, which theirs number from 0."""
    ours = ("spatial", "norm_in", "temporal", "norm_out", "skip")
    pairs = zip(parts.split(), ours, strict=True)
    return tuple((rf"{where}(\d+)\.{part}\.(.+)", rf"units.\1.{own}.\2") for part, own in pairs)


# One pattern after the other; a name that none takes is not part of the network.
_SGN = (
    (r"joint_embed\.cnn\.(.+)", r"position.\1"),
    (r"dif_embed\.cnn\.(.+)", r"velocity.\1"),
    (r"(position|velocity)\.0\.bn\.(.+)", r"\1.norm.norm.\2"),
    (r"(position|velocity)\.1\.cnn\.(.+)", r"\1.layers.0.\2"),
    (r"(position|velocity)\.3\.cnn\.(.+)", r"\1.layers.2.\2"),
    (r"spa_embed\.cnn\.(\d)\.cnn\.(.+)", r"joint_type.\1.\2"),
    (r"tem_embed\.cnn\.(\d)\.cnn\.(.+)", r"frame_index.\1.\2"),
    (r"compute_g1\.g1\.cnn\.(.+)", r"query.\1"),
    (r"compute_g1\.g2\.cnn\.(.+)", r"key.\1"),
    *((rf"gcn{layer + 1}\.(.+)", rf"graph.{layer}.\1") for layer in range(3)),
    (r"graph\.(\d)\.bn\.(.+)", r"graph.\1.norm.norm.\2"),
    (r"graph\.(\d)\.w\.cnn\.(.+)", r"graph.\1.neighbours.\2"),
    (r"graph\.(\d)\.w1\.cnn\.(.+)", r"graph.\1.own.\2"),
    (r"cnn\.cnn1\.(.+)", r"temporal.\1"),
    (r"cnn\.bn1\.(.+)", r"temporal_norm.\1"),
    (r"cnn\.cnn2\.(.+)", r"widen.\1"),
    (r"cnn\.bn2\.(.+)", r"widen_norm.\1"),
    (r"fc\.(.+)", r"classifier.\1"),
)
_YAN = (
    (r"A", r"adjacency"),
    (r"data_bn\.(.+)", r"input_norm.\1"),
    *_units(r"st_gcn_networks\.", r"gcn\.conv tcn\.0 tcn\.2 tcn\.3 residual"),
    (r"edge_importance\.(\d+)", r"units.\1.importance"),
    (r"fcn\.(.+)", r"classifier.\1"),
)
_NAGY = (
    *_units(r"(?:conv\.)?", r"spatialConv\.W batch_n temporalConv batch_n_2 apply_residual"),
    (r"(?:conv\.)?(\d+)\.spatialConv\.A", r"units.\1.adjacency"),
    (r"fc_layer\.(.+)", r"classifier.\1"),
)
_SPARSE = (
    (r"(?:backbone\.)?(gcn|data_bn)\.(.+)", r"\1.\2"),
    (r"data_bn\.(.+)", r"input_norm.\1"),
    (r"gcn\.(\d+)\.gcn\.A", r"units.\1.adjacency"),
    *_units(r"gcn\.", r"gcn\.conv gcn\.bn tcn\.conv tcn\.bn residual"),
    (r"(units\.\d+\.skip)\.conv\.(.+)", r"\1.0.\2"),
    (r"(units\.\d+\.skip)\.bn\.(.+)", r"\1.1.\2"),
    (r"(units\..+)\.weight_score", r"\1.score"),
    (r"cls_head\.fc_cls\.(weight|bias)", r"classifier.\1"),
)
_EXPERT = re.compile(r"(?:backbone\.)?experts\.(\d+)\.(.+)")
_HEAD = re.compile(r"cls_head\.fc_cls\.(\d+)\.(.+)")


def build_official(state: State, where: str) -> tuple[str, nn.Module]:
    """Network of ours with the authors' weights, in evaluation mode.

    Raises ModelError if it is none of them, or lacks a tensor.

    `state`: their state dict; sizes, partitions, strides and kinds of units are read from it.
    `where`: what to call it in errors.

    Returns `kind`: ``sgn``, ``yan``, ``nagy``, ``sparse`` or ``assembled``; `network`: motion (N,
    M, T, V, C) to logits.
    """
    try:
        if "joint_embed.cnn.1.cnn.weight" in state:
            return "sgn", _sgn(state)
        if "st_gcn_networks.0.gcn.conv.weight" in state:
            return "yan", _yan(state)
        if any(name.endswith("spatialConv.A") for name in state):
            return "nagy", _nagy(state)
        if any(_EXPERT.fullmatch(name) for name in state):
            return "assembled", _assembled(state)
        if any(name.endswith(".weight_score") for name in state):
            return "sparse", _sparse(state)
    except (KeyError, IndexError, RuntimeError, ValueError) as error:
        raise ModelError(f"'{where}' holds a damaged network: {str(error)[:200]}") from error
    raise ModelError(
        f"'{where}' holds no network that is known: SGN, ST-GCN (Yan or Nagy) or sparse ST-GCN"
    )


def _renamed(state: State, patterns: Names) -> dict[str, Tensor]:
    renamed = {}
    for theirs, tensor in state.items():
        name = theirs
        for pattern, ours in patterns:
            match = re.fullmatch(pattern, name)
            if match:
                name = match.expand(ours)
        if name != theirs or name.startswith("units."):
            renamed[name] = tensor
    return renamed


def _sgn(state: State) -> nn.Module:
    ours = _renamed(state, _SGN)
    width, channels = ours["position.layers.0.weight"].shape[:2]
    joints, frames = ours["joint_type.0.weight"].shape[1], ours["frame_index.0.weight"].shape[1]
    network = Sgn(joints, frames, len(ours["classifier.bias"]), channels, width)
    for name, tensor in ours.items():
        if ".norm.norm." in name and name.startswith(("position", "velocity")) and tensor.ndim:
            ours[name] = tensor.view(channels, joints).T.flatten()  # theirs count coordinates first
        elif name.endswith("weight") and tensor.ndim == 4:
            # A 1×1 convolution is a linear map; others run over frames alone.
            ours[name] = (
                tensor[:, :, 0, 0] if not name.startswith(("te", "wi")) else tensor[:, :, 0]
            )
    return _filled(network, ours)


def _yan(state: State) -> nn.Module:
    ours = _renamed(state, _YAN)
    ours["classifier.weight"] = ours["classifier.weight"].flatten(1)
    edges = "importance" if "units.0.importance" in ours else "fixed"
    config = _config(ours, unit="post", edges=edges)
    classes = len(ours["classifier.bias"])
    return _filled(Stgcn(config, ours["adjacency"].numpy(), classes, _channels(ours)), ours)


def _nagy(state: State) -> nn.Module:
    ours = _renamed(state, _NAGY)
    for name in [name for name in ours if name.endswith("adjacency")]:
        ours[name] = ours[name].transpose(1, 2)  # theirs is indexed by the joint that takes first
    unit = "preactivation" if any(".skip." in name for name in ours) else "plain"
    return _free(ours, unit, Stgcn)


def _sparse(state: State) -> nn.Module:
    return _free(_renamed(state, _SPARSE), "post", SparseStgcn)


def _free(ours: dict[str, Tensor], unit: str, kind: type[Stgcn]) -> nn.Module:
    """ST-GCN whose units have an adjacency each; without a classifier one is made up."""
    config = _config(ours, unit=unit, edges="free")
    adjacency = ours["units.0.adjacency"].numpy()
    ours["adjacency"] = ours["units.0.adjacency"]
    ours.setdefault("classifier.weight", torch.zeros(1, config.widths[-1]))
    ours.setdefault("classifier.bias", torch.zeros(len(ours["classifier.weight"])))
    classes = len(ours["classifier.bias"])
    extra: dict[str, Any] = {}
    if kind is SparseStgcn:
        extra["sparse"] = SparseConfig(scope="network", legacy_skips=True)
    return _filled(kind(config, adjacency, classes, _channels(ours), **extra), ours)


def _assembled(state: State) -> nn.Module:
    experts: dict[int, dict[str, Tensor]] = {}
    heads: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if match := _EXPERT.fullmatch(name):
            experts.setdefault(int(match[1]), {})[match[2]] = tensor
        elif match := _HEAD.fullmatch(name):
            if match[1] == "0":
                heads[match[2]] = tensor
            else:
                own = experts.setdefault(int(match[1]) - 1, {})
                own[f"cls_head.fc_cls.{match[2]}"] = tensor
    networks = [_sparse(experts[level]) for level in sorted(experts)]
    assembly = Assembly(networks, len(heads["bias"]))  # type: ignore[arg-type]
    assembly.classifier.load_state_dict(heads)
    return assembly.eval()


def _config(ours: State, unit: str, edges: str) -> StgcnConfig:
    count = 1 + max(int(name.split(".")[1]) for name in ours if name.startswith("units."))
    temporal = [ours[f"units.{index}.temporal.weight"] for index in range(count)]
    return StgcnConfig(
        unit=unit,
        edges=edges,
        widths=tuple(len(weight) for weight in temporal),
        kernel=temporal[0].shape[2],
        input_norm="input_norm.weight" in ours,
    )


def _channels(ours: State) -> int:
    return int(ours["units.0.spatial.weight"].shape[1])


def _filled(network: nn.Module, ours: Mapping[str, Tensor]) -> nn.Module:
    network.load_state_dict({n: t for n, t in ours.items() if not n.startswith("Masks")})
    return network.eval()


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """State dict of a checkpoint of the authors' (.pt, .pth, .ckpt), read as tensors only.

    Raises ModelError if it is missing, or holds anything else.
    """
    if not path.is_file():
        raise ModelError(f"there is no checkpoint at '{path}'")
    try:
        content: Any = load_checkpoint(path)
    except Exception as error:  # the unpickler of a damaged file may raise anything
        first = str(error).strip().partition("\n")[0].partition(". ")[0]
        raise ModelError(f"'{path}' is no checkpoint of tensors alone: {first}") from error
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        raise ModelError(f"'{path}' holds no state dict; save model.state_dict() and import that")
    return {str(name).removeprefix("module."): tensor for name, tensor in content.items()}


_PARTITIONS = {1: "uni", 2: "distance", 3: "spatial_legacy"}


def import_actions(checkpoint: Path, out: Path) -> ActionWeights | None:
    """Turn an authors' checkpoint into a weights file for actions.

    Classes are numbered from 0 as the authors' are; edges are those of the checkpoint.

    Raises ModelError if the checkpoint is missing or damaged.

    Returns what was written; None, and nothing written, for a network that is none for actions.
    """
    state = read_checkpoint(checkpoint)
    if not _is_known(state):
        return None
    kind, network = build_official(state, str(checkpoint))
    if kind == "assembled":
        raise ModelError(f"'{checkpoint}' is an assembly; import its networks one by one")
    classes = len(network.classifier.bias)  # type: ignore[union-attr, arg-type]
    options: dict[str, Any]
    if isinstance(network, Sgn):
        joints, frames = len(state["spa_embed.cnn.0.cnn.weight"][0]), network.frames
        channels, options = 3, {"width": network.query.in_features // 2}
        family = "sgn"
    else:
        assert isinstance(network, Stgcn)
        subsets, joints, _ = network.adjacency.shape
        family = "sparse_stgcn" if kind == "sparse" else "stgcn"
        channels = int(network.units[0].spatial.in_channels)  # type: ignore[union-attr, arg-type]
        options = asdict(network.config)
        options |= {"partition": _PARTITIONS.get(subsets, "spatial_legacy")}
        options |= {"hops": 1 if subsets < 4 else (subsets - 1) // 2}
        if isinstance(network, SparseStgcn):
            options |= asdict(network.sparse)
            settle(network)
        frames = 300 if kind == "yan" else 100
    sampling = {"sgn": "segments", "yan": "pad", "nagy": "loop"}.get(kind, "uniform")
    layout, known = _joints_of(kind, joints)
    weights = ActionWeights(
        network=family,
        options=options,
        joints=known,
        labels=tuple(map(str, range(classes))),
        channels=channels,
        window=WindowConfig(frames=frames, sampling=sampling),
        tensors={name: tensor.numpy() for name, tensor in network.state_dict().items()},
        name=f"{family}_{checkpoint.stem}",
        layout=layout,
        about={"source": checkpoint.name, "licence": "the authors'; see docs/actions.md"},
    )
    write_action_weights(out, weights)
    return weights


def _is_known(state: State) -> bool:
    marks = ("joint_embed.cnn.1.cnn.weight", "st_gcn_networks.0.gcn.conv.weight")
    ends = ("spatialConv.A", ".weight_score")
    return any(name in marks or name.endswith(ends) for name in state)


def _joints_of(kind: str, count: int) -> tuple[str, Joints]:
    """Layout and joints that a network of so many joints was trained on, as far as is known."""
    if count == 25 and kind != "nagy":
        return "", Joints.of_parents(NTU_NAMES, NTU_PARENTS)
    layouts = {25: "openpose25", 20: "kinect20", 18: "openpose18", 17: "coco17"}
    if count in layouts:
        return layouts[count], Joints.of_layout(layouts[count])
    return "", Joints.of_parents(map(str, range(count)), (-1, *(0 for _ in range(count - 1))))


# Parity -----------------------------------------------------------------------------------------

_INPUT: dict[str, Callable[[Tensor], Tensor]] = {  # to (N, M, T, V, C)
    "sgn": lambda x: x.view(x.shape[0], 1, x.shape[1], -1, 3),
    "yan": lambda x: x.permute(0, 4, 2, 3, 1),
    "nagy": lambda x: x[:, None],
    "sparse": lambda x: x,
    "assembled": lambda x: x,
}
_CENTRES = {"openpose": 1, "ntu-rgb+d": 20, "nturgb+d": 20, "ntu_edge": 2, "coco": 0}


def parity(path: Path) -> dict[str, float]:
    """Largest difference of every answer in a golden file, relative to its largest magnitude.

    Raises InputError, ModelError if the file is missing, damaged or of another form.

    `path`: file with the authors' weights (``w:*``), an input ``x`` and their answers, as
    docs/actions.md describes, or with their adjacencies.

    Returns the differences by answer.
    """
    arrays = load_arrays(path)
    if any(name.startswith(("A:", "raw:")) for name in arrays):
        return _adjacency_parity(arrays)
    stacks = sorted({name.split(":w:")[0] for name in arrays if ":w:" in name})
    if stacks:
        return {k: v for stack in stacks for k, v in _stack_parity(arrays, stack).items()}
    weights = {n[2:]: torch.from_numpy(np.array(v)) for n, v in arrays.items() if n[:2] == "w:"}
    if not weights or "x" not in arrays:
        raise ModelError(
            f"'{path}' holds no weights ('w:NAME') with an input 'x'; parity needs both"
        )
    kind, network = build_official(weights, str(path))
    network = network.double()
    x = _INPUT[kind](torch.from_numpy(np.array(arrays["x"])).double())
    with torch.no_grad():
        if kind == "assembled":
            return _assembly_parity(network, x, arrays)
        if kind == "sparse":
            return _sparse_parity(network, x, arrays)
        return {"y64": relative_difference(network(x), arrays["y64"])}


def relative_difference(ours: Tensor, theirs: NDArray[Any]) -> float:
    """Largest difference over the largest magnitude of theirs; infinite for other shapes or NaN."""
    answer = ours.detach().numpy()
    if answer.shape != theirs.shape:
        return float("inf")
    difference = float(np.abs(answer - theirs).max() / max(np.abs(theirs).max(), 1e-30))
    return difference if difference == difference else float("inf")


def _sparse_parity(network: Any, x: Tensor, arrays: Mapping[str, Any]) -> dict[str, float]:
    found = {}
    for name in arrays:
        level = name.partition(":")[2]
        if name.startswith("y64:") or name == "y:dense":
            network.cut(0.0 if level == "dense" else float(level))
            features = network.features(x)
            found[name] = relative_difference(features, arrays[name])
    return found


def _assembly_parity(network: Any, x: Tensor, arrays: Mapping[str, Any]) -> dict[str, float]:
    for level, expert in zip(arrays["levels"], network.networks, strict=True):
        expert.cut(float(level))
    features = torch.stack([expert.features(x) for expert in network.networks])
    found = {"feature": relative_difference(features, arrays["feature"])}
    for index, logits in enumerate(network.heads(x)):
        found[f"logits{index}"] = relative_difference(logits, arrays[f"logits{index}"])
    return found


def _stack_parity(arrays: Mapping[str, Any], stack: str) -> dict[str, float]:
    """Units by themselves: every unit's output."""
    prefix = f"{stack}:w:"
    weights = {
        n.removeprefix(prefix): torch.from_numpy(np.array(v))
        for n, v in arrays.items()
        if n.startswith(prefix)
    }
    network: Any = build_official(weights, stack)[1].double()
    x = torch.from_numpy(np.array(arrays[f"{stack}:x"])).double()
    found = {}
    with torch.no_grad():
        for index, unit in enumerate(network.units):
            x = unit(x, network.adjacency)
            found[f"{stack}:y{index}"] = relative_difference(x, arrays[f"{stack}:y{index}"])
    return found


def _adjacency_parity(arrays: Mapping[str, Any]) -> dict[str, float]:
    """Subsets and weights of every adjacency; bones are read from the neighbourhoods of one hop."""
    found = {}
    for name, theirs in arrays.items():
        kind, *key = name.split(":")
        if kind == "A":
            layout, partition, hops = key[0], key[1], int((*key, "1")[2])
            pyskl = f"A:{layout}:spatial" in arrays
            one_hop = arrays[f"A:{layout}:{'spatial' if pyskl else 'uniform:1'}"]
            normalisation = "column" if len(key) == 3 or partition.startswith("st") else "subset"
            if normalisation == "column":
                partition = {"uniform": "uni", "distance": "distance"}.get(
                    partition, "spatial_legacy"
                )
            options: dict[str, Any] = {"centre": _CENTRES.get(layout, 0)}
        elif kind in ("raw", "authors", "report"):
            partition, hops, normalisation = key[0], int(key[1][1:]), kind
            partition = "centripetal" if partition == "spatial" else partition
            one_hop = arrays["raw:uni:d1"]
            theirs = theirs.transpose(0, 2, 1)
            options = {
                "mirror": get_layout("openpose25").mirror,
                "distances": arrays["distances"],
            }
        else:
            continue
        joined = one_hop.sum(axis=0) > 0
        steps = hop_distances(len(joined), zip(*np.nonzero(joined | joined.T), strict=True))
        np.fill_diagonal(steps, 0)
        ours = adjacency_subsets(steps, partition, hops, **options)
        if normalisation != "raw":
            ours = normalised(ours, normalisation)
        if normalisation == "subset":  # PYSKL's order: the joint, those nearer, those farther
            ours = ours[[0, 2, 1]]
        found[name] = relative_difference(torch.from_numpy(ours), theirs)
    return found
