"""Where the package's configuration, launch files and samples lie, and where its cache is."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ses_gcn_ros.errors import ConfigError

_PACKAGE = Path(__file__).resolve().parent


def share_path(*parts: str) -> Path:
    """Path of a file or folder that ships beside the code, such as ``config/demo/cell.urdf``.

    Raises
    ------
    ConfigError
        If it is neither in the checkout nor in an installed ``share/ses_gcn_ros``.
    """
    # A checkout (also through a symlinked install), an ament prefix around this file, the
    # prefix of the interpreter (pip install, virtual environment).
    roots = [_PACKAGE.parent]
    roots += [parent / "share" / "ses_gcn_ros" for parent in _PACKAGE.parents]
    roots.append(Path(sys.prefix) / "share" / "ses_gcn_ros")
    for root in roots:
        candidate = root.joinpath(*parts)
        if candidate.exists() and (root / "package.xml").exists():
            return candidate
    raise ConfigError(
        f"'{'/'.join(parts)}' is not part of this installation; "
        f"looked in {', '.join(str(root) for root in dict.fromkeys(roots))}"
    )


def cache_folder() -> Path:
    """Folder of what can be fetched or built again: $SES_GCN_CACHE, else in the user's cache."""
    chosen = os.environ.get("SES_GCN_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser() / "ses_gcn_ros"


def state_folder() -> Path:
    """Folder of what nodes keep over restarts: $SES_GCN_STATE, else in the user's state."""
    chosen = os.environ.get("SES_GCN_STATE")
    if chosen:
        return Path(chosen).expanduser()
    home = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(home).expanduser() / "ses_gcn_ros"


def check_writable(path: Path) -> None:
    """Check that a file can be written before the work for it is done.

    Raises
    ------
    ConfigError
        If its folder is not there or can't be written to.
    """
    folder = path.parent
    if not folder.is_dir():
        raise ConfigError(f"'{path}' can't be written: there is no folder '{folder}'")
    if not os.access(folder, os.W_OK) or path.is_dir():
        raise ConfigError(f"'{path}' can't be written; choose another place")
