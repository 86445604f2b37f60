"""Arrays on disk that grow by appending and are read without loading them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_MAPPED = 1 << 20  # bytes from which on a file is mapped rather than read


class GrowingArray:
    """An npy file that grows along its first axis; never more than a block of it is in memory.

    Parameters
    ----------
    path : Path
        File to write; an existing one is replaced.
    dtype : dtype-like
    item : tuple of int
        Shape of one row.
    """

    def __init__(self, path: Path, dtype: DTypeLike, item: tuple[int, ...] = ()) -> None:
        self._dtype, self._item = np.dtype(dtype), item
        self._file = path.open("wb")
        self.rows = 0
        self._write_header()

    def append(self, rows: Any) -> None:
        """Append rows (n, *item), a list of rows included."""
        block = np.ascontiguousarray(rows, self._dtype).reshape(len(rows), *self._item)
        self._file.write(block.tobytes())
        self.rows += len(block)

    def close(self) -> None:
        """Write the final length and close the file."""
        if not self._file.closed:
            self._file.seek(0)
            self._write_header()  # the format keeps room in its header for a longer first axis
            self._file.close()

    def _write_header(self) -> None:
        np.lib.format.write_array_header_1_0(
            self._file,
            {
                "shape": (self.rows, *self._item),
                "fortran_order": False,
                "descr": np.lib.format.dtype_to_descr(self._dtype),
            },
        )


def open_array(path: Path) -> NDArray[Any]:
    """Array of an npy file, mapped read-only into memory unless it is small."""
    small = path.stat().st_size < _MAPPED
    array: NDArray[Any] = np.load(path, mmap_mode=None if small else "r")
    return array
