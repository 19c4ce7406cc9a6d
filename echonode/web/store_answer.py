"""What STOW-RS answers: for each instance what became of it and why (PS3.18 10.5.3, annex I.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from echonode.core.text import one_line
from echonode.web.arrival import OUT_OF_RESOURCES, SUCCESS, Outcome

_LONGEST_COMMENT = 64  # PS3.5 6.2: LO
_FAILED, _STORED, _OTHER = "00081198", "00081199", "0008119A"
Model = dict[str, dict[str, Any]]


def status_of(outcomes: Sequence[Outcome]) -> int:
    """200 when all is stored, 202 when some is, 409 when nothing is, 503 when that is for want of room."""
    failed = [outcome for outcome in outcomes if outcome.status != SUCCESS]
    if not failed:
        return 200
    if len(failed) < len(outcomes):
        return 202
    return 503 if all(outcome.status == OUT_OF_RESOURCES for outcome in failed) else 409


def answer_model(outcomes: Sequence[Outcome], *, base_url: str, study_uid: str = "") -> Model:
    """The Store Instances Response Module as DICOM JSON.

    A failure of which not even the SOP Instance UID is known stands under Other Failures. Error Comment says in words
    what Failure Reason says in numbers.
    """
    stored = [_stored(outcome, base_url) for outcome in outcomes if outcome.status == SUCCESS]
    failed = [_failed(outcome) for outcome in outcomes if outcome.status != SUCCESS and outcome.sop_instance_uid]
    other = [_reason(outcome) for outcome in outcomes if outcome.status != SUCCESS and not outcome.sop_instance_uid]
    studies = {outcome.study_uid for outcome in outcomes if outcome.status == SUCCESS}
    study_uid = study_uid or (studies.pop() if len(studies) == 1 else "")
    model: Model = {}
    if study_uid and stored:
        model["00081190"] = _element("UR", f"{base_url}/studies/{study_uid}")
    for tag, items in ((_FAILED, failed), (_STORED, stored), (_OTHER, other)):
        if items:
            model[tag] = {"vr": "SQ", "Value": items}
    return model


def warning_of(outcomes: Sequence[Outcome]) -> str:
    """The text of a Warning header: how many failed, and why the first did; ASCII without quotes."""
    failed = [outcome for outcome in outcomes if outcome.status != SUCCESS]
    if not failed:
        return ""
    text = one_line(f"{len(failed)} of {len(outcomes)} not stored: {failed[0].detail}")[:300]
    harmless = "".join(character if " " <= character <= "~" and character not in '"\\' else "?" for character in text)
    return f'299 echonode "{harmless}"'


def _stored(outcome: Outcome, base_url: str) -> Model:
    url = (
        f"{base_url}/studies/{outcome.study_uid}/series/{outcome.series_uid}/instances/{outcome.sop_instance_uid}"
        if outcome.series_uid
        else f"{base_url}/studies/{outcome.study_uid}"
    )
    return {**_named(outcome), "00081190": _element("UR", url)}


def _failed(outcome: Outcome) -> Model:
    return {**_named(outcome), **_reason(outcome)}


def _named(outcome: Outcome) -> Model:
    return {"00081150": _element("UI", outcome.sop_class_uid), "00081155": _element("UI", outcome.sop_instance_uid)}


def _reason(outcome: Outcome) -> Model:
    reason: Model = {"00081197": _element("US", outcome.status)}
    if outcome.detail:
        comment = one_line(outcome.detail)
        short = comment if len(comment) <= _LONGEST_COMMENT else comment[: _LONGEST_COMMENT - 3] + "..."
        reason["00000902"] = _element("LO", short)
    return reason


def _element(vr: str, value: str | int) -> dict[str, Any]:
    return {"vr": vr, "Value": [value]} if value != "" else {"vr": vr}
