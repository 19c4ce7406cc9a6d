"""What a report says of each loop: the reader sees what every object shows and why there is no number from it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from echonode.core.clip import Mode
from echonode.core.routes import RoutesFile
from echonode.core.states import WorkState
from tests.support.studies import (
    EF,
    PERCENT,
    REGRESSION,
    ROUTES,
    canceled,
    loop,
    number,
    reference,
    refusal,
    report_of,
    said,
    strip,
    view_finding,
)


def test_every_object_with_pixels_from_elsewhere_has_one_entry() -> None:
    """A result of ours or a report page would be listed as a loop of the scanner, or a loop would be missing."""
    facts = [loop("1"), loop("2", derived=True), loop("3", has_pixels=False), loop("4")]
    report = report_of(facts)
    assert [(each.number, each.source.sop_instance_uid[-1]) for each in report.loops] == [(1, "1"), (2, "4")]


def test_a_loop_says_what_it_shows_and_how_that_is_known() -> None:
    """The reader could not tell a view that a scanner coded from one that a network guessed."""
    of = loop(
        "1", view="A4C", view_reason="classifier: A4C with 0.93", view_confidence=0.93, view_source="classifier",
        quality=0.7, stage="BASELINE", contrast=True,
    )  # fmt: skip
    (told,) = report_of([of], [said(of, "view", view_finding(0.93))]).loops
    assert told.view is not None
    assert (told.view.value, told.view_confidence, told.quality) == ("399214001", 0.93, 0.7)
    assert (told.mode, told.mode_reason, told.view_reason) == ("2d", of.mode_reason, of.view_reason)
    assert (told.stage, told.contrast, told.frames) == ("BASELINE", True, 48)
    assert told.algorithm is not None
    assert told.algorithm.name == "view-model"


def test_a_view_of_the_header_has_no_algorithm() -> None:
    """A view that a person or a scanner set would be put down to a model."""
    (told,) = report_of([loop("1")]).loops
    assert told.algorithm is None


def test_the_reference_of_the_archive_is_used() -> None:
    """After a coercion the report would point at a series that the PACS does not know."""
    of = loop("1")
    own = replace(reference("x"), sop_instance_uid=of.sop_instance_uid)
    report = report_of([of], references={of.sop_instance_uid: own})
    assert report.loops[0].source == own


def test_every_refusal_of_every_run_is_kept_with_its_model() -> None:
    """A sonographer would not learn why a loop gave nothing, and would not record a better one."""
    of = loop("1")
    readings = [
        said(of, "ejection_fraction", refusal("the patient is 14 years old", "age")),
        said(of, "segmentation", refusal("too few frames show a cavity"), refusal("no calibration", "calibration")),
        said(of, "view", refusal("nothing is lit", "empty")),
    ]
    (told,) = report_of([of], readings).loops
    assert {(each.task, each.reason) for each in told.refusals} == {
        ("Ejection fraction", "the patient is 14 years old"),
        ("Segmentation of the left heart", "too few frames show a cavity"),
        ("Segmentation of the left heart", "no calibration"),
        ("View of the heart", "nothing is lit"),
    }
    assert all(each.algorithm is not None and each.source == told.source for each in told.refusals)


def test_a_partial_refusal_stands_beside_the_values() -> None:
    """ "LVID refused off the LV level" would be lost because the same run gave a heart rate."""
    of = strip("1")
    report = report_of(
        [of], [said(of, "mmode", number(EF, 55, method=REGRESSION), refusal("off the LV level", "level"))]
    )
    assert [each.reason for each in report.loops[0].refusals] == ["off the LV level"]
    assert report.groups[0].values


def test_the_same_refusal_of_two_routes_is_said_once() -> None:
    """The same model asked twice would fill the report with the same sentence."""
    of = loop("1")
    readings = [said(of, "cmr", refusal(), route=name) for name in ("cmr", "cmr-again")]
    assert len(report_of([of], readings).loops[0].refusals) == 1


def test_an_object_that_no_route_takes_says_what_the_nearest_route_asks_for() -> None:
    """A Doppler loop would be in the report without a word on why nothing was measured."""
    of = loop("1", mode=Mode.PW, mode_reason="one spectral region", view=None)
    (told,) = report_of([of]).loops
    assert [each.reason for each in told.refusals] == ["no route takes it: mode is pw, not 2d or m-mode"]
    assert told.refusals[0].code == "no-route"


def test_the_view_that_is_missing_is_named_and_its_reason_left_out() -> None:
    """The line would be so long that nobody reads it: the view's reason stands with the loop already."""
    of = loop("1", view="PLAX", view_reason="View Name 'PLAX long words'")
    (told,) = report_of([of], [said(of, "view", view_finding())]).loops
    assert [each.reason for each in told.refusals] == ["no route measures it: view is PLAX, not A4C or A2C"]


def test_a_loop_that_only_slow_motion_is_for_says_nothing() -> None:
    """A site that wants slow motion alone would read of a missing measurement at every loop."""
    of = loop("1")
    routes = RoutesFile(route=(ROUTES.route[4],))
    (told,) = report_of([of], [said(of, "view", view_finding())], routes=routes).loops
    assert told.refusals == ()


def test_a_route_that_would_take_it_today_is_named() -> None:
    """After a change of routes.toml the report would claim that no route takes the loop."""
    (told,) = report_of([loop("1")]).loops
    assert told.refusals[0].reason == "route ef takes it, and has not run on it since it was stored"


def test_disabled_routes_are_not_near() -> None:
    """The reason would name a route that the site switched off."""
    routes = RoutesFile(route=tuple(each.model_copy(update={"enabled": False}) for each in ROUTES.route))
    (told,) = report_of([loop("1")], routes=routes).loops
    assert told.refusals[0].reason == "no route takes it: there is none that is enabled"


@pytest.mark.parametrize(
    ("reason", "expected", "code"),
    [
        ("there is no model 'ef-model'; there are: optical-flow", "model ef-model is not installed", "not-installed"),
        ("the runner ran out of memory", "given up: the runner ran out of memory", "given-up"),
        ("", "given up: no reason was kept", "given-up"),
    ],
)
def test_a_run_that_was_given_up_says_why(reason: str, expected: str, code: str) -> None:
    """A missing model or a crash would look like a loop that nobody wanted to measure."""
    of = loop("1")
    report = report_of([of], open_or_canceled=[canceled(of, "ejection_fraction", reason)])
    (told,) = report.loops[0].refusals
    assert (told.task, told.reason, told.code) == ("Ejection fraction", expected, code)


def test_a_run_that_is_open_says_so() -> None:
    """`study process-now` before the runs are through would give a report that hides what is still to come."""
    of = loop("1")
    report = report_of([of], open_or_canceled=[canceled(of, "ejection_fraction", "", state=WorkState.SCHEDULED)])
    assert report.loops[0].refusals[0].reason == "has not run yet"


def test_a_run_that_succeeded_later_is_no_refusal() -> None:
    """The retried run's value would stand beside the sentence that it was given up."""
    of = loop("1")
    reading = said(of, "ejection_fraction", number(EF, 55, method=REGRESSION))
    report = report_of([of], [reading], open_or_canceled=[canceled(of, "ejection_fraction", "crashed")])
    assert report.loops[0].refusals == ()


def test_a_run_whose_route_does_not_want_the_loop_any_more_is_no_refusal() -> None:
    """A view that was corrected to PLAX would leave "given up" of the ejection fraction's run behind."""
    of = loop("1", view="PLAX")
    report = report_of([of], open_or_canceled=[canceled(of, "ejection_fraction", "the view was corrected")])
    assert [each.code for each in report.loops[0].refusals] == ["no-route"]


def test_what_is_said_of_hidden_objects_is_left_out() -> None:
    """The value of a loop that was withdrawn would head the report."""
    hidden = loop("2")
    report = report_of([loop("1")], [said(hidden, "ejection_fraction", number(EF, 20, method=REGRESSION))])
    assert report.groups == ()
    assert PERCENT not in [value.measurement.unit for group in report.groups for value in group.values]
