"""The indexed attributes of a header as DICOM JSON in Unicode (PS3.18 F.2), by level; odd values never raise."""

from __future__ import annotations

from typing import Any

from echonode.core.attributes import ATTRIBUTES, LEVELS, Attribute
from echonode.core.query import Level
from echonode.dicom.header import Header
from echonode.dicom.json_model import Model, element_of

_BY_NUMBER: dict[int, Attribute] = {attribute.number: attribute for attribute in ATTRIBUTES.values()}
_LONGEST = 10_240


def index_attributes(header: Header, model: Model) -> dict[Level, dict[str, Any]]:
    """What the archive indexes of the object: for each level, tag -> DICOM JSON element. Empty values have no `Value`.

    `model` is `model_of(header)`: its elements are taken where they stand in the VR of the attribute. Values are cut
    after 10240 bytes.
    """
    found: dict[Level, dict[str, Any]] = {level: {} for level in LEVELS}
    for number in _BY_NUMBER.keys() & header.raw.keys():
        attribute, raw = _BY_NUMBER[number], header.raw[number]
        element = model.get(attribute.tag)
        if element is None or element["vr"] != attribute.vr or raw.length > _LONGEST:
            value, little = (raw.value or b"")[:_LONGEST], raw.is_little_endian
            element = element_of(attribute.vr, value, header.encodings, little, attribute.tag)
        found[attribute.level][attribute.tag] = element
    return found
