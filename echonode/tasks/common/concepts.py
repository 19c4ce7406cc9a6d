"""Codes that several tasks speak of. Imports no torch."""

from __future__ import annotations

from typing import Final

from echonode.core.codes import Code

EJECTION_FRACTION: Final = Code("18043-0", "LN", "Left Ventricular Ejection Fraction")
END_DIASTOLIC_VOLUME: Final = Code("18026-5", "LN", "Left Ventricular End Diastolic Volume")
END_SYSTOLIC_VOLUME: Final = Code("18148-7", "LN", "Left Ventricular End Systolic Volume")
"""The generic concepts of CID 12200: the method stands beside them, and the view is told by the source."""
LV_MYOCARDIUM: Final = Code("49848007", "SCT", "Left Ventricle Myocardium")
MEAN: Final = Code("373098007", "SCT", "Mean")
ESTIMATED: Final = Code("121427", "DCM", "Estimated")
"""Of CID 7464, how a value was derived."""
PERCENT: Final = Code("%", "UCUM", "percent")
MILLILITRE: Final = Code("mL", "UCUM", "milliliter")
MILLISECOND: Final = Code("ms", "UCUM", "millisecond")
