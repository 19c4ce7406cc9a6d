"""Which codes of scanners' reports are which quantity: today's (LOINC, SNOMED CT), those of older editions, and CID 12300.

Older carts write SNOMED identifiers under SRT, SNM3 or 99SDM where PS3.16 has SNOMED CT now; LOINC stayed. CID 12300 has
one code for quantity, method and mode together; the generic codes of CID 12201 to 12205 say them as modifiers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from echonode.core.clip import Mode
from echonode.core.codes import Code
from echonode.dicom.units import (
    BEATS_A_MINUTE,
    GRAM,
    LITRE_A_MINUTE,
    MILLILITRE,
    MILLIMETRE,
    PERCENT,
)

Key = tuple[str, str]
"""Scheme and value of a code in its current edition."""
OLD_SCHEMES: Final = frozenset({"SRT", "SNM3", "99SDM"})
BIPLANE: Final = Code("125207", "DCM", "Method of Disks, Biplane")
SINGLE_PLANE: Final = Code("125208", "DCM", "Method of Disks, Single Plane")
AREA_LENGTH: Final = Code("125204", "DCM", "Area-Length Biplane")
TEICHHOLZ: Final = Code("125209", "DCM", "Teichholz")
_METHODS: Final = {code.value: code for code in (BIPLANE, SINGLE_PLANE, AREA_LENGTH, TEICHHOLZ)}

_CURRENT: Final[Mapping[str, str]] = {
    # concepts that items and modifiers ask for
    "G-C0E3": "363698007", "G-0373": "399264008", "G-C036": "370129005", "R-4089A": "272518008", "G-C048": "399264008",
    # sites
    "T-32000": "80891009", "T-32600": "87878005", "T-32500": "53085002", "T-32300": "82471001", "T-32200": "73829009",
    # modes
    "G-03A2": "399064001", "G-03AC": "399009009", "G-0394": "399155008", "P0-02242": "426865009",
    "R-409E2": "261197005", "R-409E3": "261198000", "R-409E4": "261199008",
    # derivations and phases
    "R-00317": "373098007", "R-00319": "373099004", "R-10260": "414135002", "R-10047": "386136009",
    "R-404FB": "255605001", "G-A437": "56851009",
    "F-32010": "90892000", "F-32020": "111973004", "R-FAB5C": "416190007", "R-FAB5B": "416430001",
    # stages
    "F-01604": "128975004", "F-05018": "432554001", "F-05019": "432655005", "F-05028": "434161005",
    # quantities
    "F-32100": "82799009", "F-32120": "90096001", "F-32070": "70822001", "G-0383": "399235004", "G-D705": "118565006",
}  # fmt: skip
"""SNOMED identifiers of older editions, and the SNOMED CT concept of each."""


def current(value: str, scheme: str) -> Key:
    """Scheme and value of the same concept in today's edition; what is not known to have moved stays."""
    scheme = scheme.strip().upper()
    if scheme in OLD_SCHEMES:
        found = _CURRENT.get(value.strip().upper())
        return ("SCT", found) if found is not None else ("SRT", value.strip())
    return scheme, value.strip()


FINDING_SITE: Final = ("SCT", "363698007")
IMAGE_MODE: Final = ("SCT", "399264008")
METHOD: Final = ("SCT", "370129005")
CARDIAC_PHASE: Final = ("SCT", "272518008")
IMAGE_VIEW: Final = ("DCM", "111031")
DERIVATION: Final = ("DCM", "121401")
SELECTION_STATUS: Final = ("DCM", "121404")
STAGES: Final = frozenset({("LN", "18139-6"), ("DCM", "109055")})
RESTING: Final = ("SCT", "128975004")
INDEXED: Final = ("DCM", "125313")
CHOSEN: Final = frozenset({("DCM", "121410"), ("DCM", "121411"), ("DCM", "121412")})
"""Selection Status (CID 12301): user chosen, most recent, mean value chosen."""
MEAN: Final = ("SCT", "373098007")
VALUES: Final = frozenset({MEAN, ("SCT", "373099004"), ("SCT", "414135002"), ("DCM", "121427"), ("DCM", "125315")})
"""Derivations that still give the quantity: mean, median, estimated, calculated. A standard deviation does not."""
MODES: Final[Mapping[Key, Mode]] = {
    ("SCT", "399064001"): Mode.B_MODE,
    ("SCT", "399009009"): Mode.B_MODE,
    ("SCT", "399155008"): Mode.M_MODE,
    ("SCT", "426865009"): Mode.VOLUME,
    ("SCT", "261197005"): Mode.COLOUR,
    ("SCT", "261199008"): Mode.PW,
    ("SCT", "261198000"): Mode.CW,
}
LEFT_VENTRICLE: Final = ("SCT", "87878005")
LEFT_ATRIUM: Final = ("SCT", "82471001")
_DIASTOLE: Final = (("SCT", "416190007"), ("SCT", "90892000"))
_SYSTOLE: Final = (("SCT", "416430001"), ("SCT", "111973004"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What a code tells beside the quantity `concept`: its unit here, and what is built into the code."""

    concept: Code
    unit: Code
    method: Code | None = None
    mode: Mode | None = None
    view: str = ""


def _quantity(value: str, scheme: str, meaning: str, unit: Code, codes: str = "") -> dict[Key, Told]:
    """The generic code, and `codes` of LOINC that have something built in: value[=method][@mode][/view]."""
    concept = Code(value, scheme, meaning)
    found = {(scheme, value): Told(concept=concept, unit=unit)}
    for word in codes.split():
        rest, _, view = word.partition("/")
        rest, _, mode = rest.partition("@")
        code, _, method = rest.partition("=")
        found["LN", code] = Told(
            concept=concept,
            unit=unit,
            method=_METHODS[method] if method else None,
            mode=Mode(mode) if mode else None,
            view=view,
        )
    return found


_EF: Final = _quantity(
    "18043-0", "LN", "Left Ventricular Ejection Fraction", PERCENT,
    "10230-1 79990-8@3d 79991-6=125207 79993-2=125208/A4C 79992-4=125208/A2C 77891-0=125209@2d 18049-7=125209@m-mode",
)  # fmt: skip
_EDV: Final = _quantity(
    "18026-5", "LN", "Left Ventricular End Diastolic Volume", MILLILITRE,
    "79995-7@3d 79996-5=125207 79999-9=125208/A4C 79998-1=125208/A2C",
)  # fmt: skip
_ESV: Final = _quantity(
    "18148-7", "LN", "Left Ventricular End Systolic Volume", MILLILITRE,
    "80000-3@3d 80001-1=125207 80004-5=125208/A4C 80003-7=125208/A2C",
)  # fmt: skip
_LVID_D: Final = _quantity(
    "29436-3", "LN", "Left Ventricle Internal End Diastolic Dimension", MILLIMETRE, "80007-8@2d 80008-6@m-mode"
)
_LVID_S: Final = _quantity(
    "29438-9", "LN", "Left Ventricle Internal Systolic Dimension", MILLIMETRE, "80011-0@2d 80012-8@m-mode"
)
_FS: Final = _quantity("18051-3", "LN", "Left Ventricular Fractional Shortening", PERCENT, "29434-8@2d 29435-5@m-mode")
_LA_VOLUME: Final = _quantity(
    "399235004", "SCT", "Left Atrium Systolic Volume", MILLILITRE,
    "79983-3=125207 79981-7=125204 79986-6=125208/A4C 79985-8=125208/A2C",
)  # fmt: skip
QUANTITIES: Final[Mapping[Key, Told]] = {
    **_EF, **_EDV, **_ESV, **_LVID_D, **_LVID_S, **_FS, **_LA_VOLUME,
    **_quantity("18154-5", "LN", "Interventricular Septum Diastolic Thickness", MILLIMETRE, "79969-2@2d 79968-4@m-mode"),
    **_quantity("18158-6", "LN", "Interventricular Septum Systolic Thickness", MILLIMETRE, "79971-8@2d 79970-0@m-mode"),
    **_quantity("18152-9", "LN", "Left Ventricle Posterior Wall Diastolic Thickness", MILLIMETRE, "80031-8 80032-6"),
    **_quantity("18156-0", "LN", "Left Ventricle Posterior Wall Systolic Thickness", MILLIMETRE, "80033-4 80034-2"),
    **_quantity("18087-7", "LN", "Left Ventricle Mass", GRAM, "80019-3@2d 80022-7@m-mode"),
    **_quantity("8867-4", "LN", "Heart rate", BEATS_A_MINUTE),
    **_quantity("90096001", "SCT", "Stroke Volume", MILLILITRE, "80035-9@3d"),
    **_quantity("82799009", "SCT", "Cardiac Output", LITRE_A_MINUTE),
}  # fmt: skip
"""Every code that is understood."""


def _of(found: Mapping[Key, Told]) -> Told:
    return next(iter(found.values()))


POST_COORDINATED: Final[Mapping[tuple[Key, Key, Key | None], Told]] = {
    (("SCT", "70822001"), LEFT_VENTRICLE, None): _of(_EF),
    (("LN", "59132-1"), LEFT_VENTRICLE, None): _of(_FS),
    **{(("SCT", "118565006"), LEFT_VENTRICLE, phase): _of(_EDV) for phase in _DIASTOLE},
    **{(("SCT", "118565006"), LEFT_VENTRICLE, phase): _of(_ESV) for phase in _SYSTOLE},
    **{(("LN", "59090-1"), LEFT_VENTRICLE, phase): _of(_LVID_D) for phase in _DIASTOLE},
    **{(("LN", "59090-1"), LEFT_VENTRICLE, phase): _of(_LVID_S) for phase in _SYSTOLE},
    **{(("SCT", "118565006"), LEFT_ATRIUM, phase): _of(_LA_VOLUME) for phase in _SYSTOLE},
}
"""A property (CID 12304) of a site at a phase of the cycle, for what TID 5302 says in parts."""
