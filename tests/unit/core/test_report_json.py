"""A report in the archive: what comes back is what was kept, to the last digit and word."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echonode.core.codes import Code
from echonode.core.errors import BadInput
from echonode.core.report import ReportState
from echonode.core.report_json import of_json, to_json
from echonode.flow.report import apply, content_digest, verified
from tests.support.studies import (
    EF,
    REGRESSION,
    WALL_MOTION,
    canceled,
    loop,
    number,
    reference,
    refusal,
    report_of,
    said,
    view_finding,
)

OF = loop("1", view_confidence=0.1 + 0.2, quality=None, stage="BASELINE")
FULL = report_of(
    [OF, loop("2", contrast=True)],
    [
        said(OF, "view", view_finding(None)),
        said(
            OF,
            "ejection_fraction",
            number(
                EF, 54.123456789012345, method=REGRESSION, uncertainty=9.8, uncertainty_basis="150 studies",
                repeatability=0.1, count=3, site=Code("87878005", "SCT", "Left ventricle"), notes=("ohne EKG – ü",),
            ),
            parameters={"clips": 3, "starts": [0.5, 1]},
        ),
        said(OF, "cmr", number(WALL_MOTION, 1 / 3), view_finding(None), refusal("partly")),
    ],
    predecessors=(reference("older"), reference("old")),
    derived=[("overlay", reference("o")), ("segmentation", reference("s"))],
    open_or_canceled=[canceled(OF, "segmentation", "crashed")],
    revision=3,
)  # fmt: skip


@pytest.mark.parametrize(
    "report",
    [
        FULL,
        verified(apply(FULL, {"EF": 45}, "Dr. Ada"), "Dr. Ada", 1.25, "seen"),
        replace(FULL, state=ReportState.ADDENDUM),
    ],
)
def test_a_report_comes_back_as_it_was(report: object) -> None:
    """A stored report would lose a value, a finding without confidence, or a digit, and could not be written again."""
    back = of_json(json.loads(json.dumps(to_json(report))))  # type: ignore[arg-type]
    assert back == report
    assert repr(back) == repr(report)  # equality of codes ignores the meaning, and this does not
    assert content_digest(back) == back.content_digest


def test_everything_that_can_be_said_is_in_the_sample() -> None:
    """The round trip would be shown for a report in which the hard parts are missing."""
    findings = [finding for group in FULL.groups for finding in group.findings]
    assert any(each.finding.confidence is None for each in findings)
    assert any(
        each.algorithm is not None and each.algorithm.parameters for group in FULL.groups for each in group.values
    )
    assert FULL.loops[0].refusals
    assert FULL.predecessors
    assert FULL.derived


@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_come_back_to_the_last_bit(value: float) -> None:
    """The digest of a report that is read back would differ from the one that was kept."""
    report = report_of([OF], [said(OF, "ejection_fraction", number(EF, value))])
    assert of_json(json.loads(json.dumps(to_json(report)))) == report


def test_fields_that_came_later_have_their_defaults() -> None:
    """After an update the reports of older studies could not be read."""
    plain = to_json(FULL)
    for group in plain["groups"]:
        for value in group["values"]:
            if value["algorithm"] is not None:
                del value["algorithm"]["age_years_min"]
    assert of_json(plain).loops == FULL.loops


def test_what_is_no_report_is_told() -> None:
    """A damaged row would end in a page of validation errors."""
    with pytest.raises(BadInput, match=r"these are no values of a report: state"):
        of_json(to_json(FULL) | {"state": "maybe"})
    with pytest.raises(BadInput):
        of_json({})
