"""Taking results back: no delivery goes out any more, no query finds them, and who had received one is told so."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from echonode.archive.archive import Archive
from echonode.archive.withdrawals import KEY_OBJECTS
from echonode.core.errors import BadInput, IllegalTransition, NotFound
from echonode.core.report import ReportState
from echonode.core.routes import RoutesFile
from echonode.core.settings import WorkSection
from echonode.core.states import WorkState
from echonode.core.work import WorkItem, WorkKind
from echonode.flow.report_orders import reject_request

REJECTION = "rejection"
MOST_ITEMS = 100_000
LONGEST_REASON = 400


@dataclass(frozen=True, kw_only=True, slots=True)
class Withdrawn:
    """What was taken back now; `before` counts what had been already, `noted` are destinations that get a note."""

    study_uid: str
    uids: tuple[str, ...]
    before: int
    canceled: int
    noted: tuple[str, ...]


def withdraw(
    archive: Archive, routes: RoutesFile, settings: WorkSection, *, target: str, reason: str, by: str, who: str
) -> Withdrawn:
    """Take back one result, or with a study everything that was made of it. `by` is the person, `who` gave the order.

    A report goes with its document and its measurements. What models said of single loops still counts, except where the
    whole study is named: then runs that have not ended are canceled too. Doing it twice does nothing more.

    Raises:
        NotFound: no such object or study.
        BadInput: the object came from elsewhere, or there is no reason or name.
    """
    reason, by = said(reason, "a reason"), said(by, "a name")
    stored = archive.index.instance(target)
    if stored is not None and not (stored.hidden and not stored.withdrawn):
        if not stored.derived:
            raise BadInput(f"{target} came from elsewhere; only what this node made can be withdrawn")
        if stored.sop_class_uid == KEY_OBJECTS:
            raise BadInput(f"{target} is a rejection note; it cannot be withdrawn")
        report = archive.reports.get(target)
        study_uid, uids = stored.study_uid, list(report.uids if report else (target,))
        whole = False
    else:
        study_uid = _study(archive, target)
        uids = [each.sop_instance_uid for each in archive.withdrawals.results(study_uid) if not each.is_note]
        report, whole = None, True
    with archive.transaction() as connection:
        taken = take_back(
            archive, routes, settings, connection, study_uid=study_uid, uids=uids, reason=reason, by=by, who=who
        )
        if whole:
            for item in archive.work.open_runs(connection, study_uid=study_uid):
                outcome = {"result": "superseded", "reason": reason}
                archive.work.cancel(
                    item.id, reason=f"the study was withdrawn: {reason}", outcome=outcome, conn=connection
                )
            archive.withdrawals.forget_readings(connection, study_uid)
            archive.studies.due(connection, study_uid, wanted=False)
        elif report is None and taken.uids:
            archive.studies.due(connection, study_uid)  # the report must not point at what is not there any more
    return taken


def take_back(
    archive: Archive,
    routes: RoutesFile,
    settings: WorkSection,
    connection: Connection,
    *,
    study_uid: str,
    uids: Collection[str],
    reason: str,
    by: str,
    who: str,
    wrong_patient: bool = False,
) -> Withdrawn:
    """As `withdraw`, of objects of one study in the caller's transaction; `wrong_patient` when they name somebody else."""
    taken = archive.withdrawals.hide(connection, uids, reason=f"{reason} ({by})")
    archive.reports.withdraw(connection, taken)
    canceled, received = _deliveries(archive, connection, study_uid, set(taken), reason)
    noted = [
        destination.name
        for destination in routes.destination
        if destination.name in received and destination.kinds is not None and REJECTION in destination.kinds
    ]
    if noted:
        note = reject_request(
            study_uid,
            uids=taken,
            destinations=noted,
            reason=reason,
            by=by,
            wrong_patient=wrong_patient,
            settings=settings,
        )
        archive.work.enqueue(connection, [note])
    for uid in taken:
        archive.audit.write(
            connection,
            event="withdrawn",
            study_uid=study_uid,
            sop_instance_uid=uid,
            who=who,
            details={"reason": reason, "by": by, "note_to": noted},
        )
    return Withdrawn(
        study_uid=study_uid,
        uids=tuple(taken),
        before=len(uids) - len(taken),
        canceled=canceled,
        noted=tuple(noted),
    )


def said(text: str, what: str) -> str:
    """`text` as one line.

    Raises:
        BadInput: it is empty or too long.
    """
    line = " ".join(text.split())
    if not line:
        raise BadInput(f"{what} is needed")
    if len(line) > LONGEST_REASON:
        raise BadInput(f"{what} has {len(line)} characters; {LONGEST_REASON} at most")
    return line


def states_of(archive: Archive, study_uid: str) -> list[dict[str, object]]:
    """Every result of the study: kind, model, how it stands, why, and its deliveries, in the order of making."""
    items = archive.work.list(study_uid=study_uid, limit=MOST_ITEMS)
    kinds: dict[str, tuple[str, str]] = {}
    for item in items:
        if item.kind is WorkKind.DELIVER and item.payload.get("kind"):
            kinds.setdefault(item.sop_instance_uid, (str(item.payload["kind"]), ""))
    for item in items:
        model = str(item.outcome.get("model") or item.queue) if item.kind is WorkKind.RUN else ""
        kinds |= {uid: (kind, model) for uid, kind in made_by(item).items()}
    reports = {
        uid: (each, uid == each.sop_instance_uid) for each in archive.reports.all(study_uid) for uid in each.uids
    }
    rows: list[dict[str, object]] = []
    for result in archive.withdrawals.results(study_uid):
        uid = result.sop_instance_uid
        kind, model = kinds.get(uid, ("", ""))
        state = "withdrawn" if result.withdrawn else "current"
        if uid in reports:
            report, is_it = reports[uid]
            state = "withdrawn" if result.withdrawn else str(report.status)
            if is_it:
                kind = "report" if report.state is ReportState.PRELIMINARY else f"report, {report.state}"
            else:
                kind = next(each.kind for each in report.objects if each.sop_instance_uid == uid)
        deliveries = [
            {"destination": item.queue, "state": str(item.state), "id": item.id, "reason": item.reason}
            for item in items
            if item.kind is WorkKind.DELIVER and item.sop_instance_uid == uid
        ]
        rows.append(
            {
                "sop_instance_uid": uid,
                "kind": kind,
                "model": model,
                "state": state,
                "reason": result.withdrawn,
                "size": result.size,
                "made_at": result.received_at,
                "deliveries": deliveries,
            }
        )
    return rows


def made_by(item: WorkItem) -> dict[str, str]:
    """The objects that a workitem made: SOP Instance UID -> kind."""
    made = {str(each["uid"]): str(each["kind"]) for each in item.outcome.get("objects", ())}
    if only := item.outcome.get("sop_instance_uid"):
        made.setdefault(str(only), str(item.outcome.get("kind", "")))
    return made


def _study(archive: Archive, target: str) -> str:
    try:
        return archive.index.resolve_study(target)
    except NotFound:
        raise NotFound(f"no result, study or accession number is {target!r}") from None


def _deliveries(
    archive: Archive, connection: Connection, study_uid: str, uids: set[str], reason: str
) -> tuple[int, set[str]]:
    """Cancel what is open; how many, and the destinations that have one of the objects, or may have it by now."""
    canceled, received = 0, set()
    for item in archive.work.list(kind=WorkKind.DELIVER, study_uid=study_uid, limit=MOST_ITEMS):
        if item.sop_instance_uid not in uids:
            continue
        if item.state in (WorkState.COMPLETED, WorkState.IN_PROGRESS):
            received.add(item.queue)
        try:
            archive.work.cancel(item.id, reason=f"withdrawn: {reason}", conn=connection)
        except IllegalTransition:
            continue  # it has ended
        canceled += 1
    return canceled, received
