"""Files that are damaged, or made to hurt, end in a sentence and take no memory."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ses_gcn_ros.datasets.mocap import read_collaboration
from ses_gcn_ros.errors import InputError
from ses_gcn_ros.npz import load_arrays, load_checkpoint, read_array


def npy(array: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def zipped(path: Path, content: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", content)
    return path


def test_a_compressed_array_is_read(tmp_path: Path) -> None:
    array = np.arange(12, dtype=np.int16).reshape(3, 4)
    for stored in (array, np.asfortranarray(array), np.array(2.5), np.zeros((0, 3))):
        read = load_arrays(zipped(tmp_path / "a.npz", npy(stored)))["x"]
        np.testing.assert_array_equal(read, stored)


def test_a_shape_of_terabytes_takes_none(tmp_path: Path) -> None:
    content = npy(np.zeros(3)).replace(b"(3,)", b"(9999999999999,)", 1)
    with pytest.raises(InputError, match="promises 9999999999999 numbers"):
        load_arrays(zipped(tmp_path / "a.npz", content))
    with pytest.raises(ValueError, match="it is shorter"):
        read_array(io.BytesIO(content), len(content))


def test_an_archive_that_unpacks_to_gigabytes_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    packing = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
    with packing as archive, archive.open("x.npy", "w") as file:
        for _ in range(300):
            file.write(bytes(1 << 20))
    with pytest.raises(InputError, match=r"'x\.npy' in it unpacks from \d+ to 314572800 bytes"):
        load_arrays(path)
    pytest.importorskip("torch")
    with pytest.raises(ValueError, match="unpacks from"):
        load_checkpoint(path)


def test_python_objects_are_not_read(tmp_path: Path) -> None:
    content = io.BytesIO()
    np.save(content, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="Python objects"):
        load_arrays(zipped(tmp_path / "a.npz", content.getvalue()))


@pytest.mark.parametrize("at", [80, 100, 118])
def test_a_damaged_stream_is_named(tmp_path: Path, at: int) -> None:
    path = zipped(tmp_path / "a.npz", npy(np.random.default_rng(0).random(400)))
    content = bytearray(path.read_bytes())
    content[at : at + 8] = b"\xff" * 8
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.npz' is no npz file"):
        load_arrays(path)


def test_an_index_beyond_the_pickle_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "hammer.pkl"
    path.write_bytes(b"\x80\x02]r\xff\xff\xff\x0fq\x00.")
    with pytest.raises(InputError, match="numbers an object 268435455 in 11 bytes"):
        read_collaboration(path)


def test_what_is_wrong_with_a_pickle_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "hammer.pkl"
    path.write_bytes(pickle.dumps([([[10**400] * 3] * 15, [[0.0] * 3] * 9)]))
    with pytest.raises(InputError, match=r"frame 0 .* too large") as caught:
        read_collaboration(path)
    path.write_bytes(b"P1\n.")
    with pytest.raises(InputError, match="is no pickle of lists and arrays") as other:
        read_collaboration(path)
    assert "\n" not in f"{caught.value}{other.value}"
