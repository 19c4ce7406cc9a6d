"""What is measured in an echo examination, and every code that says one of these quantities (PS3.16 CID 12200 and 12300).

CID 12300 has one code for quantity, method and mode together; CID 12200 has a generic one, which says them as modifiers.
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
BIPLANE: Final = Code("125207", "DCM", "Method of Disks, Biplane")
SINGLE_PLANE: Final = Code("125208", "DCM", "Method of Disks, Single Plane")
AREA_LENGTH: Final = Code("125204", "DCM", "Area-Length Biplane")
TEICHHOLZ: Final = Code("125209", "DCM", "Teichholz")
_METHODS: Final = {code.value: code for code in (BIPLANE, SINGLE_PLANE, AREA_LENGTH, TEICHHOLZ)}

EJECTION_FRACTION: Final = Code("18043-0", "LN", "Left Ventricular Ejection Fraction")
END_DIASTOLIC_VOLUME: Final = Code("18026-5", "LN", "Left Ventricular End Diastolic Volume")
END_SYSTOLIC_VOLUME: Final = Code("18148-7", "LN", "Left Ventricular End Systolic Volume")
STROKE_VOLUME: Final = Code("90096001", "SCT", "Stroke Volume")
CARDIAC_OUTPUT: Final = Code("82799009", "SCT", "Cardiac Output")
LVID_D: Final = Code("29436-3", "LN", "Left Ventricle Internal End Diastolic Dimension")
LVID_S: Final = Code("29438-9", "LN", "Left Ventricle Internal Systolic Dimension")
SHORTENING: Final = Code("18051-3", "LN", "Left Ventricular Fractional Shortening")
IVS_D: Final = Code("18154-5", "LN", "Interventricular Septum Diastolic Thickness")
IVS_S: Final = Code("18158-6", "LN", "Interventricular Septum Systolic Thickness")
LVPW_D: Final = Code("18152-9", "LN", "Left Ventricle Posterior Wall Diastolic Thickness")
LVPW_S: Final = Code("18156-0", "LN", "Left Ventricle Posterior Wall Systolic Thickness")
LV_MASS: Final = Code("18087-7", "LN", "Left Ventricle Mass")
LA_VOLUME: Final = Code("399235004", "SCT", "Left Atrium Systolic Volume")
HEART_RATE: Final = Code("8867-4", "LN", "Heart rate")


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What a code tells beside the quantity `concept`: its unit here, and what is built into the code."""

    concept: Code
    unit: Code
    method: Code | None = None
    mode: Mode | None = None
    view: str = ""


def _quantity(concept: Code, unit: Code, codes: str = "") -> dict[Key, Told]:
    """The generic code, and `codes` of LOINC that have something built in: value[=method][@mode][/view]."""
    found = {(concept.scheme, concept.value): Told(concept=concept, unit=unit)}
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


QUANTITIES: Final[Mapping[Key, Told]] = {
    **_quantity(
        EJECTION_FRACTION, PERCENT,
        "10230-1 79990-8@3d 79991-6=125207 79993-2=125208/A4C 79992-4=125208/A2C 77891-0=125209@2d 18049-7=125209@m-mode",
    ),
    **_quantity(
        END_DIASTOLIC_VOLUME, MILLILITRE, "79995-7@3d 79996-5=125207 79999-9=125208/A4C 79998-1=125208/A2C"
    ),
    **_quantity(
        END_SYSTOLIC_VOLUME, MILLILITRE, "80000-3@3d 80001-1=125207 80004-5=125208/A4C 80003-7=125208/A2C"
    ),
    **_quantity(LVID_D, MILLIMETRE, "80007-8@2d 80008-6@m-mode"),
    **_quantity(LVID_S, MILLIMETRE, "80011-0@2d 80012-8@m-mode"),
    **_quantity(SHORTENING, PERCENT, "29434-8@2d 29435-5@m-mode"),
    **_quantity(LA_VOLUME, MILLILITRE, "79983-3=125207 79981-7=125204 79986-6=125208/A4C 79985-8=125208/A2C"),
    **_quantity(IVS_D, MILLIMETRE, "79969-2@2d 79968-4@m-mode"),
    **_quantity(IVS_S, MILLIMETRE, "79971-8@2d 79970-0@m-mode"),
    **_quantity(LVPW_D, MILLIMETRE, "80031-8 80032-6"),
    **_quantity(LVPW_S, MILLIMETRE, "80033-4 80034-2"),
    **_quantity(LV_MASS, GRAM, "80019-3@2d 80022-7@m-mode"),
    **_quantity(HEART_RATE, BEATS_A_MINUTE),
    **_quantity(STROKE_VOLUME, MILLILITRE, "80035-9@3d"),
    **_quantity(CARDIAC_OUTPUT, LITRE_A_MINUTE),
}  # fmt: skip
"""Every code that is understood."""


def generic_of(concept: Code) -> Told:
    """The row of a generic concept itself: its unit, and nothing built in."""
    return QUANTITIES[concept.scheme, concept.value]


def codes_of(concept: Code) -> frozenset[str]:
    """The Code Values of a quantity: the generic one, and those that have something built in."""
    return frozenset(value for (_, value), told in QUANTITIES.items() if told.concept == concept)


def codes_by(*methods: Code) -> dict[str, str]:
    """The Code Values into which one of these methods is built, with the view that they are read from, where they tell."""
    return {value: told.view for (_, value), told in QUANTITIES.items() if told.method in methods}
