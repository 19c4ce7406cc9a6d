"""Pictures and label maps as data sets of echo keep them: MetaImage, NIfTI-1, PNG; with the size of a pixel in mm.

MetaImage (.mhd with .raw or .zraw beside it) and NIfTI-1 (.nii, .nii.gz) are the two forms of CAMUS (Leclerc et al.,
IEEE TMI 2019). Only what these need is read: one picture or a stack of them, whole numbers or floats.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from echonode.core.errors import BadInput

MOST_BYTES: Final = 1 << 30
META_TYPES: Final = {
    "MET_UCHAR": "u1", "MET_CHAR": "i1", "MET_USHORT": "u2", "MET_SHORT": "i2", "MET_UINT": "u4", "MET_INT": "i4",
    "MET_FLOAT": "f4", "MET_DOUBLE": "f8",
}  # fmt: skip
NIFTI_TYPES: Final = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}
NIFTI_BYTES: Final = 352
SUFFIXES: Final = (".mhd", ".nii.gz", ".nii", ".png")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pictures:
    """Pictures (T, H, W) of the file's own numbers, and (row, column) in mm a pixel; None where the file does not tell."""

    values: NDArray[Any]
    spacing_mm: tuple[float, float] | None


def read_pictures(path: Path) -> Pictures:
    """What a file holds.

    Raises:
        BadInput: it is missing, damaged, of another format, or larger than a picture can be.
    """
    name = path.name.lower()
    try:
        if name.endswith(".mhd"):
            return _meta_image(path)
        if name.endswith((".nii", ".nii.gz")):
            return _nifti(path)
        with Image.open(path) as image:
            values = np.asarray(image if image.mode == "P" else image.convert("L"))
        return Pictures(values=values[None], spacing_mm=None)
    except (OSError, EOFError, ValueError, KeyError, struct.error, zlib.error, UnidentifiedImageError) as error:
        raise BadInput(f"{path}: cannot be read: {type(error).__name__}: {error}") from error


def files_of(path: Path) -> tuple[Path, ...]:
    """The file and, for a MetaImage, the file of its pixels."""
    if path.name.lower().endswith(".mhd"):
        data = _fields(path).get("ElementDataFile", "")
        beside = path.parent / Path(data).name
        return (path, beside) if data and data != "LOCAL" else (path,)
    return (path,)


def _fields(path: Path) -> dict[str, str]:
    lines = path.read_bytes()[:65536].decode("latin-1").splitlines()
    return {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in lines if "=" in line)}


def _meta_image(path: Path) -> Pictures:
    fields = _fields(path)
    size = [int(each) for each in fields["DimSize"].split()]
    spacing = [float(each) for each in fields.get("ElementSpacing", "").split()]
    kind = np.dtype(META_TYPES[fields["ElementType"]])
    if fields.get("ElementByteOrderMSB", fields.get("BinaryDataByteOrderMSB", "False")).lower() == "true":
        kind = kind.newbyteorder(">")
    if int(fields.get("ElementNumberOfChannels", "1")) != 1:
        raise ValueError("pictures of one channel are expected")
    data = (path.parent / Path(fields["ElementDataFile"]).name).read_bytes()
    if fields.get("CompressedData", "False").lower() == "true":
        data = _inflated(data)
    return Pictures(values=_stack(data, kind, size), spacing_mm=_spacing(spacing))


def _nifti(path: Path) -> Pictures:
    raw = path.read_bytes()
    if raw[:2] == b"\x1f\x8b":
        with gzip.open(path) as stream:
            raw = stream.read(MOST_BYTES + 1)
    if len(raw) > MOST_BYTES or len(raw) < NIFTI_BYTES:
        raise ValueError(f"{len(raw)} bytes")
    order: Literal["<", ">"] = "<" if struct.unpack("<i", raw[:4])[0] == 348 else ">"
    if struct.unpack(f"{order}i", raw[:4])[0] != 348 or raw[344:347] not in (b"n+1", b"ni1"):
        raise ValueError("is no NIfTI-1 file")
    dimensions = struct.unpack(f"{order}8h", raw[40:56])
    kind = np.dtype(NIFTI_TYPES[struct.unpack(f"{order}h", raw[70:72])[0]]).newbyteorder(order)
    spacing = struct.unpack(f"{order}8f", raw[76:108])[1:]
    slope, intercept = struct.unpack(f"{order}2f", raw[112:120])
    start = int(struct.unpack(f"{order}f", raw[108:112])[0])
    size = [int(each) for each in dimensions[1 : 1 + dimensions[0]]]
    while len(size) > 2 and size[-1] == 1:
        size.pop()
    # A NIfTI of CAMUS has columns first: read as rows of columns it is the picture, apex up.
    values = _stack(raw[start:], kind, size)
    if slope not in (0.0, 1.0) or intercept != 0.0:
        values = values * slope + intercept if slope else values
    return Pictures(values=values, spacing_mm=_spacing(spacing))


def _stack(data: bytes, kind: np.dtype[Any], size: list[int]) -> NDArray[Any]:
    """(T, H, W) of bytes whose first axis (columns) runs fastest."""
    if not 2 <= len(size) <= 3 or min(size) < 1:
        raise ValueError(f"a size of {size} is no picture and no stack of pictures")
    count = int(np.prod(size))
    if count * kind.itemsize > MOST_BYTES or len(data) < count * kind.itemsize:
        raise ValueError(f"{len(data)} bytes of pixels for a size of {size}")
    values = np.frombuffer(data, kind, count).reshape([*size[:1:-1], size[1], size[0]])
    return values.reshape(-1, size[1], size[0])


def _spacing(spacing: Any) -> tuple[float, float] | None:
    """(row, column) of (column, row, ...)."""
    if len(spacing) < 2 or not all(np.isfinite(each) and each > 0 for each in spacing[:2]):
        return None
    return float(spacing[1]), float(spacing[0])


def _inflated(data: bytes) -> bytes:
    machine = zlib.decompressobj()
    found = machine.decompress(data, MOST_BYTES)
    if machine.unconsumed_tail:
        raise ValueError("more pixels than a picture can have")
    return found
