"""Where the pose landmarker's model files are, fetched once and checked by their checksum."""

from __future__ import annotations

import hashlib
import os
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from ses_gcn_ros.errors import ModelError
from ses_gcn_ros.resources import cache_folder

_BASE = "https://storage.googleapis.com/mediapipe-models/pose_landmarker"
# SHA-256 of version 1 of each file; "latest" may change under us.
CHECKSUMS = {
    "lite": "59929e1d1ee95287735ddd833b19cf4ac46d29bc7afddbbf6753c459690d574a",
    "full": "5134a3aad27a58b93da0088d431f366da362b44e3ccfbe3462b3827a839011b1",
    "heavy": "64437af838a65d18e5ba7a0d39b465540069bc8aae8308de3e318aad31fcbc7b",
}
_TIMEOUT = 10.0  # s without a byte


def model_url(name: str) -> str:
    """Where MediaPipe publishes the model of a name."""
    return f"{_BASE}/pose_landmarker_{name}/float16/1/pose_landmarker_{name}.task"


def locate_model(model: str) -> Path:
    """File of a pose landmarker.

    Parameters
    ----------
    model : str
        "lite", "full" or "heavy", downloaded to the cache when it is not there; or the path of a
        ``.task`` file, taken as it is.

    Raises
    ------
    ModelError
        If there is no such file, it can't be fetched or its checksum is not the pinned one.
    """
    if model in CHECKSUMS:
        path = cache_folder() / f"pose_landmarker_{model}.task"
        if not path.exists():
            download(model_url(model), CHECKSUMS[model], path)
        _verify(path, CHECKSUMS[model], path)
        return path
    path = Path(model).expanduser()
    if not path.is_file():
        raise ModelError(
            f"pose model '{model}' is neither a file nor one of {', '.join(CHECKSUMS)}; "
            f"the files are published at {model_url('lite')} and beside it"
        )
    return path


def download(url: str, checksum: str, path: Path) -> None:
    """Fetch a file; it appears at `path` whole and checked, or not at all.

    Raises
    ------
    ModelError
        If it can't be fetched or written, or has another SHA-256.
    """
    part = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        part = Path(name)
        with (
            os.fdopen(handle, "wb") as file,
            urllib.request.urlopen(url, timeout=_TIMEOUT) as answer,
        ):
            while block := answer.read(1 << 16):
                file.write(block)
        _verify(part, checksum, url)
        os.replace(part, path)
    except (OSError, urllib.error.URLError) as error:
        reason = getattr(error, "reason", None) or error
        raise ModelError(
            f"could not fetch the pose model ({reason}); download {url} and put it at {path}, "
            "or give the path of a .task file"
        ) from error
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


def _verify(path: Path, checksum: str, origin: Path | str) -> None:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != checksum:
        raise ModelError(
            f"{origin} has SHA-256 {digest}, not {checksum}; delete it so that it is fetched anew, "
            "or use it as it is by giving its path under another name"
        )
