"""Which view an echo object shows: by its code (CID 12226), by views.toml, by its View Name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from echonode.core.codes import Code
from echonode.core.pattern_ways import LONGEST_TEXT
from echonode.core.view_codes import UNKNOWN_VIEW, VIEWS
from echonode.core.views import ViewRule, ViewsFile
from echonode.dicom import elements
from echonode.dicom.elements import DataSet
from echonode.dicom.private_elements import private_text

__all__ = ["VIEWS", "ToldView", "told_view", "view_code", "view_named", "view_of"]

HEADER, VIEWS_TOML = "header", "views.toml"

_BY_CODE = {(code.value, code.scheme): name for name, code in VIEWS.items()}
# SNOMED-RT identifiers that carts wrote before CID 12226 moved to SNOMED CT.
_BY_OLD_CODE = {
    "G-0396": "PLAX",
    "G-0397": "PSAX",
    "G-039A": "PSAX-MV",
    "G-0399": "PSAX-CHORDS",
    "G-039B": "PSAX-PM",
    "G-0398": "PSAX-AV",
    "G-A19C": "A4C",
    "G-A19B": "A2C",
    "G-0395": "A3C",
    "G-039C": "RV-INFLOW",
    "G-039D": "RV-OUTFLOW",
    "G-0577": "PLAX-RV-INFLOW",
    "G-0578": "PLAX-RVOT",
    "G-039E": "SC-LAX",
    "G-039F": "SC-SAX",
    "G-03A0": "SSN-LAX",
    "G-03A1": "SSN-SAX",
    "G-057D": "SSN-ARCH",
    "R-40B0E": "TEE-SAX",
}
_OLD_SCHEMES = ("SRT", "SNM3", "99SDM")
_NAMES = {
    "PLAX": "PLAX",
    "LAX": "PLAX",
    "PARASTERNALLONGAXIS": "PLAX",
    "PSAX": "PSAX",
    "SAX": "PSAX",
    "PARASTERNALSHORTAXIS": "PSAX",
    "PSAXMV": "PSAX-MV",
    "SAXMV": "PSAX-MV",
    "PSAXPM": "PSAX-PM",
    "SAXPM": "PSAX-PM",
    "PSAXAV": "PSAX-AV",
    "SAXAV": "PSAX-AV",
    "A4C": "A4C",
    "AP4": "A4C",
    "4CH": "A4C",
    "APICAL4CHAMBER": "A4C",
    "APICALFOURCHAMBER": "A4C",
    "A2C": "A2C",
    "AP2": "A2C",
    "2CH": "A2C",
    "APICAL2CHAMBER": "A2C",
    "APICALTWOCHAMBER": "A2C",
    "A3C": "A3C",
    "AP3": "A3C",
    "3CH": "A3C",
    "ALAX": "A3C",
    "APLAX": "A3C",
    "APICALLONGAXIS": "A3C",
    "APICAL3CHAMBER": "A3C",
    "SCLAX": "SC-LAX",
    "A5C": "A5C",
    "AP5": "A5C",
    "5CH": "A5C",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ToldView:
    """The view before anybody looked at a picture: its short name or None, who told it (`header`, `views.toml`, nobody),
    why, and whether it is `firm`: told by a code or a protocol's number, where free text is a hint."""

    view: str | None
    source: str
    reason: str
    firm: bool = False


def told_view(header: DataSet, *, rules: ViewsFile | None = None, calling_ae: str = "") -> ToldView:
    """The first of these that tells: a row of views.toml with `override`, View Code Sequence, a row that is firm or reads
    the View Name, a View Name that is known, any other row."""
    rows = rules.view if rules is not None else ()
    coded, complaint = _coded(header)
    named = elements.text(header, "ViewName")[:LONGEST_TEXT]
    name = _NAMES.get(re.sub(r"[^A-Z0-9]", "", named.upper())) if named else None
    found = _by_rows((row for row in rows if row.override), header, calling_ae) or coded
    found = found or _by_rows((row for row in rows if row.before_name and not row.override), header, calling_ae)
    if found is None and name is not None:
        found = ToldView(view=name, source=HEADER, reason=f"View Name {named!r}")
    found = found or _by_rows((row for row in rows if not row.before_name and not row.override), header, calling_ae)
    if found is not None:
        return found
    if named:
        complaint = complaint or f"View Name {named!r} is no view that echonode knows"
    reason = complaint or "the header has neither View Code Sequence nor View Name"
    return ToldView(view=None, source="", reason=reason)


def view_of(header: DataSet) -> tuple[str | None, str]:
    """The view's short name (PLAX, A4C), or None, with the reason in words, of the header alone."""
    told = told_view(header)
    return told.view, told.reason


def view_named(value: str, scheme: str) -> str | None:
    """The short name of a coded view, of today's edition or an older one; None when it is none of these."""
    return _BY_CODE.get((value, scheme)) or (_BY_OLD_CODE.get(value) if scheme in _OLD_SCHEMES else None)


def view_code(name: str | None) -> Code | None:
    """The coded concept of a view's short name."""
    return VIEWS.get(name) if name else None


def _coded(header: DataSet) -> tuple[ToldView | None, str]:
    """What View Code Sequence tells; or nothing, and what is wrong with it."""
    for item in elements.items(header, "ViewCodeSequence"):
        value, scheme = elements.text(item, "CodeValue"), elements.text(item, "CodingSchemeDesignator")
        if not value:
            continue
        name = view_named(value, scheme)
        if name is None:
            return None, f"View Code ({value}, {scheme}) is no view that echonode knows"
        reason = f"View Code Sequence: ({value}, {scheme})"
        return ToldView(view=name, source=HEADER, reason=reason, firm=True), ""
    return None, ""


def _by_rows(rows: Iterable[ViewRule], header: DataSet, calling_ae: str) -> ToldView | None:
    for row in rows:
        why = _why(row, header, calling_ae)
        if why is None:
            continue
        view = None if row.view == UNKNOWN_VIEW else row.view
        return ToldView(view=view, source=VIEWS_TOML, reason=f"views.toml: {why}", firm=row.is_firm)
    return None


def _why(row: ViewRule, header: DataSet, calling_ae: str) -> str | None:
    """What fits the row, in words; None where a condition of it does not hold."""
    told: list[str] = []
    if row.view_number is not None:
        number = elements.integer(header, "ViewNumber")
        if number not in row.view_number:
            return None
        told.append(f"View Number {number}")
    for keyword, contained in (("Manufacturer", row.vendor), ("ManufacturerModelName", row.model)):
        if contained is not None and not _contains(elements.text(header, keyword), contained):
            return None
    if row.calling_ae is not None and calling_ae.strip().casefold() not in _folded(row.calling_ae):
        return None
    if row.stage is not None and not _is_stage(elements.text(header, "StageName"), row.stage):
        return None
    if row.image_type is not None and not _folded(row.image_type) <= _folded(elements.texts(header, "ImageType")):
        return None
    for keyword, pattern in row.patterns:
        value = elements.text(header, keyword)[:LONGEST_TEXT]
        if not re.search(pattern, value, re.IGNORECASE):
            return None
        told.append(f"{keyword} {value!r}")
    if row.text is not None:
        hit = next((pair for pair in _texts(header) if re.search(row.text, pair[1], re.IGNORECASE)), None)
        if hit is None:
            return None
        told.append(f"{hit[0]} {hit[1]!r}")
    if row.private is not None:
        label = row.private
        value = private_text(header, group=label.group, creator=label.creator, element=label.element)[:LONGEST_TEXT]
        if not value or not re.search(label.pattern, value, re.IGNORECASE):
            return None
        told.append(f"{label.creator} {value!r}")
    return ", ".join(told) or "a row for what this scanner sends"


def _texts(header: DataSet) -> Iterable[tuple[str, str]]:
    for keyword in ("ViewName", "ProtocolName", "ImageComments", "SeriesDescription"):
        value = elements.text(header, keyword)[:LONGEST_TEXT]
        if value:
            yield keyword, value


def _contains(text: str, wanted: Iterable[str]) -> bool:
    return any(each.strip().casefold() in text.casefold() for each in wanted)


def _folded(values: Iterable[str]) -> set[str]:
    return {value.strip().casefold() for value in values}


def _is_stage(stage: str, wanted: tuple[str, ...]) -> bool:
    """Scanners name stages as they like: "any" is whatever a scanner calls one, "none" is no stage."""
    names = _folded(wanted)
    return (stage.casefold() or "none") in names or (bool(stage) and "any" in names)
