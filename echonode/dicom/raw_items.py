"""Data sets as raw elements, those inside sequences too: bytes that are split and not converted.

The header's walk (dicom/header.py) has checked structure, lengths and depth; what it let through is split here by the
same rules.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydicom._dicom_dict import DicomDictionary
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag

from echonode.dicom.character_sets import encodings_of

SEQUENCES = frozenset(tag for tag, entry in DicomDictionary.items() if entry[0] == "SQ")
"""Tags that hold sequences, for implicit VR."""
LONG_FORM = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
"""VRs whose length has 32 bits in explicit VR (PS3.5 7.1.2)."""
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_CHARACTER_SET = 0x00080005


@dataclass(frozen=True, kw_only=True, slots=True)
class RawItem:
    """One data set: `raw` elements by tag, the items of its `sequences` by tag, and its character sets.

    A sequence has an entry in both. `fragmented` are tags whose value is a sequence of fragments.
    """

    raw: Mapping[int, RawDataElement]
    sequences: Mapping[int, Sequence[RawItem]] = field(default_factory=dict)
    encodings: tuple[str, ...]
    fragmented: frozenset[int] = frozenset()


def items_of(value: bytes, *, implicit: bool, little: bool, encodings: tuple[str, ...]) -> list[RawItem]:
    """The items of a sequence whose value is `value`; `encodings` are those of the data set around it."""
    return _Split(value, little).items(0, len(value), implicit, encodings)[0]


class _Split:
    """The bytes of one sequence and how to read numbers in them."""

    def __init__(self, data: bytes, little: bool) -> None:
        order = "<" if little else ">"
        self.data = data
        self.little = little
        self.tag_and_length = struct.Struct(f"{order}HHI").unpack_from
        self.tag_and_vr = struct.Struct(f"{order}HH2sH").unpack_from
        self.length = struct.Struct(f"{order}I").unpack_from

    def items(
        self, position: int, end: int | None, implicit: bool, encodings: tuple[str, ...]
    ) -> tuple[list[RawItem], int]:
        found: list[RawItem] = []
        stop = len(self.data) if end is None else end
        while position + 8 <= stop:
            group, number, length = self.tag_and_length(self.data, position)
            position += 8
            if group << 16 | number != _ITEM:
                break
            item_end = None if length == _UNDEFINED else position + length
            item, position = self.item(position, item_end, implicit, encodings)
            found.append(item)
        return found, position

    def item(self, position: int, end: int | None, implicit: bool, encodings: tuple[str, ...]) -> tuple[RawItem, int]:
        data, little = self.data, self.little
        raw: dict[int, RawDataElement] = {}
        sequences: dict[int, Sequence[RawItem]] = {}
        fragmented: list[int] = []
        stop = len(data) if end is None else end
        while position + 8 <= stop:
            vr: bytes | None = None
            if implicit:
                group, number, length = self.tag_and_length(data, position)
                position += 8
            else:
                group, number, vr, length = self.tag_and_vr(data, position)
                if group == 0xFFFE:
                    vr, length = None, self.length(data, position + 4)[0]
                elif vr in LONG_FORM:
                    length = self.length(data, position + 8)[0]
                    position += 4
                position += 8
            tag = group << 16 | number
            if tag == _ITEM_END:
                stop = position
                break
            name = None if vr is None else vr.decode("latin-1")
            begin, value = position, b""
            if length == _UNDEFINED and vr in (b"OB", b"OW"):
                position = self.after_fragments(position)
                fragmented.append(tag)
            elif length == _UNDEFINED or (length and (vr == b"SQ" or (vr is None and tag in SEQUENCES))):
                inner_end = None if length == _UNDEFINED else position + length
                sequences[tag], position = self.items(position, inner_end, implicit or vr == b"UN", encodings)
                name = "SQ"
            else:
                value = data[position : position + length]
                position += length
                if tag == _CHARACTER_SET:
                    encodings = encodings_of(value)
            raw[tag] = RawDataElement(_TAG(tag), name, len(value), value, begin, implicit, little)
        else:
            stop = position if end is None else end
        made = RawItem(raw=raw, sequences=sequences, encodings=encodings, fragmented=frozenset(fragmented))
        return made, stop

    def after_fragments(self, position: int) -> int:
        while position + 8 <= len(self.data):
            group, number, length = self.tag_and_length(self.data, position)
            position += 8
            if group << 16 | number == _SEQUENCE_END:
                break
            position += length
        return position


_TAG = BaseTag
