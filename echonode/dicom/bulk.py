"""Where one value lies in a stored file: bulk data is sent from its place, however large it is."""

from __future__ import annotations

import mmap
import re
import struct
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from echonode.core.errors import BadInput, NotFound, UnreadableObject
from echonode.core.settings import LimitsSection
from echonode.dicom.header import SYNTAXES_DEFLATED, Walk
from echonode.dicom.raw_items import SEQUENCES

_PATH = re.compile(r"[0-9A-F]{8}(\.[0-9]{1,6}\.[0-9A-F]{8})*")
_PIXELS = 0x7FE00008
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_ITEM_HEAD = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class BulkValue:
    """Offset and length of each piece of a value in its file: one piece, or the fragments of an encapsulated one."""

    spans: tuple[tuple[int, int], ...]

    @property
    def length(self) -> int:
        """Bytes altogether."""
        return sum(length for _, length in self.spans)


def bulk_steps(path: str, *, nesting: int) -> tuple[int, ...]:
    """The steps of a bulk path: a tag in 8 hex digits, then for each level an item, counted from 0, and a tag.

    Raises:
        BadInput: something else, or deeper than `nesting`.
    """
    upper = path.upper()
    if len(path) > 16 * (nesting + 1) or not _PATH.fullmatch(upper):
        raise BadInput("a bulk path is a tag in 8 hex digits, or tag.item.tag for an element of a sequence")
    return tuple(int(step, 10 if number % 2 else 16) for number, step in enumerate(upper.split(".")))


def find_value(
    file: Path, *, offset: int, transfer_syntax_uid: str, steps: tuple[int, ...], limits: LimitsSection
) -> BulkValue:
    """The value at `steps` of the data set that begins at `offset` and ends with the file; nothing of it is read.

    Raises:
        NotFound: there is no such element, or it is a sequence.
        UnreadableObject: no data set, cut off, or deflated.
        BudgetExceeded: nested deeper than the limit.
    """
    if transfer_syntax_uid in SYNTAXES_DEFLATED:
        raise UnreadableObject("a deflated data set is not read here")
    with file.open("rb") as source:
        size = source.seek(0, 2)
        with mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ) as view:
            search = _Search(view, size, transfer_syntax_uid, limits.nesting, whole=True)
            try:
                found = search.value(offset, steps)
            except struct.error:
                found = None
    if found is None:
        raise NotFound("the instance has no bulk data at that path")
    return found


class _Search(Walk):
    """A walk that goes for one element."""

    def value(self, position: int, steps: tuple[int, ...]) -> BulkValue | None:
        self._settle_encoding(position)
        end: int | None = self.size
        implicit = self.implicit
        for depth in range(0, len(steps), 2):
            found = self._among(position, end, implicit, steps[depth], top=depth == 0)
            if found is None:
                return None
            vr, length, value = found
            if depth == len(steps) - 1:
                return self._spans(steps[depth], vr, length, value)
            if vr not in (b"SQ", b"UN", None):
                return None
            implicit = implicit or vr == b"UN"
            item = self._item(value, None if length == _UNDEFINED else value + length, implicit, steps[depth + 1])
            if item is None:
                return None
            position, end = item
        return None

    def _among(
        self, position: int, end: int | None, implicit: bool, wanted: int, *, top: bool = False
    ) -> tuple[bytes | None, int, int] | None:
        """VR, length and place of an element of the data set or item that begins at `position`."""
        stop = self.size if end is None else end
        while position + 8 <= stop:
            tag, vr, length, value = self._element(position, implicit)
            if tag == _ITEM_END or tag == 0:
                return None
            if tag == wanted:
                return vr, length, value
            if top and tag >= _PIXELS:
                return None
            position, _ = self._skip(tag, vr, length, value, implicit)
        return None

    def _item(self, position: int, end: int | None, implicit: bool, wanted: int) -> tuple[int, int | None] | None:
        """Where an item of a sequence begins and ends; the end is None when a delimiter tells it."""
        stop = self.size if end is None else end
        number = 0
        while position + 8 <= stop:
            tag, _, length, value = self._element(position, implicit=True)
            if tag != _ITEM:
                return None
            item_end = None if length == _UNDEFINED else value + length
            if number == wanted:
                return value, item_end
            position = self._after_item(value, implicit) if item_end is None else item_end
            number += 1
        return None

    def _after_item(self, position: int, implicit: bool) -> int:
        while True:
            tag, vr, length, value = self._element(position, implicit)
            if tag == _ITEM_END:
                return value
            position, _ = self._skip(tag, vr, length, value, implicit)

    def _spans(self, tag: int, vr: bytes | None, length: int, value: int) -> BulkValue | None:
        if vr == b"SQ" or (vr is None and tag in SEQUENCES):
            return None
        if length != _UNDEFINED:
            if value + length > self.size:
                raise UnreadableObject("the value is cut off")
            return BulkValue(spans=((value, length),))
        if vr not in (b"OB", b"OW"):
            return None
        lengths: list[int] = []
        self._fragments(value, tag, lengths)
        places = accumulate((each + _ITEM_HEAD for each in lengths), initial=value + _ITEM_HEAD)
        fragments = tuple(zip(places, lengths, strict=False))
        return BulkValue(spans=fragments[1:])  # the first item is the basic offset table
