"""The coded concepts of a report beside those that results bring: PS3.16 where it has one, private where it has none.

A quantity has one code whichever model gave it: the generic concept of CID 12200, with its method as a modifier.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from echonode.core.clip import Mode
from echonode.core.codes import PRIVATE_SCHEME, Code
from echonode.core.results import Measurement
from echonode.dicom.quantities import BIPLANE, END_DIASTOLIC_VOLUME, END_SYSTOLIC_VOLUME, QUANTITIES, SINGLE_PLANE

_DCM, _SCT, _LN = "DCM", "SCT", "LN"

# Root and groups (TID 1500, 1501, 5200)
IMAGE_LIBRARY: Final = Code("111028", _DCM, "Image Library")
IMAGE_LIBRARY_GROUP: Final = Code("126200", _DCM, "Image Library Group")
QUALITATIVE_EVALUATIONS: Final = Code("C0034375", "UMLS", "Qualitative Evaluations")
ECHO_REPORT: Final = Code("125200", _DCM, "Adult Echocardiography Procedure Report")
ECHO_DOCUMENT: Final = Code("42148-7", _LN, "Echocardiography Report")
FINDINGS: Final = Code("59776-5", _LN, "Findings")
MEASUREMENT_GROUP: Final = Code("125007", _DCM, "Measurement Group")
IMAGING_PROCEDURE: Final = Code("363679005", _SCT, "Imaging procedure")
TRANSTHORACIC: Final = Code("433236007", _SCT, "Transthoracic echocardiography")
LANGUAGE: Final = Code("121049", _DCM, "Language of Content Item and Descendants")
ENGLISH: Final = Code("en-US", "RFC5646", "English (United States)")
DEVICE: Final = Code("121007", _DCM, "Device")
PERSON_NAME: Final = Code("121008", _DCM, "Person Observer Name")

# What a group is about
FINDING_SITE: Final = Code("363698007", _SCT, "Finding Site")
IMAGE_VIEW: Final = Code("111031", _DCM, "Image View")
IMAGE_MODE: Final = Code("399264008", _SCT, "Image Mode")
IMAGE_QUALITY: Final = Code("111101", _DCM, "Image Quality")
ANATOMICAL_STRUCTURE: Final = Code("91723000", _SCT, "Anatomical Structure")
LEFT_VENTRICLE: Final = Code("87878005", _SCT, "Left ventricle")
LV_MYOCARDIUM: Final = Code("49848007", _SCT, "Left Ventricle Myocardium")
HEART: Final = Code("80891009", _SCT, "Heart")
STAGE: Final = Code("109055", _DCM, "Protocol Stage")
ARTIFICIAL_INTELLIGENCE: Final = Code("123110", _DCM, "Artificial Intelligence")
YES: Final = Code("373066001", _SCT, "Yes")

# Beside a number (TID 300, 310, 320)
METHOD: Final = Code("370129005", _SCT, "Measurement Method")
DERIVATION: Final = Code("121401", _DCM, "Derivation")
SELECTION_STATUS: Final = Code("121404", _DCM, "Selection Status")
MEAN_CHOSEN: Final = Code("121412", _DCM, "Mean value chosen")
USER_CHOSEN: Final = Code("121410", _DCM, "User chosen value")
UNCERTAINTY: Final = Code("371884006", _SCT, "+/-, range of measurement uncertainty")
SOURCE: Final = Code("260753009", _SCT, "Source")
SOURCE_OF_MEASUREMENT: Final = Code("121112", _DCM, "Source of Measurement")
COMMENT: Final = Code("121106", _DCM, "Comment")
MODALITY: Final = Code("121139", _DCM, "Modality")
ULTRASOUND: Final = Code("US", _DCM, "Ultrasound")
OTHER_MODALITY: Final = Code("OT", _DCM, "Other")
MODALITIES: Final[Mapping[str, Code]] = {code.value: code for code in (ULTRASOUND, OTHER_MODALITY)}
"""Those of CID 29 that our pictures have. It knows what acquires alone: a segmentation is told by its kind instead."""
ROWS: Final = Code("110910", _DCM, "Pixel Data Rows")
COLUMNS: Final = Code("110911", _DCM, "Pixel Data Columns")

# Where the standard has no code
NO_RESULT: Final = Code("NORESULT", PRIVATE_SCHEME, "Reason for no result")
NO_RESULT_KIND: Final = Code("NORESULTKIND", PRIVATE_SCHEME, "Kind of reason for no result")
VIEW_UNKNOWN: Final = Code("VIEW-UNKNOWN", PRIVATE_SCHEME, "View not recognised")
VIEW_REASON: Final = Code("VIEW-REASON", PRIVATE_SCHEME, "How the view was told")
VIEW_CONFIDENCE: Final = Code("VIEW-CONF", PRIVATE_SCHEME, "Confidence of the view")
MODE_REASON: Final = Code("MODE-REASON", PRIVATE_SCHEME, "How the mode was told")
QUALITY_SCORE: Final = Code("QUAL-SCORE", PRIVATE_SCHEME, "Score of image quality")
CONFIDENCE: Final = Code("CONFIDENCE", PRIVATE_SCHEME, "Confidence of the model in its answer")
CONTRAST: Final = Code("CONTRAST", PRIVATE_SCHEME, "Ultrasound contrast agent given")
ALGORITHM: Final = Code("ALGORITHM", PRIVATE_SCHEME, "Algorithm that gave no result")
SELECTED: Final = Code("SELECTED", PRIVATE_SCHEME, "Stands for the study")
SELECTION_REASON: Final = Code("SEL-REASON", PRIVATE_SCHEME, "Why this value stands for the study")
UNCERTAINTY_BASIS: Final = Code("UNC-BASIS", PRIVATE_SCHEME, "Basis of the measurement uncertainty")
ACCURACY: Final = Code("ACCURACY", PRIVATE_SCHEME, "Accuracy")
REPEATABILITY: Final = Code("REPEATABILITY", PRIVATE_SCHEME, "Repeatability: standard deviation between beats or clips")
COUNT: Final = Code("COUNT", PRIVATE_SCHEME, "Number of beats or clips")
REMARK: Final = Code("REMARK", PRIVATE_SCHEME, "Remark")
REVIEW: Final = Code("REVIEW", PRIVATE_SCHEME, "Comment of the reviewer")
CMR_PREDICTED: Final = Code("CMRPRED", PRIVATE_SCHEME, "Cardiac MRI findings predicted from echocardiography")
INTENDED_USE: Final = Code("INTENDEDUSE", PRIVATE_SCHEME, "Intended use")
RESEARCH_ONLY: Final = Code("RUO", PRIVATE_SCHEME, "Research use only, not for diagnosis")
DERIVED_KIND: Final = Code("DERIVED-KIND", PRIVATE_SCHEME, "Kind of derived object")

ONE: Final = Code("1", "UCUM", "no units")
PIXELS: Final = Code("{pixels}", "UCUM", "Pixels")
BEATS_A_MINUTE: Final = Code("{H.B.}/min", "UCUM", "BPM")

# Quantities (CID 12200): what other codes of volumes say the same, with the method of disks that those have built in
EJECTION_FRACTION: Final = Code("18043-0", _LN, "Left Ventricular Ejection Fraction by US")
_GENERIC: Final[Mapping[Code, tuple[Code, Code | None]]] = {
    Code("10230-1", _LN, "-"): (EJECTION_FRACTION, None),
    EJECTION_FRACTION: (EJECTION_FRACTION, None),
} | {
    Code(value, scheme, "-"): (concept, told.method)
    for concept in (EJECTION_FRACTION, END_DIASTOLIC_VOLUME, END_SYSTOLIC_VOLUME)
    for (scheme, value), told in QUANTITIES.items()
    if told.concept == concept and told.method in (BIPLANE, SINGLE_PLANE)
}
_UNITS: Final[Mapping[Code, Code]] = {
    Code("{beats}/min", "UCUM", "-"): BEATS_A_MINUTE,
    Code("mL", "UCUM", "-"): Code("ml", "UCUM", "milliliter"),
    Code("uL", "UCUM", "-"): Code("ul", "UCUM", "microliter"),
}

MODES: Final[Mapping[str, Code]] = {
    Mode.B_MODE: Code("399064001", _SCT, "2D mode"),
    Mode.COLOUR: Code("261197005", _SCT, "Doppler Color Flow"),
    Mode.M_MODE: Code("399155008", _SCT, "M mode"),
    Mode.COLOUR_M_MODE: Code("399155008", _SCT, "M mode"),
    Mode.PW: Code("261199008", _SCT, "Doppler Pulsed"),
    Mode.CW: Code("261198000", _SCT, "Doppler Continuous Wave"),
    Mode.TDI: Code("439858009", _SCT, "Tissue Doppler Imaging"),
    Mode.VOLUME: Code("426865009", _SCT, "3D mode"),
}

# Thirds of the quality score. The score is a network's, so that its border between readable and not is only a convention.
DIAGNOSTIC: Final = Code("RID12", "RADLEX", "Diagnostic quality")
LIMITED: Final = Code("RID13", "RADLEX", "Limited quality")
NON_DIAGNOSTIC: Final = Code("RID14", "RADLEX", "Non-diagnostic quality")
_DIAGNOSTIC_FROM: Final = 2 / 3
_LIMITED_FROM: Final = 1 / 3

_RESTING: Final = Code("128975004", _SCT, "Resting State")
_PEAK: Final = Code("434161005", _SCT, "Peak cardiac stress state")
_STRESS: Final = Code("432655005", _SCT, "Cardiac Stress State")
_RECOVERY: Final = Code("432554001", _SCT, "Cardiac stress recovery state")
# By what a stage's name begins with. POST-EXERCISE is left out: on a treadmill it is the peak, on a bicycle recovery.
_STAGES: Final = (
    (("rest", "baseline", "pre-ex", "pre ex", "preex"), _RESTING),
    (("peak", "max"), _PEAK),
    (("recovery",), _RECOVERY),
    (("low", "mid", "intermediate", "high", "stress", "impost"), _STRESS),
)


def quality_code(score: float) -> Code:
    """Image Quality (CID 7036) of a score of 0 to 1: diagnostic from 2/3, limited from 1/3, below that non-diagnostic."""
    return DIAGNOSTIC if score >= _DIAGNOSTIC_FROM else LIMITED if score >= _LIMITED_FROM else NON_DIAGNOSTIC


def stage_code(stage: str | None) -> Code | None:
    """The state of CID 12002 that a stage's name surely means, else None."""
    name = (stage or "").strip().lower()
    return next((code for starts, code in _STAGES if name.startswith(starts)), None)


def generic(measurement: Measurement) -> Measurement:
    """The same number under the generic concept of CID 12200 and the units of UCUM that carts use."""
    concept, built_in = _GENERIC.get(measurement.concept, (measurement.concept, None))
    return replace(
        measurement,
        concept=concept,
        method=measurement.method or built_in,
        unit=_UNITS.get(measurement.unit, measurement.unit),
    )
