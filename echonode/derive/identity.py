"""A source header under the identity that the archive holds its patient to have, which may not be the scanner's."""

from __future__ import annotations

import io
from collections.abc import Mapping
from copy import copy
from typing import Any, Final

from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from echonode.core.errors import UnreadableObject
from echonode.derive.copying import UTF_8, character_set_for, clean
from echonode.dicom import elements
from echonode.dicom.json_dataset import encoded_pieces

_PATIENT, _VISIT = 0x0010, 0x0038
_REFERENCED_PATIENT: Final = 0x00081120
_TEXT: Final = frozenset({"LO", "SH", "PN", "ST", "LT", "UC", "UT"})
_OF_THE_STUDY: Final = ("PatientSize", "PatientWeight")
_OF_AN_ANIMAL: Final = (
    "PatientSpeciesCodeSequence", "PatientBreedDescription", "PatientBreedCodeSequence", "PatientSexNeutered",
)  # fmt: skip
_OF_DEIDENTIFICATION: Final = ("PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence")


def with_identity(header: Dataset, attributes: Mapping[str, Any] | None) -> Dataset:
    """A copy of a source header, without private elements, whose patient is the one that `attributes` describe.

    `attributes` is DICOM JSON (PS3.18 annex F), as the archive keeps the patient level of a study; None leaves the
    source's own. Whatever else the source says of a patient is left out, since it may be of somebody else: the other
    identifiers, the visit, the person responsible. Size and weight stay, which belong to the study; age stays where the
    birth date is the source's, species and breed where the species' description is. Values that PS3.5 6.2 does not allow
    are put right or left out. Specific Character Set becomes UTF-8 where the source's cannot express the identity.

    Raises:
        UnreadableObject: `attributes` is no DICOM JSON.
    """
    copied = Dataset()
    copied.set_original_encoding(header.is_implicit_VR, header.is_little_endian, header.original_character_set)
    for tag in header.keys():  # noqa: SIM118  a data set is no dict
        if not tag.is_private and (attributes is None or not _tells_who(int(tag))):
            try:
                copied[tag] = copy(header.get_item(tag))
            except elements.MALFORMED:
                continue
    if attributes is None:
        return copied
    identity = _identity(attributes)
    for keyword in _kept(header, identity):
        number = elements.tag_of(keyword)
        value = None if number in identity else clean(header, keyword, dictionary_VR(number))
        if value is not None:
            identity[number] = DataElement(number, dictionary_VR(number), value, validation_mode=IGNORE)
    if character_set_for(header, identity) == [UTF_8] != list(elements.texts(header, "SpecificCharacterSet")):
        _to_unicode(copied, header)
    for tag in list(identity.keys()):
        copied[tag] = identity[tag]
    return copied


def _tells_who(tag: int) -> bool:
    group = tag >> 16
    of_deidentification = tag in map(elements.tag_of, _OF_DEIDENTIFICATION)
    return group in (_PATIENT, _VISIT) or tag == _REFERENCED_PATIENT or of_deidentification


def _identity(attributes: Mapping[str, Any]) -> Dataset:
    """The elements of DICOM JSON that tell who a patient is; empty where their value is not allowed."""

    def no_bulk(uri: str) -> Any:
        raise UnreadableObject("a patient has no bulk data")

    encoded = io.BytesIO(b"".join(encoded_pieces(attributes, no_bulk)))
    read = read_dataset(encoded, is_implicit_VR=False, is_little_endian=True)
    identity = Dataset()
    for tag in list(read.keys()):
        keyword = "" if tag.is_private else keyword_for_tag(tag)
        if not keyword or not _tells_who(int(tag)):
            continue
        vr = dictionary_VR(tag)
        value = clean(read, keyword, vr)
        if value is not None or vr != "SQ":
            identity[tag] = DataElement(tag, vr, value, validation_mode=IGNORE)
    return identity


def _kept(header: Dataset, identity: Dataset) -> tuple[str, ...]:
    """What of the source's own words on the patient still holds for `identity`."""

    def same(*keywords: str) -> bool:
        return all(elements.text(header, keyword) == elements.text(identity, keyword) for keyword in keywords)

    kept: tuple[str, ...] = _OF_THE_STUDY
    if same("PatientBirthDate"):
        kept += ("PatientAge",)
    if same("PatientSpeciesDescription"):
        kept += _OF_AN_ANIMAL
    if same("PatientIdentityRemoved"):
        kept += _OF_DEIDENTIFICATION
    return kept


def _to_unicode(copied: Dataset, header: Dataset) -> None:
    """Decode every text of the copy, so that another character set can be written beside it."""
    for tag in list(copied.keys()):
        keyword = keyword_for_tag(tag)
        element = copied.get_item(tag)
        vr = element.VR or (dictionary_VR(tag) if keyword else "UN")
        if vr in _TEXT and keyword:
            values = list(elements.texts(header, keyword))
            whole = values[0] if len(values) == 1 else values
            if vr in ("ST", "LT", "UT"):
                whole = "\\".join(values)
            copied[tag] = DataElement(tag, vr, whole or None, validation_mode=IGNORE)
        elif vr == "SQ":
            try:
                copied[tag] = header[tag]
            except elements.MALFORMED:
                del copied[tag]
    copied.SpecificCharacterSet = UTF_8
