"""What a compressed frame says of itself: JPEG and JPEG 2000 markers, read without decoding."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from echonode.core.errors import Undecodable

# Frame headers of ITU-T T.81 table B.1 and of JPEG-LS (T.87): every SOF but DHT (C4), JPG (C8) and DAC (CC).
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
_STANDALONE = frozenset(range(0xD0, 0xD9)) | {0x01}
_ZIGZAG = (
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55,
    62, 63,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Component:
    """One component of a JPEG frame: identifier, sampling factors, quantisation table."""

    identifier: int
    horizontal: int
    vertical: int
    table: int


@dataclass(frozen=True, kw_only=True, slots=True)
class JpegHeader:
    """Markers of a JPEG stream up to its first scan. `tables` hold 64 steps in natural (row by row) order."""

    process: int
    precision: int
    rows: int
    columns: int
    components: tuple[Component, ...]
    tables: dict[int, tuple[int, ...]] = field(default_factory=dict)
    jfif: bool = False
    adobe_transform: int | None = None

    @property
    def sampling(self) -> str:
        """4:4:4, 4:2:2, 4:2:0 or 4:4:0; "grey" for one component; "other" for the rest."""
        if len(self.components) == 1:
            return "grey"
        factors = [(c.horizontal, c.vertical) for c in self.components]
        chroma = set(factors[1:])
        if len(factors) != 3 or len(chroma) != 1:
            return "other"
        across, down = next(iter(chroma))
        if factors[0][0] % across or factors[0][1] % down:
            return "other"
        ratio = (factors[0][0] // across, factors[0][1] // down)
        return {(1, 1): "4:4:4", (2, 1): "4:2:2", (2, 2): "4:2:0", (1, 2): "4:4:0"}.get(ratio, "other")

    def holds_rgb(self, photometric: str) -> bool:
        """Whether the three components are R, G and B.

        The Adobe marker decides, then the JFIF marker (always YCbCr), then identifiers that spell RGB; only a stream
        without any of these leaves it to the header.
        """
        if len(self.components) != 3:
            return False
        if self.adobe_transform is not None:
            return self.adobe_transform == 0
        if self.jfif:
            return False
        if bytes(component.identifier for component in self.components) == b"RGB":
            return True
        return photometric == "RGB"

    @property
    def libjpeg_reads_rgb(self) -> bool:
        """Whether libjpeg, left alone, takes the components for R, G and B and converts nothing."""
        if self.jfif:
            return False
        if self.adobe_transform is not None:
            return self.adobe_transform == 0
        return bytes(component.identifier for component in self.components) == b"RGB"


def jpeg_header(stream: bytes) -> JpegHeader:
    """The markers of a JPEG or JPEG-LS stream before its first scan.

    Raises:
        Undecodable: no JPEG, or cut off before the first scan.
    """
    if stream[:2] != b"\xff\xd8":
        raise Undecodable("a frame is no JPEG stream: it does not begin with SOI")
    position = 2
    tables: dict[int, tuple[int, ...]] = {}
    frame: tuple[int, int, int, int, tuple[Component, ...]] | None = None
    jfif, transform = False, None
    while position + 4 <= len(stream):
        if stream[position] != 0xFF:
            raise Undecodable("a JPEG marker is missing")
        marker = stream[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        if marker in _STANDALONE:
            position += 2
            continue
        length = int.from_bytes(stream[position + 2 : position + 4], "big")
        body = stream[position + 4 : position + 2 + length]
        if length < 2 or len(body) != length - 2:
            break
        if marker == 0xDB:
            tables |= _quantisation(body)
        elif marker in _SOF:
            frame = _frame(marker, body)
        elif marker == 0xE0 and body[:5] == b"JFIF\0":
            jfif = True
        elif marker == 0xEE and body[:5] == b"Adobe" and len(body) >= 12:
            transform = body[11]
        elif marker == 0xDA:
            if frame is None:
                break
            process, precision, rows, columns, components = frame
            return JpegHeader(
                process=process,
                precision=precision,
                rows=rows,
                columns=columns,
                components=components,
                tables=tables,
                jfif=jfif,
                adobe_transform=transform,
            )
        position += 2 + length
    raise Undecodable("a JPEG stream ends before its first scan")


def _frame(marker: int, body: bytes) -> tuple[int, int, int, int, tuple[Component, ...]]:
    if len(body) < 6 or len(body) < 6 + 3 * body[5]:
        raise Undecodable("a JPEG frame header is too short")
    precision, rows, columns, count = struct.unpack(">BHHB", body[:6])
    components = tuple(
        Component(
            identifier=body[6 + 3 * i],
            horizontal=body[7 + 3 * i] >> 4,
            vertical=body[7 + 3 * i] & 15,
            table=body[8 + 3 * i],
        )
        for i in range(count)
    )
    if not components or any(not (1 <= c.horizontal <= 4 and 1 <= c.vertical <= 4) for c in components):
        raise Undecodable("a JPEG frame header has no valid components")
    return marker & 0x0F if marker != 0xF7 else 0xF7, precision, rows, columns, components


def _quantisation(body: bytes) -> dict[int, tuple[int, ...]]:
    tables: dict[int, tuple[int, ...]] = {}
    position = 0
    while position < len(body):
        wide, index = body[position] >> 4, body[position] & 15
        size = 128 if wide else 64
        raw = body[position + 1 : position + 1 + size]
        if len(raw) != size:
            break
        steps = struct.unpack(">64H", raw) if wide else tuple(raw)
        natural = [0] * 64
        for place, step in zip(_ZIGZAG, steps, strict=True):
            natural[place] = step
        tables[index] = tuple(natural)
        position += 1 + size
    return tables


def jpeg2000_size(stream: bytes) -> tuple[int, int, int]:
    """Rows, columns and components of a JPEG 2000 codestream, with or without a JP2 wrapper.

    Raises:
        Undecodable: there is no SIZ marker.
    """
    start = stream.find(b"\xff\x4f\xff\x51", 0, 1 << 16)
    if start < 0 or len(stream) < start + 42:
        raise Undecodable("a frame is no JPEG 2000 codestream")
    x1, y1, x0, y0 = struct.unpack_from(">IIII", stream, start + 8)
    count = struct.unpack_from(">H", stream, start + 40)[0]
    return y1 - y0, x1 - x0, count
