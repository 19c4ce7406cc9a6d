"""Files that a command writes: names that tell what came of what, and nothing half written under its name."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from echonode.core.errors import BadInput

SUFFIXES = (".dcm", ".dicom", ".ima", ".avi", ".mp4", ".m4v", ".mov", ".mkv", ".png", ".jpg", ".jpeg", ".bmp")
OF_THE_LOOP = frozenset({"segmentation", "overlay", "slow-motion", "synthetic"})
"""Kinds that tell by themselves which task made them."""


def folder_for(out: Path) -> Path:
    """`out` as a folder that may be written to; made where it is not there.

    Raises:
        BadInput: it cannot be.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{out}: cannot be made a folder: {error.strerror}") from error
    if not os.access(out, os.W_OK):
        raise BadInput(f"{out}: may not be written by this user")
    return out


def stem_of(source: Path) -> str:
    """The name of a file without the ending that says its form; scanners name files after UIDs, whose dots end nothing."""
    name = source.resolve().name
    ending = next((each for each in SUFFIXES if name.lower().endswith(each)), "")
    return name[: len(name) - len(ending)] or name


def stems_of(sources: list[Path]) -> dict[Path, str]:
    """A stem for each source; sources of one name are told apart by a number."""
    found: dict[Path, str] = {}
    taken: set[str] = set()
    for source in sources:
        found[source] = free(stem_of(source), taken)
    return found


def name_of(kind: str, *, task: str) -> str:
    """What stands behind the stem: the kind, and where several tasks make that kind, which one it was."""
    words = kind if kind in OF_THE_LOOP else f"{task}-{kind}"
    return words.replace("_", "-")


def free(name: str, taken: set[str]) -> str:
    """`name`, with a number where it is taken already; taken from now on."""
    found, number = name, 2
    while found.lower() in taken:
        found, number = f"{name}-{number}", number + 1
    taken.add(found.lower())
    return found


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """A path to write to that becomes `target` when the block ends well."""
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def write_whole(target: Path, write: Callable[[Path], object]) -> Path:
    """`target`, as `write` writes it."""
    with whole(target) as part:
        write(part)
    return target


def copy_whole(source: Path, target: Path) -> Path:
    """`target`, a copy of `source`."""
    return write_whole(target, lambda part: shutil.copyfile(source, part))
