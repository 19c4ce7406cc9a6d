"""Where the clips of each test video begin: JSON, or the authors' pickle, read without calling anything that it names.

CoReEcho ships a dictionary of file names to three first frames each, as numpy arrays of int64.
"""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from echonode.core.errors import BadInput

FILE_BYTES: Final = 64 << 20
FRAMES_MOST: Final = 10_000_000
STARTS_MOST: Final = 4096
INTEGERS: Final = ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")


class _Inert:
    """Remembers what a pickle wants to make an object of; nothing is made."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Array(_Inert):
    """In the place of numpy's reconstruction of an array."""


class _Buffer(_Inert):
    """In the place of numpy's array over a buffer, which the newest pickles hold."""


class _Scalar(_Inert):
    """In the place of a numpy number."""


class _Dtype(_Inert):
    """In the place of numpy.dtype."""


class _Type(_Inert):
    """In the place of numpy.ndarray, which is only named."""


class _Encoded(_Inert):
    """In the place of codecs.encode, which older pickles keep bytes with."""


STAND_INS: Final[Mapping[tuple[str, str], type[_Inert]]] = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Array for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _Scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _Buffer for core in ("core", "_core")},
    ("numpy", "ndarray"): _Type,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _Encoded,
}


class _Reader(pickle.Unpickler):
    """Knows no class and no function but the inert ones."""

    def find_class(self, module: str, name: str) -> type[_Inert]:
        """The stand-in for a name of numpy's; every other name ends the reading."""
        try:
            return STAND_INS[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"holds {module}.{name}, which is no array of numbers") from None


def read_start_indexes(path: Path) -> dict[str, list[int]]:
    """First frames by file name; the tool "starts".

    Raises:
        BadInput: neither JSON nor such a pickle, or anything but lists of frame numbers in it.
    """
    try:
        if not 0 < path.stat().st_size <= FILE_BYTES:
            raise BadInput(f"{path}: between 1 and {FILE_BYTES} bytes are expected")
        data = path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from error
    if data[:1] == b"\x80":
        content = _unpickled(path, data)
    else:
        try:
            content = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise BadInput(f"{path}: is neither JSON nor a pickle of the authors") from error
    if not isinstance(content, dict):
        raise BadInput(f"{path}: a dictionary of file names to first frames is expected")
    return {_name(path, name): _starts(path, name, value) for name, value in content.items()}


def _unpickled(path: Path, data: bytes) -> Any:
    try:
        return _Reader(io.BytesIO(data)).load()
    except pickle.UnpicklingError as error:
        raise BadInput(f"{path}: {' '.join(str(error).split())[:200]}; it is never unpickled") from error
    except Exception as error:  # an edge: a hostile stream can break the reader in any way
        raise BadInput(f"{path}: is a damaged pickle: {type(error).__name__}") from error


def _name(path: Path, name: object) -> str:
    if not isinstance(name, str) or not name:
        raise BadInput(f"{path}: a file name is expected, not {str(name)[:60]!r}")
    return name


def _starts(path: Path, name: object, value: object) -> list[int]:
    numbers = _numbers(value)
    sound = numbers is not None and 0 < len(numbers) <= STARTS_MOST
    if numbers is None or not sound or not all(0 <= number <= FRAMES_MOST for number in numbers):
        raise BadInput(f"{path}: {str(name)[:80]}: a list of frame numbers from 0 is expected")
    return numbers


def _numbers(value: object) -> list[int] | None:
    """Whole numbers of a list, a tuple, or what stands in for a one-dimensional array of integers."""
    if isinstance(value, list | tuple):
        numbers = [_whole(item) for item in value]
        return None if None in numbers else [number for number in numbers if number is not None]
    if isinstance(value, _Buffer) and len(value.parts) == 4:
        raw, dtype, shape, _ = value.parts
    elif isinstance(value, _Array) and isinstance(value.state, tuple) and len(value.state) == 5:
        _, shape, dtype, _, raw = value.state
    else:
        return None
    kind, data = _kind(dtype), _bytes(raw)
    if kind is None or data is None or not isinstance(shape, tuple) or len(shape) != 1:
        return None
    if type(shape[0]) is not int or len(data) != shape[0] * kind.itemsize:
        return None
    return [int(number) for number in np.frombuffer(data, kind)]


def _whole(value: object) -> int | None:
    if isinstance(value, _Scalar) and len(value.parts) == 2:
        kind, data = _kind(value.parts[0]), _bytes(value.parts[1])
        return int(np.frombuffer(data, kind)[0]) if kind and data and len(data) == kind.itemsize else None
    return value if type(value) is int else None


def _kind(dtype: object) -> np.dtype[Any] | None:
    """The integer type that a stand-in of numpy.dtype names."""
    if not isinstance(dtype, _Dtype) or not dtype.parts or dtype.parts[0] not in INTEGERS:
        return None
    order = dtype.state[1] if isinstance(dtype.state, tuple) and len(dtype.state) > 1 else "<"
    return np.dtype(f"{order if order in ('<', '>') else '='}{dtype.parts[0]}")


def _bytes(raw: object) -> bytes | None:
    if isinstance(raw, _Encoded) and raw.parts and isinstance(raw.parts[0], str):
        try:
            return raw.parts[0].encode("latin-1")
        except UnicodeEncodeError:
            return None
    return bytes(raw) if isinstance(raw, bytes | bytearray) else None
