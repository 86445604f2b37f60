"""Messages that are sent often, straight to their bytes, the counterpart of `wire`."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import groupby
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray

from ses_gcn_ros.forecast import Forecast
from ses_gcn_ros.msg import SafetyState
from ses_gcn_ros.nodes.conversions import divided
from ses_gcn_ros.safety import Assessment

_ENCAPSULATION = b"\x00\x01\x00\x00"  # plain CDR, little endian
_STAMP, _NUMBER = struct.Struct("<iI"), struct.Struct("<I")
_PADDING = tuple(bytes(count) for count in range(8))
_SHORT, _REAL, _DOUBLE = struct.Struct("<H"), struct.Struct("<f"), struct.Struct("<d")


def write_float(value: float) -> bytes:
    """Serialised Float64."""
    return _ENCAPSULATION + _DOUBLE.pack(value)


def write_forecasts(time: Time, frame_id: str, forecasts: Iterable[Forecast]) -> bytes:
    """Serialised ForecastArray of everybody's forecast, made from observations up to `time`."""
    writer = _Writer(time.sec, time.nanosec, frame_id)
    entries = list(forecasts)
    writer.number(len(entries))
    for forecast in entries:
        writer.text(forecast.person_id)
        writer.text(forecast.layout)
        writer.aligned(_STAMP.pack(*divided(forecast.step)))
        writer.aligned(_SHORT.pack(len(forecast.positions)), size=2)
        writer.floats(forecast.positions)
        writer.floats(forecast.radius)
        writer.aligned(_REAL.pack(forecast.coverage))
        writer.text(forecast.model)
    return writer.bytes()


class StateWriter:
    """Writes serialised SafetyStates.

    Parameters
    ----------
    frame_id : str
        Frame that is assessed in.
    """

    def __init__(self, frame_id: str) -> None:
        self._frame_id = frame_id
        kinds: Mapping[str, str] = SafetyState.get_fields_and_field_types()
        self._runs = [
            (kind, [name for name, _ in run], _form(kind, run))
            for kind, run in (
                (kind, list(fields))
                for kind, fields in groupby(kinds.items(), lambda field: field[1])
            )
            if kind != "std_msgs/Header"
        ]

    def write(self, assessment: Assessment) -> bytes:
        """Serialised SafetyState of an assessment."""
        fields = assessment.fields()
        writer = _Writer(*divided(assessment.stamp), self._frame_id)
        for kind, names, form in self._runs:
            values = [fields[name] for name in names]
            if form is not None:
                writer.aligned(form.pack(*values), size=form.size // len(values))
                continue
            for value in values:
                if kind == "string":
                    writer.text(value)
                else:
                    writer.number(len(value))
                    for line in value:
                        writer.text(line)
        return writer.bytes()


def _form(kind: str, run: list[Any]) -> struct.Struct | None:
    """How to pack as many numbers of a kind; None for strings and sequences of them."""
    if kind in ("string", "sequence<string>"):
        return None
    return struct.Struct(f"<{len(run)}{dict(float='f', uint8='B')[kind]}")


@lru_cache(256)  # most are written over and over
def _text(value: str) -> bytes:
    encoded = value.encode() + b"\0"
    return _NUMBER.pack(len(encoded)) + encoded


class _Writer:
    """The fields of a message in plain little-endian CDR, one after the other."""

    def __init__(self, seconds: int, nanoseconds: int, frame_id: str) -> None:
        self._data = bytearray(_ENCAPSULATION + _STAMP.pack(seconds, nanoseconds))
        self.text(frame_id)

    def aligned(self, packed: bytes, size: int = 4) -> None:
        """Numbers of `size` bytes each."""
        self._data += _PADDING[-len(self._data) % size] + packed

    def number(self, value: int) -> None:
        """A length."""
        self.aligned(_NUMBER.pack(value))

    def text(self, value: str) -> None:
        """A string."""
        self.aligned(_text(value))

    def floats(self, values: NDArray[np.floating]) -> None:
        """A sequence of float32, whatever the shape."""
        self.number(values.size)
        self._data += np.ascontiguousarray(values, "<f4").data

    def bytes(self) -> bytes:
        """All of them."""
        return bytes(self._data)
