"""DICOM JSON as the Native DICOM Model in XML (PS3.19 A.1), for clients that ask for application/dicom+xml."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from pydicom.datadict import keyword_for_tag

from echonode.dicom.json_model import NAME_GROUPS

NAMESPACE = "http://dicom.nema.org/PS3.19/models/NativeDICOM"
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_COMPONENTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")


def native_xml(model: Mapping[str, Mapping[str, Any]]) -> bytes:
    """One document for one data set in DICOM JSON, in UTF-8; characters that XML cannot hold become U+FFFD."""
    body = "".join(_attributes(model))
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<NativeDicomModel xmlns="{NAMESPACE}" xml:space="preserve">{body}</NativeDicomModel>'
    ).encode()


def _attributes(model: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for tag, element in sorted(model.items()):
        keyword = keyword_for_tag(int(tag, 16))
        named = f' keyword="{keyword}"' if keyword else ""
        yield f'<DicomAttribute tag="{tag}" vr="{element["vr"]}"{named}{_creator(tag, model)}>'
        yield from _content(element)
        yield "</DicomAttribute>"


def _creator(tag: str, model: Mapping[str, Mapping[str, Any]]) -> str:
    """The private creator that reserves the block of a private element (PS3.5 7.8.1)."""
    if int(tag[3], 16) % 2 == 0 or tag[4:6] == "00":
        return ""
    values = model.get(f"{tag[:4]}00{tag[4:6]}", {}).get("Value") or [""]
    return f" privateCreator={quoteattr(_clean(str(values[0])))}" if values[0] else ""


def _content(element: Mapping[str, Any]) -> Iterator[str]:
    if "BulkDataURI" in element:
        yield f"<BulkData uri={quoteattr(_clean(element['BulkDataURI']))}/>"
    elif "InlineBinary" in element:
        yield f"<InlineBinary>{element['InlineBinary']}</InlineBinary>"
    for number, value in enumerate(element.get("Value", ()), start=1):
        if value is None:
            continue
        if element["vr"] == "SQ":
            yield f'<Item number="{number}">'
            yield from _attributes(value)
            yield "</Item>"
        elif element["vr"] == "PN":
            yield f'<PersonName number="{number}">'
            yield from _person_name(value)
            yield "</PersonName>"
        else:
            yield f'<Value number="{number}">{escape(_clean(str(value)))}</Value>'


def _person_name(value: Mapping[str, str]) -> Iterator[str]:
    for group in NAME_GROUPS:
        if not value.get(group):
            continue
        parts = zip(_COMPONENTS, value[group].split("^"), strict=False)
        inner = "".join(f"<{name}>{escape(_clean(part))}</{name}>" for name, part in parts if part)
        yield f"<{group}>{inner}</{group}>"


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
