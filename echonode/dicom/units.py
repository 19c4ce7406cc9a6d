"""Units of echo measurements (UCUM), and a value of one of them in another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from echonode.core.codes import Code

PERCENT: Final = Code("%", "UCUM", "percent")
MILLIMETRE: Final = Code("mm", "UCUM", "millimeter")
SQUARE_CENTIMETRE: Final = Code("cm2", "UCUM", "square centimeter")
MILLILITRE: Final = Code("mL", "UCUM", "milliliter")
GRAM: Final = Code("g", "UCUM", "gram")
LITRE_A_MINUTE: Final = Code("L/min", "UCUM", "liter per minute")
BEATS_A_MINUTE: Final = Code("{H.B.}/min", "UCUM", "heart beats per minute")

_KINDS: Final[Mapping[str, Mapping[str, float]]] = {
    "share": {"%": 1.0, "1": 100.0, "{ratio}": 100.0},
    "length": {"mm": 1.0, "cm": 10.0, "m": 1000.0, "um": 0.001},
    "area": {"cm2": 1.0, "mm2": 0.01},
    "volume": {"ml": 1.0, "cm3": 1.0, "l": 1000.0, "dl": 100.0, "cl": 10.0, "ul": 0.001, "mm3": 0.001},
    "mass": {"g": 1.0, "kg": 1000.0, "mg": 0.001},
    "rate": {
        "{h.b.}/min": 1.0, "{beats}/min": 1.0, "{beat}/min": 1.0, "{hb}/min": 1.0, "/min": 1.0, "1/min": 1.0, "bpm": 1.0,
        "hz": 60.0,
    },
    "flow": {"l/min": 1.0, "ml/min": 0.001, "{l/min}": 1.0},
    "time": {"ms": 1.0, "s": 1000.0},
}  # fmt: skip
"""How much of the kind's first unit each is. Carts write l and L, ml and mL alike: case tells nothing among these."""
_BY_CODE: Final = {code: (kind, factor) for kind, units in _KINDS.items() for code, factor in units.items()}


def in_unit(value: float, of: Code, wanted: Code) -> float | None:
    """`value` of the unit `of` in the unit `wanted`; None where the two measure different things or one is not known."""
    if of.value == wanted.value:
        return value
    found, asked = _BY_CODE.get(of.value.strip().lower()), _BY_CODE.get(wanted.value.strip().lower())
    if found is None or asked is None or found[0] != asked[0]:
        return None
    return value * found[1] / asked[1]
