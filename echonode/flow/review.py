"""A person's last word on a report: accepted as it is, with values of their own, or rejected.

The order is one row; the worker's report loop writes the verified report.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from echonode.archive.archive import Archive
from echonode.archive.reports import KeptReport
from echonode.core.errors import BadInput, NotFound
from echonode.core.report import ReportState, StudyReport
from echonode.core.report_json import of_json
from echonode.core.routes import RoutesFile
from echonode.core.settings import WorkSection
from echonode.flow.concepts import ENTERABLE
from echonode.flow.report import apply, verified
from echonode.flow.report_orders import review_request
from echonode.flow.withdraw import Withdrawn, said, take_back


@dataclass(frozen=True, kw_only=True, slots=True)
class Reviewed:
    """An order to write a verified report; `new` is False when the same was said before."""

    study_uid: str
    report_uid: str
    work_id: str
    new: bool


def accept(
    archive: Archive,
    settings: WorkSection,
    *,
    study: str,
    changes: Mapping[str, float],
    by: str,
    comment: str,
    who: str,
) -> Reviewed:
    """Verify the report that stands, or what was added to it since, with `changes` by word ("EF").

    Values that persons entered before stay, unless they are changed.

    Raises:
        NotFound: no such study, or no report of it stands.
        BadInput: nobody is named, or a value is none that a heart can have.
    """
    by, comment = said(by, "the name of who reviews"), " ".join(comment.split())
    study_uid, base = _standing(archive, study)
    current = archive.reports.current(study_uid)
    kept = _entered(of_json(current.content), except_for=changes) if current is not None and current is not base else ()
    report = of_json(base.content)
    for word, value, person in kept:
        report = apply(report, {word: value}, person)
    verified(apply(report, changes, by) if changes else report, by=by, at=archive.clock(), comment=comment)
    request = review_request(
        study_uid,
        report_uid=base.sop_instance_uid,
        changes=changes,
        kept=kept,
        by=by,
        comment=comment,
        at=archive.clock(),
        settings=settings,
    )
    known = {item.id for item in archive.work.list(study_uid=study_uid, kind=request.kind, limit=10_000)}
    with archive.transaction() as connection:
        (work_id,) = archive.work.enqueue(connection, [request])
        archive.audit.write(
            connection,
            event="reviewed",
            study_uid=study_uid,
            sop_instance_uid=base.sop_instance_uid,
            who=who,
            details={"by": by, "set": dict(changes), "comment": comment, "workitem": work_id},
        )
    return Reviewed(study_uid=study_uid, report_uid=base.sop_instance_uid, work_id=work_id, new=work_id not in known)


def reject(
    archive: Archive, routes: RoutesFile, settings: WorkSection, *, study: str, reason: str, by: str, who: str
) -> Withdrawn:
    """Take back the report that stands, or what was added to a person's since.

    No machine makes the same report again: the next one says something new, or is asked for (`process_now`).

    Raises:
        NotFound: no such study, or no report of it stands.
        BadInput: nobody is named, or there is no reason.
    """
    by, reason = said(by, "the name of who reviews"), said(reason, "a reason")
    study_uid, base = _standing(archive, study)
    with archive.transaction() as connection:
        return take_back(
            archive,
            routes,
            settings,
            connection,
            study_uid=study_uid,
            uids=base.uids,
            reason=f"rejected by {by}: {reason}",
            by=by,
            who=who,
        )


def values_of(words: list[str]) -> dict[str, float]:
    """Values as people write them: EF=45.

    Raises:
        BadInput: one is not of that form, or stands twice.
    """
    values: dict[str, float] = {}
    for text in words:
        word, equals, number = (part.strip() for part in text.partition("="))
        try:
            value = float(number.replace(",", "."))
        except ValueError:
            value = float("nan")
        if not equals or not word or math.isnan(value):
            raise BadInput(f"{text!r} is not of the form EF=45")
        if word in values:
            raise BadInput(f"{word} is set twice")
        values[word] = value
    return values


def _standing(archive: Archive, study: str) -> tuple[str, KeptReport]:
    study_uid = archive.index.resolve_study(study)
    base = archive.reports.addendum(study_uid) or archive.reports.current(study_uid)
    if base is None:
        raise NotFound(f"study {study_uid} has no report that stands")
    return study_uid, base


def _entered(report: StudyReport, *, except_for: Mapping[str, float]) -> tuple[tuple[str, float, str], ...]:
    """What persons entered in a verified report: word, value, name."""
    if report.state is not ReportState.VERIFIED:
        return ()
    words = {each.concept: each.word for each in ENTERABLE.values()}
    changed = {word.casefold() for word in except_for}
    return tuple(
        (words[value.measurement.concept], value.measurement.value, value.entered_by)
        for group in report.groups
        for value in group.values
        if value.entered_by
        and value.measurement.concept in words
        and words[value.measurement.concept].casefold() not in changed
    )
