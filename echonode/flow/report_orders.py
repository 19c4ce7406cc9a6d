"""What the report loop of the worker is asked for, as workitems: one queue, one at a time, in the order of asking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from echonode.core.identity import digest_of, new_id
from echonode.core.settings import WorkSection
from echonode.core.work import WorkKind, WorkRequest

QUEUE = "report"
PEOPLE_FIRST = 100
"""Above what a machine asks for by itself."""


class Order(StrEnum):
    """What a REPORT workitem wants."""

    COMPOSE = "compose"  # a machine's report of what is known of the study
    REVIEW = "review"  # a person's report of a machine's
    REISSUE = "reissue"  # a person's report once more, under a corrected identity
    REJECT = "reject"  # a rejection note of results that were withdrawn


def compose_request(study_uid: str, *, revision: int, settings: WorkSection) -> WorkRequest:
    """The report of a study that is due; asked for in the transaction that takes it from what is due."""
    return _request(study_uid, Order.COMPOSE, f"{revision}|{new_id()}", {}, settings)


def review_request(
    study_uid: str,
    *,
    report_uid: str,
    changes: Mapping[str, float],
    kept: Sequence[tuple[str, float, str]],
    by: str,
    comment: str,
    at: float,
    settings: WorkSection,
) -> WorkRequest:
    """A person's word on the report `report_uid`; the same word twice is one.

    `kept` are values that persons entered in an earlier one: word, value, name.
    """
    words = {
        "report": report_uid,
        "changes": dict(changes),
        "kept": [list(each) for each in kept],
        "by": by,
        "comment": comment,
    }
    return _request(study_uid, Order.REVIEW, digest_of(words), words | {"at": at}, settings, priority=PEOPLE_FIRST)


def reissue_request(study_uid: str, *, report_uid: str, revision: int, settings: WorkSection) -> WorkRequest:
    """The person's report `report_uid` under the identity that the study has now."""
    words = {"report": report_uid}
    return _request(study_uid, Order.REISSUE, f"{report_uid}|{revision}", words, settings, priority=PEOPLE_FIRST)


def reject_request(
    study_uid: str,
    *,
    uids: Sequence[str],
    destinations: Sequence[str],
    reason: str,
    by: str,
    wrong_patient: bool,
    settings: WorkSection,
) -> WorkRequest:
    """A rejection note of the objects `uids` to `destinations`."""
    words = {
        "uids": sorted(uids),
        "destinations": sorted(destinations),
        "reason": reason,
        "by": by,
        "wrong_patient": wrong_patient,
    }
    return _request(study_uid, Order.REJECT, digest_of(words), words, settings, priority=PEOPLE_FIRST)


def _request(
    study_uid: str, order: Order, key: str, words: Mapping[str, Any], settings: WorkSection, *, priority: int = 0
) -> WorkRequest:
    return WorkRequest(
        kind=WorkKind.REPORT,
        queue=QUEUE,
        unique_key=f"report|{order}|{study_uid}|{key}",
        study_uid=study_uid,
        payload={"order": str(order), **words},
        correlation_id=new_id(),
        priority=priority,
        max_attempts=settings.run_attempts,
    )
