"""A Part 10 file with many frames, written one frame at a time (PS3.5 A.4, PS3.10 7)."""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from pydicom import dcmwrite
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from echonode.core.errors import BudgetExceeded
from echonode.derive.part10 import file_meta

_BASIC_LIMIT = 0xFFFFFFFE
_ITEM = b"\xfe\xff\x00\xe0"
_END = b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"


class FrameSpool:
    """Encoded frames on disk beside `target`, before the header that describes them can be written there.

    Use as a context manager: the spool file is gone at the end.
    """

    def __init__(self, target: Path, frames: Iterable[bytes]) -> None:
        self._target = target
        self._path = target.with_name(f"{target.name}.frames")
        self.lengths: list[int] = []
        with self._path.open("wb") as file:
            for frame in frames:
                self.lengths.append(len(frame))
                file.write(frame)

    def __enter__(self) -> FrameSpool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._path.unlink(missing_ok=True)

    @property
    def total(self) -> int:
        """Bytes of all frames."""
        return sum(self.lengths)

    def write(self, dataset: Dataset, *, transfer_syntax_uid: str) -> None:
        """The Part 10 file at the target: header, then pixel data; uncompressed only in Explicit VR Little Endian.

        Raises:
            BudgetExceeded: uncompressed frames of 4 GiB or more, which PS3.5 7.1.1 cannot express.
        """
        encapsulated = transfer_syntax_uid != ExplicitVRLittleEndian
        offsets = self._offsets() if encapsulated else []
        basic = not offsets or offsets[-1] <= _BASIC_LIMIT
        if not basic:
            count = len(offsets)
            dataset.add_new(0x7FE00001, "OV", struct.pack(f"<{count}Q", *offsets))
            dataset.add_new(0x7FE00002, "OV", struct.pack(f"<{count}Q", *(n + n % 2 for n in self.lengths)))
        if not encapsulated and self.total > _BASIC_LIMIT:
            raise BudgetExceeded(f"{self.total} bytes of uncompressed frames do not fit one element")
        dataset.file_meta = file_meta(dataset, transfer_syntax_uid=transfer_syntax_uid)
        with self._target.open("wb") as file:
            dcmwrite(file, dataset, enforce_file_format=True)
            file.seek(0, os.SEEK_END)
            with self._path.open("rb") as spool:
                if encapsulated:
                    file.write(b"\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff")
                    table = struct.pack(f"<{len(offsets)}I", *offsets) if basic else b""
                    file.write(_ITEM + struct.pack("<I", len(table)) + table)
                    for length in self.lengths:
                        padding = length % 2
                        file.write(_ITEM + struct.pack("<I", length + padding))
                        file.write(spool.read(length) + b"\0" * padding)
                    file.write(_END)
                else:
                    padding = self.total % 2
                    file.write(b"\xe0\x7f\x10\x00OB\x00\x00" + struct.pack("<I", self.total + padding))
                    shutil.copyfileobj(spool, file, 1 << 20)
                    file.write(b"\0" * padding)

    def _offsets(self) -> list[int]:
        offsets, position = [], 0
        for length in self.lengths:
            offsets.append(position)
            position += 8 + length + length % 2
        return offsets
