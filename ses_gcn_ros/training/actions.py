"""Training of networks for actions, and what they are worth on people never trained on."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from collections.abc import Sequence as Sequences
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ses_gcn_ros.actions.abstaining import best_temperature, probabilities, risk_threshold
from ses_gcn_ros.actions.torch_network import build_network
from ses_gcn_ros.actions.weights import ActionWeights
from ses_gcn_ros.actions.windows import (
    DRAWN,
    AugmentConfig,
    Joints,
    WindowConfig,
    augmented,
    sample,
    with_features,
)
from ses_gcn_ros.config import option
from ses_gcn_ros.datasets.actions import ActionSet, LabelledMotion, Windows, cut
from ses_gcn_ros.errors import ConfigError
from ses_gcn_ros.models.sparse_stgcn import Assembly, SparseStgcn
from ses_gcn_ros.training.parallel import Processes
from ses_gcn_ros.training.recipe import TrainingRecipe, find_recipe, flat, read_sections
from ses_gcn_ros.training.trainer import Progress, Trainer


@dataclass(frozen=True)
class ObjectiveRecipe:
    """What is minimised, and over which windows."""

    smoothing: float = option(0.1, "of labels", minimum=0, maximum=0.5)
    balanced: bool = option(False, "draw every class as often as the others; with training.steps")
    regulariser: str = option(
        "none", "term in the loss", choices=("none", "l2", "l1", "attention_entropy")
    )
    regularisation: float = option(1e-4, "weight of that term", minimum=0, maximum=1)


@dataclass(frozen=True)
class ActionRecipe:
    """Everything about a training run for actions but its data's place.

    Attributes
    ----------
    name, network : str
        Name of the recipe, and one of `actions.weights.NETWORKS`.
    options : mapping
        Options of the network.
    window, augment, training, objective
        See each.
    """

    name: str
    network: str
    options: Mapping[str, Any]
    window: WindowConfig
    augment: AugmentConfig
    training: TrainingRecipe
    objective: ObjectiveRecipe


_SECTIONS: dict[str, type[Any]] = {
    "window": WindowConfig,
    "augment": AugmentConfig,
    "training": TrainingRecipe,
    "objective": ObjectiveRecipe,
}
# The last epoch counts, seeds are given to the command, and dropout is the network's own.
_UNUSED = (
    *("training.seed", "training.after", "training.freeze", "training.patience"),
    *("training.dropout", "training.horizon_weight", "training.relative", "training.caution"),
)


def load_action_recipe(name: str) -> ActionRecipe:
    """Recipe by the name of one that ships, or by the path of a YAML file.

    Raises
    ------
    ConfigError
        If there is no such recipe, a section, name, type or value in it is wrong, or an option has
        no use.
    """
    name, content = find_recipe(name, "actions")
    if not isinstance(content, dict) or not isinstance(content.get("network"), str):
        raise ConfigError(f"recipe '{name}' is no mapping with a 'network'")
    options = content.get("options") or {}
    rest = {key: value for key, value in content.items() if key not in ("network", "options")}
    given = {f"{section}.{key}" for section, part in rest.items() for key in part or ()}
    parts = read_sections(name, rest, _SECTIONS, _UNUSED)
    recipe = ActionRecipe(name, content["network"], options, **parts)
    window, plan, objective = recipe.window, recipe.training, recipe.objective
    idle = {
        "window.stride": not window.duration and "window.duration takes whole recordings",
        "window.crops": window.sampling not in DRAWN
        and f"window.sampling {window.sampling} gives the same frames each time",
        "training.milestones": not plan.epochs and "they count training.epochs",
        "training.steps": plan.epochs and "training.epochs counts instead",
        "objective.balanced": plan.epochs and "in an epoch every window is seen once",
        "objective.regularisation": objective.regulariser == "none"
        and "objective.regulariser is none",
    }
    for key in sorted(given & set(idle)):
        if idle[key]:
            raise ConfigError(
                f"recipe '{name}' gives {key}, which has no use here: {idle[key]}; remove it"
            )
    return recipe


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


@dataclass(frozen=True, eq=False)
class ActionBatch:
    """Windows of a step.

    Attributes
    ----------
    motion : Tensor, shape (N, 1, T, V, C), float32
        What a network sees.
    labels : Tensor, shape (N,)
        Index of each one's class.
    done : float
        Share of the training that came before.
    """

    motion: Tensor
    labels: Tensor
    done: float


class ActionTask:
    """A network for actions to be trained; see `trainer.Task`.

    Parameters
    ----------
    recipe : ActionRecipe
        What to do.
    data : ActionSet
        What to do it with: all of it.
    seed : int
        Of everything drawn at random.
    """

    def __init__(self, recipe: ActionRecipe, data: ActionSet, seed: int) -> None:
        self.recipe, self._data = recipe, data
        self.plan = plan = replace(recipe.training, seed=seed)
        self._windows = cut(data, recipe.window, data.labels)
        # What is left over at the end of an epoch comes in the next one, in another order.
        self.per_epoch = max(len(self._windows.labels) // plan.batch, 1) if plan.epochs else 0
        self._steps = plan.epochs * self.per_epoch or plan.steps
        self._chances: NDArray[np.float64] | None = None
        if recipe.objective.balanced:
            share = 1 / np.bincount(self._windows.labels)[self._windows.labels]
            self._chances = share / share.sum()

    def network(self) -> nn.Module:
        """See `trainer.Task`."""
        return build_network(untrained(self.recipe, self._data))

    def identity(self) -> dict[str, str]:
        """See `trainer.Task`."""
        data = hashlib.sha256()
        for recording in self._data.recordings:
            data.update(f"{recording.name} {recording.label} {recording.fps}".encode())
            data.update(np.ascontiguousarray(recording.positions).data)
        values = {name: str(value) for name, value in flat(self.recipe).items()}
        return {**values, "seed": str(self.plan.seed), "data": data.hexdigest()[:16]}

    def batch(self, step: int, rng: np.random.Generator) -> ActionBatch:
        """See `trainer.Task`."""
        count, size = len(self._windows.labels), self.plan.batch
        if self.per_epoch:
            epoch, place = divmod(step, self.per_epoch)
            order = np.random.default_rng([self.plan.seed, epoch]).permutation(count)
            chosen = order[place * size : (place + 1) * size]
        else:
            chosen = rng.choice(count, size, p=self._chances)
        motion = drawn(
            self._windows, chosen, self.recipe.window, self._data.joints, rng, self.recipe.augment
        )
        return ActionBatch(
            motion, torch.from_numpy(self._windows.labels[chosen]), step / self._steps
        )

    def loss(
        self, network: nn.Module, batch: ActionBatch, processes: Processes
    ) -> tuple[Tensor, Tensor]:
        """Cross-entropy, of every head of an assembly, and what the objective adds."""
        objective = self.recipe.objective
        if isinstance(network, (SparseStgcn, Assembly)):
            network.set_progress(batch.done)
        heads = network.heads if isinstance(network, Assembly) else lambda x: [network(x)]
        entropies = [
            F.cross_entropy(logits.float(), batch.labels, label_smoothing=objective.smoothing)
            for logits in heads(batch.motion)
        ]
        loss = torch.stack(entropies).sum()
        if isinstance(network, (SparseStgcn, Assembly)):
            loss = loss + network.current_penalty()
        if objective.regulariser in ("l1", "l2"):
            power = 1 if objective.regulariser == "l1" else 2
            terms = [p.abs().pow(power).sum() for p in network.parameters() if p.ndim > 1]
            loss = loss + objective.regularisation / power * torch.stack(terms).sum()
        elif objective.regulariser == "attention_entropy":
            attention = getattr(network, "attention", None)
            if attention is None:
                raise ConfigError("regulariser 'attention_entropy' takes a network with attention")
            entropy = -(attention * (attention + 1e-9).log()).sum(dim=-1).mean()
            loss = loss + objective.regularisation * entropy
        return loss, entropies[0]

    def validate(self, network: nn.Module) -> float:
        """Nothing is held out: the last step counts."""
        raise NotImplementedError


def train_actions(
    recipe: ActionRecipe,
    data: ActionSet,
    seed: int,
    progress: Progress = lambda step, steps, loss: None,
    checkpoint: Path | None = None,
) -> tuple[ActionWeights, nn.Module]:
    """Train a recipe's network on a set, up to the last step.

    With a `checkpoint` a run that was killed goes on where it was.

    Raises
    ------
    ModelError
        If the loss is no longer a number.
    ConfigError
        If the checkpoint is another run's, or several processes were started.
    """
    processes = Processes()
    if processes.count > 1:
        raise ConfigError("a network for actions trains in one process; start it without torchrun")
    task = ActionTask(recipe, data, seed)
    trainer = Trainer(task, checkpoint, processes)
    trainer.run(progress)
    network = trainer.average
    if isinstance(network, (SparseStgcn, Assembly)):
        network.set_progress(1.0)
    weights = replace(untrained(recipe, data), tensors=trainer.tensors())
    trainer.forget()
    return weights, network


def drawn(
    windows: Windows,
    chosen: NDArray[np.int64],
    config: WindowConfig,
    joints: Joints,
    rng: np.random.Generator | None,
    augment: AugmentConfig | None = None,
) -> Tensor:
    """Some windows as a network sees them, (N, 1, T, V, C): augmented in training."""
    x = np.stack([sample(windows.motions[i], config, rng) for i in chosen])
    if augment is not None and rng is not None:
        x = augmented(x, joints, windows.up, augment, rng)
    x = with_features(x, joints.parents, config.features)
    return torch.from_numpy(np.ascontiguousarray(x, np.float32))[:, None]


@torch.no_grad()
def answers(
    network: nn.Module, windows: Windows, config: WindowConfig, joints: Joints, seed: int = 0
) -> NDArray[np.float32]:
    """Logits (N, classes) of windows: means over their crops, which a seed draws."""
    rng = np.random.default_rng(seed) if config.sampling in DRAWN and config.crops > 1 else None
    count = len(windows.motions)
    crops = [
        np.concatenate(
            [
                network(drawn(windows, some, config, joints, rng)).numpy()
                for some in np.array_split(np.arange(count), -(-count // 64))
            ]
        )
        for _ in range(config.crops if rng is not None else 1)
    ]
    return np.asarray(np.mean(crops, axis=0), np.float32)


def evaluate_split(
    recipe: ActionRecipe, data: ActionSet, train_subjects: Sequences[str], seed: int
) -> dict[str, Any]:
    """Train on some people of a set and test on the others; what came out, as plain values."""
    started = time.monotonic()
    train = data.of_subjects(train_subjects)
    test = data.without_subjects(train_subjects)
    weights, network = train_actions(recipe, train, seed)
    windows = cut(test, recipe.window, data.labels)
    logits = answers(network, windows, recipe.window, data.joints)
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
    progress: Progress = lambda step, steps, loss: None,
    checkpoint: Path | None = None,
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
    weights, _ = train_actions(recipe, replace(data, recordings=seen), seed, progress, checkpoint)
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
    return answers(network, windows, recipe.window, data.joints), windows.labels


def macro_f1(
    answer: NDArray[Any], truth: NDArray[Any], classes: Sequences[Any] | None = None
) -> float:
    """Mean F1 over the classes that occur in the truth, or over some."""
    scores = []
    for label in np.unique(truth) if classes is None else classes:
        hits = int(((answer == label) & (truth == label)).sum())
        scores.append(2 * hits / int((answer == label).sum() + (truth == label).sum()))
    return float(np.mean(scores))
