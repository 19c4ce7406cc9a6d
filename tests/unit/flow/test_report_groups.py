"""Groups of a report: a stress stage's number never leaks into another's, and every number says where it was read."""

from __future__ import annotations

import statistics
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echonode.core.codes import Code
from echonode.core.report import StudyReport
from echonode.core.results import Finding
from tests.support.studies import (
    EDV,
    EF,
    EF_A2C,
    EF_A4C,
    EF_BIPLANE,
    LV_AREA,
    LVIDD,
    SINGLE_PLANE,
    TASKS,
    WALL_MOTION,
    algorithm,
    loop,
    number,
    refusal,
    report_of,
    said,
    strip,
    values_of,
)


def titles(report: StudyReport) -> list[str]:
    return [group.title for group in report.groups]


def test_topics_are_apart() -> None:
    """A predicted CMR finding would stand among measurements, and be read as measured."""
    of = loop("1")
    report = report_of([of], [said(of, "ejection_fraction", number(EF, 55)), said(of, "cmr", number(WALL_MOTION, 0.8))])
    assert titles(report) == ["LV function", "CMR findings predicted from echo"]
    assert {value.measurement.concept for value in report.groups[0].values} == {EF}
    assert {value.measurement.concept for value in report.groups[1].values} == {WALL_MOTION}


@pytest.mark.parametrize(
    "value", ["PROB-WMA", "PROB-LGE", "PRED-NT1", "PRED-T2", "PRED-ECV", "CMR-WMA", "WMA-VIEW", "MADE-UP"]
)
def test_whatever_the_cmr_task_says_beside_an_ejection_fraction_is_predicted(value: str) -> None:
    """A private concept would be sorted among what was measured."""
    of = loop("1")
    concept = Code(value, "99ECHONODE", "Predicted")
    tasks = {**TASKS, "cmr": replace(TASKS["cmr"], combine=None)}
    report = report_of([of], [said(of, "cmr", number(concept, 0.5), number(EF, 50))], tasks=tasks)
    assert [(group.topic, len(group.values)) for group in report.groups] == [("lv-function", 1), ("cmr", 1)]


def test_stages_and_contrast_are_groups_of_their_own() -> None:
    """Two stages' numbers under one heading would be read as one state of the heart."""
    states = [(None, False), ("LOW DOSE", False), (None, True), ("PEAK DOSE", True)]
    loops = [loop(str(place), stage=stage, contrast=contrast) for place, (stage, contrast) in enumerate(states)]
    report = report_of(
        loops, [said(each, "ejection_fraction", number(EF, 50 + place)) for place, each in enumerate(loops)]
    )
    assert titles(report) == [
        "LV function",
        "LV function, with contrast",
        "LV function, stage LOW DOSE",
        "LV function, stage PEAK DOSE, with contrast",
    ]
    assert [value.measurement.value for value in values_of(report)] == [50, 52, 51, 53]


def test_the_stage_of_today_counts_not_that_of_the_run() -> None:
    """A stage that was corrected would leave its loop's value in the wrong group."""
    of = loop("1", stage="LOW DOSE")
    report = report_of([of], [said(of, "ejection_fraction", number(EF, 50), stage=None)])
    assert titles(report) == ["LV function, stage LOW DOSE"]


def test_spellings_of_one_stage_are_one_group() -> None:
    """Loops of one stage would be torn apart because a scanner wrote it in two ways."""
    loops = [loop("1", stage="LOW DOSE"), loop("2", stage="Low dose "), loop("3", stage="low_dose")]
    report = report_of(loops, [said(each, "ejection_fraction", number(EF, 50)) for each in loops])
    assert len(report.groups) == 1


def test_combine_sees_one_stage_and_one_contrast_state_at_a_time() -> None:
    """Biplane of a resting A4C and a peak-stress A2C loop: a number that no heart ever had."""
    four, two = loop("1", view="A4C"), loop("2", view="A2C", stage="PEAK DOSE")
    third = loop("3", view="A2C", contrast=True)
    readings = [said(four, "segmentation", number(EF_A4C, 60, method=SINGLE_PLANE))]
    readings += [said(each, "segmentation", number(EF_A2C, 40, method=SINGLE_PLANE)) for each in (two, third)]
    report = report_of([four, two, third], readings)
    assert EF_BIPLANE not in [value.measurement.concept for value in values_of(report)]
    assert all([each.code for each in group.refusals] == ["biplane"] for group in report.groups)
    assert {group.refusals[0].reason for group in report.groups} == {
        "biplane needs an A4C and an A2C loop of one stage"
    }


def test_combine_gives_each_stage_its_own_value() -> None:
    """A stress study would have no biplane value at its stages."""
    loops = [loop(f"{s}{v}", view=v, stage=s) for s in ("BASELINE", "PEAK DOSE") for v in ("A4C", "A2C")]
    readings = [
        said(each, "segmentation", number(EF_A4C, 50 if each.stage == "BASELINE" else 70, method=SINGLE_PLANE))
        for each in loops
    ]
    report = report_of(loops, readings)
    both = [value for value in values_of(report) if value.measurement.concept == EF_BIPLANE]
    assert [value.measurement.value for value in both] == [50, 70]
    assert [value.selected for value in both] == [True, False]


def test_values_of_loops_stand_beside_those_of_the_study_with_their_frames() -> None:
    """The reader could not go to the frames that a number was read from."""
    four, two = loop("1"), loop("2", view="A2C")
    readings = [
        said(four, "segmentation", number(EF_A4C, 60, method=SINGLE_PLANE, frames=(3, 11))),
        said(two, "segmentation", number(EF_A2C, 50, method=SINGLE_PLANE, frames=(4, 12))),
    ]
    (group,) = report_of([four, two], readings).groups
    assert {value.measurement.concept: dict(value.frames) for value in group.values} == {
        EF_BIPLANE: {four.sop_instance_uid: (3, 11), two.sop_instance_uid: (4, 12)},
        EF_A4C: {four.sop_instance_uid: (3, 11)},
        EF_A2C: {two.sop_instance_uid: (4, 12)},
    }


def test_the_mean_over_loops_says_of_how_many_and_how_steady() -> None:
    """One of three loops would stand for the study, and nobody would see that they differ."""
    loops = [strip("1"), strip("2"), strip("3")]
    values = [46.0, 50.0, 57.0]
    readings = [said(each, "mmode", number(LVIDD, value)) for each, value in zip(loops, values, strict=True)]
    (chosen,) = values_of(report_of(loops, readings), selected=True)
    assert chosen.measurement.value == pytest.approx(51.0)
    assert chosen.measurement.count == 3
    assert chosen.measurement.repeatability == pytest.approx(statistics.stdev(values))
    assert chosen.measurement.derivation == Code("373098007", "SCT", "Mean")
    assert set(chosen.frames) == {each.sop_instance_uid for each in loops}
    assert chosen.measurement.frames == ()
    assert "standard deviation" in chosen.measurement.notes[0]


def test_a_single_loop_stands_itself() -> None:
    """A mean of one would claim a repeatability that nobody measured."""
    of = strip("1")
    report = report_of([of], [said(of, "mmode", number(LVIDD, 50))])
    (value,) = values_of(report)
    assert value.selected
    assert value.measurement.derivation is None
    assert value.measurement.frames == (1, 9)


def test_the_limits_of_a_mean_are_those_of_the_loop_with_the_widest() -> None:
    """The report would claim an accuracy of the mean that no test has shown."""
    loops = [strip("1"), strip("2")]
    readings = [
        said(each, "mmode", number(LVIDD, 50, uncertainty=half, uncertainty_basis="150 studies"))
        for each, half in zip(loops, (4.0, 5.0), strict=True)
    ]
    (chosen,) = values_of(report_of(loops, readings), selected=True)
    assert chosen.measurement.uncertainty == 5.0
    assert "150 studies" in chosen.measurement.uncertainty_basis


def test_a_mean_with_a_loop_of_unknown_accuracy_is_of_unknown_accuracy() -> None:
    """Half of the loops' limits would be sold as those of all."""
    loops = [strip("1"), strip("2")]
    readings = [
        said(each, "mmode", number(LVIDD, 50, uncertainty=half)) for each, half in zip(loops, (4.0, None), strict=True)
    ]
    (chosen,) = values_of(report_of(loops, readings), selected=True)
    assert chosen.measurement.uncertainty is None


@pytest.mark.parametrize(
    "change",
    [{"stage": "BASELINE"}, {"contrast": True}, {"stage": "PEAK DOSE"}],
)
def test_no_mean_over_stages_or_contrast(change: dict[str, object]) -> None:
    """Rest and stress would be averaged to a heart in between."""
    one, other = loop("1"), loop("2", **change)
    report = report_of(
        [one, other],
        [said(one, "ejection_fraction", number(EF, 40)), said(other, "ejection_fraction", number(EF, 60))],
    )
    assert sorted(value.measurement.value for value in values_of(report)) == [40, 60]


def test_no_mean_at_a_stress_stage() -> None:
    """Early and late loops of one stage of exercise are not one state of the heart."""
    loops = [loop("1", stage="PEAK-EXERCISE"), loop("2", stage="PEAK-EXERCISE")]
    report = report_of(loops, [said(each, "ejection_fraction", number(EF, 50)) for each in loops])
    assert all(value.measurement.derivation is None for value in values_of(report))


@pytest.mark.parametrize(
    "other",
    [{"model": "another"}, {"parameters": {"clips": 9}}],
)
def test_no_mean_over_models_or_parameters(other: dict[str, object]) -> None:
    """A number would be put down to one model that two made."""
    one, two = loop("1"), loop("2")
    report = report_of(
        [one, two],
        [said(one, "ejection_fraction", number(EF, 50)), said(two, "ejection_fraction", number(EF, 60), **other)],  # type: ignore[arg-type]
    )
    assert all(value.measurement.derivation is None for value in values_of(report))


def test_no_mean_of_areas_over_views() -> None:
    """The area of a cavity in four and in two chambers would be mixed."""
    tasks = {**TASKS, "segmentation": replace(TASKS["segmentation"], combine=None)}
    loops = [loop("1"), loop("2", view="A2C"), loop("3")]
    report = report_of(loops, [said(each, "segmentation", number(LV_AREA, 30)) for each in loops], tasks=tasks)
    means = [value for value in values_of(report) if value.measurement.derivation is not None]
    assert [set(value.frames) for value in means] == [{loops[0].sop_instance_uid, loops[2].sop_instance_uid}]


def test_no_mean_of_single_planes_over_views() -> None:
    """Volumes of two views under one unspecific code would be averaged to one of neither."""
    tasks = {**TASKS, "segmentation": replace(TASKS["segmentation"], combine=None)}
    loops = [loop("1", view="A3C"), loop("2", view="A2C"), loop("3", view="A3C")]
    readings = [said(each, "segmentation", number(EDV, 100, method=SINGLE_PLANE)) for each in loops]
    means = [value for value in values_of(report_of(loops, readings, tasks=tasks)) if len(value.frames) > 1]
    assert [set(value.frames) for value in means] == [{loops[0].sop_instance_uid, loops[2].sop_instance_uid}]


def test_no_mean_of_areas_in_pixels() -> None:
    """Loops that were zoomed differently would be averaged."""
    tasks = {**TASKS, "segmentation": replace(TASKS["segmentation"], combine=None)}
    loops = [loop("1"), loop("3")]
    area = number(LV_AREA, 9000, unit=Code("{pixels}", "UCUM", "pixels"))
    report = report_of(loops, [said(each, "segmentation", area) for each in loops], tasks=tasks)
    assert [len(value.frames) for value in values_of(report)] == [1, 1]


def test_a_study_value_that_only_repeats_a_loops_stands_once() -> None:
    """The same number would be listed twice, and look like two measurements."""
    of = loop("1")
    (value,) = values_of(report_of([of], [said(of, "cmr", number(WALL_MOTION, 0.4))]))
    assert dict(value.frames) == {of.sop_instance_uid: ()}
    assert value.measurement.count == 1


def test_readings_of_our_own_objects_are_left_out() -> None:
    """A model that ran on a slow-motion loop would measure generated frames into the report."""
    made = loop("2", derived=True)
    assert report_of([loop("1"), made], [said(made, "ejection_fraction", number(EF, 50))]).groups == ()


def test_the_same_reading_by_two_routes_counts_once() -> None:
    """A loop that two routes send to one model would weigh twice in the mean."""
    one, two = strip("1"), strip("2")
    readings = [
        said(one, "mmode", number(LVIDD, 40)), said(one, "mmode", number(LVIDD, 40), route="again"),
        said(two, "mmode", number(LVIDD, 50)),
    ]  # fmt: skip
    report = report_of([one, two], readings)
    assert values_of(report, selected=True)[0].measurement.value == 45
    assert len(values_of(report)) == 3


def test_a_fused_value_names_what_is_true_of_any_of_its_models() -> None:
    """A finding of which one model saw simulated data alone would look like one that only saw patients."""
    of = loop("1")
    readings = [
        said(of, "cmr", number(WALL_MOTION, 0.3), model="cmr-a4c"),
        said(of, "cmr", number(WALL_MOTION, 0.7), model="simulated-a4c"),
    ]
    report = report_of([of], readings, algorithms=lambda *named: None if named[0] == "fused" else algorithm(*named))
    (chosen,) = values_of(report, selected=True)
    assert chosen.measurement.value == 0.7
    assert chosen.algorithm is not None
    assert chosen.algorithm.name == "fused"
    assert chosen.algorithm.simulated


def test_findings_of_other_tasks_are_kept_with_their_loop() -> None:
    """A coded answer ("Akinesis") would be dropped."""
    of = loop("1")
    concept, value = Code("PRED-WM", "99ECHONODE", "Predicted wall motion"), Code("195675009", "SCT", "Akinesis")
    finding = Finding(concept=concept, value=value, confidence=0.6, frames=(2,))
    report = report_of([of], [said(of, "cmr", finding, number(WALL_MOTION, 0.6))])
    (kept,) = report.groups[0].findings
    assert (kept.finding, dict(kept.frames)) == (finding, {of.sop_instance_uid: (2,)})


def test_a_task_whose_combine_is_gone_says_so_and_loses_no_value() -> None:
    """A removed plug-in would take the whole report with it."""
    tasks = {**TASKS, "segmentation": replace(TASKS["segmentation"], combine="no.such:thing")}
    of = loop("1")
    (group,) = report_of([of], [said(of, "segmentation", number(EF_A4C, 60, method=SINGLE_PLANE))], tasks=tasks).groups
    assert len(group.values) == 1
    assert group.refusals[0].reason.startswith("its loops cannot be combined")


def test_a_task_whose_combine_raises_says_so_and_loses_no_value() -> None:
    """A fault in somebody's plug-in would leave every study without its report."""
    tasks = {**TASKS, "segmentation": replace(TASKS["segmentation"], combine="statistics:mean")}
    of = loop("1")
    (group,) = report_of([of], [said(of, "segmentation", number(EF_A4C, 60, method=SINGLE_PLANE))], tasks=tasks).groups
    assert len(group.values) == 1
    assert group.refusals[0].reason.startswith("its loops cannot be combined: TypeError")


def test_a_task_that_only_refused_is_not_combined() -> None:
    """ "biplane needs ..." would be said of a study in which no loop could be segmented at all."""
    of = loop("1")
    assert report_of([of], [said(of, "segmentation", refusal())]).groups == ()


def test_a_task_that_is_not_installed_any_more_keeps_its_values() -> None:
    """Taking a task away would empty the reports of studies that it measured."""
    of = loop("1")
    report = report_of([of], [said(of, "gone", number(EDV, 100))])
    assert [value.measurement.concept for value in values_of(report)] == [EDV]


@given(values=st.lists(st.floats(10, 90), min_size=2, max_size=6), data=st.data())
def test_the_mean_is_the_same_to_the_last_bit_in_any_order(values: list[float], data: st.DataObject) -> None:
    """A late loop's arrival order would change the digits, and every sweep would make a new report."""
    loops = [strip(str(place)) for place in range(len(values))]
    pairs = list(zip(loops, values, strict=True))
    order = data.draw(st.permutations(pairs))
    reports = [
        report_of([each for each, _ in ordered], [said(each, "mmode", number(LVIDD, value)) for each, value in ordered])
        for ordered in (pairs, order)
    ]
    one, other = (values_of(report, selected=True)[0].measurement for report in reports)
    assert one == other
    assert reports[0].content_digest == reports[1].content_digest
