"""Reads arrays from a CTranslate2 model's `model.bin`.

The layout is the one that `ctranslate2/specs/model_spec.py:ModelSpec._serialize` writes: a version, the name and revision of the
model's kind, a flat list of named arrays, then aliases. All numbers are little-endian. A string is its length with the closing
zero byte (2 bytes), its characters, the zero byte.
"""

import mmap
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.model.encoders.encoder import UnreadableModel

#: Since version 4 an array names its type; version 6 is the newest. Whisper's kind has revision 3 since CTranslate2 knows it.
OLDEST_VERSION, NEWEST_VERSION = 4, 6
KIND, REVISION = "WhisperSpec", 3
#: numpy's types in the order of CTranslate2's `DataType`. numpy has no bfloat16: its bits are read as integers.
TYPES: tuple[np.dtype[Any], ...] = tuple(np.dtype(name) for name in ("<f4", "i1", "<i2", "<i4", "<f2", "<u2"))
BFLOAT16 = TYPES[5]
#: The scale of int16 weights in files of old converters, which do not store it.
INT16_SCALE = 1000.0
#: More than the largest Whisper model has; a damaged count must not become a loop of billions.
MOST_ARRAYS = 100_000


@dataclass(frozen=True)
class _Stored:
    """Where an array lies in the file."""

    type: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int


@dataclass(frozen=True)
class Int8Weight:
    """A weight (rows, columns) as int8, and for each row the float32 factor that gives its values back."""

    values: NDArray[np.int8]
    factors: NDArray[np.float32]


class ModelFile:
    """The arrays of a `model.bin`, by name. Use it as a context: the file is mapped, so unread weights cost no memory."""

    def __init__(self, path: Path) -> None:
        """Read the list of arrays. Raises `UnreadableModel` if the file is damaged or of an unknown layout."""
        try:
            with path.open("rb") as opened:
                self._bytes = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:  # a file without a byte cannot be mapped
            raise UnreadableModel(f"{path.name} cannot be read ({type(error).__name__}).") from error
        try:
            self._stored = _listed(_Reader(self._bytes))
        except UnreadableModel:
            self._bytes.close()
            raise

    def __enter__(self) -> "ModelFile":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bytes.close()

    def __contains__(self, name: str) -> bool:
        return name in self._stored

    def count_weights(self, prefix: str) -> int:
        """How many numbers the arrays hold whose name begins with `prefix`."""
        return sum(prod(stored.shape) for name, stored in self._stored.items() if name.startswith(prefix))

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of an array. Raises `UnreadableModel` if there is none of that name; so do the other methods."""
        return self._find(name).shape

    def type(self, name: str) -> np.dtype[Any]:
        """In what type an array is stored; for bfloat16 `BFLOAT16`."""
        return self._find(name).type

    def whole_number(self, name: str) -> int:
        """The value of an array that holds one whole number."""
        if (values := self._raw(name)).size != 1:
            raise UnreadableModel(f"model.bin: {name} is not a single number.")
        return int(values.reshape(-1)[0])

    def float32(self, name: str) -> NDArray[np.float32]:
        """The values of an array, as a copy in float32. Quantized weights are multiplied out."""
        raw = self._raw(name)
        if raw.dtype == BFLOAT16:
            widened: NDArray[np.uint32] = raw.astype(np.uint32) << np.uint32(16)
            return widened.view(np.float32)
        values: NDArray[np.float32] = raw.astype(np.float32)
        if raw.dtype.kind == "i":
            values /= self._scale(name, values)
        return values

    def int8(self, name: str) -> Int8Weight:
        """A weight (rows, columns) in int8: as stored, else quantized by rows as CTranslate2 does it."""
        if self._find(name).type == np.int8:
            values = np.array(self._raw(name))
            return Int8Weight(values, (1 / self._scale(name, values)).reshape(-1).astype(np.float32))
        weight = self.float32(name)
        largest = np.abs(weight).max(axis=1, keepdims=True)
        largest[largest == 0] = 127.0
        return Int8Weight(np.rint(weight * (127.0 / largest)).astype(np.int8), (largest / 127.0).reshape(-1).astype(np.float32))

    def _scale(self, name: str, values: NDArray[Any]) -> NDArray[np.float32]:
        """What the stored values of a quantized weight were multiplied by: one number, or one for each row."""
        if f"{name}_scale" not in self and self._find(name).type == np.int16:
            return np.full((1,), INT16_SCALE, np.float32)
        scale = self.float32(f"{name}_scale")
        rows = values.shape[0] if values.ndim else 0
        if scale.size not in {1, rows} or not np.all(scale > 0):
            raise UnreadableModel(f"model.bin: the scale of {name} does not fit it.")
        return scale.reshape(-1, *[1] * (values.ndim - 1))

    def _find(self, name: str) -> _Stored:
        if name not in self._stored:
            raise UnreadableModel(f"model.bin has no {name}.")
        return self._stored[name]

    def _raw(self, name: str) -> NDArray[Any]:
        """A copy of the stored values: a view would keep the file mapped."""
        stored = self._find(name)
        values: NDArray[Any] = np.frombuffer(self._bytes, stored.type, prod(stored.shape), stored.offset).copy()
        return values.reshape(stored.shape)


class _Reader:
    """Takes values from the start of a buffer, one after the other."""

    def __init__(self, buffer: mmap.mmap) -> None:
        self._buffer, self.offset = buffer, 0

    def number(self, code: str) -> int:
        """The next number; `code` as in `struct`."""
        value: int = struct.unpack("<" + code, self.skip(struct.calcsize("<" + code)))[0]
        return value

    def text(self) -> str:
        """The next string."""
        raw = self.skip(self.number("H"))
        try:
            return raw.rstrip(b"\0").decode()
        except UnicodeDecodeError as error:
            raise UnreadableModel("model.bin is damaged: a name is not text.") from error

    def skip(self, count: int) -> bytes:
        """The next `count` bytes."""
        self.pass_over(count)
        return self._buffer[self.offset - count : self.offset]

    def pass_over(self, count: int) -> None:
        """Go on behind the next `count` bytes."""
        if self.offset + count > len(self._buffer):
            raise UnreadableModel("model.bin is incomplete: it ends within an array or a name.")
        self.offset += count


def _listed(reader: _Reader) -> dict[str, _Stored]:
    version = reader.number("I")
    if not OLDEST_VERSION <= version <= NEWEST_VERSION:
        raise UnreadableModel(f"model.bin has version {version}; versions {OLDEST_VERSION} to {NEWEST_VERSION} are known.")
    kind, revision = reader.text(), reader.number("I")
    if (kind, revision) != (KIND, REVISION):
        raise UnreadableModel(
            f"model.bin holds a {kind[:40]!r} of revision {revision}; {KIND!r} of revision {REVISION} is known."
        )
    stored = dict(_array(reader) for _ in range(_count(reader)))
    for _ in range(_count(reader)):
        alias, name = reader.text(), reader.text()
        for ending in ("", "_scale"):
            if name + ending in stored:
                stored[alias + ending] = stored[name + ending]
    return stored


def _count(reader: _Reader) -> int:
    if (count := reader.number("I")) > MOST_ARRAYS:
        raise UnreadableModel(f"model.bin is damaged: it claims to list {count} arrays.")
    return count


def _array(reader: _Reader) -> tuple[str, _Stored]:
    name = reader.text()
    shape = tuple(reader.number("I") for _ in range(reader.number("B")))
    type_id, size_bytes = reader.number("B"), reader.number("I")
    if type_id >= len(TYPES):
        raise UnreadableModel(f"model.bin: {name[:80]!r} has an unknown type ({type_id}).")
    if size_bytes != prod(shape) * TYPES[type_id].itemsize:
        raise UnreadableModel(f"model.bin is damaged: {name[:80]!r} has another size than its shape says.")
    offset = reader.offset
    reader.pass_over(size_bytes)
    return name, _Stored(TYPES[type_id], shape, offset)
