"""The report in lines: a cardiologist reads what was measured, how far it can be trusted, and what is missing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from echonode.core.clip import Mode
from echonode.core.codes import Code
from echonode.core.report import ReportState, StudyReport
from echonode.flow.report import apply, verified
from echonode.flow.report_text import lines_of
from tests.support.studies import (
    EF,
    EF_A2C,
    EF_A4C,
    EF_TEICHHOLZ,
    LVIDD,
    REGRESSION,
    SINGLE_PLANE,
    TEICHHOLZ,
    WALL_MOTION,
    canceled,
    loop,
    number,
    reference,
    refusal,
    report_of,
    said,
    strip,
)

FOUR, TWO, STRESS = loop("1", quality=0.8), loop("2", view="A2C", view_confidence=0.93), loop("3", stage="LOW DOSE")
SWEEPS = [strip("4"), strip("5")]
DOPPLER = [loop("6", mode=Mode.PW, view=None, frames=1), loop("7", mode=Mode.PW, view=None, frames=1)]
REPORT = report_of(
    [FOUR, TWO, STRESS, *SWEEPS, *DOPPLER],
    [
        said(
            FOUR, "ejection_fraction", number(EF, 58.3, method=REGRESSION, uncertainty=9.8, repeatability=2.1, count=3)
        ),
        said(FOUR, "segmentation", number(EF_A4C, 62, method=SINGLE_PLANE)),
        said(TWO, "segmentation", number(EF_A2C, 58, method=SINGLE_PLANE)),
        said(SWEEPS[0], "mmode", number(LVIDD, 47.12), number(EF_TEICHHOLZ, 45, method=TEICHHOLZ)),
        said(SWEEPS[1], "mmode", number(LVIDD, 49), refusal("the level is not certain")),
        said(FOUR, "cmr", number(WALL_MOTION, 0.27)),
        said(STRESS, "ejection_fraction", number(EF, 68, method=REGRESSION)),
    ],
    open_or_canceled=[canceled(STRESS, "segmentation", "there is no model 'seg-model'; there are: none")],
)


STRAIN = Code("130690", "DCM", "Global longitudinal strain")


def section(report: StudyReport, title: str) -> list[str]:
    """The lines under a title, to the next empty line."""
    lines = lines_of(report)
    start = next(place for place, line in enumerate(lines) if line.startswith(title)) + 1
    end = next((place for place in range(start, len(lines)) if not lines[place]), len(lines))
    return [" ".join(line.split()) for line in lines[start:end]]


def test_selected_values_have_unit_method_limits_and_source() -> None:
    """A number would be read without how it was found or how far it may be off."""
    rows = section(REPORT, "Values that stand for the study")
    assert rows[0] == "95 % limits repeatability method from by"
    assert rows[1] == "Ejection fraction 60 % accuracy unknown biplane disks loops 1, 2 seg model (seg-model 1)"
    assert rows[2] == "LVIDd 48.1 mm accuracy unknown SD 1.3 mm, n = 2 loops 4, 5 mmode model (mmode-model 1)"


def test_limits_and_repeatability_are_apart() -> None:
    """How steady a model is would be read as how right it is."""
    assert "Ejection fraction 58 % 48 to 68 % video regression loop 1" in section(REPORT, "LV function: further values")
    alone = report_of(
        [FOUR], [said(FOUR, "ejection_fraction", number(EF, 58.3, uncertainty=9.8, repeatability=2.1, count=3))]
    )
    assert section(alone, "Values that stand")[1].startswith("Ejection fraction 58 % 48 to 68 % SD 2 %, n = 3 loop 1")


@pytest.mark.parametrize(
    ("concept", "value", "words"), [(EF, 7, "0 to 17 %"), (EF, 96, "86 to 100 %"), (STRAIN, -18, "-28 to -8 %")]
)  # fmt: skip
def test_limits_end_where_the_quantity_does(concept: Code, value: float, words: str) -> None:
    """An ejection fraction of minus three percent would be printed as possible, or strain's limits be cut at zero."""
    report = report_of([FOUR], [said(FOUR, "segmentation", number(concept, value, uncertainty=10.0))])
    assert f" {value} % {words}" in section(report, "Values that stand")[1]


def test_predicted_findings_are_not_among_measured_values() -> None:
    """A guess of what magnetic resonance would show would be read as a measurement."""
    assert section(REPORT, "Predicted from echo, not measured")[1].startswith(
        "Probability of wall motion abnormality 0.27"
    )
    assert not any("wall motion" in line for line in section(REPORT, "Values that stand for the study"))


def test_stress_stages_are_under_their_own_heading() -> None:
    """A number under stress would be read as the resting one."""
    rows = section(REPORT, "LV function, stage LOW DOSE: values")
    assert rows == ["Ejection fraction 68 % accuracy unknown video regression loop 3"]


def test_loops_are_listed_with_what_they_show() -> None:
    """The numbers of loops in the report could not be found in the study."""
    rows = section(REPORT, "Loops")
    assert rows[0] == "1 Apical four chamber 2d 48 frames quality 0.80"
    assert rows[1] == "2 Apical two chamber confidence 0.93 2d 48 frames"
    assert rows[2] == "3 Apical four chamber 2d 48 frames stage LOW DOSE"
    assert rows[5] == "6 view unknown pw 1 frame"
    assert rows[7:] == ["loops 1 to 5, view: View Code Sequence", "loops 6, 7, view unknown: View Code Sequence"]


def test_reasons_are_said_once_for_all_their_loops() -> None:
    """Twenty Doppler loops would fill a page with one sentence."""
    rows = section(REPORT, "Why there is no result")
    assert "loops 6, 7: Routing: no route takes it: mode is pw, not 2d or m-mode" in rows
    assert "loop 5: M-mode measurements: the level is not certain" in rows
    assert "loop 3: Segmentation of the left heart: model seg-model is not installed" in rows


def test_disagreement_and_choice_are_explained() -> None:
    """The reader would not see why this number heads the report, and that another contradicts it."""
    text = " ".join(" ".join(lines_of(REPORT)).split())
    assert "methods of ejection fraction are 17 points apart, more than 10: 62 % by single-plane disks (A4C)" in text
    assert "Ejection fraction: biplane disks, of 2 loops, before single-plane disks (A4C)" in text


def test_what_a_model_notes_of_a_selected_value_is_said() -> None:
    """A diameter would be printed without its timing and its edge convention."""
    notes = ("end-diastole at the onset of QRS", "leading edge to leading edge")
    report = report_of(
        [SWEEPS[0]], [said(SWEEPS[0], "mmode", number(LVIDD, 47, notes=notes), number(EF, 50, notes=notes[:1]))]
    )
    rows = section(report, "About these values")
    assert rows == [
        "Ejection fraction, LVIDd: end-diastole at the onset of QRS", "LVIDd: leading edge to leading edge",
    ]  # fmt: skip


def test_a_model_that_has_no_title_is_named_once() -> None:
    """A package that is gone would be printed as "ef-model (ef-model 1)"."""
    report = report_of([FOUR], [said(FOUR, "ejection_fraction", number(EF, 50))], algorithms=lambda *_: None)
    assert section(report, "Values that stand")[1].endswith("loop 1 ef-model 1")


def test_the_head_says_what_kind_of_report_it_is() -> None:
    """A machine's report would be taken for a signed one."""
    assert lines_of(REPORT)[1] == "PRELIMINARY: made by echonode, no person has reviewed it"
    assert "Research use only, not for diagnosis." in lines_of(REPORT)
    signed = verified(apply(REPORT, {"EF": 45}, "Dr. Ada"), "Dr. Ada", 1_790_000_000.0, "agreed")
    assert lines_of(signed)[1] == "VERIFIED by Dr. Ada, 2026-09-21 14:13 UTC: agreed"
    assert section(signed, "Values that stand")[1] == "Ejection fraction 45 % by a person entered by Dr. Ada"
    addendum = replace(REPORT, state=ReportState.ADDENDUM, predecessors=(reference("old"),))
    assert lines_of(addendum)[1].startswith("PRELIMINARY ADDENDUM")
    assert f"It adds to report {reference('old').sop_instance_uid}" in lines_of(addendum)


def test_a_study_without_values_says_so() -> None:
    """An empty page would be taken for a fault."""
    lines = lines_of(report_of([]))
    assert "No measured value stands for the study." in lines
    assert "  the study has no object with pixels" in lines


def test_no_line_is_cut_and_none_ends_in_spaces() -> None:
    """A reason would end in the middle of a word on paper."""
    long = "the sector could not be told from the pictures around it, " * 5
    lines = lines_of(report_of([FOUR], [said(FOUR, "cmr", refusal(long))]))
    assert " ".join(long.split()) in " ".join(" ".join(lines).split())
    assert all(line == line.rstrip() for line in lines)
    assert max(map(len, lines)) <= 110
