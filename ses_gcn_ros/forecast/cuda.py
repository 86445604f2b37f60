"""The folded network on a GPU: one CUDA graph for each batch size, one launch and one wait.

Kernels of a forecast take less time than launching them one by one. So for each of a few batch
sizes the copy to the device, the network and the copy back are recorded once and replayed; a batch
runs in the smallest recorded size that holds it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.forecast.engine import EagerRunner
from ses_gcn_ros.forecast.folding import FoldedLayer, fold
from ses_gcn_ros.forecast.weights import Weights
from ses_gcn_ros.models import framing
from ses_gcn_ros.models.config import UNITS_PER_METRE, ModelConfig
from ses_gcn_ros.skeleton import get_layout

BATCHES = (1, 2, 4, 8, 16, 32, 64)
_WARM_UP = 3  # runs before recording, in which libraries choose their algorithms


class FoldedModule:
    """A folded network in torch, on any device: features (N, T, J, C) → answer (N, H, J, 3 or 4).

    Frames and joints are mixed by one matrix (J·T, J·T) per layer: more operations than one after
    the other, but one kernel in place of four, and launches are what a GPU's time goes to here.
    """

    def __init__(self, weights: Weights, device: str) -> None:
        import torch

        self._torch, self._config, self._device = torch, weights.config, device
        network = fold(weights)
        self._layers = [self._layer(layer) for layer in network.layers]
        self._linear = network.linear and tuple(map(self._there, network.linear))
        body = network.body and astuple(network.body)
        self._body = body and tuple(map(self._there, body))
        self._convolutions = [
            (self._there(c.weight), self._there(c.bias), c.slope) for c in network.convolutions
        ]
        self._base: Any = None
        if weights.config.gate:
            from ses_gcn_ros.models.layers import LearntBase

            self._base = LearntBase(weights.config).eval().to(device)
            names = [name for name in weights.tensors if name.startswith("base.")]
            self._base.load_state_dict(
                {name.removeprefix("base."): self._there(weights.tensors[name]) for name in names}
            )

    def _there(self, values: NDArray[Any]) -> Any:
        return self._torch.from_numpy(values.astype(np.float32)).to(self._device)

    def _layer(self, layer: FoldedLayer) -> tuple[Any, ...]:
        frames, joints = self._config.observed, self._config.joints
        # (joint, frame) of the result from (joint, frame): space at the frame, time at the source.
        mixing = np.einsum("tij,jts->itjs", layer.space, layer.time)
        mixing = mixing.reshape(joints * frames, joints * frames)
        bias = np.zeros(layer.weight.shape[1]) if layer.bias is None else layer.bias
        parts = mixing, layer.low, layer.high, layer.weight, bias
        residual = None if layer.residual is None else self._there(layer.residual)
        return *map(self._there, parts), residual, layer.slope, layer.constant

    def __call__(self, features: Any) -> Any:
        """Answer of the network; everything stays on the device."""
        path = self._path(features)
        return path if self._base is None else self._base(features, path)

    def _path(self, features: Any) -> Any:
        functional = self._torch.nn.functional
        people, frames, joints, _ = features.shape
        x = features.transpose(1, 2).reshape(people, joints * frames, -1)
        for mixing, low, high, weight, bias, residual, slope, constant in self._layers:
            kept = x if residual is None else x @ residual
            y = kept + bias
            if not constant:
                y = y + self._torch.clamp(mixing @ x, low, high) @ weight
            x = functional.leaky_relu(y, slope)
        horizon = self._config.horizon
        if self._linear:
            weight, bias = self._linear
            x = x.reshape(people, joints, -1)
            y = functional.linear(x, weight.T, bias)
            if self._body:
                direct, own, own_bias, context, hidden = self._body
                mean = x.mean(dim=1, keepdim=True)
                inner = functional.relu(functional.linear(x, own.T, own_bias) + mean @ context)
                y = y + mean @ direct + inner @ hidden
            return y.view(people, joints, horizon, 3).transpose(1, 2)
        # Channels are (coordinate, frame), as `folding` says; the kernel runs along the joints.
        x = x.view(people, joints, frames, 3).permute(0, 3, 2, 1).reshape(people, -1, joints)
        for index, (weight, bias, slope) in enumerate(self._convolutions):
            y = functional.leaky_relu(functional.conv1d(x, weight, bias, padding=1), slope)
            x = y if index == 0 else y + x
        return x.view(people, 3, horizon, joints).permute(0, 2, 3, 1)


class TorchForecast:
    """A whole forecast in torch, on any device: histories (N, T, J, 3) → positions (N, H, J, 3).

    Where the network says how far off it will be, a fourth value holds that.

    What `models.framing` does, in operations that a GPU does for everybody at once.

    `network`: features (N, T, J, C) → answer (N, H, J, 3).
    """

    def __init__(self, config: ModelConfig, network: Callable[[Any], Any], device: str) -> None:
        import torch

        self._torch, self._config, self._network = torch, config, network

        def there(values: Any) -> Any:
            return torch.as_tensor(np.asarray(values)).to(device)

        self._right, self._left, self._weight = map(there, framing.body_line(config.layout))
        # A rotation by its cosine and sine, for row vectors: cosine · C + sine · S + Z.
        cosine, sine, z = np.diag([1, 1, 0]), np.zeros((3, 3)), np.diag([0, 0, 1])
        sine[1, 0], sine[0, 1] = 1, -1
        self._turn = [there(part.astype(np.float32)) for part in (cosine, sine, z)]
        self._position, self._motion = framing.input_scales(config)
        self._cosines = there(framing.cosines(config.observed))
        reach = framing.reach(config.horizon, framing.DAMPING)
        self._reach = there(reach[:, None, None])
        self._scale = there(framing.offset_scale(config.horizon, config.fps))

    def __call__(self, history: Any) -> Any:
        """Positions [m] from histories [m]; everything stays on the device."""
        torch, config = self._torch, self._config
        units = UNITS_PER_METRE[config.unit]
        x, seen = self._filled(history * units)
        people, frames = x.shape[:2]
        origin = 0.0
        if config.origin:
            root = get_layout(config.layout).root
            origin = x[:, -1:, root : root + 1].clone()
            x = x - origin
        rotation = self._rotation(x[:, -1], seen)
        x = (x.reshape(people, -1, 3) @ rotation).view(x.shape)
        parts = [x * self._position]
        if config.motion:
            parts.append((x - x[:, -1:]) * self._motion)
        if config.visibility:
            parts.append(seen[:, None, :, None].expand(-1, frames, -1, -1).to(x.dtype))
        features = torch.cat(parts, dim=-1)
        if config.frequency:
            features = (self._cosines @ features.flatten(2)).view(features.shape)
        path = self._network(features)
        scale = path[..., 3:]  # empty where the network says nothing of it
        if config.gate:
            path = x[:, -1:] + path[..., :3]
        elif config.offset:
            base = x[:, -1:] + self._reach * (x[:, -1:] - x[:, -2:-1])
            path = base + path * self._scale
        path = (path.reshape(people, -1, 3) @ rotation.transpose(1, 2)).view(path.shape)
        path = (path + origin) / units
        path = torch.cat([path, scale], dim=-1)
        return torch.where(seen[:, None, :, None], path, torch.nan)

    def _filled(self, x: Any) -> tuple[Any, Any]:
        """History with unseen joints at the centroid of the others, and which are seen (N, J)."""
        torch = self._torch
        seen = torch.isfinite(x).all(dim=3).all(dim=1)
        known = seen[:, None, :, None]
        x = torch.where(known, x, 0.0)
        centroid = x.sum(dim=2, keepdim=True) / known.sum(dim=2, keepdim=True).clamp(min=1)
        return torch.where(known, x, centroid), seen

    def _rotation(self, pose: Any, seen: Any) -> Any:
        """Rotation (N, 3, 3) about z that turns row vectors so that right to left is along x."""
        torch, (cosine, sine, z) = self._torch, self._turn
        if not self._config.heading:
            return (cosine + z).expand(len(pose), 3, 3)
        share = self._weight * (seen[:, self._right] & seen[:, self._left])
        across = (share[:, :, None] * (pose[:, self._left] - pose[:, self._right])).sum(dim=1)
        length = torch.linalg.vector_norm(across[:, :2], dim=1)
        known = length > framing.STANDING
        x, y = (across[:, k] / torch.where(known, length, 1.0) for k in (0, 1))
        x, y = torch.where(known, x, 1.0)[:, None, None], torch.where(known, y, 0.0)[:, None, None]
        return x * cosine + y * sine + z


@dataclass(frozen=True, eq=False)
class _Recording:
    """A graph, the page-locked arrays that it reads and writes, and what it holds on to."""

    graph: Any
    question: NDArray[np.float32]
    answer: NDArray[np.float32]
    kept: Any


class Recordings:
    """Replay what turns a batch into answers, in full float32.

    Raises ModelError if the GPU can't do it.

    `shape`: of what is asked for one person.
    `run`: (B, *shape) → (B, …), tensors on the GPU.
    """

    def __init__(self, shape: tuple[int, ...], run: Callable[[Any], Any]) -> None:
        torch = require_gpu()
        self._torch, self._stream = torch, torch.cuda.Stream()
        # Products and convolutions might take TF32, which costs a millimetre.
        precise = torch.backends.cuda.matmul.allow_tf32
        exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        torch.backends.cuda.matmul.allow_tf32 = False
        try:
            with torch.inference_mode(), torch.cuda.stream(self._stream), exact:
                self._recordings = {size: self._record((size, *shape), run) for size in BATCHES}
        except Exception as error:  # torch has no common base for its exceptions
            raise ModelError(f"the GPU can't run this network: {error}") from error
        finally:
            torch.backends.cuda.matmul.allow_tf32 = precise

    def _record(self, shape: tuple[int, ...], run: Callable[[Any], Any]) -> _Recording:
        torch = self._torch
        on_device = torch.zeros(shape, device="cuda")
        self._stream.synchronize()
        for _ in range(_WARM_UP):
            result = run(on_device)
        question = torch.zeros(shape, pin_memory=True)
        answer = torch.empty(result.shape, pin_memory=True)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self._stream):
            on_device.copy_(question, non_blocking=True)
            answer.copy_(run(on_device).contiguous(), non_blocking=True)
        return _Recording(graph, question.numpy(), answer.numpy(), (on_device, question, answer))

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Answers to a batch of any size."""
        starts = range(0, len(batch), BATCHES[-1])
        parts = [self._replay(batch[start : start + BATCHES[-1]]) for start in starts]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _replay(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        count = len(batch)
        recording = self._recordings[next(size for size in BATCHES if size >= count)]
        recording.question[:count] = batch  # what lies behind is computed and left alone
        with self._torch.cuda.stream(self._stream):
            recording.graph.replay()
        self._stream.synchronize()
        return recording.answer[:count].copy()


class CudaRunner:
    """Replay a folded network on a GPU.

    Raises ModelError if torch or a GPU is missing, the network can't be folded or the GPU can't run
    it, or another device is asked for.

    `device`: 'auto' or 'cuda'.
    """

    kind, device = "cuda", "cuda"
    folded = whole = True

    def __init__(self, weights: Weights, device: str) -> None:
        if device == "cpu":
            raise ModelError(f"engine '{self.kind}' runs on a GPU; take engine auto for device cpu")
        require_gpu()
        config = weights.config
        forecast = TorchForecast(config, self._network(weights), "cuda")
        self._recordings = Recordings((config.observed, config.joints, 3), forecast)

    def _network(self, weights: Weights) -> Callable[[Any], Any]:
        return FoldedModule(weights, "cuda")

    def __call__(self, history: NDArray[np.float32]) -> NDArray[np.float32]:
        """Positions [m] from histories [m], (N, T, J, 3) → (N, H, J, 3 or 4)."""
        return self._recordings(history)


class GraphRunner(CudaRunner):
    """The same with the torch modules, for networks that can't be folded."""

    kind = "graph"

    def _network(self, weights: Weights) -> Callable[[Any], Any]:
        network: Callable[[Any], Any] = EagerRunner(weights, "cuda").network
        return network


def require_gpu() -> Any:
    """Torch, if it finds a GPU. Raises ModelError if torch or a GPU is missing."""
    try:
        import torch
    except ImportError as error:
        raise ModelError(f"an engine on a GPU needs torch: {error}") from None
    if not torch.cuda.is_available():
        raise ModelError("torch finds no GPU; set engine to auto and device to cpu")
    return torch
