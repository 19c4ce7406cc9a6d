"""Where the bytes of each frame lie in a stored Part 10 file, so that a frame is one read."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from echonode.core.errors import BadInput

_HEAD = struct.Struct("<cQQII")
_NATIVE, _SINGLE, _GROUPED = b"N", b"S", b"G"
_ITEM_HEAD = 8
Span = tuple[int, int]
"""Offset from the start of the file, and length, in bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameTable:
    """The frames of one object; `count` is how many there are, 0 when their bytes cannot be told apart.

    Native frames are `size` bytes each from `first` on. Encapsulated ones (PS3.5 A.4) are fragments that follow each
    other, each behind an item header of 8 bytes: `lengths` has the length of every fragment, the first of which lies
    at `first`, and `fragments` how many of them each frame has; empty means one each.
    """

    count: int = 0
    first: int = 0
    size: int = 0
    lengths: Sequence[int] = ()
    fragments: Sequence[int] = ()

    @classmethod
    def native(cls, *, first: int, size: int, count: int) -> FrameTable:
        """Uncompressed frames of `size` bytes, one behind the other."""
        return cls(count=count, first=first, size=size)

    @classmethod
    def encapsulated(cls, *, first: int, lengths: Sequence[int], fragments: Sequence[int] = ()) -> FrameTable:
        """Compressed frames; `fragments` is empty where every fragment is a frame."""
        if fragments and (sum(fragments) > len(lengths) or min(fragments) < 1):
            raise BadInput(f"{len(lengths)} fragments cannot be divided as {list(fragments)[:4]} ...")
        return cls(count=len(fragments) or len(lengths), first=first, lengths=lengths, fragments=fragments)

    def spans(self, index: int) -> tuple[Span, ...]:
        """Where the bytes of frame `index`, counted from 0, lie; more than one span for a frame in fragments.

        Raises:
            BadInput: there is no such frame.
        """
        if not 0 <= index < self.count:
            raise BadInput(f"there is no frame {index + 1}: the object has {self.count}")
        if self.size:
            return ((self.first + index * self.size, self.size),)
        begin, held = (sum(self.fragments[:index]), self.fragments[index]) if self.fragments else (index, 1)
        offset = self.first + sum(self.lengths[:begin]) + _ITEM_HEAD * begin
        lengths = self.lengths[begin : begin + held]
        offsets = accumulate((length + _ITEM_HEAD for length in lengths[:-1]), initial=offset)
        return tuple(zip(offsets, lengths, strict=True))

    def shifted(self, distance: int) -> FrameTable:
        """The table of the same frames when they lie `distance` bytes further on."""
        return replace(self, first=self.first + distance) if self.count else self

    def pack(self) -> bytes:
        """The table as bytes for the database; `unpack` reads them again."""
        if self.size:
            return _HEAD.pack(_NATIVE, self.first, self.size, self.count, 0)
        kind = _GROUPED if self.fragments else _SINGLE
        head = _HEAD.pack(kind, self.first, 0, self.count, len(self.lengths))
        return head + _packed(self.lengths) + _packed(self.fragments)

    @classmethod
    def unpack(cls, packed: bytes) -> FrameTable:
        """The inverse of `pack`; no bytes are no frames.

        Raises:
            BadInput: these are not the bytes of a table.
        """
        if not packed:
            return cls()
        try:
            kind, first, size, count, lengths = _HEAD.unpack_from(packed)
        except struct.error as error:
            raise BadInput("a frame table is cut off") from error
        groups = count if kind == _GROUPED else 0
        if len(packed) != _HEAD.size + 4 * (lengths + groups):
            raise BadInput("a frame table has another length than it says")
        numbers = struct.unpack_from(f"<{lengths + groups}I", packed, _HEAD.size)
        return cls(count=count, first=first, size=size, lengths=numbers[:lengths], fragments=numbers[lengths:])


def _packed(numbers: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(numbers)}I", *numbers)
