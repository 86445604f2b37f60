"""Where the package's configuration, launch files and samples lie, and where its cache is."""

from __future__ import annotations

import csv
import io
import json
import math
import numbers
import os
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ses_gcn_ros.errors import ConfigError

_PACKAGE = Path(__file__).resolve().parent


def share_path(*parts: str) -> Path:
    """Path of a file or folder that ships beside the code, such as ``config/demo/cell.urdf``.

    Raises ConfigError if it is neither in the checkout nor in an installed ``share/ses_gcn_ros``.
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
    return _folder("SES_GCN_CACHE", "XDG_CACHE_HOME", "~/.cache")


def state_folder() -> Path:
    """Folder of what nodes keep over restarts: $SES_GCN_STATE, else in the user's state."""
    return _folder("SES_GCN_STATE", "XDG_STATE_HOME", "~/.local/state")


def _folder(variable: str, home: str, default: str) -> Path:
    if chosen := os.environ.get(variable):
        return Path(chosen).expanduser()
    return Path(os.environ.get(home) or default).expanduser() / "ses_gcn_ros"


def check_writable(
    *paths: Path | None,
    overwrite: bool = False,
    read: Iterable[Path | None] = (),
    resumed: Path | None = None,
) -> None:
    """Check that files can be written, and destroy nothing, before the work for them is done.

    Raises ConfigError if a folder is not there or can't be written to, something is in the place of
    a file, or two are to have one name.

    `*paths`: None, for a file that nobody asked for, is fine.
    `overwrite`: whether it may replace what is there.
    `read`: what the work reads; that is never replaced.
    `resumed`: a checkpoint whose presence means that the file is this work's own.
    """
    wanted = [path for path in paths if path is not None]
    for place, count in Counter(path.absolute() for path in wanted).items():
        if count > 1:
            raise ConfigError(f"'{place}' is to be written twice; give each file a name of its own")
    for path in wanted:
        if any(given is not None and _same(path, given) for given in read):
            raise ConfigError(f"'{path}' is to be read and written; choose another name to write")
        if path.exists() and not path.is_file():  # a folder or a device, which stays what it is
            raise ConfigError(f"'{path}' exists and is no file; choose another name")
        check_fresh(path, overwrite or (resumed is not None and resumed.exists()))
        folder = path.parent
        if not folder.is_dir():
            raise ConfigError(f"'{path}' can't be written: there is no folder '{folder}'")
        if not os.access(folder, os.W_OK):
            raise ConfigError(f"'{path}' can't be written; choose another place")


def check_fresh(path: Path, overwrite: bool) -> None:
    """Check that nothing is at `path`, unless it may be replaced; raises a ConfigError."""
    if path.exists() and not overwrite:
        raise ConfigError(f"'{path}' exists; choose another name or add --overwrite")


def check_folder(folder: Path, companion: str) -> None:
    """Check that results can go to a folder, and replace none but those of the same command.

    Raises ConfigError if it is a file, or holds a bag or the results of something else.

    `companion`: file that the command writes beside its ``summary.json``.
    """
    if folder.is_file():
        raise ConfigError(f"--out is '{folder}', a file; give a folder for the results")
    bag = next((f for f in ("metadata.yaml", "*.mcap", "*.db3") if any(folder.glob(f))), None)
    if bag is not None:
        raise ConfigError(f"--out is '{folder}', which holds a bag; give another folder")
    if (folder / "summary.json").exists() and not (folder / companion).exists():
        raise ConfigError(f"--out is '{folder}', which holds other results; give another folder")


_ADDED = (".csv", ".png", ".gif", ".mp4")  # what commands put beside what they read


def _same(path: Path, other: Path) -> bool:
    """Whether a file is another, or a part of that folder which no command has put there."""
    if not (path.exists() and other.exists()):
        return False
    file = path.resolve()
    inside = file.is_relative_to(other.resolve()) and file.suffix not in _ADDED
    return path.samefile(other) or inside


class _YamlLoader(yaml.SafeLoader):
    """YAML in which a mapping says each key once; else all but the last would go unnoticed."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        twice = [key for key, count in keys.items() if count > 1]
        if twice:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key '{twice[0]}' is there twice", node.start_mark
            )
        return super().construct_mapping(node, deep)


def parse_yaml(text: str) -> Any:
    """Content of YAML text; raises ValueError for what is none, or has a key twice."""
    try:
        return yaml.load(text, _YamlLoader)
    except Exception as error:  # what is tagged as a date or a number may raise anything
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error


def parse_json(text: str | bytes) -> Any:
    """Content of JSON text; raises ValueError for what is none, or is nested without end."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError(str(error)) from error


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file beside its place and move it there when it is whole and on disk.

    Raises OSError, which names `path`, where it can't be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            if isinstance(content, str):  # names in it may hold bytes that are no text, which stay
                content = content.encode(errors="surrogateescape")
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        error.filename = str(path)  # of a full disk it names no file, else the temporary one
        raise
    finally:
        temporary.unlink(missing_ok=True)


def csv_text(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as CSV, with a line for the headings; None is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(headings)
    writer.writerows(rows)
    return text.getvalue()


def markdown_table(
    headings: Sequence[str], rows: Iterable[Sequence[object]], right: Collection[int] = ()
) -> str:
    """A table in Markdown, whose columns `right` stand to the right."""
    marks = ["---:" if index in right else "---" for index in range(len(headings))]
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in (headings, marks, *rows))


def plain(value: Any, digits: int | None = None) -> Any:
    """A value for JSON: numbers, also NumPy's, to so many decimals; NaN and infinity are null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item, digits) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, digits) for item in value]
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    number = float(value)
    return (
        None if not math.isfinite(number) else number if digits is None else round(number, digits)
    )
