"""Selection: the one ejection fraction that heads a report is the one that a cardiologist would take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echonode.core.codes import Code
from echonode.core.facts import Facts
from echonode.core.readings import KeptReading, StudyValue
from echonode.core.report import Algorithm, StudyReport
from echonode.core.results import Ineligible
from echonode.core.routes import ReportSection
from tests.support.studies import (
    BIPLANE,
    EDV,
    EF,
    EF_A2C,
    EF_A4C,
    EF_BIPLANE,
    EF_TEICHHOLZ,
    LV_AREA,
    LVIDD,
    REGRESSION,
    ROUTES,
    SINGLE_PLANE,
    TASKS,
    TEICHHOLZ,
    WALL_MOTION,
    algorithm,
    canceled,
    fused_of_all,
    loop,
    number,
    refusal,
    report_of,
    said,
    strip,
    values_of,
    view_finding,
)

FOUR, TWO, SWEEP = loop("1"), loop("2", view="A2C"), strip("3")
BY_PLANE = [
    said(FOUR, "segmentation", number(EF_A4C, 60, method=SINGLE_PLANE)),
    said(TWO, "segmentation", number(EF_A2C, 56, method=SINGLE_PLANE)),
]
BY_VIDEO = said(FOUR, "ejection_fraction", number(EF, 54, method=REGRESSION))
BY_TEICHHOLZ = said(SWEEP, "mmode", number(EF_TEICHHOLZ, 62, method=TEICHHOLZ))
EVERY = [*BY_PLANE, BY_VIDEO, BY_TEICHHOLZ]
ALONE = {**TASKS, "segmentation": replace(TASKS["segmentation"], combine=None)}


def heads(report: StudyReport) -> list[tuple[str, float]]:
    return [(each.measurement.concept.value, each.measurement.value) for each in values_of(report, selected=True)]


def test_biplane_goes_before_everything() -> None:
    """The report would be headed by a cruder method than the study has."""
    report = report_of([FOUR, TWO, SWEEP], EVERY)
    assert heads(report) == [(EF_BIPLANE.value, 58)]
    (chosen,) = values_of(report, selected=True)
    assert chosen.selection == (
        "biplane disks, of 2 loops, before single-plane disks (A4C), single-plane disks (A2C), video regression, Teichholz"
    )


def test_four_chamber_goes_before_two_chamber() -> None:
    """Without biplane the less reliable plane would be taken."""
    assert heads(report_of([FOUR, TWO], [*reversed(BY_PLANE), BY_VIDEO], tasks=ALONE)) == [(EF_A4C.value, 60)]


def test_the_view_of_the_loop_tells_the_plane_whatever_the_code() -> None:
    """A code that two editions of a table read differently would swap the planes."""
    readings = [
        said(FOUR, "segmentation", number(EF_A2C, 60, method=SINGLE_PLANE)),
        said(TWO, "segmentation", number(EF_A4C, 56, method=SINGLE_PLANE)),
    ]
    assert heads(report_of([FOUR, TWO], readings, tasks=ALONE)) == [(EF_A2C.value, 60)]


def test_single_plane_goes_before_video_regression() -> None:
    """A network's number without volumes would go before one whose contours can be looked at."""
    assert heads(report_of([TWO, FOUR], [BY_PLANE[1], BY_VIDEO])) == [(EF_A2C.value, 56)]


def test_video_regression_goes_before_teichholz() -> None:
    """Teichholz would head the report."""
    assert heads(report_of([FOUR, SWEEP], [BY_VIDEO, BY_TEICHHOLZ])) == [(EF.value, 54)]


@pytest.mark.parametrize(
    "measured",
    [
        number(EF_TEICHHOLZ, 62, method=TEICHHOLZ),
        number(Code("18049-7", "LN", "LVEF (Teichholz) MM"), 62),
        number(Code("77891-0", "LN", "LVEF (Teichholz) 2D"), 62),
    ],
)
def test_teichholz_alone_heads_nothing_and_the_reason_is_said(measured: Any) -> None:
    """A number that takes the whole ventricle from one diameter would be the study's ejection fraction."""
    report = report_of([SWEEP], [said(SWEEP, "mmode", measured, number(LVIDD, 50))])
    assert heads(report) == [(LVIDD.value, 50)]
    (remark,) = [each for each in report.remarks if "Teichholz" in each]
    assert remark.startswith("not selected, by Teichholz alone: ejection fraction 62 %")


def test_volumes_by_teichholz_head_nothing_either() -> None:
    """The volumes behind such an ejection fraction would be exported as the study's."""
    report = report_of([SWEEP], [said(SWEEP, "mmode", number(EDV, 120, method=TEICHHOLZ))])
    assert heads(report) == []
    assert any("end-diastolic volume 120 mL" in each for each in report.remarks)


def test_teichholz_beside_another_method_needs_no_excuse() -> None:
    """The report would say that no ejection fraction was selected beside one that was."""
    report = report_of([FOUR, SWEEP], [BY_VIDEO, BY_TEICHHOLZ])
    assert not any("Teichholz alone" in each for each in report.remarks)


@pytest.mark.parametrize(
    "stage", [None, "", "REST", "rest", "Baseline", "BASELINE ", "PRE-EXERCISE", "Pre Exercise", "resting"]
)
def test_stages_that_mean_rest_stand_for_the_study(stage: str | None) -> None:
    """The resting loops of a stress study would not be reported."""
    of = loop("1", stage=stage)
    assert heads(report_of([of], [said(of, "ejection_fraction", number(EF, 54))])) == [(EF.value, 54)]


@pytest.mark.parametrize("stage", ["LOW DOSE", "PEAK DOSE", "POST-EXERCISE", "RECOVERY", "PEAK-EXERCISE", "Stage 3"])
def test_stress_alone_selects_nothing_and_says_so(stage: str) -> None:
    """An ejection fraction at peak stress would be reported as the patient's."""
    of = loop("1", stage=stage)
    report = report_of([of], [said(of, "ejection_fraction", number(EF, 74))])
    assert heads(report) == []
    assert any(each.startswith("no value is selected: ") and stage in each for each in report.remarks)


def test_rest_beside_stress_is_selected_whatever_the_method() -> None:
    """Biplane at peak stress would go before what was measured at rest."""
    peak_four, peak_two = loop("8", stage="PEAK DOSE"), loop("9", view="A2C", stage="PEAK DOSE")
    readings = [
        BY_VIDEO,
        said(peak_four, "segmentation", number(EF_A4C, 75, method=SINGLE_PLANE)),
        said(peak_two, "segmentation", number(EF_A2C, 75, method=SINGLE_PLANE)),
    ]
    report = report_of([FOUR, peak_four, peak_two], readings)
    assert heads(report) == [(EF.value, 54)]
    assert not any("no value is selected" in each for each in report.remarks)


def test_loops_without_contrast_go_before_those_with() -> None:
    """A model that never saw contrast would head the report beside one on a plain loop."""
    with_contrast = loop("9", contrast=True)
    readings = [BY_VIDEO, said(with_contrast, "segmentation", number(EF_A4C, 70, method=SINGLE_PLANE))]
    assert heads(report_of([FOUR, with_contrast], readings)) == [(EF.value, 54)]
    only = report_of([with_contrast], readings[1:])
    assert "with contrast" in values_of(only, selected=True)[0].selection


def test_a_model_of_simulated_data_goes_behind_one_of_patients() -> None:
    """A demonstration model would head a report though a real one gave a value."""
    real = said(FOUR, "ejection_fraction", number(EF, 54), model="zz-model")
    readings = [said(FOUR, "ejection_fraction", number(EF, 30), model="simulated-a"), real]
    assert heads(report_of([FOUR], readings)) == [(EF.value, 54)]


def test_a_fused_finding_goes_before_its_parts() -> None:
    """One view's probability would stand for the study though all views were fused."""
    readings = [said(each, "cmr", number(WALL_MOTION, value)) for each, value in ((FOUR, 0.2), (TWO, 0.9))]
    (chosen,) = values_of(report_of([FOUR, TWO], readings), selected=True)
    assert set(chosen.frames) == {FOUR.sop_instance_uid, TWO.sop_instance_uid}


def test_areas_in_pixels_stand_for_nothing() -> None:
    """A number that depends on the zoom would be exported as the patient's."""
    pixels = number(LV_AREA, 9000, unit=Code("{pixels}", "UCUM", "pixels"))
    assert heads(report_of([FOUR], [said(FOUR, "segmentation", pixels)])) == []


def test_the_quality_of_a_recording_stands_for_nothing() -> None:
    """The share of a strip that can be read would be exported as a finding of the heart."""
    share = number(Code("MMQUALITY", "99ECHONODE", "Share of a strip of good quality"), 0.8)
    report = report_of([SWEEP], [said(SWEEP, "mmode", share)])
    assert heads(report) == []
    assert len(values_of(report)) == 1


def test_loops_without_a_stage_go_before_a_named_resting_stage() -> None:
    """Which of two resting loops heads the report would hang on how their UIDs sort."""
    named, plain = loop("1", stage="BASELINE"), loop("2")
    readings = [said(each, "ejection_fraction", number(EF, 54)) for each in (named, plain)]
    (chosen,) = values_of(report_of([named, plain], readings), selected=True)
    assert list(chosen.frames) == [plain.sop_instance_uid]


def test_teichholz_under_stress_is_no_missing_value_at_rest() -> None:
    """The report would excuse itself for a resting number that nobody tried to measure."""
    stress = strip("9", stage="PEAK DOSE")
    readings = [
        said(SWEEP, "mmode", number(LVIDD, 50)),
        said(stress, "mmode", number(EF_TEICHHOLZ, 70, method=TEICHHOLZ)),
    ]
    assert not any("Teichholz" in each for each in report_of([SWEEP, stress], readings).remarks)


def test_the_better_recording_is_taken_where_nothing_else_tells() -> None:
    """Of two A4C loops the blurred one would be reported."""
    poor, good = loop("1", quality=0.2), loop("5", quality=0.9)
    readings = [
        said(each, "segmentation", number(EF_A4C, value, method=SINGLE_PLANE))
        for each, value in ((poor, 40), (good, 60))
    ]
    report = report_of([poor, good], readings)
    assert heads(report) == [(EF_A4C.value, 60)]
    assert values_of(report, selected=True)[0].selection.endswith("one of 2, by view and quality")


def test_methods_far_apart_are_flagged_with_their_values() -> None:
    """Two methods would contradict each other in one report without a word."""
    report = report_of([FOUR, SWEEP], [BY_VIDEO, said(SWEEP, "mmode", number(EF_TEICHHOLZ, 68, method=TEICHHOLZ))])
    assert report.groups[0].remarks == (
        "methods of ejection fraction are 14 points apart, more than 10: 68 % by Teichholz, 54 % by video regression",
    )


@pytest.mark.parametrize(("other", "flagged"), [(64.0, False), (64.5, True)])
def test_more_than_the_limit_is_flagged_and_the_limit_itself_is_not(other: float, flagged: bool) -> None:
    """A site that allows ten points would be warned at ten."""
    report = report_of([FOUR, SWEEP], [BY_VIDEO, said(SWEEP, "mmode", number(EF_TEICHHOLZ, other, method=TEICHHOLZ))])
    assert bool(report.groups[0].remarks) is flagged


def test_methods_within_the_limit_of_the_site_are_not_flagged() -> None:
    """Every report would carry a warning, and nobody would read it."""
    routes = ROUTES.model_copy(update={"report": ReportSection(ef_disagreement=15.0)})
    readings = [BY_VIDEO, said(SWEEP, "mmode", number(EF_TEICHHOLZ, 68, method=TEICHHOLZ))]
    assert report_of([FOUR, SWEEP], readings, routes=routes).groups[0].remarks == ()


def test_loops_of_one_method_and_stages_do_not_disagree() -> None:
    """Stress against rest, or beat against beat, would be called a contradiction of methods."""
    stress = loop("9", stage="PEAK DOSE")
    readings = [
        said(FOUR, "ejection_fraction", number(EF, 40, method=REGRESSION)),
        said(loop("4"), "ejection_fraction", number(EF, 70, method=REGRESSION)),
        said(stress, "mmode", number(EF_TEICHHOLZ, 90, method=TEICHHOLZ)),
    ]
    report = report_of([FOUR, loop("4"), stress], readings)
    assert all(group.remarks == () for group in report.groups)


def test_an_unknown_age_is_stated_where_a_model_for_adults_gave_a_value() -> None:
    """A child's ejection fraction by a model for adults would look like any other."""
    of = loop("1", age_years=None)
    reading = said(of, "ejection_fraction", number(EF, 54))
    assert "age unknown: adult models were used (ef model)" in report_of([of], [reading]).remarks
    assert not any("age" in each for each in report_of([loop("1")], [reading]).remarks)
    assert not any("age" in each for each in report_of([of], [said(of, "mmode", number(LVIDD, 50))]).remarks)
    assert not any("age" in each for each in report_of([of], [said(of, "ejection_fraction", refusal())]).remarks)


def test_models_of_simulated_data_are_named() -> None:
    """A number of a model that never saw a patient would be taken for a measurement."""
    of = loop("1")
    report = report_of([of], [said(of, "view", view_finding(), model="simulated-view")])
    assert "trained on simulated data alone, never tested on patients: simulated-view 1" in report.remarks
    assert not any("simulated" in each for each in report_of([of], [said(of, "view", view_finding())]).remarks)


def test_models_that_were_fused_are_named_each() -> None:
    """The remark would name a model that nobody installed, beside the ones that it was fused of."""
    readings = [
        said(FOUR, "cmr", number(WALL_MOTION, 0.2), model="wma-a4c"),
        said(TWO, "cmr", number(WALL_MOTION, 0.4), model="simulated-a2c"),
    ]

    def known(model: str, version: str, digest: str) -> Algorithm | None:
        return None if " + " in model else algorithm(model, version, digest)

    def renamed(values: Sequence[KeptReading]) -> list[StudyValue | Ineligible]:
        return [replace(each, model="simulated-a2c + wma-a4c") for each in fused_of_all(values)]  # type: ignore[type-var]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.support.studies.fused_of_all", renamed)
        report = report_of([FOUR, TWO], readings, algorithms=known)
    named = [each for each in report.remarks if "simulated" in each]
    assert named == ["trained on simulated data alone, never tested on patients: simulated-a2c 1"]


def test_a_simulated_study_says_that_it_shows_no_patient() -> None:
    """The nightly self-check's report would look like a patient's."""
    assert "every object is simulated and shows no patient" in report_of([loop("1", simulated=True)]).remarks
    assert not any("simulated" in each for each in report_of([loop("1", simulated=True), loop("2")]).remarks)


# --- properties over whole studies ---

METHODS: list[tuple[str, Code, Code | None]] = [
    ("segmentation", EF_A4C, SINGLE_PLANE), ("ejection_fraction", EF, REGRESSION), ("mmode", EF_TEICHHOLZ, TEICHHOLZ),
    ("mmode", LVIDD, None), ("mmode", EDV, TEICHHOLZ), ("cmr", WALL_MOTION, None), ("segmentation", EF_BIPLANE, BIPLANE),
]  # fmt: skip


@st.composite
def studies(draw: st.DrawFn) -> tuple[list[Facts], list[KeptReading]]:
    facts, readings = [], []
    for place in range(draw(st.integers(1, 5))):
        of = loop(
            str(place),
            view=draw(st.sampled_from(["A4C", "A2C", "PLAX", None])),
            stage=draw(st.sampled_from([None, "BASELINE", "LOW DOSE"])),
            contrast=draw(st.booleans()),
            quality=draw(st.sampled_from([None, 0.5])),
            age_years=draw(st.sampled_from([None, 50.0])),
        )
        facts.append(of)
        for task, concept, method in draw(st.lists(st.sampled_from(METHODS), max_size=3, unique=True)):
            value = draw(st.sampled_from([40.0, 47.3, 61.1]))
            model = draw(st.sampled_from(["", "simulated-x"]))
            readings.append(said(of, task, number(concept, value, method=method), refusal("partly"), model=model))
    return facts, readings


@settings(max_examples=60, deadline=None)
@given(study=studies(), data=st.data())
def test_order_and_bookkeeping_do_not_change_what_is_said(
    study: tuple[list[Facts], list[KeptReading]], data: st.DataObject
) -> None:
    """Every late look at a study would send the PACS another report that says the same."""
    facts, readings = study
    shuffled = (
        data.draw(st.permutations(facts)),
        [replace(each, at=99.0, work_id="other") for each in data.draw(st.permutations(readings))],
    )
    one, other = report_of(facts, readings), report_of(*shuffled)
    assert one.content_digest == other.content_digest
    chosen = [
        sorted(
            (each.measurement.concept.value, tuple(each.frames), each.selection)
            for each in values_of(report, selected=True)
        )
        for report in (one, other)
    ]
    assert chosen[0] == chosen[1]


@settings(max_examples=60, deadline=None)
@given(study=studies())
def test_one_value_a_concept_at_most_at_rest_and_never_teichholz(study: tuple[list[Facts], list[KeptReading]]) -> None:
    """Two ejection fractions would head a report, or one of a stressed heart, or one by Teichholz."""
    facts, readings = study
    report = report_of(facts, readings)
    families = []
    for group in report.groups:
        for value in group.values:
            if not value.selected:
                assert value.selection == ""
                continue
            assert group.stage in (None, "BASELINE")
            assert value.measurement.method != TEICHHOLZ
            assert value.selection
            is_ef = value.measurement.concept in (EF, EF_A4C, EF_BIPLANE, EF_TEICHHOLZ)
            families.append("EF" if is_ef else value.measurement.concept.value)
    assert len(families) == len(set(families))


@settings(max_examples=60, deadline=None)
@given(study=studies())
def test_nothing_that_was_said_is_lost_or_crosses_a_state(study: tuple[list[Facts], list[KeptReading]]) -> None:
    """A loop's number would vanish, or a value would be made of two stages or contrast states."""
    facts, readings = study
    report = report_of(facts, readings)
    state = {each.sop_instance_uid: (each.stage, each.contrast) for each in facts}
    for group in report.groups:
        for value in group.values:
            assert {state[uid] for uid in value.frames} == {(group.stage, group.contrast)}
    told = {
        (next(iter(v.frames)), v.measurement.concept, v.measurement.value)
        for v in values_of(report)
        if len(v.frames) == 1
    }
    for reading in readings:
        for one in reading.measurements:
            assert (reading.sop_instance_uid, one.concept, one.value) in told
    refused = {each.source.sop_instance_uid: {r.task for r in each.refusals} for each in report.loops}
    assert all(TASKS[each.task].title in refused[each.sop_instance_uid] for each in readings)


def test_the_digest_tells_every_word_that_changes() -> None:
    """A late loop, another model or a withdrawn value would not give a new report."""
    base = report_of([FOUR], [BY_VIDEO])
    others = [
        report_of([FOUR, TWO], [BY_VIDEO]),
        report_of([replace(FOUR, view="A5C")], [BY_VIDEO]),
        report_of([replace(FOUR, quality=0.3)], [BY_VIDEO]),
        report_of([FOUR], []),
        report_of([FOUR], [replace(BY_VIDEO, version="2")]),
        report_of([FOUR], [replace(BY_VIDEO, digest="f" * 64)]),
        report_of([FOUR], [replace(BY_VIDEO, parameters={"clips": 5})]),
        report_of([FOUR], [said(FOUR, "ejection_fraction", number(EF, 54.01, method=REGRESSION))]),
        report_of([FOUR], [said(FOUR, "ejection_fraction", number(EF, 54, method=REGRESSION, frames=(1, 8)))]),
        report_of([FOUR], [BY_VIDEO], open_or_canceled=[canceled(FOUR, "cmr", "crashed")]),
        report_of([FOUR], [BY_VIDEO], derived=[("overlay", report_of([FOUR]).loops[0].source)]),
        report_of([FOUR], [BY_VIDEO], algorithms=lambda *named: replace(algorithm(*named), title="another")),  # type: ignore[type-var]
        report_of([FOUR], [BY_VIDEO], revision=1),
    ]
    digests = [base.content_digest, *(each.content_digest for each in others)]
    assert len(set(digests)) == len(digests)


def test_stages_that_stand_apart_are_named_even_where_nothing_was_measured() -> None:
    """Who reads a stress study must not take one number for all stages; rest alone needs no such line."""
    rest, peak = loop("1", stage="Baseline"), loop("2", stage="Peak dose")
    remarks = report_of([peak, rest]).remarks
    assert any(each.startswith("stages (Baseline, Peak dose) stand apart") for each in remarks)
    assert not any("stand apart" in each for each in report_of([rest, loop("3")]).remarks)


@pytest.mark.parametrize(("concept", "value"), [(EF, -5.0), (EF, 104.0), (LVIDD, 0.0)])
def test_what_no_heart_can_have_stands_for_no_study(concept: Code, value: float) -> None:
    """A model that fails would head the report with a number that is none."""
    report = report_of([FOUR], [said(FOUR, "ejection_fraction", number(concept, value))])
    assert [each.selected for group in report.groups for each in group.values] == [False]
