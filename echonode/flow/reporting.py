"""The one report of each study: made when it is due, once, whatever is killed in between.

A report is named before its object is stored: its row is there first, as being written. Who finds such a row ends it when
the object is in the archive, and forgets it when it is not; so there is never an object without a row, nor two reports
for one cause. Everything is done by one loop, one workitem at a time.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy.engine import Connection

from echonode.archive.archive import Archive
from echonode.archive.reports import KeptReport, ReportStatus
from echonode.archive.studies import StudyState
from echonode.core.errors import (
    BadInput,
    EchonodeError,
    IllegalTransition,
    OutOfStorage,
    RunFailed,
    StorageUnavailable,
)
from echonode.core.ports import Clock
from echonode.core.readings import KeptObject
from echonode.core.report import ReportState, StudyReport
from echonode.core.report_json import of_json, to_json
from echonode.core.results import Ineligible
from echonode.core.routes import Destination, RoutesFile
from echonode.core.settings import NodeSettings
from echonode.core.task import TaskSpec
from echonode.core.work import WorkItem, WorkKind, WorkRequest
from echonode.derive.common import DerivedObject
from echonode.flow.deliver import delivery_request, pause_after
from echonode.flow.leases import Leases
from echonode.flow.publish import ON_REQUEST, Published, Publisher
from echonode.flow.report import apply, verified, with_digest
from echonode.flow.report_material import Material, composed, headers, headers_of, material_of, says_the_same
from echonode.flow.report_objects import Builders
from echonode.flow.report_orders import QUEUE, Order, compose_request
from echonode.flow.withdraw import REJECTION
from echonode.registry.catalogue import Catalogue

LOG = logging.getLogger(__name__)
REPORT, DOCUMENT, MEASUREMENTS = "report", "document", "measurements"


class Reporting:
    """Makes, reviews and takes back reports, as the workitems of the queue "report" ask."""

    def __init__(
        self,
        *,
        archive: Archive,
        catalogue: Catalogue,
        publisher: Publisher,
        routes: RoutesFile,
        settings: NodeSettings,
        leases: Leases,
        tasks: Mapping[str, TaskSpec],
        clock: Clock,
        builders: Builders | None = None,
    ) -> None:
        self._archive, self._catalogue, self._publisher = archive, catalogue, publisher
        self._routes, self._settings, self._leases = routes, settings, leases
        self._tasks, self._clock = tasks, clock
        self._builders = builders or Builders()

    def sweep(self) -> int:
        """Ask for the report of every study of which one is due now; how many. Cheap where nothing is due."""
        if not self._routes.report.enabled:
            return 0
        asked = 0
        for study_uid in self._archive.studies.due_now():
            study = self._archive.studies.state(study_uid)
            if study is None:
                continue
            with self._archive.transaction() as connection:
                if self._archive.studies.take_due(connection, study_uid):
                    request = compose_request(study_uid, revision=study.revision, settings=self._settings.work)
                    self._archive.work.enqueue(connection, [request])
                    asked += 1
        return asked

    def step(self) -> int:
        """Do the next workitem, if there is one; how many were taken."""
        items = self._leases.claim(WorkKind.REPORT, QUEUE, limit=1)
        for item in items:
            try:
                self._do(item)
            except Exception as error:  # noqa: BLE001  the edge of a workitem: recorded in it
                self._failed(item, error)
            finally:
                self._leases.drop(item.id)
        return len(items)

    def _do(self, item: WorkItem) -> None:
        study = self._archive.studies.state(item.study_uid)
        if study is None:
            raise RunFailed("the study is not stored on this node any more", transient=False)
        if study.held is not None:  # held since it was claimed: whose report it is must be known before it is stored
            self._archive.work.release(item.id, owner=self._leases.owner)
            return
        for left in self._archive.reports.all(item.study_uid):
            if left.status is ReportStatus.WRITING and self._took_up(left, study, item):
                return
        match Order(item.payload["order"]):
            case Order.COMPOSE:
                self._compose(item, study)
            case Order.REVIEW:
                self._review(item, study)
            case Order.REISSUE:
                self._reissue(item, study)
            case Order.REJECT:
                self._reject(item, study)

    def _took_up(self, left: KeptReport, study: StudyState, item: WorkItem) -> bool:
        """End or forget what a killed worker was writing; whether that was what `item` wants."""
        if self._archive.index.instance(left.sop_instance_uid) is None:
            with self._archive.transaction() as connection:
                self._archive.reports.forget(connection, left.sop_instance_uid)
            return False
        ours = left.work_id == item.id
        self._end(left, study, item, finish=ours)
        return ours

    def _compose(self, item: WorkItem, study: StudyState) -> None:
        archive = self._archive
        if study.hidden:
            self._finished(item, {"result": "nothing", "reason": "the study is this node's own"})
            return
        material = material_of(archive, study)
        if not material.tells_something:
            self._finished(item, {"result": "nothing", "reason": "no model was asked about any object of the study"})
            return
        report = self._machines(material, study)
        if report is None:
            self._finished(item, {"result": "nothing", "reason": "the last report says all of it"})
            return
        self._write(report, study, item)

    def _machines(self, material: Material, study: StudyState) -> StudyReport | None:
        """The machine's next report, None when it would say nothing new."""
        reports = self._archive.reports
        current, addendum = reports.current(study.study_uid), reports.addendum(study.study_uid)
        earlier = [each for each in reports.all(study.study_uid) if each.status is not ReportStatus.WRITING]
        last = next((each for each in reversed(earlier) if each.state is not ReportState.VERIFIED), None)
        reviewed = current is not None and current.state is ReportState.VERIFIED
        if reviewed and current is not None:
            state, before = ReportState.ADDENDUM, [each for each in (addendum, current) if each is not None]
        else:
            state, before = ReportState.PRELIMINARY, [current] if current is not None else earlier[-1:]
        report = composed(
            material,
            routes=self._routes,
            catalogue=self._catalogue,
            tasks=self._tasks,
            state=state,
            predecessors=[each.reference for each in before],
        )
        if last is not None:
            stands = last.status is ReportStatus.CURRENT
            if says_the_same(report, last, objects=stands) and (stands or not last.again):
                return None
        return report

    def _review(self, item: WorkItem, study: StudyState) -> None:
        payload = item.payload
        base = self._archive.reports.get(str(payload["report"]))
        if base is None or base.status is ReportStatus.WITHDRAWN:
            raise RunFailed("the report was withdrawn before the review could be written", transient=False)
        report = of_json(base.content)
        for word, value, person in payload["kept"]:
            report = apply(report, {word: value}, person)
        if payload["changes"]:
            report = apply(report, payload["changes"], str(payload["by"]))
        report = verified(report, by=str(payload["by"]), at=float(payload["at"]), comment=str(payload["comment"]))
        standing = self._archive.reports.standing(study.study_uid)[::-1]
        before = (
            standing if any(each.sop_instance_uid == base.sop_instance_uid for each in standing) else [*standing, base]
        )
        report = self._present(report, study)
        self._write(replace(report, predecessors=tuple(each.reference for each in before)), study, item)

    def _reissue(self, item: WorkItem, study: StudyState) -> None:
        base = self._archive.reports.get(str(item.payload["report"]))
        if base is None:
            raise RunFailed("the report is not kept any more", transient=False)
        report = self._present(of_json(base.content), study)
        self._write(replace(report, predecessors=(base.reference,)), study, item)

    def _present(self, report: StudyReport, study: StudyState) -> StudyReport:
        """The report under today's identity, pointing at what is still there."""
        stored = {each.sop_instance_uid for each in self._archive.index.instances(study_uid=study.study_uid)}
        derived = tuple(pair for pair in report.derived if pair[1].sop_instance_uid in stored)
        return with_digest(replace(report, revision=study.revision, derived=derived))

    def _reject(self, item: WorkItem, study: StudyState) -> None:
        payload = item.payload
        found = headers(self._archive, payload["uids"], limits=self._settings.limits)
        derived = self._builders.rejection(
            list(found.values()),
            reason=str(payload["reason"]),
            by=str(payload["by"]),
            wrong_patient=bool(payload.get("wrong_patient")),
            revision=study.revision,
            node=self._settings.node,
            now=self._now(),
            patient=study.decided_patient,
        )
        published = self._stored(derived, item)
        requests = [self._delivery(item, published, name) for name in payload["destinations"]]
        with self._archive.transaction() as connection:
            outcome = {"result": "published", "kind": REJECTION, "sop_instance_uid": published.sop_instance_uid}
            self._archive.work.finish(item.id, owner=self._leases.owner, outcome=outcome, conn=connection)
            self._archive.work.enqueue(connection, requests)
            self._audit(connection, item, "rejection note made", published.sop_instance_uid, {"of": payload["uids"]})

    def _write(self, report: StudyReport, study: StudyState, item: WorkItem) -> None:
        found = headers_of(self._archive, report, limits=self._settings.limits)
        derived = self._builders.report(
            report, headers=found, node=self._settings.node, now=self._now(), patient=study.decided_patient
        )
        kept = KeptReport(
            study_uid=study.study_uid,
            sop_instance_uid=derived.sop_instance_uid,
            sop_class_uid=derived.sop_class_uid,
            series_uid=derived.series_uid,
            content_digest=report.content_digest,
            state=report.state,
            status=ReportStatus.WRITING,
            predecessor_uid=report.predecessors[0].sop_instance_uid if report.predecessors else "",
            revision=report.revision,
            by=report.verified_by,
            comment=report.review_comment,
            content=to_json(report),
            work_id=item.id,
            at=self._clock(),
        )
        with self._archive.transaction() as connection:
            if not self._archive.reports.put(connection, kept):
                raise RunFailed("this very report was made before", transient=False)
        self._stored(derived, item)
        self._end(kept, study, item, finish=True)

    def _end(self, kept: KeptReport, study: StudyState, item: WorkItem, *, finish: bool) -> None:
        """The report's object is stored: make what goes with it, and let it stand. With `finish` the item has ended."""
        report = of_json(kept.content)
        objects, missing = self._further(report, study, item)
        its_own = Published(sop_instance_uid=kept.sop_instance_uid, series_uid=kept.series_uid, kind=REPORT, new=False)
        published = [(its_own, ""), *objects]
        standing = self._archive.reports.standing(kept.study_uid)
        replaced = [
            each.sop_instance_uid
            for each in standing
            if not (kept.state is ReportState.ADDENDUM and each.state is ReportState.VERIFIED)
        ]
        outcome: dict[str, Any] = {
            "result": "published",
            "kind": REPORT,
            "sop_instance_uid": kept.sop_instance_uid,
            "state": str(kept.state),
        }
        with self._archive.transaction() as connection:
            wrong = self._archive.studies.revision(connection, kept.study_uid) != kept.revision
            if wrong:
                self._take_back(connection, kept, [each.sop_instance_uid for each, _unit in published])
            extra = [KeptObject(sop_instance_uid=each.sop_instance_uid, kind=each.kind) for each, _unit in objects]
            if self._archive.reports.stands(connection, kept.sop_instance_uid, objects=extra):
                self._archive.reports.supersede(connection, replaced)
                requests = self._deliveries(item, published)
                self._archive.work.enqueue(connection, requests)
                details = {
                    "state": str(kept.state),
                    "by": kept.by,
                    "replaces": replaced,
                    "deliver_to": sorted({request.queue for request in requests}),
                    **({"missing": missing} if missing else {}),
                }
                self._audit(connection, item, "report made", kept.sop_instance_uid, details)
            else:
                outcome = {"result": "nothing", "reason": "the report was withdrawn while it was being written"}
            if finish and not wrong:
                self._archive.work.finish(item.id, owner=self._leases.owner, outcome=outcome, conn=connection)
        if wrong:
            LOG.info("the patient was corrected while the report was being written", extra={"workitem": item.id})
            if finish:  # it is written once more, under the name that is right
                self._archive.work.release(item.id, owner=self._leases.owner)
            return
        LOG.info("report made", extra={"workitem": item.id, "state": str(kept.state), "objects": len(published)})

    def _take_back(self, connection: Connection, kept: KeptReport, uids: Sequence[str]) -> None:
        """What was written under an identity that has been corrected since: it has gone nowhere yet."""
        self._archive.withdrawals.hide(connection, uids, reason="the patient was corrected while it was being made")
        self._archive.reports.withdraw(connection, [kept.sop_instance_uid])
        self._archive.reports.allow_again(connection, kept.study_uid, uids={kept.sop_instance_uid})

    def _further(
        self, report: StudyReport, study: StudyState, item: WorkItem
    ) -> tuple[list[tuple[Published, str]], dict[str, str]]:
        """The document and the measurements of a report, these with their unit, and why one is missing."""
        section = self._routes.report
        wanted: list[tuple[str, dict[str, Any]]] = []
        if section.document:
            wanted.append((DOCUMENT, {}))
        if section.measurements:
            units = sorted({each.length_unit for each in self._destinations() if takes(each, MEASUREMENTS)})
            wanted += [(MEASUREMENTS, {"length_unit": unit}) for unit in units]
        made: list[tuple[Published, str]] = []
        missing: dict[str, str] = {}
        if not wanted:
            return made, missing
        found = headers_of(self._archive, report, limits=self._settings.limits)
        for kind, options in wanted:
            try:
                derived = self._builders.of(kind)(
                    report,
                    headers=found,
                    node=self._settings.node,
                    now=self._now(),
                    patient=study.decided_patient,
                    **options,
                )
                made.append((self._stored(derived, item), options.get("length_unit", "")))
            except (StorageUnavailable, OutOfStorage):
                raise
            except (EchonodeError, ImportError, ValueError) as error:  # the report itself must not wait for it
                LOG.warning("not made", extra={"kind": kind, "workitem": item.id, "reason": str(error)})
                missing[kind] = str(error)
        return made, missing

    def _destinations(self) -> list[Destination]:
        wanted = self._routes.report.deliver_to
        return [each for each in self._routes.destination if each.name in wanted]

    def _deliveries(self, item: WorkItem, published: Sequence[tuple[Published, str]]) -> list[WorkRequest]:
        """Each object to each destination of the report that takes its kind, measurements in the destination's unit."""
        return [
            self._delivery(item, each, destination.name)
            for destination in self._destinations()
            for each, unit in published
            if takes(destination, each.kind) and unit in ("", destination.length_unit)
        ]

    def _delivery(self, item: WorkItem, published: Published, destination: str) -> WorkRequest:
        return delivery_request(
            destination,
            item,
            sop_instance_uid=published.sop_instance_uid,
            series_uid=published.series_uid,
            kind=published.kind,
            attempts=self._settings.work.delivery_attempts,
        )

    def _stored(self, derived: DerivedObject, item: WorkItem) -> Published:
        published = self._publisher.publish(lambda: derived, item=item, capped=False)
        if isinstance(published, Ineligible):
            raise RunFailed(published.reason, transient=False)
        return published

    def _finished(self, item: WorkItem, outcome: Mapping[str, Any]) -> None:
        try:
            self._archive.work.finish(item.id, owner=self._leases.owner, outcome=outcome)
        except IllegalTransition as error:  # canceled or reaped meanwhile
            LOG.warning("a report was not ours to end", extra={"workitem": item.id, "reason": str(error)})

    def _failed(self, item: WorkItem, error: Exception) -> None:
        reason = str(error) if isinstance(error, EchonodeError) else f"{type(error).__name__}: {error}"
        transient = error.transient if isinstance(error, RunFailed) else not isinstance(error, BadInput)
        last = not transient or item.attempts >= item.max_attempts
        if isinstance(error, OutOfStorage | StorageUnavailable):
            last = False  # a full disk is no fault of the report: it waits until there is room
        if not isinstance(error, EchonodeError):
            LOG.error("a report ended in a fault", exc_info=error, extra={"workitem": item.id})
        try:
            with self._archive.transaction() as connection:
                self._archive.work.fail(
                    item.id,
                    owner=self._leases.owner,
                    reason=reason,
                    not_before=self._clock() + pause_after(item.attempts, self._settings.work),
                    exhausted=last,
                    conn=connection,
                )
                event = "report given up" if last else "report failed"
                self._audit(connection, item, event, "", {"reason": reason, "attempt": item.attempts})
        except EchonodeError as problem:
            LOG.warning("a report was not ours to end", extra={"workitem": item.id, "reason": str(problem)})
        LOG.warning("report not made", extra={"workitem": item.id, "reason": reason, "given_up": last})

    def _audit(self, connection: Connection, item: WorkItem, event: str, uid: str, details: Mapping[str, Any]) -> None:
        self._archive.audit.write(
            connection,
            event=event,
            correlation_id=item.correlation_id,
            study_uid=item.study_uid,
            sop_instance_uid=uid,
            who=self._leases.owner,
            details={"workitem": item.id, **details},
        )

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock()).astimezone()


def takes(destination: Destination, kind: str) -> bool:
    """Whether the destination is sent derived objects of that kind."""
    return kind not in ON_REQUEST if destination.kinds is None else kind in destination.kinds
