"""The network as torch modules: the reference that other engines are held against."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.forecast.weights import Weights


class EagerRunner:
    """Run a network with torch.

    Parameters
    ----------
    weights : Weights
        Checked weights.
    device : str
        'auto' (a GPU if there is one), 'cpu' or 'cuda'.

    Raises
    ------
    ModelError
        If torch is missing, or 'cuda' is asked for and there is none.
    """

    kind = "eager"
    whole = False

    def __init__(self, weights: Weights, device: str) -> None:
        try:
            import torch
        except ImportError as error:
            raise ModelError(
                f"engine 'eager' needs torch, which is not installed: {error}"
            ) from None
        from ses_gcn_ros.models.build import build_network

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
