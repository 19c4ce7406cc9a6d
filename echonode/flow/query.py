"""Answering C-FIND, and what a C-MOVE or C-GET is to send."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydicom import config
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from echonode.archive.archive import Archive
from echonode.archive.entry import value_text
from echonode.core.attributes import ATTRIBUTES, COMPUTED
from echonode.core.query import QueryMatch, QueryRequest, StoredInstance
from echonode.dicom.matching import AskedElement, Identifier, Root, read_identifier, retrieve_keys

UNICODE = "ISO_IR 192"
_TEXT = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_NUMBERS = frozenset({"IS", "DS"})


def find(archive: Archive, identifier: Dataset, *, root: Root, ae_title: str) -> Iterator[Dataset]:
    """One response identifier for each match (PS3.4 C.4.1.1.3.2).

    It repeats every element that was asked for, empty where this node knows or supports nothing, and adds Retrieve AE
    Title and Instance Availability. Text beyond ASCII is answered in ISO_IR 192, and declared.

    Raises:
        BadQuery: at once, before the first response.
    """
    asked = read_identifier(identifier, root=root)
    matches = archive.index.find(QueryRequest(level=asked.level, keys=asked.keys))
    return (_response(asked, match, ae_title) for match in matches)


def select(archive: Archive, identifier: Dataset, *, root: Root) -> list[StoredInstance]:
    """The stored objects that a retrieve asks for, in the order of arrival.

    Raises:
        BadQuery: the identifier does not fit its level or model.
    """
    return archive.index.select(retrieve_keys(identifier, root=root))


def _response(asked: Identifier, match: QueryMatch, ae_title: str) -> Dataset:
    response = Dataset()
    unicode = False
    for element in asked.asked:
        values = _values(element, match)
        unicode = unicode or (element.vr in _TEXT and not all(value.isascii() for value in values))
        response.add(_data_element(element, values))
    response.QueryRetrieveLevel = str(asked.level)
    response.RetrieveAETitle = ae_title
    response.InstanceAvailability = "ONLINE"
    if unicode:
        response.SpecificCharacterSet = UNICODE
    return response


def _values(element: AskedElement, match: QueryMatch) -> list[str]:
    if element.keyword in COMPUTED:
        counted = match.counts.get(element.keyword)
        if counted is None:
            return []
        return [str(each) for each in counted] if isinstance(counted, Sequence) else [str(counted)]
    attribute = ATTRIBUTES.get(element.keyword)
    if attribute is None:
        return []
    stored: Mapping[str, Any] = match.attributes.get(attribute.tag, {})
    return [value_text(value) for value in stored.get("Value", ())]


def _data_element(element: AskedElement, values: list[str]) -> DataElement:
    if element.vr == "SQ":
        return DataElement(element.tag, "SQ", [])
    value: Any = values if len(values) != 1 else values[0]
    if element.vr == "US":
        value = [int(each) for each in values]
    if element.vr in _NUMBERS and not all(_is_number(each, element.vr) for each in values):
        value = []  # what a scanner wrote there cannot be written as that VR
    return DataElement(element.tag, element.vr, value or None, validation_mode=config.IGNORE)


def _is_number(text: str, vr: str) -> bool:
    try:
        return len(text) <= 16 and (float(text) == float(text) if vr == "DS" else int(text) == int(text))
    except ValueError:
        return not text
