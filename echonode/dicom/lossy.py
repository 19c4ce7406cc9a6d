"""Which compression a transfer syntax says that loses something (PS3.3 C.7.6.1.1.5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

METHOD_OF_SYNTAX: Final[Mapping[str, str]] = {
    "1.2.840.10008.1.2.4.50": "ISO_10918_1",
    "1.2.840.10008.1.2.4.51": "ISO_10918_1",
    "1.2.840.10008.1.2.4.81": "ISO_14495_1",
    "1.2.840.10008.1.2.4.91": "ISO_15444_1",
    "1.2.840.10008.1.2.4.203": "ISO_15444_15",
} | {f"1.2.840.10008.1.2.4.{n}{t}": m for r, m in (
    (range(100, 102), "ISO_13818_2"), (range(102, 107), "ISO_14496_10"), (range(107, 109), "ISO_23008_2"),
) for n in r for t in ("", ".1")}  # fmt: skip
"""Lossy Image Compression Method (0028,2114) of the transfer syntaxes that are, or may be, lossy."""
