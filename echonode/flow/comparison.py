"""A second object with a known SOP Instance UID: the same thing once more, or something else?"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from echonode.core.errors import BudgetExceeded, UnreadableObject
from echonode.core.query import StoredInstance
from echonode.core.settings import LimitsSection
from echonode.dicom.header import SYNTAXES_DEFLATED, PixelElement, read_header
from echonode.dicom.storage import EXPLICIT_BE
from echonode.flow.isolated import IsolatedFailed, run_isolated

_BLOCK = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Sameness:
    """Whether two objects are versions of one, and what was found. What cannot be compared is not the same."""

    same: bool
    detail: str


def compare_objects(first: StoredInstance, second: StoredInstance, *, limits: LimitsSection) -> Sameness:
    """Whether `second` shows what `first` shows.

    With equal pixel bytes the headers may differ. Without pixels the whole data sets must be equal. Only what needs
    decoding is decoded, in a process of its own.
    """
    syntaxes = {first.transfer_syntax_uid, second.transfer_syntax_uid}
    if syntaxes & SYNTAXES_DEFLATED:
        return _isolated("pixels", first, second, limits)
    try:
        one, other = _pixels(first, limits), _pixels(second, limits)
    except (UnreadableObject, BudgetExceeded, OSError) as error:
        return Sameness(same=False, detail=f"they cannot be compared: {error}")
    if one is None and other is None:
        if len(syntaxes) == 1:
            return Sameness(same=False, detail="objects without pixels, and their data sets differ")
        return _isolated("datasets", first, second, limits)
    if one is None or other is None:
        return Sameness(same=False, detail="one of them has pixels, the other has none")
    comparable = len(syntaxes) == 1 or EXPLICIT_BE not in syntaxes
    if comparable and one.tag == other.tag and one.encapsulated == other.encapsulated:
        if _digest(first.path, one) == _digest(second.path, other):
            syntax = "header" if len(syntaxes) == 1 else "transfer syntax"
            return Sameness(same=True, detail=f"the same pixel bytes with another {syntax}")
        if len(syntaxes) == 1 and not one.encapsulated:
            return Sameness(same=False, detail="the pixels differ")
    return _isolated("pixels", first, second, limits)


def _pixels(stored: StoredInstance, limits: LimitsSection) -> PixelElement | None:
    return read_header(
        Path(stored.path),
        offset=stored.dataset_offset,
        transfer_syntax_uid=stored.transfer_syntax_uid,
        limits=limits,
    ).pixels


def _digest(path: str, pixels: PixelElement) -> str:
    digest, left = hashlib.sha256(), pixels.end - pixels.begin
    with Path(path).open("rb") as file:
        file.seek(pixels.begin)
        while left > 0 and (block := file.read(min(_BLOCK, left))):
            digest.update(block)
            left -= len(block)
    return digest.hexdigest()


def _isolated(what: str, first: StoredInstance, second: StoredInstance, limits: LimitsSection) -> Sameness:
    try:
        answer = run_isolated({"what": what, "first": first.path, "second": second.path}, limits=limits)
    except IsolatedFailed as error:
        return Sameness(same=False, detail=f"they cannot be compared: {error}")
    return Sameness(same=bool(answer["same"]), detail=str(answer["detail"]))
