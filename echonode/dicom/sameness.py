"""Whether two stored objects with one SOP Instance UID show the same: pixels frame by frame, or whole data sets.

Decodes: run it where a crash harms nobody. Bit for bit is asked for wherever both sides were stored without loss or by
the same codec. Where one side is what another decoder made of a lossy stream, decoders may differ: the tolerance is
`LUMA_MEAN`, `LUMA_FAR` and `COLOUR_MEAN` in grey levels of 8 bits. Chroma upsampling alone moves colours at edges a
lot but luma hardly; another frame of the same loop is far outside.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset

from echonode.core.errors import EchonodeError
from echonode.core.settings import LimitsSection
from echonode.dicom.decode import FrameDecoder
from echonode.dicom.pixels import PixelSource, open_pixels

LUMA_MEAN = 0.5
"""Mean absolute difference of luma over a frame, at most."""
LUMA_FAR = 8
"""Difference of luma that at most one pixel in a thousand exceeds."""
COLOUR_MEAN = 3.0
"""Mean absolute difference of a colour channel over a frame, at most."""

_LOSSY = frozenset(
    f"1.2.840.10008.1.2.4.{tail}"
    for tail in ("50", "51", "81", "91", "93", "100", "101", "102", "103", "104", "105", "106", "107", "108", "203")
)
_BLOCK = 1 << 16


def compare_pixels(first: Path, second: Path, *, limits: LimitsSection) -> tuple[bool, str]:
    """Whether two Part 10 files show the same frames, and what was found; undecodable ones count as different."""
    try:
        with open_pixels(first, limits=limits) as one, open_pixels(second, limits=limits) as other:
            return _compare_sources(one, other)
    except EchonodeError as error:
        return False, f"the pixels cannot be compared: {error}"


def compare_datasets(first: Path, second: Path) -> tuple[bool, str]:
    """Whether two Part 10 files hold the same elements, however they are encoded; group lengths do not count."""
    one, other = dcmread(first), dcmread(second)
    if _plain(one) == _plain(other):
        return True, "the same elements in another transfer syntax"
    return False, "the data sets differ"


def inflate(source: Path, target: Path, *, offset: int, most: int) -> int:
    """Write at most `most` inflated bytes of a deflated data set (PS3.5 A.5) to `target`; how many there were.

    Raises:
        zlib.error: the stream is corrupt.
    """
    inflater, written = zlib.decompressobj(-zlib.MAX_WBITS), 0
    with source.open("rb") as deflated, target.open("wb") as out:
        deflated.seek(offset)
        while written < most and not inflater.eof:
            block = inflater.unconsumed_tail or deflated.read(_BLOCK)
            if not block:
                break
            written += out.write(inflater.decompress(block, most - written))
    return written


def _compare_sources(one: PixelSource, other: PixelSource) -> tuple[bool, str]:
    shape = [(s.layout.frames, s.layout.rows, s.layout.columns) for s in (one, other)]
    if shape[0] != shape[1]:
        return False, f"frames, rows and columns are {shape[0]} and {shape[1]}"
    lossy = any(source.transfer_syntax_uid in _LOSSY for source in (one, other))
    same_codec = one.transfer_syntax_uid == other.transfer_syntax_uid
    if not (one.is_video or other.is_video):
        exact = _compare_values(one, other)
        if exact is None and (not lossy or same_codec):
            exact = _compare_displayed(one, other)
        if exact:
            return True, "the same pixels when decoded"
        if not lossy or same_codec:
            return False, "the decoded pixels differ"
    if max(one.layout.bits_allocated, other.layout.bits_allocated) > 8:
        return False, "lossy pixels of more than 8 bits are not compared"
    return _compare_roughly(one, other)


def _compare_values(one: PixelSource, other: PixelSource) -> bool | None:
    """Stored values frame by frame; None when the two colour models differ."""
    decoders = [FrameDecoder(source.header, source.layout, source.transfer_syntax_uid) for source in (one, other)]
    for index in range(one.frames):
        (values, model), (other_values, other_model) = (
            decoder.values(source.frame_bytes(index)) for decoder, source in zip(decoders, (one, other), strict=True)
        )
        if model != other_model or values.shape != other_values.shape:
            return None
        if not np.array_equal(values, other_values):
            return False
    return True


def _compare_displayed(one: PixelSource, other: PixelSource) -> bool:
    """RGB frame by frame; more than 8 bits are never called the same by what a window shows of them."""
    if max(one.layout.bits_allocated, other.layout.bits_allocated) > 8:
        return False
    pairs = zip(one.iter_frames(), other.iter_frames(), strict=True)
    return all(np.array_equal(_rgb(frame), _rgb(other_frame)) for frame, other_frame in pairs)


def _compare_roughly(one: PixelSource, other: PixelSource) -> tuple[bool, str]:
    count = 0
    for frame, other_frame in zip(one.iter_frames(), other.iter_frames(), strict=False):
        difference = _rgb(frame).astype(np.int16) - _rgb(other_frame).astype(np.int16)
        luma = np.abs(difference @ np.array([0.299, 0.587, 0.114], np.float32))
        far, colour = float((luma > LUMA_FAR).mean()), float(np.abs(difference).mean(axis=(0, 1)).max())
        if luma.mean() > LUMA_MEAN or far > 1e-3 or colour > COLOUR_MEAN:
            return False, f"frame {count + 1} differs by {luma.mean():.2f} grey levels on average"
        count += 1
    if count != one.frames:
        return False, f"{count} of {one.frames} frames could be decoded"
    return True, "the same pixels within the tolerance of lossy decoders"


def _rgb(frame: np.ndarray) -> np.ndarray:
    return np.broadcast_to(frame, (*frame.shape[:2], 3))


def _plain(dataset: Dataset) -> Dataset:
    """Without group lengths and trailing padding, which belong to the encoding."""
    for element in list(dataset):
        if element.tag.element == 0 or element.tag == 0xFFFCFFFC:
            del dataset[element.tag]
        elif element.VR == "SQ":
            for item in element.value:
                _plain(item)
    return dataset
