"""A robot's transforms, message after message, that differ in their numbers alone.

How the numbers lie in the bytes of such a message is found once; those that follow are read at one
go, which takes a quarter of the time.
"""

from __future__ import annotations

import contextlib
import functools
import struct
from collections.abc import Callable
from typing import Any

from ses_gcn_ros.transforms.codec import decode_transforms
from ses_gcn_ros.transforms.edges import StampedTransform

_LITTLE_ENDIAN = b"\x00\x01"
_SIZES, _EACH = 64, 4  # sizes of messages, and forms of each, that are remembered
_PER_TRANSFORM = 10  # values: seconds, nanoseconds, the names, seven of the pose
_ORIGIN = 4  # bytes before the one that alignment counts from

_make: Callable[[tuple[Any, ...]], StampedTransform] = functools.partial(
    tuple.__new__, StampedTransform
)


def read_transforms(data: bytes) -> list[StampedTransform]:
    """Transforms of a serialised TFMessage, as `decode_transforms` gives them.

    Raises
    ------
    InputError
        If the bytes are no such message.
    """
    for form in _forms.get(len(data), ()):
        values = form.read(data)
        if values is not None:
            return form.transforms(values)
    return _decoded(data)


class _Form:
    """Names of a message's transforms, and how the numbers lie between them.

    Raises
    ------
    struct.error
        If they can't lie so.
    """

    def __init__(self, data: bytes, transforms: list[StampedTransform]) -> None:
        self._parents = [item.parent for item in transforms]
        self._children = [item.child for item in transforms]
        layout, at = ["<8s"], 8  # kind of encoding, options, how many transforms there are
        for item in transforms:
            begin = at = at + 8
            for text in (item.parent, item.child):
                at += -(at - _ORIGIN) % 4
                at += 4 + len(text.encode()) + 1
            at += -(at - _ORIGIN) % 8
            layout.append(f"iI{at - begin}s7d")
            at += 56
        self._numbers = struct.Struct("".join(layout))
        values = self._numbers.unpack_from(data)
        self._begin, self._names = values[0], values[3::_PER_TRANSFORM]

    def read(self, data: bytes) -> tuple[Any, ...] | None:
        """Values of a message; None for one of another form."""
        values = self._numbers.unpack_from(data)
        fits = values[0] == self._begin and values[3::_PER_TRANSFORM] == self._names
        return values if fits else None

    def transforms(self, values: tuple[Any, ...]) -> list[StampedTransform]:
        """Transforms from a message's values."""
        seconds, nanoseconds = values[1::_PER_TRANSFORM], values[2::_PER_TRANSFORM]
        stamps = [s * 1_000_000_000 + n for s, n in zip(seconds, nanoseconds, strict=True)]
        poses = [values[at : at + 7] for at in range(4, len(values), _PER_TRANSFORM)]
        return list(map(_make, zip(self._parents, self._children, stamps, poses, strict=True)))


_forms: dict[int, list[_Form]] = {}  # by the size of a message


def _decoded(data: bytes) -> list[StampedTransform]:
    """Transforms of a message; how it lies in its bytes is remembered, if by the rule."""
    transforms = decode_transforms(data)
    if data[:2] != _LITTLE_ENDIAN or (len(data) not in _forms and len(_forms) >= _SIZES):
        return transforms
    forms = _forms.setdefault(len(data), [])
    if len(forms) < _EACH:
        with contextlib.suppress(struct.error):
            form = _Form(data, transforms)
            values = form.read(data)
            if values is not None and form.transforms(values) == transforms:
                forms.append(form)
    return transforms
