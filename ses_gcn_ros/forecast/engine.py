"""Weights made ready to answer: metres in, metres out, whatever the network itself takes."""

from __future__ import annotations

import logging
import os
from importlib import import_module
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import InputError, ModelError, shortened
from ses_gcn_ros.forecast.baselines import beyond_noise, cautious
from ses_gcn_ros.forecast.calibration import cell_of, kind_of_motion
from ses_gcn_ros.forecast.config import DEVICES, ENGINES
from ses_gcn_ros.forecast.folding import FOLDED
from ses_gcn_ros.forecast.learnt_base import CompiledBase, looks, wobble_of
from ses_gcn_ros.forecast.weights import Weights, members_of, read_weights
from ses_gcn_ros.models.config import UNITS_PER_METRE
from ses_gcn_ros.models.framing import frame, hold_bones, unframe
from ses_gcn_ros.skeleton import all_finite

_LOGGER = logging.getLogger(__name__)

_TRIAL = 65  # people whose forecasts are compared: of the largest recorded batch and the smallest
LARGEST_BODY = 10.0  # m; nobody is, and millimetres are far beyond
_TRUSTED = 5e-5  # m that a GPU may be off


class Runner(Protocol):
    """Part of an engine that depends on the library that runs the network.

    `folded` says that a learnt base is not part of it, `whole` that framing is.
    """

    kind: str
    device: str
    folded: bool
    whole: bool

    def __call__(self, batch: NDArray[np.float32], /) -> NDArray[np.float32]:
        """Answer of the network to features, (N, T, J, C) → (N, H, J, 3).

        Where `whole`, positions [m] from histories [m], (N, T, J, 3) → (N, H, J, 3).
        """
        ...


class EagerRunner:
    """Run a network as torch modules: the reference that other engines are held against.

    Raises ModelError if torch is missing, or 'cuda' is asked for and there is none.

    `device`: 'auto' (a GPU if there is one), 'cpu' or 'cuda'.
    """

    kind = "eager"
    folded = whole = False

    def __init__(self, weights: Weights, device: str) -> None:
        try:
            import torch
        except ImportError as error:
            raise ModelError(
                f"engine 'eager' needs torch, which is not installed: {error}"
            ) from None
        from ses_gcn_ros.models.config import build_network

        cuda = torch.cuda.is_available()
        if device == "cuda" and not cuda:
            raise ModelError("device is 'cuda' but torch finds no GPU; set device to cpu or auto")
        self.device = "cuda" if cuda and device != "cpu" else "cpu"
        self._torch = torch
        network = build_network(weights.config)
        # Not strict: batch counters of the normalisation only matter in training.
        tensors = {name: torch.from_numpy(tensor) for name, tensor in weights.tensors.items()}
        network.load_state_dict(tensors, strict=False)
        self.network = network.eval().to(self.device)

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Answer of the network, (N, T, J, C) → (N, H, J, 3)."""
        with self._torch.inference_mode():
            x = self._torch.from_numpy(np.ascontiguousarray(features)).to(self.device)
            answer: NDArray[np.float32] = self.network(x).cpu().numpy()
        return answer


class MeanRunner:
    """`models.layers.Mean` without torch: an engine of its own runs each member, on the CPU."""

    device = "cpu"
    folded = whole = False

    def __init__(self, members: list[Engine], visibility: bool) -> None:
        self._members, self._visibility = members, visibility
        self.kind = "+".join(dict.fromkeys(member.kind for member in members))

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Mean answer of the members, (N, T, J, C) → (N, H, J, 3) or (N, H, J, 4)."""
        answers = np.stack([member.answer(features) for member in self._members])
        mean: NDArray[np.float32] = answers.mean(axis=0)
        if mean.shape[-1] == 4:
            apart = np.linalg.norm((answers - mean)[..., :3], axis=-1).mean(axis=0)  # (N, H, J)
            seen = features[:, -1:, :, -1] > 0 if self._visibility else np.ones_like(apart)
            mean[..., 3] += np.average(apart, 2, np.broadcast_to(seen, apart.shape))[..., None]
        return mean


# Imported when asked for: each brings a library of its own.
_RUNNERS = {
    "compiled": "compiled.CompiledRunner",
    "onnx": "onnx.OnnxRunner",
    "eager": "engine.EagerRunner",
    "cuda": "cuda.CudaRunner",
    "graph": "cuda.GraphRunner",
}
# What 'auto' tries, the fastest first. Few people are forecast faster on the CPU than through a
# GPU's queue, so that a GPU has to be asked for.
_ORDER = {
    "auto": ("compiled", "onnx", "eager"),
    "cpu": ("compiled", "onnx", "eager"),
    "cuda": ("cuda", "graph", "eager"),
}
_MEMBERS = ("auto", "compiled", "onnx")  # run the members of a mean one by one


class Engine:
    """A forecaster of histories that lie on the model's own time grid.

    Attributes:
    - `layout`: joint layout of histories and forecasts.
    - `observed`, `horizon`: frames in, T, and out, H.
    - `fps`: frame rate of both [Hz].
    - `name`: name of the weights.
    - `radius` (H, J), or None: calibrated radius per step and joint [m].
    - `coverage`: probability that a joint is within it; 0 without one.
    - `calibration` or None: what the network's scales are multiplied by for a radius of each
      forecast.
    - `familiarity` or None: what known motion looks like; the answer to any other is more cautious.
    - `flatness`: vertical by horizontal axis of the ellipsoids that radii stand for.
    - `unseen_joints`: whether joints that are NaN throughout are allowed.
    - `kind`, `device`: what runs the network, and where.
    - `each_alone`: whether people are run through the network one by one: then an answer is the
      same to the bit whoever else is asked for.
    """

    def __init__(self, weights: Weights, runner: Runner) -> None:
        self._config = config = weights.config
        self._runner = runner
        self.layout, self.observed, self.horizon = config.layout, config.observed, config.horizon
        self.fps, self.name = config.fps, weights.name
        self.radius, self.coverage = weights.radius, weights.coverage
        self.calibration, self.familiarity = weights.calibration, weights.familiarity
        self.flatness = 1.0 if weights.calibration is None else weights.calibration.flatness
        self.unseen_joints = config.visibility
        self.kind, self.device = runner.kind, runner.device
        self.each_alone = runner.kind == "compiled"
        learnt = config.gate and runner.folded and not runner.whole
        self._base = CompiledBase(config, weights.tensors) if learnt else None

    def predict(self, history: NDArray[np.float32]) -> NDArray[np.float32]:
        """Forecast a batch of histories: the first of what `predict_with_scale` gives.

        Raises InputError besides for somebody who is larger than any human, as in millimetres.
        """
        path, _ = self.predict_with_scale(history)
        size = np.nanmax(history, axis=2) - np.nanmin(history, axis=2)  # (N, T, 3)
        if size.max(initial=0.0) > LARGEST_BODY:
            raise InputError(
                f"history holds somebody of {size.max():.0f} m; positions are in metres: are these "
                "in millimetres?"
            )
        return path

    def predict_with_scale(
        self, history: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Forecast a batch of histories, and say how far off the forecasts may be.

        Raises InputError for another shape, infinite positions or NaN where it is not allowed.

        `history` (N, T, J, 3): positions [m], oldest first, `fps` frames a second, in a frame with
        z up. Where `unseen_joints`, joints that were never seen may be NaN in all frames.

        Returns `positions` (N, H, J, 3): positions [m] in the same frame, at 1/fps, 2/fps, … after
        the last of the history; NaN for joints that were never seen; `scale` (N, H, J): distance
        [m] that each is expected to be off by, where the network has learnt it.
        """
        path, scale, *_ = self._predict(history)
        return path, scale

    def _predict(
        self, history: NDArray[np.float32], covariance: NDArray[np.float32] | None = None
    ) -> tuple[
        NDArray[np.float32], NDArray[np.float32] | None, NDArray[np.float32], NDArray[np.float32]
    ]:
        """What `predict_with_scale` gives, the `doubt` (N,) in it, and how the motion `looks`."""
        config = self._config
        wanted = (config.observed, config.joints, 3)
        try:
            history = np.asarray(history, dtype=np.float32)
        except (TypeError, ValueError):  # words, or rows of different lengths
            given = shortened(repr(history), 60)
            raise InputError(
                f"history {given} is no array of numbers; give '{self.name}' positions (N, "
                f"{config.observed}, {config.joints}, 3) [m], NaN where unseen"
            ) from None
        if history.ndim != 4 or history.shape[1:] != wanted:
            raise InputError(
                f"history has shape {history.shape}; '{self.name}' takes "
                f"(N, {config.observed}, {config.joints}, 3)"
            )
        if len(history) == 0:
            nobody = np.zeros((0, config.horizon, config.joints, 3), np.float32)
            looked = self._looks(history)
            return nobody, nobody[..., 0] if config.gate else None, self._doubt(looked), looked
        self._check_values(history)
        units = np.float32(UNITS_PER_METRE[config.unit])
        if self._runner.whole:
            answer = self._runner(history)
            path = np.array(answer[..., :3], order="C")
        else:
            framed = frame(history if config.unit == "m" else history * units, config)
            answer = self.answer(framed.features)
            path = unframe(answer, framed, config)
            path = path if config.unit == "m" else path / units
        looked = self._looks(history)
        doubt = self._doubt(looked)
        if doubt.any():
            path += doubt[:, None, None, None] * (cautious(history, self.horizon) - path)
        if covariance is not None and (told := covariance.any(axis=(1, 2))).any():
            path[told] = beyond_noise(path[told], history[told, -1], covariance[told])
        scale = answer[..., 3] if config.gate else None
        return self.hold_bones(path, history), scale, doubt, looked

    def answer(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the network says of framed motion, learnt base included; see `Runner`."""
        answer = self._runner(features)
        return answer if self._base is None else self._base(features, answer)

    def predict_with_radius(
        self, history: NDArray[np.float32], covariance: NDArray[np.float32] | None = None
    ) -> tuple[
        NDArray[np.float32], NDArray[np.float32] | None, NDArray[np.int64], NDArray[np.float32]
    ]:
        """Forecast a batch of histories, and how large a radius each joint needs.

        `history` and errors are those of `predict`.

        `covariance` (N, J, 6): of the last positions, as in `Skeleton` [m²], zero where nothing is
        told: displacements then count for what they are more than noise (`baselines.beyond_noise`).

        Returns `positions` (N, H, J, 3): as `predict` gives them; `radius` (N, H, J): that holds
        each joint with probability `coverage` [m], horizontally; vertically times `flatness`. None
        where nothing is calibrated; `kind` (N,): motion, a number in `calibration.KINDS`; `doubt`
        (N,): as `doubt` gives it.
        """
        path, scale, doubt, looked = self._predict(history, covariance)
        kind = kind_of_motion(history, self.fps)
        if self.calibration is not None and scale is not None:
            cell = cell_of(kind, wobble_of(looked))
            return path, self.calibration.radius(scale, cell), kind, doubt
        if self.radius is None:
            return path, None, kind, doubt
        return path, np.broadcast_to(self.radius, path.shape[:3]), kind, doubt

    def doubt(self, history: NDArray[np.float32]) -> NDArray[np.float32]:
        """How little like known motion histories (N, T, J, 3) are, shape (N,): 0 known, 1 not.

        By as much does the answer move from the network's to `baselines.cautious`.
        """
        return self._doubt(self._looks(history))

    def _looks(self, history: NDArray[np.float32]) -> NDArray[np.float32]:
        """`learnt_base.looks`, (N, 0) where neither doubt nor radius come from it."""
        if self.familiarity is None and self.calibration is None:
            return np.empty((len(history), 0), np.float32)
        return looks(history, self.layout)

    def _doubt(self, looked: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.familiarity is None:
            return np.zeros(len(looked), np.float32)
        return self.familiarity.doubt(looked)

    def hold_bones(
        self, path: NDArray[np.float32], history: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """`path` with bones as long as in the history, where the network is one that holds them."""
        if self._config.bones:
            hold_bones(path, history, self.layout)
        return path

    def _check_values(self, history: NDArray[np.float32]) -> None:
        if all_finite(history):
            return
        finite = np.isfinite(history).all(axis=-1)  # (N, T, J)
        if np.isinf(history).any():
            raise InputError("history holds infinite positions; unseen joints are NaN")
        never_seen = np.all(np.isnan(history), axis=(1, 3))
        partly = ~finite & ~never_seen[:, None]
        if partly.any() or not self.unseen_joints:
            person, step, joint = np.argwhere(~finite if not self.unseen_joints else partly)[0]
            raise InputError(
                f"history {person} is NaN at frame {step}, joint {joint}; '{self.name}' takes "
                + ("NaN only for joints unseen in all frames" if self.unseen_joints else "no NaN")
            )
        if np.all(never_seen, axis=1).any():
            raise InputError("a history holds no joint at all; leave such a person out")


def load(
    path: str | os.PathLike[str] | None = None,
    engine: str = "auto",
    device: str = "auto",
    threads: int = 1,
) -> Engine:
    """Load weights and make them ready to forecast.

    Raises ModelError if the weights are missing or damaged, or the engine or the device is not
    there.

    `path`: a weights file, or the name of weights that ship; `sesgcn_workcell` if None.
    `engine`: 'auto' (the fastest that can be built; a warning says why one can't), 'compiled',
    'onnx', 'eager', 'cuda' or 'graph'.
    `device`: 'auto', 'cpu' or 'cuda'; with engine 'auto', 'auto' stays on the CPU.
    `threads`: threads that engine 'onnx' may use; 'compiled' takes one, 'eager' what torch takes.
    """
    if engine not in ENGINES:
        raise ModelError(f"there is no engine '{engine}'; choose one of {', '.join(ENGINES)}")
    if device not in DEVICES:
        raise ModelError(f"there is no device '{device}'; choose one of {', '.join(DEVICES)}")
    weights = read_weights(path)
    return build_engine(weights, engine, device, threads)


def build_engine(
    weights: Weights, engine: str = "auto", device: str = "auto", threads: int = 1
) -> Engine:
    """Engine for weights that are in memory already; see `load`.

    On the CPU each member of a mean gets the one that suits it.
    """
    members = members_of(weights) if engine in _MEMBERS and device != "cuda" else []
    if members:
        own = [build_engine(member, engine, device, threads) for member in members]
        return Engine(weights, MeanRunner(own, weights.config.visibility))
    if engine != "auto":
        return _build(weights, engine, device, threads)
    folds = weights.config.network in FOLDED
    order = [name for name in _ORDER[device] if folds or name not in ("compiled", "cuda")]
    for name in order[:-1]:
        try:
            return _build(weights, name, device, threads)
        except ModelError as error:
            _LOGGER.warning("engine '%s' is not used: %s", name, error)
    return _build(weights, order[-1], device, threads)


def _build(weights: Weights, name: str, device: str, threads: int) -> Engine:
    options = {"threads": threads} if name == "onnx" else {}
    engine = Engine(weights, _runner(name)(weights, device, **options))
    if engine.device == "cuda":
        _hold_against_cpu(engine, weights)
    return engine


def _runner(name: str) -> Any:
    """Class that runs networks for an engine."""
    module, _, runner = _RUNNERS[name].partition(".")
    return getattr(import_module(f"ses_gcn_ros.forecast.{module}"), runner)


def _hold_against_cpu(engine: Engine, weights: Weights) -> None:
    """Find out a compiler, driver or card that gets it wrong before anybody relies on it."""
    config, rng = weights.config, np.random.default_rng(0)
    shape = _TRIAL, 1, config.joints, 3
    pose, velocity = rng.normal(1, 0.4, shape), rng.normal(0, 0.5, shape)
    path = pose + velocity * (np.arange(config.observed) / config.fps)[:, None, None]
    history = path.astype(np.float32)
    expected = Engine(weights, EagerRunner(weights, "cpu")).predict(history)
    off = float(np.abs(engine.predict(history) - expected).max())
    if not off <= _TRUSTED:  # NaN isn't
        raise ModelError(
            f"engine '{engine.kind}' is {1000 * off:.3f} mm off what the CPU answers with the same "
            "weights; take device cpu"
        )
