"""What a TID 1500 report says, read as any receiver would: from its content tree alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

GROUP, SOURCE, VIEW, METHOD = "125007", "121112", "111031", "370129005"
SELECTED, UNCERTAINTY, VIEW_CONFIDENCE = "SELECTED", "371884006", "VIEW-CONF"


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """One number or code of a report. `sources` are the SOP Instance UIDs that it was read from.

    `confidence` is what stands beside a view, `limits` the half width of the 95 % limits of a number.
    """

    concept: str
    meaning: str
    value: float | None = None
    unit: str = ""
    code: str = ""
    words: str = ""
    method: str = ""
    selected: bool = False
    limits: float | None = None
    confidence: float | None = None
    sources: tuple[str, ...] = ()


def said_in(report: Dataset) -> list[Said]:
    """Every number and code in the measurement groups of a report, in its order."""
    return [said for group in _groups(report) for said in _of_group(group)]


def _groups(item: Dataset) -> Iterator[Dataset]:
    for child in item.get("ContentSequence", ()):
        if child.ValueType == "CONTAINER" and _concept(child)[0] == GROUP:
            yield child
        else:
            yield from _groups(child)


def _of_group(group: Dataset) -> Iterator[Said]:
    children = list(group.get("ContentSequence", ()))
    whole = _sources(children)
    confidence = next((_number(each) for each in children if _concept(each)[0] == VIEW_CONFIDENCE), None)
    for child in children:
        code, meaning = _concept(child)
        inside = list(child.get("ContentSequence", ()))
        if child.ValueType == "NUM":
            number = child.MeasuredValueSequence[0]
            yield Said(
                concept=code,
                meaning=meaning,
                value=float(number.NumericValue),
                unit=str(number.MeasurementUnitsCodeSequence[0].CodeValue),
                method=next((_coded(each)[1] for each in inside if _concept(each)[0] == METHOD), ""),
                selected=any(_concept(each)[0] == SELECTED for each in inside),
                limits=next((_number(each) for each in inside if _concept(each)[0] == UNCERTAINTY), None),
                sources=_sources(inside) or whole,
            )
        elif child.ValueType == "CODE":
            value, words = _coded(child)
            yield Said(
                concept=code,
                meaning=meaning,
                code=value,
                words=words,
                confidence=confidence
                if code == VIEW
                else next(map(_number, (e for e in inside if _is_number(e))), None),
                sources=whole,
            )


def _sources(items: list[Dataset]) -> tuple[str, ...]:
    return tuple(
        str(each.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        for each in items
        if each.ValueType == "IMAGE" and _concept(each)[0] == SOURCE
    )


def _concept(item: Dataset) -> tuple[str, str]:
    sequence = item.get("ConceptNameCodeSequence")
    return (str(sequence[0].CodeValue), str(sequence[0].CodeMeaning)) if sequence else ("", "")


def _coded(item: Dataset) -> tuple[str, str]:
    code = item.ConceptCodeSequence[0]
    return str(code.CodeValue), str(code.CodeMeaning)


def _is_number(item: Dataset) -> bool:
    return bool(item.ValueType == "NUM")


def _number(item: Dataset) -> float:
    return float(item.MeasuredValueSequence[0].NumericValue)
