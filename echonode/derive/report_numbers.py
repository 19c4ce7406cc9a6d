"""How many digits of a number mean something: the same in the structured report and on the page."""

from __future__ import annotations

from typing import Final

from echonode.core.codes import Code

# Decimals by unit: a tenth of a millimetre, of a millilitre and of a per cent are below what any method resolves.
_DECIMALS: Final = {
    "mm": 1, "cm": 2, "cm2": 1, "%": 1, "ml": 1, "mL": 1, "ul": 1, "uL": 1, "g": 1, "g/m2": 1, "ml/m2": 1, "ms": 0,
    "{H.B.}/min": 0, "{beats}/min": 0, "/min": 0, "1": 2, "s": 3, "cm/s": 1, "l/min": 2,
}  # fmt: skip
_OTHERWISE: Final = 2
_PROBABILITY: Final = "PROB-"
_SMALL_MM: Final = 10.0  # a mouse's ventricle: a tenth of a millimetre is a third of its shortening
_SHOWN: Final = {
    "ml": "mL",
    "ul": "\u00b5L",
    "uL": "\u00b5L",
    "{H.B.}/min": "bpm",
    "{beats}/min": "bpm",
    "1": "",
    "cm2": "cm\u00b2",
}


def rounded(value: float, unit: Code, *, of: float | None = None, concept: Code | None = None) -> int | float:
    """`value` to the decimals that its unit deserves; whole numbers as int.

    `of` is the number that it belongs to (an uncertainty has the decimals of its value); `concept` what it is: a
    probability is told to one per cent.
    """
    if isinstance(value, int):
        return value
    if concept is not None and unit.value == "%" and concept.value.startswith(_PROBABILITY):
        return round(float(value))
    decimals = _DECIMALS.get(unit.value, _OTHERWISE)
    if unit.value == "mm" and abs(value if of is None else of) < _SMALL_MM:
        decimals += 1
    return round(float(value), decimals) if decimals else round(float(value))


def shown(value: float, unit: Code, *, of: float | None = None, concept: Code | None = None) -> str:
    """`value` with its unit as people write it: 54.0 %, 48.2 mm, 72 bpm."""
    number = rounded(value, unit, of=of, concept=concept)
    if isinstance(number, float):
        small = unit.value == "mm" and abs(value if of is None else of) < _SMALL_MM
        digits = _DECIMALS.get(unit.value, _OTHERWISE) + small
        return f"{number:.{digits}f} {unit_shown(unit)}".rstrip()
    return f"{number} {unit_shown(unit)}".rstrip()


def unit_shown(unit: Code) -> str:
    """A unit as people write it."""
    return _SHOWN.get(unit.value, unit.value)
