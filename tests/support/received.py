"""What a PACS has of a study: reports, as any receiver reads them, and what validators say of every object."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pydicom.dataset import Dataset

from tests.support import validators

REPORT, MEASUREMENTS = "1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.88.33"
NO_RESULT, VIEW, MODE, SOURCE = "NORESULT", "111031", "399264008", "121112"
KINDS = {
    "1.2.840.10008.5.1.4.1.1.3.1": "slow-motion",
    "1.2.840.10008.5.1.4.1.1.66.4": "segmentation",
    "1.2.840.10008.5.1.4.1.1.7.4": "overlay",
    "1.2.840.10008.5.1.4.1.1.7": "capture",
    "1.2.840.10008.5.1.4.1.1.104.1": "document",
    "1.2.840.10008.5.1.4.1.1.88.59": "rejection",
    REPORT: "report",
    MEASUREMENTS: "measurements",
}
"""What an object that came back is, by its SOP class; an overlay of a still is a capture too."""
Received = Sequence[tuple[Path, Dataset]]


def kinds(received: Received) -> list[str]:
    """The kind of each object, sorted."""
    return sorted(KINDS[str(header.SOPClassUID)] for _, header in received)


def of_kind(received: Received, kind: str) -> list[tuple[Path, Dataset]]:
    """The objects of one kind, oldest first."""
    return [(path, header) for path, header in received if KINDS[str(header.SOPClassUID)] == kind]


def current(received: Received) -> list[tuple[Path, Dataset]]:
    """The reports that no other report names as its predecessor: what a reader is shown."""
    reports = of_kind(received, "report")
    replaced = {uid for _, header in reports for uid in predecessors(header)}
    return [(path, header) for path, header in reports if header.SOPInstanceUID not in replaced]


def predecessors(report: Dataset) -> list[str]:
    """SOP Instance UIDs of the documents that a report names as those it replaces or adds to."""
    return [
        str(item.ReferencedSOPInstanceUID)
        for study in report.get("PredecessorDocumentsSequence", ())
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    ]


def items_of(item: Dataset, code: str) -> Iterator[Dataset]:
    """Every content item below `item` whose concept name has that code value."""
    for child in item.get("ContentSequence", ()):
        name = child.get("ConceptNameCodeSequence")
        if name and str(name[0].CodeValue) == code:
            yield child
        yield from items_of(child, code)


def loops_of(report: Dataset) -> dict[str, Dataset]:
    """The group "view and quality" of each object, by SOP Instance UID of the object."""
    return {
        str(image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID): group
        for group in items_of(report, "125007")
        if any(str(item.TextValue).startswith("View and quality") for item in items_of(group, "112039"))
        for image in items_of(group, SOURCE)
    }


def code_of(group: Dataset, concept: str) -> str:
    """The meaning of the coded answer to a concept; empty where there is none."""
    return next((str(each.ConceptCodeSequence[0].CodeMeaning) for each in items_of(group, concept)), "")


def texts(item: Dataset, concept: str) -> list[str]:
    """The texts of a concept below an item."""
    return [str(each.TextValue) for each in items_of(item, concept) if "TextValue" in each]


def errors_beyond(sources: Iterable[Path], paths: Iterable[Path]) -> dict[str, list[str]]:
    """What dciodvfy holds against each object that it does not hold against a source too; objects without are left out."""
    known = {error for source in sources for error in validators.iod_errors(source)}
    found = {path.name: [error for error in validators.iod_errors(path) if error not in known] for path in paths}
    return {name: errors for name, errors in found.items() if errors}


def disagreements_beyond(sources: Sequence[Path], paths: Iterable[Path]) -> list[str]:
    """What dcentvfy says of sources and objects together that it does not say of the sources alone."""
    known = set(validators.consistency_errors(sources))
    return [error for error in validators.consistency_errors([*sources, *paths]) if error not in known]
