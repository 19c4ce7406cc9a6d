"""One number or one coded answer of a report with all that belongs to it (TID 300, 310, 320)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from echonode.core.codes import PRIVATE_SCHEME, Code
from echonode.core.report import Refused, ReportedFinding, ReportedValue
from echonode.derive import report_codes as codes
from echonode.derive import report_items as items
from echonode.derive.report_numbers import rounded
from echonode.derive.report_sources import Sources

if TYPE_CHECKING:
    from highdicom.sr import ContentItem, Measurement

ACCURACY_UNKNOWN = "Accuracy unknown: the model has no locked test with limits of agreement"
_MEANS = ("373098007",)  # Mean, SCT


def measurement_of(value: ReportedValue, sources: Sources) -> Measurement:
    """The number with method, derivation, site, selection, uncertainty, repeatability, notes and the frames it is from.

    Raises:
        BadInput: a frame that its object does not have.
    """
    from highdicom.sr import FindingSite, Measurement, SourceImageForMeasurement

    said = codes.generic(value.measurement)
    measurement = Measurement(
        name=items.coded(said.concept),
        value=rounded(said.value, said.unit, concept=said.concept),
        unit=items.coded(said.unit),
        method=items.coded(said.method) if said.method is not None else None,
        derivation=items.coded(said.derivation) if said.derivation is not None else None,
        finding_sites=[FindingSite(items.coded(said.site))] if said.site is not None else None,
        referenced_images=[
            SourceImageForMeasurement(
                referenced_sop_class_uid=sources.reference(uid).sop_class_uid,
                referenced_sop_instance_uid=uid,
                referenced_frame_numbers=list(sources.frame_numbers(uid, frames)) or None,
            )
            for uid, frames in value.frames.items()
            if sources.is_picture(uid)
        ],
    )
    items.with_items(items.exact(measurement[0]), beside(value))
    return measurement


def beside(value: ReportedValue) -> Iterator[ContentItem]:
    """What stands below the number: who chose it and why, how sure it is, how steady, and what to know of it.

    The selection is a modifier and numbers are parameters of the number (TID 300, rows 2 and 9): under HAS PROPERTIES,
    as TID 310 has them, the validator of the field takes them for an error.
    """
    said = codes.generic(value.measurement)
    if value.entered_by:
        # Without Observer Type: a person is what it is by default (TID 1001), and a code here would be a modifier.
        yield items.person(codes.PERSON_NAME, value.entered_by)
    if value.selected:
        yield items.code(codes.SELECTED, codes.YES, items.HAS_CONCEPT_MOD)
        status = _selection(value)
        if status is not None:
            yield items.code(codes.SELECTION_STATUS, status, items.HAS_CONCEPT_MOD)
        if items.plain(value.selection):
            yield items.text(codes.SELECTION_REASON, value.selection, items.HAS_PROPERTIES)
    if said.uncertainty is not None:
        yield items.number(codes.UNCERTAINTY, said.uncertainty, said.unit, items.INFERRED_FROM, of=said.value)
        basis = items.plain(said.uncertainty_basis)
        yield items.text(
            codes.UNCERTAINTY_BASIS,
            f"Half width of the 95 % limits{': ' + basis if basis else ''}",
            items.HAS_PROPERTIES,
        )
    elif not value.entered_by:
        unknown = items.plain(said.uncertainty_basis) or ACCURACY_UNKNOWN
        yield items.text(codes.ACCURACY, unknown, items.HAS_PROPERTIES)
    if said.repeatability is not None:
        yield items.number(codes.REPEATABILITY, said.repeatability, said.unit, items.INFERRED_FROM, of=said.value)
    if said.count is not None:
        yield items.number(codes.COUNT, said.count, codes.ONE, items.INFERRED_FROM)
    for note in said.notes:
        if items.plain(note):
            yield items.text(codes.COMMENT, note, items.HAS_PROPERTIES)


def finding_of(reported: ReportedFinding, sources: Sources) -> ContentItem:
    """A coded answer with its method, how sure the model is of it, and where it was seen."""
    finding = reported.finding
    item = items.code(finding.concept, finding.value)
    below: list[ContentItem] = []
    if finding.method is not None:
        below.append(items.code(codes.METHOD, finding.method, items.HAS_CONCEPT_MOD))
    if finding.confidence is not None:
        below.append(items.number(codes.CONFIDENCE, finding.confidence, codes.ONE))
    below += seen_in(reported.frames, sources)
    return items.with_items(item, below)


def refusal_of(refused: Refused, sources: Sources, *, of_loop: bool = False) -> ContentItem:
    """Why there is no result, as text for people and a code for machines; never a number."""
    task = items.plain(refused.task)
    item = items.text(codes.NO_RESULT, f"{task}: {refused.reason}" if task else refused.reason)
    below: list[ContentItem] = []
    kind = items.plain(refused.code)
    if kind:
        value = "".join(c if c.isalnum() else "-" for c in kind.upper())[:16]
        meaning = kind.replace("-", " ").replace("_", " ")[:64]
        below.append(items.code(codes.NO_RESULT_KIND, Code(value, PRIVATE_SCHEME, meaning), items.HAS_PROPERTIES))
    if refused.algorithm is not None:
        below.append(
            items.text(codes.ALGORITHM, f"{refused.algorithm.name} {refused.algorithm.version}", items.HAS_PROPERTIES)
        )
    if refused.source is not None and not of_loop:
        below += seen_in({refused.source.sop_instance_uid: ()}, sources)
    return items.with_items(item, below)


def seen_in(frames: Mapping[str, Sequence[int]], sources: Sources) -> list[ContentItem]:
    """References to the pictures that something was seen in."""
    return [
        items.image(codes.SOURCE_OF_MEASUREMENT, sources.reference(uid), sources.frame_numbers(uid, which))
        for uid, which in frames.items()
        if sources.is_picture(uid)
    ]


def pictures_of(values: Iterable[ReportedValue | ReportedFinding], sources: Sources) -> list[str]:
    """The SOP Instance UIDs of all pictures that the values were read from, in order, each once."""
    uids: dict[str, None] = {}
    for value in values:
        uids |= dict.fromkeys(uid for uid in value.frames if sources.is_picture(uid))
    return list(uids)


def _selection(value: ReportedValue) -> Code | None:
    """Selection Status (CID 224, 12301); None where none of its reasons is the true one."""
    said = value.measurement
    if value.entered_by:
        return codes.USER_CHOSEN
    averaged = (said.derivation is not None and said.derivation.value in _MEANS) or (said.count or 0) > 1
    return codes.MEAN_CHOSEN if averaged else None
