"""What an engine built from weights, kept for the next start.

A file is its content's SHA-256 and then the content, so that a damaged one is noticed and built
anew. A cache that can't be read or written costs time and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict

import numpy as np

from ses_gcn_ros.forecast.weights import Weights, write_atomically
from ses_gcn_ros.resources import cache_folder

_LOGGER = logging.getLogger(__name__)
_DIGEST = 32  # bytes of SHA-256


def content_key(weights: Weights, versions: Sequence[str | bytes]) -> str:
    """Hash of a network's configuration and tensors, and of all that built something from it."""
    digest = hashlib.sha256(json.dumps(asdict(weights.config), sort_keys=True).encode())
    for version in versions:
        content = version.encode() if isinstance(version, str) else version
        digest.update(hashlib.sha256(content).digest())
    for name in sorted(weights.tensors):
        tensor = np.ascontiguousarray(weights.tensors[name])
        digest.update(f"{name} {tensor.dtype} {tensor.shape}".encode())
        digest.update(tensor.tobytes())
    return digest.hexdigest()


def cached(name: str, build: Callable[[], bytes]) -> bytes:
    """Content of a file of the cache, built and written if it is not there or damaged.

    Parameters
    ----------
    name : str
        File name; holds everything that the content depends on.
    build : callable
        Makes the content.
    """
    path = cache_folder() / "engines" / name
    try:
        stored = path.read_bytes()
        content = stored[_DIGEST:]
        if hashlib.sha256(content).digest() == stored[:_DIGEST]:
            return content
        _LOGGER.info("'%s' is damaged and is built anew", path)
    except OSError:
        pass  # not there yet, or not to be read: either way it has to be built
    content = build()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, hashlib.sha256(content).digest() + content)
    except OSError as error:
        _LOGGER.info(
            "'%s' can't be written, so that the next start builds it again: %s", path, error
        )
    return content
