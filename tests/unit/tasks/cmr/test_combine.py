"""One prediction a study: a view that was recorded often, or another finding, must not sway it."""

from __future__ import annotations

import math
from typing import Any

import pytest

from echonode.core.readings import KeptReading, StudyValue
from echonode.core.results import Ineligible
from echonode.tasks.cmr.combine import combine
from echonode.tasks.cmr.reading import Reading


def kept(
    uid: str, view: str | None, number: float, *, finding: str = "scar", model: str = "", **values: Any
) -> KeptReading:
    reading = Reading(
        finding=finding, mode="clinical", per_clip=(number,), starts_ms=(0.0,), frames=(0, 2), **values
    )  # fmt: skip
    return KeptReading(
        sop_instance_uid=uid, study_uid="2.25.1", task="cmr", model=model or f"{view}-{finding}".lower(), version="1",
        digest=f"digest-{view}-{finding}", route="r", work_id=uid, results=reading.results(), details=reading.details(),
        view=view,
    )  # fmt: skip


def study_values(*readings: KeptReading) -> list[StudyValue]:
    said = combine(readings)
    assert all(isinstance(each, StudyValue) for each in said)
    return [each for each in said if isinstance(each, StudyValue)]


def logistic(number: float) -> float:
    return 100 / (1 + math.exp(-number))


def test_views_are_fused_by_the_mean_of_their_logits() -> None:
    (value,) = study_values(kept("1", "A4C", 2.0), kept("2", "A2C", -1.0))
    number = value.measurement
    assert number.value == pytest.approx(logistic(0.5))
    assert number.repeatability == pytest.approx((logistic(2.0) - logistic(-1.0)) / 2**0.5)
    assert number.count == 2
    assert number.frames == ()
    assert value.frames == {"1": (0, 2), "2": (0, 2)}
    assert (value.model, value.digest) == ("a2c-scar + a4c-scar", "digest-A2C-scar + digest-A4C-scar")
    assert "mean of logits over A2C 27 %, A4C 88 %" in number.notes[0]


def test_a_view_that_was_recorded_three_times_speaks_once() -> None:
    (value,) = study_values(
        kept("1", "A4C", 3.0), kept("2", "A4C", 3.0), kept("3", "A4C", 3.0), kept("4", "PLAX", -3.0)
    )
    assert value.measurement.value == pytest.approx(50.0)
    assert "A4C 95 % (3 loops)" in value.measurement.notes[0]


def test_findings_that_share_a_concept_are_not_mixed() -> None:
    values = study_values(
        kept("1", "A4C", 2.0, finding="segment-motion"), kept("2", "A2C", -2.0, finding="wall-motion")
    )
    assert {value.measurement.concept.value for value in values} == {"PROB-WMA"}
    assert sorted(value.measurement.value for value in values) == pytest.approx([logistic(-2), logistic(2)])


def test_a_single_loop_is_told_as_it_is() -> None:
    one = kept("1", "A4C", 2.0, finding="segment-motion")
    (value,) = study_values(one)
    assert value.measurement.value == one.measurements[0].value
    assert value.measurement.notes == one.measurements[0].notes
    assert (value.model, value.version) == (one.model, "1")


def test_a_regression_has_the_plain_mean_and_limits_only_where_every_loop_has() -> None:
    from echonode.tasks.common.uncertainty import Limits

    wide, narrow = Limits(half_width=90.0, basis="a test"), Limits(half_width=70.0, basis="a test")
    (value,) = study_values(
        kept("1", "A4C", 980.0, finding="native-t1", limits=wide),
        kept("2", "A2C", 1060.0, finding="native-t1", limits=narrow),
    )
    assert value.measurement.value == pytest.approx(1020.0)
    assert value.measurement.uncertainty == 90.0
    assert value.measurement.uncertainty_basis == "of a single loop: a test"
    (value,) = study_values(
        kept("1", "A4C", 980.0, finding="native-t1", limits=wide), kept("2", "A2C", 1060.0, finding="native-t1")
    )
    assert value.measurement.uncertainty is None


def test_refusals_and_what_is_no_number_are_left_out() -> None:
    refused = KeptReading(
        sop_instance_uid="3", study_uid="2.25.1", task="cmr", model="m", version="1", digest="d", route="r", work_id="3",
        results=(Ineligible(reason="it is a still image"),),
    )  # fmt: skip
    odd = KeptReading(
        sop_instance_uid="4", study_uid="2.25.1", task="cmr", model="m", version="1", digest="d", route="r", work_id="4",
        results=kept("4", "A4C", 1.0).results, details={"finding": "scar", "logit": "high"},
    )  # fmt: skip
    (value,) = study_values(kept("1", "A4C", 2.0), refused, odd)
    assert value.measurement.value == pytest.approx(logistic(2.0))
    assert combine((refused,)) == []
