"""Documents for people: a structured report as a page, an encapsulated PDF as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from pydicom import dcmread

from echonode.core.errors import BudgetExceeded, NotAcceptable, UnreadableObject
from echonode.core.settings import LimitsSection
from echonode.dicom import elements
from echonode.dicom.storage import ENCAPSULATED_PDF

PDF, PAGE = "application/pdf", "text/html"
_REPORTS = (11, 22, 33, 34, 35, 40, 50, 59, 65, 67, 68, 69, 70, 71, 72, 73, 74, 75)
DOCUMENTS: Mapping[str, str] = {
    ENCAPSULATED_PDF: PDF,
    **{f"1.2.840.10008.5.1.4.1.1.88.{number}": PAGE for number in _REPORTS},
}
"""SOP classes that are shown as a document, and its media type."""

_DEEPEST = 64
_LONGEST = 200_000
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#111;background:#fff}"
    "h1{font-size:1.4rem}ul{list-style:none;padding-left:1.2rem;border-left:1px solid #ccc}dt{color:#555}"
    "dl{display:grid;grid-template-columns:max-content auto;gap:0 1rem}dd{margin:0}b{font-weight:600}small{color:#555}"
)
_HEAD = (
    ("Patient", "00100010"),
    ("Patient ID", "00100020"),
    ("Birth date", "00100030"),
    ("Study date", "00080020"),
    ("Accession number", "00080050"),
    ("Content date", "00080023"),
    ("Completion", "0040A491"),
    ("Verification", "0040A493"),
    ("Manufacturer", "00080070"),
)


def pdf_of(path: Path, *, limits: LimitsSection) -> bytes:
    """The PDF inside an Encapsulated PDF object (PS3.3 C.24.2), without padding.

    Raises:
        BudgetExceeded: larger than limits.frame_bytes.
        UnreadableObject: the object cannot be read.
        NotAcceptable: what is in it is no PDF.
    """
    if path.stat().st_size > limits.frame_bytes:
        raise BudgetExceeded(f"the document is larger than limits.frame_bytes = {limits.frame_bytes}")
    try:
        header = dcmread(path, specific_tags=["EncapsulatedDocument", "EncapsulatedDocumentLength"])
        content = header.get("EncapsulatedDocument")
    except elements.MALFORMED as error:
        raise UnreadableObject(f"the document cannot be read: {type(error).__name__}") from error
    if not isinstance(content, bytes) or not content.startswith(b"%PDF-"):
        raise NotAcceptable("the object holds no PDF document")
    length = elements.unsigned(header, "EncapsulatedDocumentLength")
    return content[:length] if length and len(content) - 1 <= length <= len(content) else content


def page_of(report: Mapping[str, Any]) -> str:
    """A structured report, given as DICOM JSON (PS3.18 annex F), as an HTML page; every word of it is escaped."""
    title = _meaning(report, "0040A043") or "Structured report"
    head = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, tag in _HEAD if (text := _text(report, tag))
    )
    body = "".join(_limited(_items(report, 0)))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>'
        f"{escape(title)}</title><style>{_STYLE}</style></head><body><h1>{escape(title)}</h1><dl>{head}</dl>{body}"
        "</body></html>"
    )


def _limited(parts: Iterator[str]) -> Iterator[str]:
    for number, part in enumerate(parts):
        if number >= _LONGEST:
            yield "<p>The report is longer than what is shown here.</p>"
            return
        yield part


def _items(item: Mapping[str, Any], depth: int) -> Iterator[str]:
    """The content items below `item` (PS3.3 C.17.3) as a list."""
    children = _values(item, "0040A730")
    if not children or depth > _DEEPEST:
        return
    yield "<ul>"
    for child in children:
        if isinstance(child, Mapping):
            name, shown = _meaning(child, "0040A043"), _shown(child)
            colon = ": " if name and shown else ""
            yield f"<li><b>{escape(name)}</b>{colon}{escape(shown)}"
            yield from _items(child, depth + 1)
            yield "</li>"
    yield "</ul>"


def _shown(item: Mapping[str, Any]) -> str:
    """The value of one content item in words."""
    match _text(item, "0040A040"):
        case "NUM":
            measured = next(iter(_sequence(item, "0040A300")), {})
            unit = next(iter(_sequence(measured, "004008EA")), {})
            value = f"{_text(measured, '0040A30A')} {_text(unit, '00080100')}".strip()
            return value or _meaning(item, "0040A301")
        case "CODE":
            return _meaning(item, "0040A168")
        case "TEXT":
            return _text(item, "0040A160")
        case "DATE":
            return _text(item, "0040A121")
        case "TIME":
            return _text(item, "0040A122")
        case "DATETIME":
            return _text(item, "0040A120")
        case "PNAME":
            return _text(item, "0040A123")
        case "UIDREF":
            return _text(item, "0040A124")
        case "SCOORD" | "SCOORD3D" | "TCOORD" as kind:
            return _text(item, "00700023") or _text(item, "0040A130") or kind
        case "IMAGE" | "COMPOSITE" | "WAVEFORM":
            reference = next(iter(_sequence(item, "00081199")), {})
            frames = _text(reference, "00081160")
            return f"{_text(reference, '00081155')}{f', frames {frames}' if frames else ''}"
    return ""


def _meaning(item: Mapping[str, Any], tag: str) -> str:
    return _text(next(iter(_sequence(item, tag)), {}), "00080104")


def _sequence(item: Mapping[str, Any], tag: str) -> list[Mapping[str, Any]]:
    return [value for value in _values(item, tag) if isinstance(value, Mapping)]


def _text(item: Mapping[str, Any], tag: str) -> str:
    """The values of an element as text; a person's name in its alphabetic, ideographic and phonetic form."""
    found = []
    for value in _values(item, tag):
        if isinstance(value, Mapping):
            found.append(
                " = ".join(str(value[form]) for form in ("Alphabetic", "Ideographic", "Phonetic") if form in value)
            )
        elif value is not None:
            found.append(str(value))
    return ", ".join(found)


def _values(item: Mapping[str, Any], tag: str) -> Sequence[Any]:
    element = item.get(tag)
    values = element.get("Value") if isinstance(element, Mapping) else None
    return values if isinstance(values, list) else []
