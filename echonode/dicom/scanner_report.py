"""What a person measured on the scanner, out of the report that the scanner sent: TID 5200 and 5300 (PS3.16).

Findings stand in containers (59776-5, LN) or, in older editions, (121070, DCM), by site; below them are measurement
groups by mode and stage, and numbers with their method as modifiers. Nothing is guessed from a code's meaning: what no
table knows is counted and left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from echonode.core.clip import Mode
from echonode.core.codes import Code
from echonode.core.results import Measurement
from echonode.dicom import elements
from echonode.dicom import scanner_codes as codes
from echonode.dicom.elements import DataSet
from echonode.dicom.quantities import QUANTITIES, Key, Told
from echonode.dicom.units import in_unit
from echonode.dicom.views import view_named

ROOTS = frozenset({("DCM", "125200")})
TEMPLATES = frozenset({"5200", "5300"})
MOST_ITEMS = 100_000
"""Content items that are looked at; a report of a whole stress test has a few thousand."""
RESEARCH = "RESEARCH"


@dataclass(frozen=True, kw_only=True, slots=True)
class ScannerValue:
    """One number of the report: `measurement` under the generic concept and unit, `of` as the scanner coded it.

    `chosen` says that the report marks it as the one that stands among several, `mean` that it is their mean. `mode`,
    `view` and `stage` are empty where the report does not tell; `stage` is REST for the coded resting state. `sources`
    are SOP Instance UIDs of the pictures that it was read from.
    """

    measurement: Measurement
    of: Code
    chosen: bool = False
    mean: bool = False
    mode: Mode | None = None
    view: str = ""
    stage: str = ""
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Unread:
    """A number that was left out, by what the scanner calls it, and why."""

    what: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ScannerReport:
    """An echo procedure report: its numbers in the order of the document, and those that were not understood.

    `made_at` is Content Date and Time as DICOM text, to sort by. `research` is True for what says of itself that it is
    research (0018,9004), as what echonode makes does: no person's measurement.
    """

    sop_instance_uid: str
    made_at: str = ""
    manufacturer: str = ""
    research: bool = False
    values: tuple[ScannerValue, ...] = ()
    unread: tuple[Unread, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Context:
    """What containers above a number say of it."""

    site: Key | None = None
    mode: Mode | None = None
    view: str = ""
    stage: str = ""
    method: Code | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Beside:
    """What a number's own items say of it."""

    context: _Context
    phase: Key | None = None
    derivation: Code | None = None
    chosen: bool = False
    indexed: bool = False
    sources: tuple[str, ...] = ()


def read_scanner_report(dataset: DataSet) -> ScannerReport | None:
    """What the structured report `dataset` says; None where it is no echo procedure report.

    It may be malformed in any way that the walk over its bytes let through (dicom/header.py): what cannot be read is
    absent.
    """
    template = next(iter(elements.items(dataset, "ContentTemplateSequence")), None)
    named = "" if template is None else elements.text(template, "TemplateIdentifier")
    if _name(dataset) not in ROOTS and named not in TEMPLATES:
        return None
    values: list[ScannerValue] = []
    unread: list[Unread] = []
    for number, context in _numbers(dataset):
        match _value(number, context):
            case ScannerValue() as found:
                values.append(found)
            case Unread() as left_out:
                unread.append(left_out)
    return ScannerReport(
        sop_instance_uid=elements.text(dataset, "SOPInstanceUID"),
        made_at=elements.text(dataset, "ContentDate") + elements.text(dataset, "ContentTime"),
        manufacturer=elements.text(dataset, "Manufacturer"),
        research=elements.text(dataset, "ContentQualification").upper() == RESEARCH,
        values=tuple(values),
        unread=tuple(unread),
    )


def _numbers(root: DataSet) -> Iterator[tuple[DataSet, _Context]]:
    """Every NUM that a container holds, in the order of the document; those below another number belong to it."""
    left = MOST_ITEMS
    stack: list[tuple[DataSet, _Context]] = [(root, _Context())]
    while stack:
        item, context = stack.pop()
        if elements.text(item, "ValueType") == "NUM":
            yield item, context
            continue
        below = elements.items(item, "ContentSequence")[:left]
        left -= len(below)
        inner = _within(context, below)
        wanted = [each for each in below if elements.text(each, "ValueType") in ("CONTAINER", "NUM")]
        stack += [(each, inner) for each in reversed(wanted)]


def _within(context: _Context, items: Sequence[DataSet]) -> _Context:
    """`context` with what these items say of all that stands beside them."""
    for item in items:
        name = _name(item)
        if name in codes.STAGES:
            context = replace(context, stage=_stage(item))
            continue
        value = _coded_value(item)
        if value is None:
            continue
        key = codes.current(value.value, value.scheme)
        if name == codes.FINDING_SITE:
            context = replace(context, site=key)
        elif name == codes.IMAGE_MODE:
            context = replace(context, mode=codes.MODES.get(key, context.mode))
        elif name == codes.IMAGE_VIEW:
            context = replace(context, view=view_named(value.value, value.scheme) or context.view)
        elif name == codes.METHOD:
            context = replace(context, method=value)
    return context


def _beside(number: DataSet, context: _Context) -> _Beside:
    items = elements.items(number, "ContentSequence")[:MOST_ITEMS]
    found = _Beside(context=_within(context, items))
    for item in items:
        if elements.text(item, "ValueType") == "IMAGE":
            uids = (
                elements.text(each, "ReferencedSOPInstanceUID")
                for each in elements.items(item, "ReferencedSOPSequence")
            )
            found = replace(found, sources=(*found.sources, *filter(None, uids)))
            continue
        name, value = _name(item), _coded_value(item)
        if value is None:
            continue
        key = codes.current(value.value, value.scheme)
        if name == codes.CARDIAC_PHASE:
            found = replace(found, phase=key)
        elif name == codes.DERIVATION:
            found = replace(found, derivation=value)
        elif name == codes.SELECTION_STATUS:
            found = replace(found, chosen=key in codes.CHOSEN)
        elif key == codes.INDEXED:
            found = replace(found, indexed=True)
    return found


def _value(number: DataSet, above: _Context) -> ScannerValue | Unread:
    of = _code(next(iter(elements.items(number, "ConceptNameCodeSequence")), None))
    if of is None:
        return Unread(what="a number without a name", reason="it has no code")
    beside = _beside(number, above)
    context = beside.context
    told = _told(codes.current(of.value, of.scheme), context.site, beside.phase)

    def unread(reason: str) -> Unread:
        return Unread(what=f"{of.meaning} ({of.value}, {of.scheme})", reason=reason)

    if told is None:
        return unread("its code is not known here")
    derived = None if beside.derivation is None else codes.current(beside.derivation.value, beside.derivation.scheme)
    if derived is not None and beside.derivation is not None and derived not in codes.VALUES:
        return unread(f"it is the {beside.derivation.meaning} of measurements and no measurement")
    measured = next(iter(elements.items(number, "MeasuredValueSequence")), None)
    value = None if measured is None else _numeric(measured)
    if measured is None or value is None:
        return unread("it has no value")
    unit = _code(next(iter(elements.items(measured, "MeasurementUnitsCodeSequence")), None))
    if unit is None:
        return unread("it has no unit")
    converted = None if beside.indexed else in_unit(value, unit, told.unit)
    if converted is None:
        return unread(
            f"its unit is {unit.value}{', indexed' if beside.indexed else ''}, where {told.unit.value} is meant"
        )
    return ScannerValue(
        measurement=Measurement(
            concept=told.concept,
            value=converted,
            unit=told.unit,
            method=context.method or told.method,
            derivation=beside.derivation,
        ),
        of=of,
        chosen=beside.chosen,
        mean=derived == codes.MEAN,
        mode=told.mode or context.mode,
        view=told.view or context.view,
        stage=context.stage,
        sources=beside.sources,
    )


def _told(name: Key, site: Key | None, phase: Key | None) -> Told | None:
    known = QUANTITIES.get(name)
    if known is not None or site is None:
        return known
    return codes.POST_COORDINATED.get((name, site, phase)) or codes.POST_COORDINATED.get((name, site, None))


def _numeric(measured: DataSet) -> float | None:
    """Numeric Value (0040,A30A), else Floating Point Value (0040,A161); None where it is no finite number."""
    for number in (elements.decimal(measured, "NumericValue"), elements.real(measured, "FloatingPointValue")):
        if number is not None and math.isfinite(number):
            return number
    return None


def _name(item: DataSet) -> Key | None:
    """The concept name of a content item in today's edition."""
    code = _code(next(iter(elements.items(item, "ConceptNameCodeSequence")), None))
    return None if code is None else codes.current(code.value, code.scheme)


def _coded_value(item: DataSet) -> Code | None:
    return _code(next(iter(elements.items(item, "ConceptCodeSequence")), None))


def _stage(item: DataSet) -> str:
    code = _coded_value(item)
    if code is None:
        return elements.text(item, "TextValue")[:64]
    return "REST" if codes.current(code.value, code.scheme) == codes.RESTING else code.meaning


def _code(item: DataSet | None) -> Code | None:
    """A code as it was written, as long as its parts may be (SH, LO)."""
    if item is None:
        return None
    value = elements.text(item, "CodeValue") or elements.text(item, "LongCodeValue")
    scheme, meaning = elements.text(item, "CodingSchemeDesignator"), elements.text(item, "CodeMeaning")
    return Code(value[:16], scheme[:16], (meaning or value)[:64]) if value and scheme else None
