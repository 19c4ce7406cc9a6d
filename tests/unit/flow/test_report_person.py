"""A person has the last word: their value heads the report, the machine's stays readable, nonsense is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from echonode.core.errors import BadInput
from echonode.core.report import ReportState
from echonode.flow.report import apply, content_digest, verified
from tests.support.studies import (
    EF,
    EF_TEICHHOLZ,
    LVIDD,
    REGRESSION,
    TEICHHOLZ,
    loop,
    number,
    reference,
    report_of,
    said,
    strip,
    values_of,
)

FOUR, SWEEP = loop("1"), strip("2")
REPORT = report_of(
    [FOUR, SWEEP],
    [said(FOUR, "ejection_fraction", number(EF, 54, method=REGRESSION)), said(SWEEP, "mmode", number(LVIDD, 50))],
)


def test_a_persons_value_is_selected_and_the_machines_stays() -> None:
    """The correction would be exported beside the machine's number, or the machine's would be lost."""
    report = apply(REPORT, {"EF": 45}, "Dr. Ada")
    chosen = {value.measurement.concept.value: value for value in values_of(report, selected=True)}
    assert chosen.keys() == {"18043-0", LVIDD.value}
    own = chosen["18043-0"]
    assert (own.measurement.value, own.measurement.unit.value, own.entered_by) == (45, "%", "Dr. Ada")
    assert (own.algorithm, own.measurement.method, own.measurement.uncertainty, dict(own.frames)) == (
        None,
        None,
        None,
        {},
    )
    (machine,) = [value for value in values_of(report, selected=False) if value.measurement.concept == EF]
    assert (machine.measurement.value, machine.selection) == (54, "")


@pytest.mark.parametrize(
    ("word", "value", "code", "unit"),
    [
        ("EF", 45, "18043-0", "%"), ("edv", 120, "18026-5", "mL"), (" ESV ", 60, "18148-7", "mL"),
        ("lvidd", 48.5, "29436-3", "mm"), ("LVIDs", 30, "29438-9", "mm"), ("HR", 70, "8867-4", "{H.B.}/min"),
        ("FS", 35, "18051-3", "%"),
    ],
)  # fmt: skip
def test_every_word_has_its_concept_and_unit(word: str, value: float, code: str, unit: str) -> None:
    """A diameter in mm would be filed as a volume."""
    report = apply(REPORT, {word: value}, "Dr. Ada")
    (own,) = [each for each in values_of(report) if each.entered_by]
    assert (own.measurement.concept.value, own.measurement.unit.value, own.measurement.value) == (code, unit, value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"EFF": 45}, "'EFF' is no value that can be entered; there are: EF, EDV, ESV, LVIDd, LVIDs, FS, HR"),
        ({"EF": 0.45}, "EF 0.45 is none that a heart can have: 3 to 95 % is"),
        ({"EF": 145}, "EF 145 is none"),
        ({"EF": float("nan")}, "EF nan is none"),
        ({"LVIDd": 4.8}, "5 to 120 mm"),
        ({"HR": 0}, "15 to 350 /min"),
        ({"EDV": 60, "esv": 90}, "ESV 90 is larger than EDV 60"),
        ({"LVIDd": 30, "LVIDs": 45}, "LVIDs 45 is larger than LVIDd 30"),
    ],
)
def test_nonsense_is_refused_with_what_there_is(changes: dict[str, float], words: str) -> None:
    """A slip of the finger would be signed: 0.45 for 45 %, centimetres for millimetres."""
    with pytest.raises(BadInput) as caught:
        apply(REPORT, changes, "Dr. Ada")
    assert words in str(caught.value)


@pytest.mark.parametrize("by", ["", "  "])
def test_nobody_enters_or_verifies_anything(by: str) -> None:
    """A verified report would not say who answers for it."""
    with pytest.raises(BadInput):
        apply(REPORT, {"EF": 45}, by)
    with pytest.raises(BadInput):
        verified(REPORT, by, 1.0, "")


def test_a_second_entry_replaces_the_first() -> None:
    """Two values of persons would both be selected."""
    report = apply(apply(REPORT, {"EF": 45}, "Dr. Ada"), {"EF": 40}, "Dr. Bea")
    entered = [each for each in values_of(report) if each.entered_by]
    assert [(each.measurement.value, each.entered_by, each.selected) for each in entered] == [(40, "Dr. Bea", True)]


def test_a_person_can_enter_what_no_machine_measured() -> None:
    """A study without a usable loop could not be reviewed."""
    report = apply(report_of([FOUR]), {"EF": 45}, "Dr. Ada")
    (group,) = report.groups
    assert (group.topic, group.title, group.stage, group.contrast) == ("lv-function", "LV function", None, False)
    assert group.values[0].selected


def test_an_entered_value_never_lands_in_a_stress_stage() -> None:
    """A resting ejection fraction would be filed at peak dose, or unselect nothing there."""
    stress = loop("9", stage="PEAK DOSE")
    machine = report_of([stress], [said(stress, "ejection_fraction", number(EF, 74))])
    report = apply(machine, {"EF": 45}, "Dr. Ada")
    assert [(group.stage, [v.selected for v in group.values]) for group in report.groups] == [
        (None, [True]),
        ("PEAK DOSE", [False]),
    ]
    assert not any("no value is selected" in each for each in report.remarks)


def test_an_entered_value_never_lands_among_those_with_contrast() -> None:
    """The person's number would be filed as one of a heart filled with contrast."""
    of = loop("9", contrast=True)
    report = apply(report_of([of], [said(of, "ejection_fraction", number(EF, 54))]), {"EF": 45}, "Dr. Ada")
    assert [(group.contrast, [v.selected for v in group.values]) for group in report.groups] == [
        (False, [True]),
        (True, [False]),
    ]


def test_the_excuse_for_no_ejection_fraction_goes_once_there_is_one() -> None:
    """The report would say that no ejection fraction is selected, beside the one that the person entered."""
    machine = report_of([SWEEP], [said(SWEEP, "mmode", number(EF_TEICHHOLZ, 62, method=TEICHHOLZ))])
    assert any("Teichholz alone" in each for each in machine.remarks)
    assert not any("Teichholz alone" in each for each in apply(machine, {"EF": 45}, "Dr. Ada").remarks)


def test_remarks_that_still_hold_stay() -> None:
    """A correction of the ejection fraction would wipe out what is said of the models behind other values."""
    of = loop("1", age_years=None)
    machine = report_of([of], [said(of, "ejection_fraction", number(EF, 54, method=REGRESSION))])
    assert "age unknown: adult models were used (ef model)" in apply(machine, {"HR": 70}, "Dr. Ada").remarks


def test_entering_a_value_is_another_content_and_verifying_is_not() -> None:
    """A review without changes would look like new results, or a correction like none."""
    changed = apply(REPORT, {"EF": 45}, "Dr. Ada")
    assert changed.content_digest not in ("", REPORT.content_digest)
    signed = verified(changed, " Dr. Ada ", 12.5, " seen ")
    assert (signed.state, signed.verified_by, signed.verified_at, signed.review_comment) == (
        ReportState.VERIFIED, "Dr. Ada", 12.5, "seen",
    )  # fmt: skip
    assert signed.content_digest == changed.content_digest == content_digest(signed)


def test_predecessors_and_state_do_not_make_another_content() -> None:
    """A report would be its own successor at every look at the study."""
    other = replace(REPORT, state=ReportState.ADDENDUM, predecessors=(reference("old"),))
    assert content_digest(other) == REPORT.content_digest
