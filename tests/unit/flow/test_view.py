"""Which view an object shows decides what is measured: every case of the table, and the reason in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from echonode.core.clip import Mode
from echonode.core.codes import PRIVATE_SCHEME, Code
from echonode.core.facts import Facts
from echonode.core.results import Finding
from echonode.core.view_codes import VIEWS
from echonode.flow.view import reconciled, with_person

IMAGE_VIEW = Code("111031", "DCM", "Image View")
OTHER = Code("VIEW-OTHER", PRIVATE_SCHEME, "Other than a standard view")
UNKNOWN = Code("VIEW-UNKNOWN", PRIVATE_SCHEME, "View not recognised")
LOOP = Facts(
    sop_instance_uid="1.2", sop_class_uid="1", series_uid="1", study_uid="1", transfer_syntax_uid="1", mode=Mode.B_MODE,
    view_reason="the header has neither View Code Sequence nor View Name",
)  # fmt: skip
DETAILS: dict[str, Any] = {"probabilities": dict.fromkeys(("PLAX", "PSAX", "A4C", "A2C", "SUBCOSTAL", "OTHER"), 0.1)}


def told(view: str, *, by: str = "header", firm: bool = True) -> Facts:
    return replace(
        LOOP, view=view, view_source=by, view_told=view, view_told_by=by, view_told_reason=f"{by}: {view}",
        view_reason=f"{by}: {view}", view_firm=firm,
    )  # fmt: skip


def seen(view: str | Code, confidence: float = 0.8) -> Finding:
    return Finding(concept=IMAGE_VIEW, value=VIEWS[view] if isinstance(view, str) else view, confidence=confidence)


TABLE = [
    # told, seen, expected view, source, confidence, words of the reason
    (LOOP, seen("A4C"), "A4C", "classifier", 0.8, "cnn says A4C (0.80)"),
    (LOOP, seen(UNKNOWN, 0.4), None, "", None, "does not recognise the view (likeliest at 0.40)"),
    (LOOP, seen(OTHER), None, "classifier", 0.8, "no standard view"),
    (LOOP, None, None, "", None, "neither View Code"),
    (told("A4C"), None, "A4C", "header", None, "header: A4C"),
    (told("A4C"), seen("A4C"), "A4C", "header", 0.8, "cnn says A4C"),
    (told("PSAX-MV"), seen("PSAX", 0.95), "PSAX-MV", "header", 0.95, "cnn says PSAX"),
    (told("SC-SAX"), seen("SC-LAX"), "SC-SAX", "header", 0.8, "says SC-LAX"),
    (told("A4C"), seen(UNKNOWN, 0.3), "A4C", "header", None, "does not recognise"),
    (told("A4C"), seen("A2C", 0.8), "A4C", "header", None, "less sure than 0.9"),
    (told("A4C"), seen("A2C", 0.95), "A2C", "classifier", 0.95, "not A4C, which header: A4C tells"),
    (told("A4C"), seen(OTHER, 0.95), None, "classifier", 0.95, "no standard view (0.95); not A4C"),
    (told("PLAX", by="views.toml"), seen("A2C", 0.8), "PLAX", "views.toml", None, "less sure"),
    (told("PLAX", by="views.toml", firm=False), seen("A2C", 0.7), "A2C", "classifier", 0.7, "not PLAX"),
    (told("PLAX", by="views.toml", firm=False), seen("PLAX", 0.7), "PLAX", "views.toml", 0.7, "says PLAX"),
    (told("PLAX", by="views.toml", firm=False), seen(UNKNOWN, 0.5), "PLAX", "views.toml", None, "does not recognise"),
    (told("RV-INFLOW"), seen(OTHER, 0.99), "RV-INFLOW", "header", None, "no standard view"),
    (told("RV-INFLOW"), seen("A2C", 0.99), "RV-INFLOW", "header", None, "does not know RV-INFLOW"),
]


@pytest.mark.parametrize(("facts", "finding", "view", "source", "confidence", "words"), TABLE)
def test_the_table(
    facts: Facts, finding: Finding | None, view: str | None, source: str, confidence: float | None, words: str
) -> None:
    found = reconciled(facts, finding, details=DETAILS, by="cnn")
    assert (found.view, found.view_source, found.view_confidence) == (view, source, confidence)
    assert words in found.view_reason
    assert reconciled(found, finding, details=DETAILS, by="cnn") == found, "looking twice is not knowing more"


def test_a_person_has_the_last_word() -> None:
    said = with_person(told("A4C"), "A2C", by="Ada", reason="looked")
    assert (said.view, said.view_source, said.view_reason) == ("A2C", "person", "set by Ada: looked")
    assert reconciled(said, seen("PLAX", 1.0), by="cnn") == said
    assert said.view_told == "A4C", "what the header says is not forgotten"


def test_a_later_classifier_is_held_against_the_header_not_against_the_earlier_one() -> None:
    wrong = reconciled(told("PSAX-MV"), seen("A4C", 0.95), by="old")
    right = reconciled(wrong, seen("PSAX", 0.9), by="new")
    assert (right.view, right.view_source) == ("PSAX-MV", "header")


def test_facts_of_an_older_version_are_what_a_header_told() -> None:
    old = replace(LOOP, view="PSAX-MV", view_reason="View Code Sequence")
    assert reconciled(old, seen("PSAX"), by="cnn").view == "PSAX-MV"


@pytest.mark.parametrize(
    ("mode", "details", "expected"),
    [
        (Mode.B_MODE, {"colour": 0.14, "mode": "2d-colour"}, Mode.COLOUR),
        (Mode.UNKNOWN, {"colour": 0.14, "mode": "2d-colour"}, Mode.COLOUR),
        (Mode.COLOUR, {"colour": 0.0, "mode": "2d"}, Mode.B_MODE),
        (Mode.COLOUR, {"colour": 0.002}, Mode.COLOUR),
        (Mode.B_MODE, {"colour": 0.0, "mode": "2d"}, Mode.B_MODE),
        (Mode.M_MODE, {"colour": 0.2, "mode": "2d-colour"}, Mode.M_MODE),
        (Mode.B_MODE, {}, Mode.B_MODE),
    ],
)
def test_the_pixels_correct_the_mode(mode: Mode, details: dict[str, Any], expected: Mode) -> None:
    """A colour loop that is called grey is slowed down and segmented; one that is called colour is left out."""
    found = reconciled(replace(LOOP, mode=mode), seen("A4C"), details=details, by="cnn")
    assert found.mode is expected
    assert (expected is mode) or "sector is coloured" in found.mode_reason
