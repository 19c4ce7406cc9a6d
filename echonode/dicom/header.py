"""The head of a data set, up to the pixels: one bounded walk over its elements, nothing decoded that nobody asks for.

The walk trusts no length: each is held against the file's size, sequences against a depth, elements against a number.
Values stay bytes (pydicom converts one when it is asked for), and deflated data sets are not inflated here.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from echonode.core.errors import BudgetExceeded, UnreadableObject
from echonode.core.settings import LimitsSection
from echonode.dicom.character_sets import LATIN_1, encodings_of
from echonode.dicom.raw_items import LONG_FORM, SEQUENCES, RawItem, items_of
from echonode.dicom.storage import DEFLATED_LE, EXPLICIT_BE, IMPLICIT_LE

SYNTAXES_DEFLATED = frozenset({DEFLATED_LE, "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})

_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_CHARACTER_SET = 0x00080005
_PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
_NAMING = frozenset({0x00080016, 0x00080018, 0x0020000D, 0x0020000E})
_OPAQUE = frozenset({b"OB", b"OW"})
_LONGEST_VALUE = 1 << 20
_LONGEST_HEAD = 32 << 20
_MOST_ELEMENTS = 2_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class PixelElement:
    """Where the pixel data's value lies in the file, in bytes; `encapsulated` when it is a sequence of fragments.

    `items` has the length of every item of an encapsulated value, the basic offset table first. `vr` is empty in
    implicit VR.
    """

    tag: int
    begin: int
    end: int
    encapsulated: bool
    vr: str = ""
    items: Sequence[int] = ()


@dataclass(frozen=True, kw_only=True)
class Header:
    """The elements before the pixels, as bytes. Values longer than 1 MiB are left out: `omitted` has tag and VR.

    `implicit` and `little` say how the data set is encoded, whatever its transfer syntax promised.
    """

    raw: Mapping[int, RawDataElement]
    encodings: tuple[str, ...]
    pixels: PixelElement | None
    omitted: tuple[tuple[int, str | None], ...] = ()
    implicit: bool = False
    little: bool = True

    @cached_property
    def item(self) -> RawItem:
        """The same with the items of its sequences, for reading single elements."""
        sequences = {
            tag: items_of(
                element.value or b"",
                implicit=element.is_implicit_VR,
                little=element.is_little_endian,
                encodings=self.encodings,
            )
            for tag, element in self.raw.items()
            if element.VR == "SQ"
        }
        return RawItem(raw=self.raw, sequences=sequences, encodings=self.encodings)

    @cached_property
    def dataset(self) -> Dataset:
        """The same as a data set of pydicom, which converts a value when it is asked for."""
        elements = {BaseTag(tag): element for tag, element in self.raw.items()}
        dataset = Dataset(cast(MutableMapping[BaseTag, DataElement | RawDataElement], elements))
        dataset.set_original_encoding(self.implicit, self.little, list(self.encodings))
        return dataset


def read_header(
    path: Path, *, offset: int, transfer_syntax_uid: str, limits: LimitsSection, whole: bool = True
) -> Header:
    """The header of the data set that begins at `offset` and ends with the file.

    With `whole` False the file may end inside the pixels.

    Raises:
        UnreadableObject: no data set, cut off, deflated, or with two values for one of its naming UIDs.
        BudgetExceeded: sequences nested deeper than the limit, or more elements than any object has.
        OSError: the file cannot be read.
    """
    if transfer_syntax_uid in SYNTAXES_DEFLATED:
        raise UnreadableObject("a deflated data set is not read here")
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if size - offset < 8:
            raise UnreadableObject("the data set is empty")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
            return Walk(view, size, transfer_syntax_uid, limits.nesting, whole).header(offset)


class Walk:
    """One walk over the bytes of one data set."""

    def __init__(self, view: mmap.mmap, size: int, transfer_syntax_uid: str, nesting: int, whole: bool) -> None:
        self.view = view
        self.size = size
        self.implicit = transfer_syntax_uid == IMPLICIT_LE
        self.little = transfer_syntax_uid != EXPLICIT_BE
        order = "<" if self.little else ">"
        self.tag_and_length = struct.Struct(f"{order}HHI").unpack_from
        self.tag_and_vr = struct.Struct(f"{order}HH2sH").unpack_from
        self.length = struct.Struct(f"{order}I").unpack_from
        self.nesting = nesting
        self.whole = whole
        self.left = _MOST_ELEMENTS

    def header(self, position: int) -> Header:
        try:
            return self._header(position)
        except struct.error:
            raise UnreadableObject("the data set is cut off inside an element") from None

    def _header(self, position: int) -> Header:
        self._settle_encoding(position)
        raw: dict[int, RawDataElement] = {}
        omitted: list[tuple[int, str | None]] = []
        kept, pixels = 0, None
        while position < self.size:
            if self.size - position < 8:
                if not self._is_padding(position):
                    raise UnreadableObject("the data set ends with a piece of an element")
                break
            tag, vr, length, value = self._element(position, self.implicit)
            if tag == 0 and self._is_padding(position):
                break  # padding after the last element
            if tag >> 16 in (0x0000, 0x0002, 0xFFFE):
                raise UnreadableObject(f"a data set cannot have the element {_name(tag)} here")
            if tag in _PIXELS:
                pixels = self._pixels(tag, vr, length, value)
                break
            position, nested = self._skip(tag, vr, length, value, self.implicit)
            if tag in _NAMING and tag in raw:
                raise UnreadableObject(f"the element {_name(tag)} is there twice")
            end = position - 8 if nested and length == _UNDEFINED else position
            name = "SQ" if nested else (None if self.implicit or vr is None else vr.decode("latin-1"))
            if (nested or end - value <= _LONGEST_VALUE) and kept + end - value <= _LONGEST_HEAD:
                kept += end - value
                is_implicit = self.implicit or (vr == b"UN" and nested)
                raw[tag] = RawDataElement(
                    BaseTag(tag), name, end - value, self.view[value:end], value, is_implicit, self.little
                )
            else:
                omitted.append((tag, name))
        if not raw:
            raise UnreadableObject("the data set has no elements")
        named = raw.get(_CHARACTER_SET)
        return Header(
            raw=raw,
            encodings=LATIN_1 if named is None else encodings_of(named.value or b""),
            pixels=pixels,
            omitted=tuple(omitted),
            implicit=self.implicit,
            little=self.little,
        )

    def _is_padding(self, position: int) -> bool:
        """Whether nothing but zeros follows; read in pieces, since a peer may have sent gigabytes from here on."""
        while position < self.size:
            piece = self.view[position : min(position + _LONGEST_VALUE, self.size)]
            if piece.count(0) != len(piece):
                return False
            position += len(piece)
        return True

    def _settle_encoding(self, position: int) -> None:
        """Some senders write implicit VR where explicit was agreed; the first element tells (PS3.5 7.1)."""
        vr = self.view[position + 4 : position + 6]
        if not self.implicit and not (vr.isalpha() and vr.isupper()):
            self.implicit = True

    def _element(self, position: int, implicit: bool) -> tuple[int, bytes | None, int, int]:
        """Tag, VR, length and where the value begins."""
        self.left -= 1
        if self.left < 0:
            raise BudgetExceeded(f"more than {_MOST_ELEMENTS} elements before the pixels")
        if implicit:
            group, element, length = self.tag_and_length(self.view, position)
            return (group << 16) | element, None, length, position + 8
        group, element, vr, length = self.tag_and_vr(self.view, position)
        tag = (group << 16) | element
        if vr in LONG_FORM:
            return tag, vr, self.length(self.view, position + 8)[0], position + 12
        if group == 0xFFFE:
            return tag, None, self.length(self.view, position + 4)[0], position + 8
        if not (vr.isalpha() and vr.isupper()):
            raise UnreadableObject(f"the element {_name(tag)} has no value representation")
        return tag, vr, length, position + 8

    def _skip(self, tag: int, vr: bytes | None, length: int, value: int, implicit: bool) -> tuple[int, bool]:
        """Where the element ends, and whether it is a sequence of data sets."""
        if length == _UNDEFINED:
            if vr in _OPAQUE:
                return self._fragments(value, tag), False
            return self._sequence(value, None, implicit or vr == b"UN", tag), True
        end = value + length
        if end > self.size:
            raise UnreadableObject(f"cut off: {_name(tag)} claims {length} bytes, {self.size - value} are left")
        if length and (vr == b"SQ" or (vr is None and tag in SEQUENCES)):
            return self._sequence(value, end, implicit, tag), True
        return end, vr == b"SQ"

    def _sequence(self, position: int, end: int | None, implicit: bool, tag: int) -> int:
        """The end of a sequence, found without recursion: a stack of (is an item, end, implicit VR)."""
        stack: list[tuple[bool, int | None, bool]] = [(False, end, implicit)]
        while stack:
            is_item, end, implicit = stack[-1]
            if end is not None and position >= end:
                if position > end:
                    raise UnreadableObject(f"an element inside {_name(tag)} is longer than its item")
                stack.pop()
                continue
            found, vr, length, value = self._element(position, implicit if is_item else True)
            limit = self.size if end is None else end
            if not is_item:
                if found == _SEQUENCE_END:
                    position = value
                    stack.pop()
                    continue
                if found != _ITEM:
                    raise UnreadableObject(f"{_name(found)} stands where an item of {_name(tag)} should")
                stack.append((True, None if length == _UNDEFINED else value + length, implicit))
                position = value
                if length != _UNDEFINED and position + length > limit:
                    raise UnreadableObject(f"cut off: an item of {_name(tag)} is longer than what is left")
            elif found == _ITEM_END:
                position = value
                stack.pop()
            elif length == _UNDEFINED and vr in _OPAQUE:
                position = self._fragments(value, found)
            elif length == _UNDEFINED or (length and (vr == b"SQ" or (vr is None and found in SEQUENCES))):
                inner_end = None if length == _UNDEFINED else value + length
                if inner_end is not None and inner_end > limit:
                    raise UnreadableObject(f"cut off: {_name(found)} is longer than what is left")
                stack.append((False, inner_end, implicit or vr == b"UN"))
                position = value
            else:
                position = value + length
                if position > limit:
                    raise UnreadableObject(f"cut off: {_name(found)} is longer than what is left")
            if len(stack) > 2 * self.nesting:
                raise BudgetExceeded(f"sequences nested deeper than limits.nesting = {self.nesting}")
        return position

    def _fragments(self, position: int, tag: int, lengths: list[int] | None = None) -> int:
        """The end of a sequence of fragments, whose lengths are added to `lengths`."""
        while True:
            self.left -= 1
            if self.left < 0:
                raise BudgetExceeded(f"more than {_MOST_ELEMENTS} elements and fragments")
            group, element, length = self.tag_and_length(self.view, position)
            found = (group << 16) | element
            if found == _SEQUENCE_END:
                return position + 8
            if found != _ITEM or length == _UNDEFINED:
                raise UnreadableObject(f"{_name(found)} stands where a fragment of {_name(tag)} should")
            position += 8 + length
            if position > self.size:
                raise UnreadableObject(f"cut off inside a fragment of {_name(tag)}")
            if lengths is not None:
                lengths.append(length)

    def _pixels(self, tag: int, vr: bytes | None, length: int, value: int) -> PixelElement:
        name = "" if vr is None else vr.decode("latin-1")
        if length == _UNDEFINED:
            lengths: list[int] = []
            end = self._fragments(value, tag, lengths) if self.whole else self.size
            return PixelElement(tag=tag, begin=value, end=end, encapsulated=True, vr=name, items=lengths)
        if self.whole and value + length > self.size:
            raise UnreadableObject(f"cut off: the pixel data claims {length} bytes, {self.size - value} are left")
        return PixelElement(tag=tag, begin=value, end=min(value + length, self.size), encapsulated=False, vr=name)


def _name(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
