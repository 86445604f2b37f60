"""Training of networks for actions, and what they are worth on people never trained on.

The right not to know: temperature as in Guo et al., On Calibration of Modern Neural Networks, ICML
2017; risk-controlled rejection as in Geifman, El-Yaniv: Selective Classification for Deep Neural
Networks, NeurIPS 2017, with the binomial bound of Clopper and Pearson.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from collections.abc import Sequence as Sequences
from dataclasses import dataclass, replace
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.stats import beta, ttest_rel
from torch import Tensor, nn

from ses_gcn_ros.actions.weights import UNKNOWN, ActionWeights, build_network, probabilities
from ses_gcn_ros.actions.windows import (
    DRAWN,
    AugmentConfig,
    Joints,
    WindowConfig,
    augmented,
    sample,
    trimmed,
    with_features,
)
from ses_gcn_ros.config import option
from ses_gcn_ros.datasets.actions import ActionSet, LabelledMotion, Windows, cut
from ses_gcn_ros.errors import ConfigError, InputError
from ses_gcn_ros.models.sparse_stgcn import (
    Assembly,
    SparseConv2d,
    SparseStgcn,
    go_on_from,
    settle,
)
from ses_gcn_ros.resources import parse_yaml
from ses_gcn_ros.training.recipe import TrainingRecipe, find_recipe, flat, in_order, read_sections
from ses_gcn_ros.training.sources import fingerprint
from ses_gcn_ros.training.trainer import Processes, Progress, Trainer, tensors_of

_PARTS = 5  # of held-out recordings, each judged by what the others calibrate
_SOFTNESS = 2.0  # temperature of the answers that teacher and student are compared by


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
    """Everything about a training run for actions but its data's place."""

    # name of the recipe, and one of `actions.weights.NETWORKS`
    name: str
    network: str
    options: Mapping[str, Any]  # options of the network
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
# The last epoch counts, seeds are given to the command, dropout is the network's own, and what a
# network goes on from teaches it.
_UNUSED = (
    *("training.seed", "training.members", "training.teacher", "training.freeze"),
    "training.patience",
    *("training.dropout", "training.horizon_weight", "training.relative", "training.caution"),
)


def load_action_recipe(name: str) -> ActionRecipe:
    """Recipe by the name of one that ships, or a YAML file; see `make_action_recipe`."""
    return make_action_recipe(*find_recipe(name, "actions"))


def varied_recipes(name: str, variations: Sequences[str]) -> list[ActionRecipe]:
    """Recipes with every combination of some values, named after these.

    Raises ConfigError as `make_action_recipe`, or if a variation is none.

    `name`: as of `load_action_recipe`.
    `variations`: such as ``options.partition=uni,spatial`` or ``network=sgn,esgn``; values are
    YAML.
    """
    name, content = find_recipe(name, "actions")
    axes = []
    for entry in variations:
        place, equals, values = entry.partition("=")
        try:
            choices = parse_yaml(f"[{values}]")
        except ValueError:
            choices = []
        if not equals or not choices or not isinstance(content, dict):
            raise ConfigError(
                f"'{entry}' varies nothing; give values as in options.partition=uni,spatial"
            )
        axes.append([(*place.partition(".")[::2], value) for value in choices])
    recipes = []
    for chosen in product(*axes):
        changed = copy.deepcopy(content)
        for section, key, value in chosen:
            if key:
                changed[section] = {**(changed.get(section) or {}), key: value}
            else:
                changed[section] = value
        told = ", ".join(f"{key or section}={value}" for section, key, value in chosen)
        recipes.append(make_action_recipe(told or name, changed))
    return recipes


def make_action_recipe(name: str, content: Any) -> ActionRecipe:
    """Recipe from plain values.

    Raises ConfigError if a section, name, type or value in it is wrong, or an option has no use.
    """
    if not isinstance(content, dict) or not isinstance(content.get("network"), str):
        raise ConfigError(f"recipe '{name}' is no mapping with a 'network'")
    options = content.get("options") or {}
    if not isinstance(options, dict):
        raise ConfigError(f"section 'options' of recipe '{name}' is no mapping")
    rest = {key: value for key, value in content.items() if key not in ("network", "options")}
    parts = read_sections(name, rest, _SECTIONS, _UNUSED)
    given = {f"{section}.{key}" for section, part in rest.items() for key in part or ()}
    recipe = ActionRecipe(name, content["network"], options, **parts)
    window, plan, objective = recipe.window, recipe.training, recipe.objective
    idle = {
        "window.stride": not window.duration and "window.duration takes whole recordings",
        "augment.longer": not window.duration and "window.duration takes whole recordings",
        "window.crops": window.sampling not in DRAWN
        and f"window.sampling {window.sampling} gives the same frames each time",
        "training.milestones": not plan.epochs and "they count training.epochs",
        "training.steps": plan.epochs and "training.epochs counts instead",
        "training.taught": not plan.after and "there is no training.after to teach",
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
    """Windows of a step."""

    motion: Tensor  # (N, 1, T, V, C): what a network sees
    labels: Tensor  # (N,): index of each one's class; (N, classes): shares of mixtures
    done: float  # share of the training that came before


class ActionTask:
    """A network for actions to be trained; see `trainer.Task`.

    With `starts`, trained networks, one for each level, it goes on from their weights and learns
    their mean answer beside the labels (Hinton et al.: Distilling the Knowledge in a Neural
    Network, 2015).
    """

    def __init__(
        self, recipe: ActionRecipe, data: ActionSet, seed: int, *starts: nn.Module
    ) -> None:
        self.recipe, self._data, self._starts = recipe, data, starts
        self.plan = plan = replace(recipe.training, seed=seed)
        seen = replace(recipe.window, duration=recipe.window.duration + recipe.augment.longer)
        self._windows = cut(data, seen, data.labels, lead=recipe.augment.lead)
        # What is left over at the end of an epoch comes in the next one, in another order.
        self.per_epoch = max(len(self._windows.labels) // plan.batch, 1) if plan.epochs else 0
        self._steps = plan.epochs * self.per_epoch or plan.steps
        self._chances: NDArray[np.float64] | None = None
        if recipe.objective.balanced:
            share = 1 / np.bincount(self._windows.labels)[self._windows.labels]
            self._chances = share / share.sum()

    def network(self) -> nn.Module:
        """See `trainer.Task`."""
        network = build_network(untrained(self.recipe, self._data))
        if self._starts:
            go_on_from(network, *(start.state_dict() for start in self._starts))
        return network

    def identity(self) -> dict[str, str]:
        """See `trainer.Task`."""
        values = {name: str(value) for name, value in flat(self.recipe).items()}
        motion = ((f"{r.name} {r.label} {r.fps}", r.positions) for r in self._data.recordings)
        before = (
            tensor.numpy() for start in self._starts for tensor in start.state_dict().values()
        )
        told = {
            "data": fingerprint(motion),
            "start": fingerprint(("", tensor) for tensor in before),
        }
        return {**values, "seed": str(self.plan.seed), **told}

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
        labels = torch.from_numpy(self._windows.labels[chosen])
        if mixed := self.recipe.augment.mixed:
            # Zhang et al.: mixup, ICLR 2018. A teacher tells more of what it never learnt by heart.
            among = rng.random(len(labels)) < mixed
            drawn_shares = np.where(among, rng.random(len(labels)), 1.0).astype(np.float32)
            share = torch.from_numpy(drawn_shares)
            other = torch.from_numpy(rng.permutation(len(labels)))
            one_hot = F.one_hot(labels, len(self._data.labels)).float()
            labels = torch.lerp(one_hot[other], one_hot, share[:, None])
            motion = torch.lerp(motion[other], motion, share.view(-1, 1, 1, 1, 1))
        return ActionBatch(motion, labels, step / self._steps)

    def loss(
        self, network: nn.Module, batch: ActionBatch, processes: Processes
    ) -> tuple[Tensor, Tensor]:
        """Cross-entropy with labels and teacher, of all heads, and what the objective adds."""
        objective = self.recipe.objective
        if isinstance(network, (SparseStgcn, Assembly)):
            network.set_progress(batch.done)
        heads: Any = getattr(network, "heads", lambda x: [network(x)])
        answered = [logits.float() for logits in heads(batch.motion)]
        entropies = [
            F.cross_entropy(logits, batch.labels, label_smoothing=objective.smoothing)
            for logits in answered
        ]
        loss = torch.stack(entropies).sum()
        if self._starts and self.plan.taught:
            with torch.no_grad():
                said = torch.stack([start(batch.motion).float() for start in self._starts])
            told = F.log_softmax(said.mean(dim=0) / _SOFTNESS, dim=1)
            taught = [F.log_softmax(logits / _SOFTNESS, dim=1) for logits in answered]
            off = [F.kl_div(t, told, reduction="batchmean", log_target=True) for t in taught]
            # The square keeps gradients as large as those of the labels.
            loss = torch.lerp(loss, _SOFTNESS**2 * torch.stack(off).sum(), self.plan.taught)
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
) -> ActionWeights:
    """Train a recipe's network on a set, up to the last step.

    See `train_in_order`.
    """
    data = data.only(recipe.window.joints)
    network = train_in_order(recipe, data, seed, progress, checkpoint)[-1]
    return replace(untrained(recipe, data), tensors=tensors_of(network.state_dict()))


def train_in_order(
    recipe: ActionRecipe,
    data: ActionSet,
    seed: int,
    progress: Progress = lambda step, steps, loss: None,
    checkpoint: Path | None = None,
) -> list[nn.Module]:
    """Networks of the recipes that one goes on from, first to last, then its own.

    Of an assembly those that its first level goes on from.

    With a `checkpoint` a run that was killed goes on where it was. Raises ModelError if a loss is
    no longer a number, or a recipe goes on from another network; ConfigError if a checkpoint is
    another run's, several processes were started, or as `stages`.
    """
    processes = Processes()
    if processes.count > 1:
        raise ConfigError("a network for actions trains in one process; start it without torchrun")
    planned = stages(recipe, checkpoint)
    built = {one.name: build_network(untrained(one, data)) for one, _, _ in planned}
    # What doesn't fit is told before hours of training.
    for before, after in pairwise(built.values()):
        go_on_from(after, *[before.state_dict()] * len(getattr(after, "levels", [after])))
    lines: list[list[nn.Module]] = [[] for _ in planned]
    for one, level, path in planned:
        starts = [line[-1] for line in lines if line] if one is recipe else lines[level][-1:]
        trainer = Trainer(ActionTask(one, data, seed + level, *starts), path, processes)
        trainer.run(progress)
        lines[level].append(trainer.average)
        if isinstance(trainer.average, (SparseStgcn, Assembly)):
            settle(trainer.average)
    return lines[0]


def stages(
    recipe: ActionRecipe, checkpoint: Path | None = None
) -> list[tuple[ActionRecipe, int, Path | None]]:
    """Recipes that one goes on from, first to last, then itself, each with its checkpoint.

    Each level of an assembly goes on from a network of its own, of another seed; networks begun
    apart err apart (Lakshminarayanan et al.: Deep Ensembles, NeurIPS 2017). The number between is
    that of the level.

    Raises ConfigError if they go on from each other or from one that sees motion differently.
    """
    found: list[tuple[ActionRecipe, int, Path | None]] = []
    levels = np.size(recipe.options.get("sparsities", 0))
    for one in in_order(recipe, load_action_recipe):
        if one.window != recipe.window:
            raise ConfigError(
                f"recipe '{recipe.name}' goes on from '{one.name}', which sees motion differently; "
                "their window must be the same"
            )
        for level in range(1 if one is recipe else levels):
            path = checkpoint
            if checkpoint is not None and one is not recipe:
                path = checkpoint.with_suffix(f".{one.name}.{level}{checkpoint.suffix}")
            found.append((one, level, path))
    return found


def drawn(
    windows: Windows,
    chosen: NDArray[np.int64],
    config: WindowConfig,
    joints: Joints,
    rng: np.random.Generator | None,
    augment: AugmentConfig | None = None,
) -> Tensor:
    """Some windows as a network sees them, (N, 1, T, V, C): augmented in training."""
    motions = [windows.motions[i] for i in chosen]
    if augment is not None and rng is not None and augment.trim:
        motions = [trimmed(motion, augment.trim, rng) for motion in motions]
    x = np.stack([sample(motion, config, rng) for motion in motions])
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
    data = data.only(recipe.window.joints)
    train = data.of_subjects(train_subjects)
    test = data.without_subjects(train_subjects)
    networks = train_in_order(recipe, train, seed)
    network = networks[-1]
    windows = cut(test, recipe.window, data.labels)
    logits = answers(network, windows, recipe.window, data.joints)
    right = logits.argmax(axis=1) == windows.labels
    members: Any = getattr(network, "members", getattr(network, "levels", ()))
    alone = [answers(one, windows, recipe.window, data.joints) for one in members]
    recordings, first = np.unique(windows.source, return_index=True)
    summed = np.stack([logits[windows.source == number].sum(axis=0) for number in recordings])
    whole = summed.argmax(axis=1) == windows.labels[first]
    found = {
        "seed": seed,
        "test_subjects": sorted({r.subject for r in test.recordings}),
        "accuracy": float(right.mean()),
        "windows": len(right),
        "recording_accuracy": float(whole.mean()),
        "recordings": len(recordings),
        "macro_f1": macro_f1(logits.argmax(axis=1), windows.labels),
        "per_class": {
            label: float(right[windows.labels == number].mean())
            for number, label in enumerate(train.labels)
            if (windows.labels == number).any()
        },
        "members": [float((one.argmax(axis=1) == windows.labels).mean()) for one in alone],
        "parameters": sum(p.numel() for p in network.parameters()),
        "kept": _kept(network),
        "seconds": time.monotonic() - started,
    }
    if networks[1:]:
        first = answers(networks[-2], windows, recipe.window, data.joints).argmax(axis=1)
        found["start_accuracy"] = float((first == windows.labels).mean())
    return found


def evaluate(
    recipe: ActionRecipe,
    data: ActionSet,
    splits: Sequences[Sequences[str]],
    seeds: Sequences[int],
    progress: Callable[[dict[str, Any]], None] = lambda run: None,
) -> dict[str, Any]:
    """Train and test on every split with every seed; means and deviations over the seeds.

    A seed's figure is that of all windows, or recordings, that its splits test on.
    """
    runs: list[dict[str, Any]] = []
    for seed in seeds:
        for split in splits:
            runs.append(evaluate_split(recipe, data, split, seed))
            progress(runs[-1])
    summary: dict[str, Any] = {"recipe": recipe.name}
    keys = ("accuracy", "recording_accuracy", "macro_f1", "start_accuracy")
    for key in [key for key in keys if key in runs[0]]:
        weight = "recordings" if key == "recording_accuracy" else "windows"
        per_seed = [
            float(np.average([r[key] for r in of], weights=[r[weight] for r in of]))
            for of in ([r for r in runs if r["seed"] == seed] for seed in seeds)
        ]
        summary[key] = float(np.mean(per_seed))
        summary[f"{key}_std"] = float(np.std(per_seed, ddof=1)) if len(seeds) > 1 else None
        summary[f"{key}_per_seed"] = per_seed
    return {**summary, "parameters": runs[0]["parameters"], "runs": runs}


def gain(before: dict[str, Any], after: dict[str, Any]) -> tuple[float, float, float]:
    """Mean gain in accuracy from one evaluation to another, and its confidence interval of 95 %.

    Paired by seed (Student's t); without an interval, NaN, for one seed.
    """
    pairs = after["accuracy_per_seed"], before["accuracy_per_seed"]
    mean = float(np.mean(pairs[0]) - np.mean(pairs[1]))
    if len(pairs[0]) < 2:
        return mean, float("nan"), float("nan")
    low, high = ttest_rel(*pairs).confidence_interval(0.95)
    return mean, float(low), float(high)


def _kept(network: nn.Module) -> dict[str, float]:
    """Share of weights in use, in all and of each sparse convolution; 0 says that one collapsed."""
    masks = {n: m.kept() for n, m in network.named_modules() if isinstance(m, SparseConv2d)}
    if not masks:
        return {}
    total = sum(int(mask.sum()) for mask in masks.values())
    shares = {name: float(mask.float().mean()) for name, mask in masks.items()}
    return {"all": total / sum(mask.numel() for mask in masks.values()), **shares}


# Not knowing --------------------------------------------------------------------------------------


def best_temperature(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Temperature under which labels (N,) are the most likely, given logits (N, classes)."""

    def surprise(log_temperature: float) -> float:
        chances = probabilities(logits, float(np.exp(log_temperature)))
        return -float(np.log(chances[np.arange(len(labels)), labels] + 1e-300).mean())

    return float(np.exp(minimize_scalar(surprise, bounds=(-3, 3), method="bounded").x))


def risk_bound(wrong: float, answered: float, confidence: float) -> float:
    """Share of wrong answers that is not exceeded, with a confidence.

    `wrong` is the share that was, of so many `answered`; 1 where there are none.
    """
    failed = wrong * answered
    if failed >= answered:
        return 1.0
    return float(beta.ppf(confidence, failed + 1, answered - failed))


def risk_threshold(
    probability: NDArray[np.floating],
    right: NDArray[np.bool_],
    risk: float,
    confidence: float = 0.9,
    weight: NDArray[np.floating] | None = None,
) -> float:
    """Least probability with which an answer may be given.

    Raises InputError if there are no windows.

    `probability` (N,): of the answers to windows of people never trained on.
    `right` (N,): whether they were right.
    `risk`: share of wrong answers among those given that may not be exceeded.
    `confidence`: probability with which that holds, over the draw of the windows.
    `weight` (N,): what each window counts: 1 where it tells something of its own, less where it
    overlaps with others or its class is seen more often than the others.

    Returns the probability from which on answers are given; above 1 where none keeps the risk.
    """
    if not len(probability):
        raise InputError("no windows to calibrate on; hold recordings of some people out")
    order = np.argsort(-probability)
    counted = np.ones(len(order)) if weight is None else np.asarray(weight, np.float64)[order]
    wrong, given = np.cumsum(counted * ~right[order]), np.cumsum(counted)
    # Uneven weights tell less than as many even ones (Kish's effective sample size).
    effective = given**2 / np.maximum(np.cumsum(counted**2), 1e-12) * min(1.0, counted.max())
    last = np.append(np.diff(probability[order]) != 0, True)  # a threshold splits no ties
    kept = [
        index
        for index in np.flatnonzero(last)
        if risk_bound(wrong[index] / given[index], effective[index], confidence) <= risk
    ]
    return float(probability[order][kept[-1]]) if kept else 1.1


@dataclass(frozen=True)
class Abstaining:
    """What the answers of a network that may say ``unknown`` are worth to people it never saw."""

    macro_f1: float  # of all answers, before any is withheld
    # share of windows that get an answer, and of wrong answers among these; all classes alike
    coverage: float
    risk: float
    # share of windows said to be unknown by what they show, which is none of the classes
    unknown: dict[str, float]
    per_class: dict[str, float]  # F1
    # share of windows of idle people said to be either; NaN without a class ``idle``
    idle_or_unknown: float


def train_and_calibrate(
    recipe: ActionRecipe,
    data: ActionSet,
    seed: int,
    risk: float = 0.05,
    novelty: float = 0.6,
    progress: Progress = lambda step, steps, loss: None,
    checkpoint: Path | None = None,
) -> tuple[ActionWeights, Abstaining]:
    """Train on all people but those held out; calibrate and test on these.

    Raises ConfigError if the set holds nobody out.
    """

    data = data.only(recipe.window.joints)
    out = data.held_out_recordings()
    if not out:
        raise ConfigError("nobody is held out to calibrate on; name people under 'held_out'")
    seen = tuple(r for r in data.recordings if r not in out)
    weights = train_actions(recipe, replace(data, recordings=seen), seed, progress, checkpoint)
    return calibrated(weights, replace(data, recordings=out), recipe, risk, novelty)


def calibrated(
    weights: ActionWeights, data: ActionSet, recipe: ActionRecipe, risk: float, novelty: float
) -> tuple[ActionWeights, Abstaining]:
    """Weights with temperature and threshold from recordings of people never trained on.

    The threshold keeps the risk, and lets no more than a share of what `data` calls novel pass as
    one of the classes. What they are worth is told by fifths: every fifth recording is judged with
    what the rest gives. The weights get what all give. All classes count the same for the risk,
    however long each was recorded; ``unknown`` is none of them.
    """
    data = replace(data, labels=weights.labels)
    network = build_network(weights)
    overlap = recipe.window.stride / max(recipe.window.duration, 1e-9)
    claims = np.array([label != UNKNOWN for label in data.labels])

    def answered(recordings: Sequences[LabelledMotion]) -> tuple[NDArray[Any], Windows]:
        windows = cut(replace(data, recordings=tuple(recordings)), recipe.window, data.labels)
        return answers(network, windows, recipe.window, data.joints), windows

    def judged(logits: NDArray[Any], temperature: float) -> tuple[NDArray[Any], NDArray[Any]]:
        """Best class, and how sure it is: not at all of ``unknown``."""
        chances = probabilities(logits, temperature)
        best = chances.argmax(axis=1)
        return best, np.where(claims[best], chances.max(axis=1), 0.0)

    same = {label: [r for r in data.recordings if r.label == label] for label in data.labels}
    logits, windows = answered([r for label, of in same.items() if label != UNKNOWN for r in of])
    truth = windows.labels
    places = [index for label, of in same.items() if label != UNKNOWN for index in range(len(of))]
    part = np.array(places)[windows.source] % _PARTS
    others, kinds = np.zeros((0, len(data.labels))), np.zeros(0, str)
    if data.strange:
        others, seen = answered([replace(r, label=data.labels[0]) for r in data.strange])
        kinds = np.array([r.label for r in data.strange])[seen.source]

    def fit(among: NDArray[np.bool_]) -> tuple[float, float]:
        temperature = best_temperature(logits[among], truth[among])
        best, sure = judged(logits[among], temperature)
        right, weight = best == truth[among], _evenly(truth[among]) * overlap
        novel = judged(others, temperature)[1]
        bounds = [
            np.quantile(novel[kinds == kind], novelty) for kind in set(kinds) & set(data.novel)
        ]
        return temperature, max(risk_threshold(sure, right, risk, weight=weight), *bounds, 0.0)

    best, given = np.zeros(len(truth), np.int64), np.zeros(len(truth), bool)
    for index in np.unique(part):
        temperature, threshold = fit(part != index)
        found, sure = judged(logits[part == index], temperature)
        best[part == index], given[part == index] = found, sure >= threshold
    temperature, threshold = fit(np.ones(len(truth), bool))
    withheld = judged(others, temperature)[1] < threshold
    share, wrong = _evenly(truth), best != truth
    at_rest = truth == (data.labels.index("idle") if "idle" in data.labels else -1)
    return replace(weights, temperature=temperature, threshold=threshold), Abstaining(
        macro_f1=macro_f1(best, truth),
        coverage=float(np.average(given, weights=share)),
        risk=float(np.average(wrong[given], weights=share[given])) if given.any() else 0.0,
        unknown={str(kind): float(withheld[kinds == kind].mean()) for kind in np.unique(kinds)},
        per_class={
            label: macro_f1(best == number, truth == number, (True,))
            for number, label in enumerate(data.labels)
            if (truth == number).any()
        },
        idle_or_unknown=float((~wrong | ~given)[at_rest].mean()) if at_rest.any() else float("nan"),
    )


def _evenly(labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weights under which all classes count the same, the rarest ones' windows 1."""
    counts = np.bincount(labels)
    return counts[counts > 0].min() / counts[labels]


def macro_f1(
    answer: NDArray[Any], truth: NDArray[Any], classes: Sequences[Any] | None = None
) -> float:
    """Mean F1 over the classes that occur in the truth, or over some."""
    scores = []
    for label in np.unique(truth) if classes is None else classes:
        hits = int(((answer == label) & (truth == label)).sum())
        scores.append(2 * hits / int((answer == label).sum() + (truth == label).sum()))
    return float(np.mean(scores))
