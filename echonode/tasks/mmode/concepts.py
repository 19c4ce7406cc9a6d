"""Coded concepts, units and methods of what is measured in M-mode (PS3.16 CID 12201, 12212; UCUM)."""

from __future__ import annotations

from typing import Final

from echonode.core.codes import PRIVATE_SCHEME, Code

LVID_D: Final = Code("29436-3", "LN", "Left Ventricle Internal End Diastolic Dimension")
LVID_S: Final = Code("29438-9", "LN", "Left Ventricle Internal Systolic Dimension")
IVS_D: Final = Code("18154-5", "LN", "Interventricular Septum Diastolic Thickness")
LVPW_D: Final = Code("18152-9", "LN", "Left Ventricle Posterior Wall Diastolic Thickness")
EDV: Final = Code("18026-5", "LN", "Left Ventricular End Diastolic Volume")
ESV: Final = Code("18148-7", "LN", "Left Ventricular End Systolic Volume")
EJECTION_FRACTION: Final = Code("18043-0", "LN", "Left Ventricular Ejection Fraction")
MASS: Final = Code("18087-7", "LN", "Left Ventricle Mass")
RELATIVE_WALL: Final = Code("RWT", PRIVATE_SCHEME, "Relative wall thickness of the left ventricle")
SHORTENING: Final = Code("18051-3", "LN", "Left Ventricular Fractional Shortening")
HEART_RATE: Final = Code("8867-4", "LN", "Heart rate")
GOOD_SHARE: Final = Code("MMQUALITY", PRIVATE_SCHEME, "Share of an M-mode strip that is of good quality")
CAVITY: Final = Code("87878005", "SCT", "Left ventricle cavity")

VENTRICLE: Final = Code("87878005", "SCT", "Left ventricle")

TEICHHOLZ: Final = Code("125209", "DCM", "Teichholz")
MASS_BY_MMODE: Final = Code("125221", "DCM", "Left Ventricle Mass by M-mode")
MEAN: Final = Code("373098007", "SCT", "Mean")

MILLIMETRES: Final = Code("mm", "UCUM", "mm")
PER_CENT: Final = Code("%", "UCUM", "percent")
GRAMS: Final = Code("g", "UCUM", "gram")
BEATS_A_MINUTE: Final = Code("{H.B.}/min", "UCUM", "beats per minute")
ONE: Final = Code("1", "UCUM", "no units")
VOLUME_UNITS: Final = {"mL": Code("mL", "UCUM", "mL"), "uL": Code("uL", "UCUM", "uL")}
