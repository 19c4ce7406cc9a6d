"""Which codes are one concept to a reader of a report, where each belongs, and how a number of it is written.

An ejection fraction has a code for each method (PS3.16 CID 12300) and is one thing to a cardiologist.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from echonode.core.codes import PRIVATE_PREFIX, PRIVATE_SCHEME, Code
from echonode.core.results import Measurement
from echonode.dicom import quantities
from echonode.dicom.units import PERCENT

LV_FUNCTION: Final = "lv-function"
CMR: Final = "cmr"
FURTHER: Final = "further"
TITLES: Final[Mapping[str, str]] = {
    LV_FUNCTION: "LV function", CMR: "CMR findings predicted from echo", FURTHER: "Further measurements",
}  # fmt: skip
_TOPICS: Final[Mapping[str, str]] = {
    "ejection_fraction": LV_FUNCTION, "mmode": LV_FUNCTION, "segmentation": LV_FUNCTION, "cmr": CMR,
}  # fmt: skip
"""Where what a task says belongs if its code does not tell; what other tasks say under a code that no table has is
further: nothing is known of it but its name."""
MEAN: Final = Code("373098007", "SCT", "Mean")
PIXELS: Final = Code("{pixels}", "UCUM", "pixels")


@dataclass(frozen=True, kw_only=True, slots=True)
class Enterable:
    """How a person enters a value: `word` of `--set`, the generic concept, its unit, and what a heart can have."""

    word: str
    concept: Code
    unit: Code
    low: float
    high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Concept:
    """One thing to a reader: `name` tells it from others, `title` is for people, `codes` are its Code Values."""

    name: str
    title: str
    codes: frozenset[str] = frozenset()
    enterable: Enterable | None = None


class Rank(IntEnum):
    """How a value was found, best first; Teichholz never heads a report."""

    BIPLANE = 0
    FOUR_CHAMBER = 1
    TWO_CHAMBER = 2
    OTHER_PLANE = 3
    DIRECT = 4  # video regression, or measured as it stands
    TEICHHOLZ = 9


PLANES: Final = frozenset({Rank.FOUR_CHAMBER, Rank.TWO_CHAMBER, Rank.OTHER_PLANE})
"""Ranks of what one plane shows."""


def _concept(name: str, title: str, codes: str) -> Concept:
    return Concept(name=name, title=title, codes=frozenset(codes.split()))


def _measured(name: str, title: str, quantity: Code, entered: tuple[str, float, float] | None = None) -> Concept:
    """A quantity of echo examinations; `entered` is the word that a person enters it by, and what a heart can have."""
    if entered is None:
        return Concept(name=name, title=title, codes=quantities.codes_of(quantity))
    word, low, high = entered
    enterable = Enterable(word=word, concept=quantity, unit=quantities.generic_of(quantity).unit, low=low, high=high)
    return Concept(name=name, title=title, codes=quantities.codes_of(quantity), enterable=enterable)


EJECTION_FRACTION: Final = _measured(
    "ejection-fraction", "ejection fraction", quantities.EJECTION_FRACTION, ("EF", 3, 95)
)
CONCEPTS: Final = (
    EJECTION_FRACTION,
    _measured("end-diastolic-volume", "LV end-diastolic volume", quantities.END_DIASTOLIC_VOLUME, ("EDV", 5, 800)),
    _measured("end-systolic-volume", "LV end-systolic volume", quantities.END_SYSTOLIC_VOLUME, ("ESV", 1, 750)),
    _measured("stroke-volume", "stroke volume", quantities.STROKE_VOLUME),
    _measured("cardiac-output", "cardiac output", quantities.CARDIAC_OUTPUT),
    _measured("lvid-diastole", "LVIDd", quantities.LVID_D, ("LVIDd", 5, 120)),
    _measured("lvid-systole", "LVIDs", quantities.LVID_S, ("LVIDs", 2, 115)),
    _measured("fractional-shortening", "fractional shortening", quantities.SHORTENING, ("FS", 1, 80)),
    _measured("septum-diastole", "IVSd", quantities.IVS_D),
    _measured("septum-systole", "IVSs", quantities.IVS_S),
    _measured("posterior-wall-diastole", "LVPWd", quantities.LVPW_D),
    _measured("posterior-wall-systole", "LVPWs", quantities.LVPW_S),
    _measured("lv-mass", "LV mass", quantities.LV_MASS),
    _concept("relative-wall-thickness", "relative wall thickness", "RWT"),
    _measured("left-atrial-volume", "LA volume", quantities.LA_VOLUME),
    _measured("heart-rate", "heart rate", quantities.HEART_RATE, ("HR", 15, 350)),
    _concept("lv-area", "LV area, largest", "LVAREA"),
    _concept("myocardial-area", "myocardial area, largest", "MYOAREA"),
    _concept("la-area", "LA area, largest", "LAAREA"),
    _concept("predicted-wall-motion", "probability of wall motion abnormality", "PROB-WMA CMR-WMA"),
    _concept("predicted-scar", "probability of scar (LGE)", "PROB-LGE CMR-SCAR"),
    _concept("predicted-t1", "native T1", "PRED-NT1"),
    _concept("predicted-t2", "T2", "PRED-T2"),
    _concept("predicted-ecv", "extracellular volume fraction", "PRED-ECV"),
    _concept("predicted-ejection-fraction", "ejection fraction, predicted", "PRED-EF"),
    _concept("abnormal-segment", "abnormal motion of a segment in view", "WMA-VIEW"),
    _concept("wall-motion-score", "wall motion score index of the view", "WMSI-VIEW"),
)
"""In the order in which a report lists them; what is not here follows, each code for itself."""
_BY_CODE: Final[Mapping[str, Concept]] = {code: concept for concept in CONCEPTS for code in concept.codes}
_ORDER: Final[Mapping[str, int]] = {concept.name: place for place, concept in enumerate(CONCEPTS)}

PREDICTED: Final = frozenset({"CMR-WMA", "CMR-SCAR", "CMR-VALUE", "WMA-VIEW", "WMSI-VIEW"})
PREDICTED_PREFIXES: Final = ("PROB-", "PRED-")
"""Predicted, of cardiac magnetic resonance or of wall motion: never among what was measured."""
OF_A_RECORDING: Final = frozenset({"MMQUALITY", "VIEW-CONF", "QUAL-SCORE"})
"""Of a recording, not of a heart: stands for no study."""
OF_ONE_VIEW: Final = frozenset({"LVAREA", "MYOAREA", "LAAREA", "WMA-VIEW", "WMSI-VIEW"})
"""Depends on what the view shows: never averaged over views."""

_BIPLANE_METHODS: Final = frozenset({"125207", "125204"})  # of disks, area-length
_PLANE_METHODS: Final = frozenset({"125208", "125205"})
_BIPLANE_CODES: Final = frozenset(quantities.codes_by(quantities.BIPLANE, quantities.AREA_LENGTH))
_PLANE_CODES: Final[Mapping[str, str]] = quantities.codes_by(quantities.SINGLE_PLANE)
_METHOD_WORDS: Final[Mapping[str, str]] = {
    "125207": "biplane disks",
    "125208": "single-plane disks",
    "125204": "biplane area-length",
    "125205": "single-plane area-length",
    quantities.TEICHHOLZ.value: "Teichholz",
    "125221": "M-mode",
    "VIDEOREGR": "video regression",
    "PREDFROMUS": "predicted from echo",
}
_TEICHHOLZ_CODES: Final = frozenset(quantities.codes_by(quantities.TEICHHOLZ))
_PLANES: Final = {"A4C": Rank.FOUR_CHAMBER, "A2C": Rank.TWO_CHAMBER}
_DECIMALS: Final[Mapping[str, int]] = {"%": 0, "mL": 0, "mm": 1, "cm": 2, "cm2": 1, "g": 0, "1": 2, "ms": 0, "uL": 1}
_UNITS: Final[Mapping[str, str]] = {"1": "", "cm2": "cm²", "{pixels}": "pixels", "uL": "µL"}


def concept_of(code: Code) -> Concept:
    """The concept of a coded number; a code that no table has is a concept of its own."""
    return _known(code) or Concept(
        name=f"{code.value}|{code.scheme}", title=code.meaning, codes=frozenset({code.value})
    )


def place_of(code: Code) -> tuple[int, str]:
    """Sorts concepts as a report lists them."""
    concept = concept_of(code)
    return _ORDER.get(concept.name, len(_ORDER)), concept.title.casefold()


def topic_of(code: Code, task: str) -> str:
    """The topic that a number or finding is sorted into: what is predicted never stands among what was measured."""
    if code.scheme == PRIVATE_SCHEME and (code.value in PREDICTED or code.value.startswith(PREDICTED_PREFIXES)):
        return CMR
    if _known(code) is not None:
        return LV_FUNCTION
    return _TOPICS.get(task, FURTHER)


def rank_of(measurement: Measurement, view: str) -> Rank:
    """How a value was found: by its method, and by its code where that alone tells; `view` is that of its loops."""
    code, method = measurement.concept.value, "" if measurement.method is None else measurement.method.value
    if method == quantities.TEICHHOLZ.value or code in _TEICHHOLZ_CODES:
        return Rank.TEICHHOLZ
    if method in _BIPLANE_METHODS or (not method and code in _BIPLANE_CODES):
        return Rank.BIPLANE
    if method in _PLANE_METHODS or (not method and code in _PLANE_CODES):
        return _PLANES.get(view or _PLANE_CODES.get(code, ""), Rank.OTHER_PLANE)
    return Rank.DIRECT


def method_words(measurement: Measurement, view: str) -> str:
    """How a value was found, for people; empty for what was measured as it stands."""
    rank, method = rank_of(measurement, view), measurement.method
    words = "" if method is None else _METHOD_WORDS.get(method.value, method.meaning)
    if rank is Rank.BIPLANE:
        return words or "biplane"
    if rank in PLANES:
        plane = view or _PLANE_CODES.get(measurement.concept.value, "")
        return f"{words or 'single plane'} ({plane})" if plane else words or "single plane"
    return "Teichholz" if rank is Rank.TEICHHOLZ else words


def _known(code: Code) -> Concept | None:
    """The concept of the table; what a private scheme of somebody else calls 18043-0 is no ejection fraction."""
    foreign = code.scheme.startswith(PRIVATE_PREFIX) and code.scheme != PRIVATE_SCHEME
    return None if foreign else _BY_CODE.get(code.value)


def is_possible(number: Measurement) -> bool:
    """Whether there can be such a value at all: no fraction of what is measured below 0 or above 100 %, no length, volume
    or rate of 0 or less. Of concepts that nobody enters, and in other units, nothing is known."""
    known = concept_of(number.concept).enterable
    if known is None or number.unit != known.unit:
        return True
    return 0 <= number.value <= 100 if known.unit == PERCENT else number.value > 0


def number_words(value: float, unit: Code) -> str:
    """A number with its unit, as many digits as its unit is read with."""
    number = f"{value:.{_DECIMALS.get(unit.value, 0 if 'min' in unit.value else 1)}f}"
    return f"{number} {unit_words(unit)}".rstrip()


def unit_words(unit: Code) -> str:
    """A unit as people write it: /min for any beats a minute."""
    return "/min" if unit.value.endswith("/min") and "{" in unit.value else _UNITS.get(unit.value, unit.value)


ENTERABLE: Final[Mapping[str, Enterable]] = {
    concept.enterable.word.casefold(): concept.enterable for concept in CONCEPTS if concept.enterable is not None
}
"""What a person can enter, by its word in lower case."""
