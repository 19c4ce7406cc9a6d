"""The codes of scanners' reports in today's edition, and which of them say a quantity of `quantities` in parts.

Older carts write SNOMED identifiers under SRT, SNM3 or 99SDM where PS3.16 has SNOMED CT now; LOINC stayed. The generic
codes of CID 12201 to 12205 say method and mode as modifiers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from echonode.core.clip import Mode
from echonode.dicom import quantities
from echonode.dicom.quantities import Key, Told, generic_of

OLD_SCHEMES: Final = frozenset({"SRT", "SNM3", "99SDM"})

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


POST_COORDINATED: Final[Mapping[tuple[Key, Key, Key | None], Told]] = {
    (("SCT", "70822001"), LEFT_VENTRICLE, None): generic_of(quantities.EJECTION_FRACTION),
    (("LN", "59132-1"), LEFT_VENTRICLE, None): generic_of(quantities.SHORTENING),
    **{
        (("SCT", "118565006"), LEFT_VENTRICLE, phase): generic_of(quantities.END_DIASTOLIC_VOLUME)
        for phase in _DIASTOLE
    },
    **{(("SCT", "118565006"), LEFT_VENTRICLE, phase): generic_of(quantities.END_SYSTOLIC_VOLUME) for phase in _SYSTOLE},
    **{(("LN", "59090-1"), LEFT_VENTRICLE, phase): generic_of(quantities.LVID_D) for phase in _DIASTOLE},
    **{(("LN", "59090-1"), LEFT_VENTRICLE, phase): generic_of(quantities.LVID_S) for phase in _SYSTOLE},
    **{(("SCT", "118565006"), LEFT_ATRIUM, phase): generic_of(quantities.LA_VOLUME) for phase in _SYSTOLE},
}
"""A property (CID 12304) of a site at a phase of the cycle, for what TID 5302 says in parts."""
