"""How far two models agree: over what both saw alone, in one unit, refusals and answers counted apart."""

from __future__ import annotations

import pytest

from echonode.core.codes import PRIVATE_SCHEME, Code
from echonode.core.readings import KeptReading
from echonode.core.results import Finding, Ineligible, Measurement, Result
from echonode.core.view_codes import VIEWS
from echonode.flow.agreement import OBJECT, STUDY, Comparison, answers, compare, study_answers

PERCENT, MM, CM = Code("%", "UCUM", "percent"), Code("mm", "UCUM", "mm"), Code("cm", "UCUM", "cm")
PIXELS = Code("{pixels}", "UCUM", "pixels")
EF, EF_BIPLANE = Code("18043-0", "LN", "EF"), Code("79991-6", "LN", "EF biplane")
LVID_D = Code("29436-3", "LN", "LVIDd")
VIEW = Code("111031", "DCM", "Image View")
AREA = Code("LVAREA", PRIVATE_SCHEME, "LV area")


def number(concept: Code, value: float, unit: Code = PERCENT, method: Code | None = None) -> Measurement:
    return Measurement(concept=concept, value=value, unit=unit, method=method)


def view(name: str) -> Finding:
    return Finding(concept=VIEW, value=VIEWS[name])


def reading(uid: str, *results: Result, study: str = "", stage: str | None = None) -> KeptReading:
    return KeptReading(
        sop_instance_uid=uid, study_uid=study or f"study of {uid}", task="t", model="m", version="1", digest="d",
        route="r", work_id="w", results=results, stage=stage,
    )  # fmt: skip


def compared(a: list[KeptReading], b: list[KeptReading]) -> Comparison:
    return compare(answers(a), answers(b), a="old", b="new", case=OBJECT)


def test_bias_and_limits_are_of_the_objects_that_both_measured() -> None:
    a = [reading(f"{n}", number(EF, 50 + n)) for n in range(6)] + [reading("only a", number(EF, 5))]
    b = [reading(f"{n}", number(EF, 48 + n + (n % 2))) for n in range(6)] + [reading("only b", number(EF, 95))]
    found = compared(a, b)
    (ef,) = found.concepts
    assert (found.seen_a, found.seen_b, found.both, len(ef.pairs), ef.studies) == (7, 7, 6, 6, 6)
    assert ef.agreement is not None
    assert ef.agreement.bias.value == pytest.approx(1.5)
    assert ef.agreement.sd == pytest.approx(0.5477, abs=1e-3)
    assert (ef.pairs[1].difference, ef.pairs[1].sop_instance_uid) == (1.0, "1")


def test_codes_of_one_quantity_and_its_units_are_one() -> None:
    found = compared(
        [reading("1", number(EF, 55), number(LVID_D, 48, MM)), reading("2", number(LVID_D, 50, MM))],
        [reading("1", number(EF_BIPLANE, 60), number(LVID_D, 4.7, CM)), reading("2", number(LVID_D, 300, PIXELS))],
    )
    ef, diameter = found.concepts
    assert ([round(each.difference, 6) for each in ef.pairs], ef.agreement) == ([-5.0], None)
    assert [round(each.difference, 6) for each in diameter.pairs] == [1.0]
    assert (diameter.unit, diameter.uneven) == ("mm", 1)


def test_the_best_of_several_numbers_of_a_loop_is_compared() -> None:
    """Teichholz beside disks would otherwise be what a new model is judged by."""
    teichholz, disks = Code("125209", "DCM", "Teichholz"), Code("125208", "DCM", "Method of Disks, Single Plane")
    found = compared(
        [reading("1", number(EF, 70, method=teichholz), number(EF, 55, method=disks))], [reading("1", number(EF, 54))]
    )
    assert [each.a for each in found.concepts[0].pairs] == [55]


def test_refusals_are_told_by_who_refused_and_why() -> None:
    dark, view_wrong = Ineligible(reason="too dark"), Ineligible(reason="not a four-chamber view")
    ok = number(EF, 55)
    found = compared(
        [reading("1", dark), reading("2", dark), reading("3", ok), reading("4", ok, dark), reading("5", view_wrong)],
        [reading("1", view_wrong), reading("2", ok), reading("3", view_wrong), reading("4", ok), reading("6", dark)],
    )
    told = found.refusals
    assert (told.both, told.only_a, told.only_b, told.neither) == (1, 1, 1, 1)
    assert told.reasons_a == (("too dark", 2),)
    assert told.reasons_b == (("not a four-chamber view", 2),)


def test_answers_are_compared_by_what_was_answered() -> None:
    found = compared(
        [reading("1", view("A4C")), reading("2", view("A4C")), reading("3", view("PLAX"))],
        [reading("1", view("A4C")), reading("2", view("A2C")), reading("3", view("PLAX"))],
    )
    (views,) = found.findings
    assert (views.n, views.same) == (3, 2)
    assert (VIEWS["A4C"].meaning, VIEWS["A2C"].meaning, 1) in views.table
    assert found.refusals.neither == 3


def test_a_study_is_the_mean_of_its_loops_at_rest() -> None:
    said = study_answers(
        [
            reading("1", number(EF, 50), number(AREA, 30), study="s"),
            reading("2", number(EF, 56), study="s", stage="REST"),
            reading("3", number(EF, 75), study="s", stage="PEAK"),
            reading("4", Ineligible(reason="too dark"), study="s"),
            reading("5", Ineligible(reason="too dark"), study="dark"),
        ]
    )
    assert {name: each.value for name, each in said["s"].values.items()} == {"ejection-fraction": 53.0}
    assert not said["s"].refused
    assert said["dark"].refused
    other = study_answers([reading("9", number(EF, 50), study="s")])
    found = compare(said, other, a="a", b="b", case=STUDY)
    assert [(each.study_uid, each.sop_instance_uid, each.difference) for each in found.concepts[0].pairs] == [
        ("s", "", 3.0)
    ]


def test_nothing_in_common_is_no_error() -> None:
    found = compared([reading("1", number(EF, 50))], [reading("2", number(EF, 50))])
    assert (found.both, found.concepts, found.findings) == (0, (), ())
    assert found.as_dict()["refusals"]["neither"] == 0
