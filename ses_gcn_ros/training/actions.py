"""Training of networks for actions: seeded, last epoch, no look at the people it is tested on."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from collections.abc import Sequence as Sequences
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import yaml
from numpy.typing import NDArray
from torch import Tensor, nn

from ses_gcn_ros.actions.abstaining import best_temperature, probabilities, risk_threshold
from ses_gcn_ros.actions.torch_network import build_network
from ses_gcn_ros.actions.weights import ActionWeights
from ses_gcn_ros.actions.windows import (
    AugmentConfig,
    WindowConfig,
    augmented,
    sample,
    with_features,
)
from ses_gcn_ros.config import build, option
from ses_gcn_ros.datasets.actions import ActionSet, LabelledMotion, Windows, cut
from ses_gcn_ros.errors import ConfigError, ModelError
from ses_gcn_ros.resources import share_path


@dataclass(frozen=True)
class ActionTraining:
    """How a network for actions is trained."""

    epochs: int = option(60, "passes over the windows", minimum=1, maximum=1000)
    per_epoch: int = option(0, "windows of an epoch; 0: all", minimum=0, maximum=10**7)
    batch: int = option(32, "windows per step", minimum=2, maximum=4096)
    optimiser: str = option("adam", "who steps", choices=("adam", "adamw", "sgd"))
    learning_rate: float = option(1e-3, "highest rate", minimum=1e-7, maximum=10)
    schedule: str = option(
        "cosine", "cosine to zero, or steps by 0.1 at the milestones", choices=("cosine", "steps")
    )
    milestones: tuple[float, ...] = option(
        (0.5, 0.75, 0.92), "where the rate steps, as shares of all epochs", minimum=0, maximum=1
    )
    weight_decay: float = option(1e-4, "decay of weights", minimum=0, maximum=1)
    smoothing: float = option(0.1, "of labels", minimum=0, maximum=0.5)
    balanced: bool = option(False, "draw every class as often as the others")
    regulariser: str = option(
        "none", "term in the loss", choices=("none", "l2", "l1", "attention_entropy")
    )
    regularisation: float = option(1e-4, "weight of that term", minimum=0, maximum=1)
    crops: int = option(5, "samples of a window whose answers are averaged", minimum=1, maximum=50)
    average: float = option(
        0.0,
        "decay of the averaged weights that are kept, per step; 0: the last",
        minimum=0,
        maximum=0.9999,
    )
    precision: str = option(
        "bfloat16", "of the forward pass in training", choices=("float32", "bfloat16")
    )


@dataclass(frozen=True)
class ActionRecipe:
    """Everything about a training run for actions but its data's place."""

    name: str
    network: str
    options: Mapping[str, Any]
    window: WindowConfig
    augment: AugmentConfig
    training: ActionTraining


_SECTIONS: dict[str, type[Any]] = {
    "window": WindowConfig,
    "augment": AugmentConfig,
    "training": ActionTraining,
}


def load_action_recipe(name: str) -> ActionRecipe:
    """Recipe by the name of one that ships, or by the path of a YAML file.

    Raises
    ------
    ConfigError
        If there is no such recipe, or a section, name, type or value in it is wrong.
    """
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        folder = share_path("config", "actions")
        path = folder / f"{name}.yaml"
        if not path.is_file():
            known = ", ".join(sorted(file.stem for file in folder.glob("*.yaml")))
            raise ConfigError(f"there is no recipe '{name}'; known are {known}")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"recipe '{path}' can't be read: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("network"), str):
        raise ConfigError(f"recipe '{path}' is no mapping with a 'network'")
    unknown = sorted(set(content) - {"network", "options", *_SECTIONS})
    if unknown:
        raise ConfigError(f"recipe '{path}' has an unknown section '{unknown[0]}'")
    parts = {}
    for section, kind in _SECTIONS.items():
        try:
            parts[section] = build(kind, content.get(section) or {})
        except ConfigError as error:
            raise ConfigError(f"recipe '{path}', section '{section}': {error}") from error
    return ActionRecipe(path.stem, content["network"], content.get("options") or {}, **parts)


def untrained(recipe: ActionRecipe, data: ActionSet) -> ActionWeights:
    """Weights of a recipe's network for a set's joints and classes, without tensors yet."""
    channels = data.recordings[0].positions.shape[-1] * len(recipe.window.features)
    return ActionWeights(
        network=recipe.network,
        options=recipe.options,
        joints=data.joints,
        labels=data.labels,
        channels=channels,
        window=recipe.window,
        tensors={},
        name=recipe.name,
        layout=data.layout,
    )


Progress = Callable[[int, int, float], None]  # epoch, of how many, loss


def train_actions(
    recipe: ActionRecipe,
    data: ActionSet,
    seed: int,
    progress: Progress = lambda epoch, epochs, loss: None,
) -> tuple[ActionWeights, nn.Module]:
    """Train a recipe's network on a set, up to the last epoch.

    Raises
    ------
    ModelError
        If the loss is no longer a number.
    """
    plan = recipe.training
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    weights = untrained(recipe, data)
    network = build_network(weights)
    windows = cut(data, recipe.window, data.labels)
    batches = max((plan.per_epoch or len(windows.motions)) // plan.batch, 1)
    total = plan.epochs * batches
    optimiser = _optimiser(plan, network)
    average = (
        torch.optim.swa_utils.AveragedModel(
            network,
            multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(plan.average or 0.5),
            use_buffers=True,
        )
        if plan.average
        else None
    )
    step = 0
    for epoch in range(plan.epochs):
        order = _order(windows.labels, plan, rng)
        losses = 0.0
        network.train()
        prepare_epoch = getattr(network, "begin_epoch", None)
        if prepare_epoch is not None:
            prepare_epoch(epoch / plan.epochs)
        for index in range(batches):
            chosen = order[index * plan.batch : (index + 1) * plan.batch]
            for group in optimiser.param_groups:
                group["lr"] = plan.learning_rate * _share(plan, step / total)
            x = _batch(windows, chosen, recipe, data, rng)
            target = torch.from_numpy(windows.labels[chosen])
            with torch.autocast("cpu", torch.bfloat16, enabled=plan.precision == "bfloat16"):
                loss = _loss(network, x, target, plan)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            if average is not None:
                average.update_parameters(network)
            losses += float(loss.detach())
            step += 1
        if not np.isfinite(losses):
            raise ModelError(
                f"the loss is {losses} in epoch {epoch + 1}; lower training.learning_rate "
                f"({plan.learning_rate:g})"
            )
        progress(epoch + 1, plan.epochs, losses / batches)
    kept: nn.Module = network if average is None else average.module
    if prepare_epoch is not None:
        kept.begin_epoch(1.0)  # type: ignore[operator]
    kept.eval()
    weights.tensors.update({n: t.detach().numpy() for n, t in kept.state_dict().items()})
    return weights, kept


def _order(
    labels: NDArray[np.int64], plan: ActionTraining, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Windows of an epoch: each once, or drawn so that every class comes as often as others."""
    count = plan.per_epoch or len(labels)
    if plan.balanced:
        share = 1 / np.bincount(labels)[labels]
        return rng.choice(len(labels), count, p=share / share.sum())
    return np.concatenate([rng.permutation(len(labels)) for _ in range(-(-count // len(labels)))])


def _optimiser(plan: ActionTraining, network: nn.Module) -> torch.optim.Optimizer:
    parameters, rate, decay = list(network.parameters()), plan.learning_rate, plan.weight_decay
    if plan.optimiser == "sgd":
        return torch.optim.SGD(parameters, rate, momentum=0.9, nesterov=True, weight_decay=decay)
    kind = torch.optim.Adam if plan.optimiser == "adam" else torch.optim.AdamW
    return kind(parameters, rate, weight_decay=decay)


def _share(plan: ActionTraining, done: float) -> float:
    """Share of the highest learning rate, after a share of the training."""
    if plan.schedule == "steps":
        return float(0.1 ** sum(done >= stone for stone in plan.milestones))
    return 0.5 * (1 + float(np.cos(np.pi * done)))


def _batch(
    windows: Windows,
    chosen: NDArray[np.int64],
    recipe: ActionRecipe,
    data: ActionSet,
    rng: np.random.Generator | None,
    augment: bool = True,
) -> Tensor:
    x = np.stack([sample(windows.motions[i], recipe.window, rng) for i in chosen])
    if augment and rng is not None:
        x = augmented(x, data.joints, windows.up, recipe.augment, rng)
    x = with_features(x, data.joints.parents, recipe.window.features)
    return torch.from_numpy(np.ascontiguousarray(x, np.float32))[:, None]


def _loss(network: nn.Module, x: Tensor, target: Tensor, plan: ActionTraining) -> Tensor:
    heads = getattr(network, "heads", None)
    answers = heads(x) if heads is not None else [network(x)]
    loss = torch.stack(
        [F.cross_entropy(a.float(), target, label_smoothing=plan.smoothing) for a in answers]
    ).sum()
    penalty = getattr(network, "current_penalty", None)
    if penalty is not None:
        loss = loss + penalty()
    if plan.regulariser in ("l1", "l2"):
        power = 1 if plan.regulariser == "l1" else 2
        terms = [p.abs().pow(power).sum() for p in network.parameters() if p.ndim > 1]
        loss = loss + plan.regularisation / power * torch.stack(terms).sum()
    elif plan.regulariser == "attention_entropy":
        attention = getattr(network, "attention", None)
        if attention is None:
            raise ConfigError("regulariser 'attention_entropy' takes a network with attention")
        entropy = -(attention * (attention + 1e-9).log()).sum(dim=-1).mean()
        loss = loss + plan.regularisation * entropy
    return loss


@torch.no_grad()
def answers(
    network: nn.Module, windows: Windows, recipe: ActionRecipe, data: ActionSet, seed: int = 0
) -> NDArray[np.float32]:
    """Logits (N, classes) of windows: means over the recipe's crops, which a seed draws."""
    network.eval()
    rng = np.random.default_rng(seed)
    crops = recipe.training.crops if recipe.window.sampling in ("segments", "uniform") else 1
    sums: NDArray[np.float32] = np.zeros(0, np.float32)
    for crop in range(crops):
        parts = []
        for start in range(0, len(windows.motions), 64):
            chosen = np.arange(start, min(start + 64, len(windows.motions)))
            drawn = rng if crops > 1 else None
            x = _batch(windows, chosen, recipe, data, drawn, augment=False)
            with torch.autocast(
                "cpu", torch.bfloat16, enabled=recipe.training.precision != "float32"
            ):
                parts.append(network(x).float().numpy())
        logits = np.concatenate(parts)
        sums = logits if crop == 0 else sums + logits
    return sums / np.float32(crops)


def describe(recipe: ActionRecipe) -> dict[str, Any]:
    """Every value of a recipe."""
    parts = {name: asdict(getattr(recipe, name)) for name in _SECTIONS}
    return {"network": recipe.network, "options": dict(recipe.options), **parts}


def evaluate_split(
    recipe: ActionRecipe, data: ActionSet, train_subjects: Sequences[str], seed: int
) -> dict[str, Any]:
    """Train on some people of a set and test on the others; what came out, as plain values."""
    started = time.monotonic()
    train = data.of_subjects(train_subjects)
    test = data.without_subjects(train_subjects)
    weights, network = train_actions(recipe, train, seed)
    windows = cut(test, recipe.window, data.labels)
    logits = answers(network, windows, recipe, test)
    right = logits.argmax(axis=1) == windows.labels
    recordings, first = np.unique(windows.source, return_index=True)
    summed = np.stack([logits[windows.source == number].sum(axis=0) for number in recordings])
    whole = summed.argmax(axis=1) == windows.labels[first]
    return {
        "seed": seed,
        "test_subjects": sorted({r.subject for r in test.recordings}),
        "accuracy": float(right.mean()),
        "windows": len(right),
        "recording_accuracy": float(whole.mean()),
        "recordings": len(recordings),
        "macro_f1": macro_f1(logits.argmax(axis=1), windows.labels),
        "per_class": {
            label: float(right[windows.labels == number].mean())
            for number, label in enumerate(weights.labels)
            if (windows.labels == number).any()
        },
        "parameters": sum(p.numel() for p in network.parameters()),
        "seconds": time.monotonic() - started,
    }


@dataclass(frozen=True)
class Abstaining:
    """What the answers of a network that may say ``unknown`` are worth."""

    macro_f1: float  # of all answers, before any is withheld
    coverage: float  # share of windows that get an answer, all classes alike
    risk: float  # share of wrong answers among these
    unknown_of_strange: float  # share of what belongs to no class that is said to be unknown
    per_class: dict[str, float]  # F1
    idle_or_unknown: float  # of idle people; NaN without a class 'idle'


def train_and_calibrate(
    recipe: ActionRecipe,
    data: ActionSet,
    seed: int,
    risk: float = 0.05,
    progress: Progress = lambda epoch, epochs, loss: None,
) -> tuple[ActionWeights, Abstaining]:
    """Train on all people but those held out; calibrate on half of their recordings, test on half.

    Raises
    ------
    ConfigError
        If the set holds nobody out.
    """

    def held_out(recording: LabelledMotion) -> bool:
        return any(fnmatch(recording.subject, pattern) for pattern in data.held_out)

    out = [r for r in data.recordings if held_out(r)]
    if not out:
        raise ConfigError("nobody is held out to calibrate on; name people under 'held_out'")
    seen = tuple(r for r in data.recordings if not held_out(r))
    weights, _ = train_actions(recipe, replace(data, recordings=seen), seed, progress)
    return calibrated(weights, replace(data, recordings=tuple(out)), recipe, risk)


def calibrated(
    weights: ActionWeights, data: ActionSet, recipe: ActionRecipe, risk: float
) -> tuple[ActionWeights, Abstaining]:
    """Weights with temperature and threshold from every other recording, and how the rest fare.

    All classes count the same for the risk, however long each was recorded. Those of the
    background are cut, and belong to what is strange from then on.
    """
    kept = [i for i, label in enumerate(weights.labels) if label not in data.background]
    labels = tuple(weights.labels[index] for index in kept)
    ends = {name: weights.tensors[name][kept] for name in ("classifier.weight", "classifier.bias")}
    weights = replace(weights, labels=labels, tensors=weights.tensors | ends)
    network = build_network(weights)
    behind = tuple(r for r in data.recordings if r.label in data.background)
    data = replace(
        data,
        recordings=tuple(r for r in data.recordings if r.label not in data.background),
        labels=labels,
        strange=data.strange + behind,
    )
    halves: list[list[LabelledMotion]] = [[], []]
    for label in data.labels:
        for number, recording in enumerate(r for r in data.recordings if r.label == label):
            halves[number % 2].append(recording)
    logits, truth = zip(
        *(_answered(network, replace(data, recordings=tuple(h)), recipe) for h in halves),
        strict=True,
    )
    temperature = best_temperature(logits[0], truth[0])
    chances = [probabilities(part, temperature) for part in logits]
    best, sure = chances[1].argmax(axis=1), chances[1].max(axis=1)
    threshold = risk_threshold(
        chances[0].max(axis=1),
        chances[0].argmax(axis=1) == truth[0],
        risk,
        weight=_evenly(truth[0]) * recipe.window.stride / max(recipe.window.duration, 1e-9),
    )
    weights = replace(weights, temperature=temperature, threshold=threshold)
    answered, share = sure >= threshold, _evenly(truth[1])
    strange = float("nan")
    if data.strange:
        named = tuple(replace(r, label=data.labels[0]) for r in data.strange)
        others, _ = _answered(network, replace(data, recordings=named), recipe)
        strange = float((probabilities(others, temperature).max(axis=1) < threshold).mean())
    at_rest = truth[1] == (data.labels.index("idle") if "idle" in data.labels else -1)
    idle = (best == truth[1]) | ~answered
    return weights, Abstaining(
        macro_f1=macro_f1(best, truth[1]),
        coverage=float(np.average(answered, weights=share)),
        risk=float(np.average((best != truth[1])[answered], weights=share[answered]))
        if answered.any()
        else 0.0,
        unknown_of_strange=strange,
        per_class={
            label: macro_f1(best == number, truth[1] == number, (True,))
            for number, label in enumerate(data.labels)
            if (truth[1] == number).any()
        },
        idle_or_unknown=float(idle[at_rest].mean()) if at_rest.any() else float("nan"),
    )


def _evenly(labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weights under which all classes count the same, the rarest ones' windows 1."""
    counts = np.bincount(labels)
    return counts[counts > 0].min() / counts[labels]


def _answered(
    network: nn.Module, data: ActionSet, recipe: ActionRecipe
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    windows = cut(data, recipe.window, data.labels)
    return answers(network, windows, recipe, data), windows.labels


def macro_f1(
    answer: NDArray[Any], truth: NDArray[Any], classes: Sequences[Any] | None = None
) -> float:
    """Mean F1 over the classes that occur in the truth, or over some."""
    scores = []
    for label in np.unique(truth) if classes is None else classes:
        hits = int(((answer == label) & (truth == label)).sum())
        scores.append(2 * hits / int((answer == label).sum() + (truth == label).sum()))
    return float(np.mean(scores))
