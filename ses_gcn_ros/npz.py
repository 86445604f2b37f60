"""Arrays of an npz file, mapped into memory where the file lets them be."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import InputError

_LOCAL_HEADER = struct.Struct("<26xHH")  # of a zip entry: lengths of the name and the extra field


def load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Arrays of an npz file by name.

    What was written without compression stays on disk until it is looked at.

    Raises
    ------
    InputError
        If the file is missing, is no npz file or asks for anything but plain arrays.
    """
    if not path.is_file():
        raise InputError(f"there is no recording at '{path}'")
    try:
        with zipfile.ZipFile(path) as archive, open(path, "rb") as file:
            return {
                entry.filename.removesuffix(".npy"): _array(path, archive, file, entry)
                for entry in archive.infolist()
            }
    except (ValueError, OSError, EOFError, struct.error, zipfile.BadZipFile) as error:
        raise InputError(f"'{path}' is no npz file of arrays: {error}") from error


def _array(path: Path, archive: zipfile.ZipFile, file: Any, entry: zipfile.ZipInfo) -> NDArray[Any]:
    if entry.compress_type == zipfile.ZIP_STORED:
        file.seek(entry.header_offset)
        name, extra = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
        file.seek(name + extra, 1)
        version = np.lib.format.read_magic(file)
        read_header = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, columns_first, dtype = read_header(file)
        if not dtype.hasobject and 0 not in shape and shape:
            order = "F" if columns_first else "C"
            mapped = np.memmap(path, dtype, "r", file.tell(), shape, order)  # type: ignore[call-overload]
            return np.asarray(mapped)
    with archive.open(entry) as content:
        array: NDArray[Any] = np.lib.format.read_array(content, allow_pickle=False)
        return array
