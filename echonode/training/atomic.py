"""Files that are there whole or not at all, also after a power cut."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Write `text` so that `path` holds the old content or the new, never a part."""
    write_with(path, lambda part: part.write_text(text, encoding="utf-8"))


def write_with(path: Path, write: Callable[[Path], object], *, also: Path | None = None) -> None:
    """Let `write` fill a file beside `path`, make it durable, and put it in place; `also` first gets the same bytes.

    `also` is a second name in the same folder for the same content: it is never older than `path`.
    """
    part = path.with_name(f".{path.name}.part")
    write(part)
    sync(part)
    if also is not None:
        twin = also.with_name(f".{also.name}.part")
        twin.unlink(missing_ok=True)
        twin.hardlink_to(part)
        twin.replace(also)
    part.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Make a file or a folder durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
