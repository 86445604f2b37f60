"""Arrays of an npz file, mapped into memory where the file lets them be."""

from __future__ import annotations

import math
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ses_gcn_ros.errors import InputError

_LARGEST = 1 << 28  # bytes that an entry of any archive may unpack to,
_DENSEST = 100  # and times its size for larger ones; motion takes a tenth at best
_LOCAL_HEADER = struct.Struct("<26xHH")  # of a zip entry: lengths of the name and the extra field


def load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Arrays of an npz file by name.

    What was written without compression stays on disk until it is looked at. Raises InputError if
    the file is missing, is no npz file or asks for anything but plain arrays.
    """
    if not path.is_file():
        raise InputError(
            f"there is no recording at '{path}'; `ses-gcn dataset` writes one (docs/data.md)"
        )
    try:
        with zipfile.ZipFile(path) as archive, open(path, "rb") as file:
            check_sizes(archive)
            return {
                entry.filename.removesuffix(".npy"): _array(path, archive, file, entry)
                for entry in archive.infolist()
            }
    except InputError:
        raise
    except Exception as error:  # zlib, tokenize, zipfile: a damaged file may raise anything
        raise InputError(
            f"'{path}' is no npz file of arrays: {str(error).partition(chr(10))[0][:150]}"
        ) from error


def check_sizes(archive: zipfile.ZipFile) -> None:
    """Raise ValueError if a zip archive holds an entry that unpacks to more than anybody packs."""
    for entry in archive.infolist():
        if entry.file_size > max(_LARGEST, _DENSEST * entry.compress_size):
            raise ValueError(
                f"'{entry.filename}' in it unpacks from {entry.compress_size} to "
                f"{entry.file_size} bytes"
            )


def load_checkpoint(path: Path) -> Any:
    """Content of a file of torch, of tensors alone; raises what is wrong with it, of any type."""
    import torch

    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            check_sizes(archive)
    return torch.load(path, map_location="cpu", weights_only=True)


def _array(path: Path, archive: zipfile.ZipFile, file: Any, entry: zipfile.ZipInfo) -> NDArray[Any]:
    if entry.compress_type == zipfile.ZIP_STORED:
        file.seek(entry.header_offset)
        name, extra = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
        file.seek(name + extra, 1)
        shape, columns_first, dtype = _header(file)
        if not dtype.hasobject and 0 not in shape and shape:
            order = "F" if columns_first else "C"
            mapped = np.memmap(path, dtype, "r", file.tell(), shape, order)  # type: ignore[call-overload]
            return np.asarray(mapped)
    with archive.open(entry) as content:
        return read_array(content, entry.file_size)


def _header(content: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether columns come first, and type."""
    if np.lib.format.read_magic(content) == (1, 0):
        return np.lib.format.read_array_header_1_0(content)
    return np.lib.format.read_array_header_2_0(content)


def read_array(content: Any, size: int) -> NDArray[Any]:
    """Array of an open npy file of `size` bytes.

    Raises ValueError if its header promises more than the file holds, or it is damaged.
    """
    shape, columns_first, dtype = _header(content)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, not numbers")
    count = math.prod(shape)
    if count * dtype.itemsize > size:
        raise ValueError(f"its header promises {count} numbers of shape {shape}; it is shorter")
    numbers = np.frombuffer(content.read(count * dtype.itemsize), dtype)
    return numbers.reshape(shape, order="F" if columns_first else "C")
