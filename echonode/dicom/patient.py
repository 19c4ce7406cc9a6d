"""What a header tells of the patient and of how the heart was reached; what cannot be true is absent."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from typing import Final

from echonode.core.ages import OLDEST_YEARS, age_between, day_of
from echonode.dicom import elements
from echonode.dicom.elements import DataSet

HUMAN: Final = "human"
HEIGHT_M: Final = (0.3, 2.6)
WEIGHT_KG: Final = (0.3, 500.0)
_DAYS: Final = {"D": 1.0, "W": 7.0, "M": 365.25 / 12, "Y": 365.25}
# PS3.16 CID 7454; the identifiers of SNOMED-RT that stood there before.
_SPECIES_CODES: Final = {
    "337915000": HUMAN, "30996001": HUMAN, "L-85003": HUMAN, "L-85B00": HUMAN, "447612001": "mouse", "L-87831": "mouse",
    "371564000": "rat", "371565004": "rat",
}  # fmt: skip
_SPECIES_WORDS: Final = (
    (re.compile(r"\bhomo sapiens\b|\bhumans?\b", re.IGNORECASE), HUMAN),
    (re.compile(r"\bmus( musculus)?\b|\bmouse\b|\bmice\b|\bmurine\b", re.IGNORECASE), "mouse"),
    (re.compile(r"\brattus\b|\brats?\b", re.IGNORECASE), "rat"),
)
_MOUSE_STRAINS: Final = re.compile(r"\b(C57|BALB|FVB|DBA/|129S|CD-?1\b|C3H)", re.IGNORECASE)
_TEE_CODES: Final = frozenset({"105376000", "P5-B3002", "103383005", "443698002", "R-40B0E"})
_TEE_WORDS: Final = re.compile(r"\b(TEE|TOE|trans-?o?esophageal|transösophageal)\b", re.IGNORECASE)
_CONTRAST_CODES: Final = frozenset({"433231002", "P5-B3090"})
_CONTRAST_WORDS: Final = re.compile(
    r"(?<!non-)(?<!non )(?<!no )(?<!without )(?<!w/o )\b(contrast|LVO|LV opaci\w+|UEA|optison|definity|luminity|lumason|sonovue)\b",
    re.IGNORECASE,
)
_PROCEDURES: Final = ("ProcedureCodeSequence", "PerformedProtocolCodeSequence", "RequestedProcedureCodeSequence")


def age_years(header: DataSet) -> float | None:
    """The age at the study: Patient's Age, else from birth to study date; None when zero or above OLDEST_YEARS."""
    match = re.fullmatch(r"0*(\d{1,3})([DWMY])", elements.text(header, "PatientAge").upper())
    told = _within(float(match[1]) * _DAYS[match[2]] / _DAYS["Y"], 0.0, OLDEST_YEARS) if match else None
    if told is not None:
        return round(told, 3)
    born = _date(header, "PatientBirthDate")
    seen = _date(header, "StudyDate") or _date(header, "AcquisitionDate") or _date(header, "ContentDate")
    if born is None or seen is None:
        return None
    return age_between(born, seen)


def height_m(header: DataSet) -> float | None:
    """Patient's Size in metres; None when no heart's owner is that tall or that short."""
    return _within(elements.decimal(header, "PatientSize"), *HEIGHT_M)


def weight_kg(header: DataSet) -> float | None:
    """Patient's Weight in kg; None when it cannot be true."""
    return _within(elements.decimal(header, "PatientWeight"), *WEIGHT_KG)


def sex(header: DataSet) -> str:
    """M, F or O; empty where it is not told."""
    value = elements.text(header, "PatientSex").upper()
    return value if value in ("M", "F", "O") else ""


def species(header: DataSet) -> str:
    """`human` unless the header names another (PS3.3 C.7.1.1): mouse, rat, its own words, or `animal` with a breed alone."""
    for item in elements.items(header, "PatientSpeciesCodeSequence"):
        value, meaning = elements.text(item, "CodeValue"), elements.text(item, "CodeMeaning")
        if value in _SPECIES_CODES:
            return _SPECIES_CODES[value]
        if meaning:
            return _named_species(meaning)
    described = elements.text(header, "PatientSpeciesDescription")
    if described:
        return _named_species(described)
    strains = " ".join(elements.text(header, name) for name in ("StrainDescription", "PatientBreedDescription"))
    if _MOUSE_STRAINS.search(strains):
        return "mouse"
    bred = strains.strip() or elements.items(header, "PatientBreedCodeSequence")
    return "animal" if bred and elements.text(header, "ResponsiblePerson") else HUMAN


def is_transesophageal(header: DataSet) -> bool:
    """Whether the transducer was in the oesophagus: value 3 of Image Type, else procedure codes or words.

    A scanner that says TTE in Image Type is believed, whatever the order was.
    """
    kind = (*elements.texts(header, "ImageType"), "", "", "")[2].upper()
    if kind in ("TEE", "TTE"):
        return kind == "TEE"
    if _coded(header, (*_PROCEDURES, "ViewCodeSequence"), _TEE_CODES, _TEE_WORDS):
        return True
    names = ("ProtocolName", "StudyDescription", "SeriesDescription", "PerformedProcedureStepDescription")
    return any(_TEE_WORDS.search(elements.text(header, name)) for name in names)


def is_contrast(header: DataSet) -> bool:
    """Whether the ventricle was opacified: an agent, procedure or modifier codes, or words of stage, protocol or view."""
    agent = elements.text(header, "ContrastBolusAgent")
    if (agent and agent.upper() not in ("NO", "NONE", "N")) or elements.items(header, "ContrastBolusAgentSequence"):
        return True
    views = elements.items(header, "ViewCodeSequence")
    if any(_coded(view, ("ViewModifierCodeSequence",), _CONTRAST_CODES, _CONTRAST_WORDS) for view in views):
        return True
    sequences = (*_PROCEDURES, "ViewModifierCodeSequence", "StageCodeSequence")
    if _coded(header, sequences, _CONTRAST_CODES, _CONTRAST_WORDS):
        return True
    names = ("StageName", "ProtocolName", "ViewName", "SeriesDescription", "ImageComments")
    return any(_CONTRAST_WORDS.search(elements.text(header, name)[:1024]) for name in names)


def protocol(header: DataSet) -> str:
    """Protocol Name, or what the performed protocol's code means."""
    named = elements.text(header, "ProtocolName")
    if named:
        return named
    coded = (elements.text(item, "CodeMeaning") for item in elements.items(header, "PerformedProtocolCodeSequence"))
    return next((meaning for meaning in coded if meaning), "")


def _coded(header: DataSet, sequences: Iterable[str], codes: frozenset[str], words: re.Pattern[str]) -> bool:
    return any(
        elements.text(item, "CodeValue") in codes or words.search(elements.text(item, "CodeMeaning"))
        for sequence in sequences
        for item in elements.items(header, sequence)
    )


def _named_species(text: str) -> str:
    return next((name for words, name in _SPECIES_WORDS if words.search(text)), text.casefold())


def _within(value: float | None, low: float, high: float) -> float | None:
    return value if value is not None and value > 0 and low <= value <= high else None


def _date(header: DataSet, keyword: str) -> date | None:
    """A DA, also in the form of ACR-NEMA (1994.11.05)."""
    return day_of(elements.text(header, keyword).replace(".", "").replace("-", ""))
