"""What a model of another package measured, under a code that echonode does not know, is in the report for itself."""

from __future__ import annotations

from dataclasses import replace

from echonode.core.codes import Code
from echonode.core.results import Finding
from echonode.core.task import TaskSpec
from echonode.flow.concepts import concept_of
from echonode.flow.report_text import lines_of
from tests.support.studies import EF, TASKS, loop, number, refusal, report_of, said, values_of

WINDOW = Code("WINDOW", "99ACME", "Acoustic window")
OWN = {**TASKS, "window": TaskSpec(name="window", title="Acoustic window", runner="none:none")}


def test_a_number_of_unknown_concept_has_a_topic_of_its_own() -> None:
    """It would stand among numbers of the left ventricle, of which nobody knows whether it is one."""
    of = loop("1")
    report = report_of([of], [said(of, "window", number(WINDOW, 71)), said(of, "ejection_fraction", number(EF, 55))])
    assert [(group.topic, group.title) for group in report.groups] == [
        ("lv-function", "LV function"),
        ("further", "Further measurements"),
    ]
    assert [value.measurement.concept for value in report.groups[1].values] == [WINDOW]
    assert any(line.split()[:3] == ["Acoustic", "window", "71"] for line in lines_of(report))


def test_an_answer_and_a_refusal_of_such_a_task_are_there_too() -> None:
    of = loop("1")
    answer = Finding(concept=WINDOW, value=Code("GOOD", "99ACME", "Good"), confidence=0.8)
    tasks = {**OWN, "window": replace(OWN["window"], combine="tests.support.studies:biplane_of_all")}
    report = report_of([of], [said(of, "window", answer, refusal("too dark"))], tasks=tasks)
    assert [(group.topic, len(group.findings)) for group in report.groups] == [("further", 1)]
    assert [each.reason for each in report.loops[0].refusals] == ["too dark"]


def test_a_private_code_of_somebody_else_is_never_an_ejection_fraction() -> None:
    """Private schemes choose their values freely: 99ACME's 18043-0 would head the report as an ejection fraction."""
    of = loop("1")
    foreign = Code("18043-0", "99ACME", "Something else")
    report = report_of([of], [said(of, "window", number(foreign, 99)), said(of, "ejection_fraction", number(EF, 55))])
    assert concept_of(foreign).name != concept_of(EF).name
    assert [group.topic for group in report.groups] == ["lv-function", "further"]
    assert {value.measurement.value for value in values_of(report) if value.selected} == {55, 99}


def test_a_known_code_is_what_it_is_whoever_says_it() -> None:
    of = loop("1")
    report = report_of([of], [said(of, "window", number(EF, 55))])
    assert [group.topic for group in report.groups] == ["lv-function"]
