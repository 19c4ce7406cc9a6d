"""Copying attributes from a source object, with values that PS3.5 6.2 does not allow put right or left out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pydicom.charset import convert_encodings
from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

from echonode.core.identity import is_uid
from echonode.dicom import elements
from echonode.dicom.character_sets import character_set_term

UTF_8 = "ISO_IR 192"
_BINARY = frozenset({"US", "SS", "UL", "SL", "FL", "FD", "UV", "SV", "AT"})
_TEXT = frozenset({"LO", "SH", "PN", "ST", "LT", "UC", "UT"})
_LONGEST = {"LO": 64, "SH": 16, "ST": 1024, "LT": 10240}
# Who the patient and what the study is: never shortened, since a shorter identifier names somebody else.
IDENTITY = frozenset({"PatientName", "PatientID", "IssuerOfPatientID", "StudyID", "AccessionNumber"})


def copy_elements(source: Dataset, target: Dataset, keywords: Iterable[str], *, empty: bool = False) -> None:
    """Copy those of `keywords` that the source has with a valid value; with `empty`, the others are written empty."""
    for keyword in keywords:
        tag = tag_for_keyword(keyword)
        if tag is None:
            raise KeyError(keyword)
        vr = dictionary_VR(tag)
        value = clean(source, keyword, vr)
        if value is None and not empty:
            continue
        target[tag] = DataElement(tag, vr, value, validation_mode=IGNORE)


def clean(source: Dataset, keyword: str, vr: str) -> Any:
    """The value of one element as PS3.5 6.2 allows it, None when there is none to keep."""
    if not elements.has(source, keyword):
        return None
    if vr == "SQ":
        items = [
            item
            for item in (clean_item(each) for each in elements.items(source, keyword) if isinstance(each, Dataset))
            if len(item)
        ]
        return Sequence(items) if items else None
    if vr in _BINARY:
        try:
            value = source[keyword].value
        except elements.MALFORMED:
            return None
        return value if source[keyword].VR in _BINARY and value not in (None, "") else None
    values = elements.texts(source, keyword)
    if vr in ("ST", "LT", "UT"):
        values = ("\\".join(values),) if values else ()
    cleaned = [_clean_text(value, vr, whole=keyword in IDENTITY) for value in values]
    if vr == "CS":
        kept = [value or "" for value in cleaned]
    else:
        kept = [value for value in cleaned if value]
        if len(kept) != len(cleaned) and len(cleaned) > 1:
            return None
    if not any(kept):
        return None
    return kept[0] if len(kept) == 1 else kept


def clean_item(item: Dataset) -> Dataset:
    """A copy of a sequence item: standard elements with valid values; empty ones, privates and lengths left out."""
    copied = Dataset()
    for tag in sorted(item.keys()):
        if tag.is_private or tag.element == 0:
            continue
        try:
            vr = dictionary_VR(tag)
            element = item[tag]
        except elements.MALFORMED:
            continue
        if " or " in vr or vr in ("OB", "OW", "UN", "OF", "OD"):
            continue
        value = clean(item, element.keyword, vr) if element.keyword else None
        if value is not None:
            copied[tag] = DataElement(tag, vr, value, validation_mode=IGNORE)
    return copied


def _clean_text(value: str, vr: str, *, whole: bool) -> str | None:
    if vr == "DA":
        return clean_date(value)
    if vr == "TM":
        return clean_time(value)
    if vr == "DT":
        return value if re.fullmatch(r"\d{4,14}(\.\d{1,6})?([+-]\d{4})?", value) else None
    if vr == "CS":
        return value.upper() if re.fullmatch(r"[A-Z0-9 _]{1,16}", value.upper()) else None
    if vr == "AS":
        return value if re.fullmatch(r"\d{3}[DWMY]", value) else None
    if vr == "UI":
        return value if is_uid(value) else None
    if vr == "IS":
        return value if re.fullmatch(r"[+-]?\d{1,10}", value) and abs(int(value)) < 1 << 31 else None
    if vr == "DS":
        return _clean_decimal(value)
    if vr in _TEXT:
        keep = "\n\r\f\t" if vr in ("ST", "LT", "UT") else ""
        cleaned = "".join(c for c in value if c >= " " or c in keep)
        return cleaned if whole else cleaned[: _LONGEST.get(vr, len(cleaned))].rstrip()
    return value


def _clean_decimal(value: str) -> str | None:
    try:
        number = float(value)
    except ValueError:
        return None
    if number != number or abs(number) == float("inf"):
        return None
    return value if len(value) <= 16 and re.fullmatch(r"[+-]?[0-9.]+([eE][+-]?[0-9]+)?", value) else f"{number:.9g}"


def clean_date(value: str) -> str | None:
    """YYYYMMDD, from that or from the YYYY.MM.DD of ACR-NEMA; None when it names no day."""
    digits = re.sub(r"^(\d{4})[.\-/](\d{2})[.\-/](\d{2})$", r"\1\2\3", value)
    try:
        datetime.strptime(digits, "%Y%m%d")
    except ValueError:
        return None
    return digits if re.fullmatch(r"\d{8}", digits) else None


def clean_time(value: str) -> str | None:
    """HHMMSS.FFFFFF or a part of it, colons taken out; None when it names no time."""
    digits = value.replace(":", "")
    if not re.fullmatch(r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?", digits):
        return None
    hours, minutes, seconds = (int(digits[i : i + 2] or 0) for i in (0, 2, 4))
    return digits if hours < 24 and minutes < 60 and seconds <= 60 else None


def character_set_for(source: Dataset, copied: Dataset) -> list[str] | None:
    """The Specific Character Set that `copied`, made of text from `source`, is to be written in.

    The source's own, its terms put right, where it can express every value; None (ASCII) where the source has none
    and none is needed; UTF-8 otherwise.
    """
    terms = [character_set_term(term) for term in elements.texts(source, "SpecificCharacterSet")]
    if all(term is not None for term in terms):
        known = [term for term in terms if term is not None]
        encodings = convert_encodings(known) if known else ["ascii"]
        if all(_fits(text, encodings) for text in _texts_of(copied)):
            return known or None
    return [UTF_8]


def _fits(text: str, encodings: list[str]) -> bool:
    """Whether each component of a text can be written in one of the encodings, as ISO 2022 switches between them."""
    return all(any(_encodes(part, encoding) for encoding in encodings) for part in re.split(r"[\^=]", text))


def _encodes(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeError, LookupError):
        return False
    return True


def _texts_of(dataset: Dataset) -> Iterable[str]:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _texts_of(item)
        elif element.VR in _TEXT and element.value:
            values = element.value if isinstance(element.value, MultiValue | list) else [element.value]
            yield from (str(value) for value in values)
