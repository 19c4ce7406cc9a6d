"""Delivery: stored results to the destinations of routes.toml, one queue each, with back-off and dead letters."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from pathlib import Path

from echonode.archive.archive import Archive
from echonode.core.errors import EchonodeError, IllegalTransition, StorageUnavailable
from echonode.core.ports import Clock, Outgoing, Sender, SendOutcome
from echonode.core.query import StoredInstance
from echonode.core.routes import RoutesFile
from echonode.core.settings import WorkSection
from echonode.core.states import WorkState
from echonode.core.tally import Tally
from echonode.core.work import WorkItem, WorkKind, WorkRequest
from echonode.flow.contract import names_another
from echonode.flow.leases import Leases

LOG = logging.getLogger(__name__)
BATCH = 32
"""Objects for one association, at most."""


def delivery_request(
    destination: str, item: WorkItem, *, sop_instance_uid: str, series_uid: str, kind: str, attempts: int
) -> WorkRequest:
    """The DELIVER request for one result of the run `item`: one a destination and object, however often it is asked."""
    return WorkRequest(
        kind=WorkKind.DELIVER,
        queue=destination,
        unique_key=f"deliver|{destination}|{sop_instance_uid}",
        study_uid=item.study_uid,
        series_uid=series_uid,
        sop_instance_uid=sop_instance_uid,
        route=item.route,
        payload={"kind": kind, "run": item.id},
        correlation_id=item.correlation_id,
        priority=item.priority,
        max_attempts=attempts,
    )


def pause_after(attempts: int, settings: WorkSection) -> float:
    """Seconds until the next attempt after `attempts` have failed: doubling, to the longest pause."""
    doublings = min(max(attempts, 1) - 1, 60)
    return float(min(settings.backoff_longest_seconds, settings.backoff_seconds * 2.0**doublings))


class Delivery:
    """Takes DELIVER items and sends them. Sending again what a destination has is harmless: same UID, same bytes."""

    def __init__(
        self,
        *,
        archive: Archive,
        sender: Sender,
        routes: RoutesFile,
        settings: WorkSection,
        leases: Leases,
        clock: Clock,
        tally: Tally | None = None,
    ) -> None:
        self._archive, self._sender, self._settings = archive, sender, settings
        self._leases, self._clock, self._tally = leases, clock, tally or Tally()
        self._peers = {destination.name: destination.peer for destination in routes.destination}

    @property
    def destinations(self) -> tuple[str, ...]:
        """Names of the destinations that routes.toml has now."""
        return tuple(self._peers)

    def step(self, destination: str) -> int:
        """Send one batch to `destination`; how many items were taken."""
        items = self._leases.claim(WorkKind.DELIVER, destination, limit=BATCH)
        if not items:
            return 0
        found: list[tuple[WorkItem, StoredInstance]] = []
        for item in items:
            try:
                stored = self._archive.index.instance(item.sop_instance_uid)
                facts = self._archive.index.facts(item.sop_instance_uid)
            except StorageUnavailable as error:  # the lease must not be kept alive for nothing
                self._failed(item, str(error))
                continue
            if stored is None or facts is None:
                self._failed(item, "the object is not stored on this node any more", dead=True)
            elif stored.withdrawn:
                self._failed(item, f"the result was withdrawn: {stored.withdrawn}", dead=True)
            elif stored.hidden or facts.self_check:
                self._failed(item, "the object is of this node's own self-check: it is never delivered", dead=True)
            elif names_another(facts, patient_id=stored.patient_id):
                reason = "the result names another patient than the one that its study was decided to be of"
                self._failed(item, reason, dead=True)
            else:
                found.append((item, stored))
        self._send(destination, found)
        return len(items)

    def refuse_strays(self) -> int:
        """Make dead letters of items whose destination routes.toml does not name any more; how many."""
        stray: set[str] = set()
        for item in self._archive.work.list(kind=WorkKind.DELIVER, state=WorkState.SCHEDULED, limit=1000):
            if item.queue not in self._peers:
                stray.add(item.queue)
        count = 0
        for destination in stray:
            while items := self._leases.claim(WorkKind.DELIVER, destination, limit=BATCH):
                count += len(items)
                for item in items:
                    reason = f"routes.toml names no destination {destination!r}; name it and retry"
                    self._failed(item, reason, dead=True)
        return count

    def _send(self, destination: str, found: Sequence[tuple[WorkItem, StoredInstance]]) -> None:
        waiting = list(found)
        problem = "the sender gave no answer"
        try:
            answers = self._sender.send(self._peers[destination], [_outgoing(stored) for _item, stored in found])
            for answer in answers:
                self._answered(waiting[0][0], destination, answer)
                del waiting[0]  # only now: an answer that could not be written down is a delivery to be tried again
        except Exception as error:  # the edge of a delivery: the rest of the batch is tried again
            LOG.exception("a delivery failed", extra={"destination": destination})
            problem = f"{type(error).__name__}: {error}"
        for item, _stored in waiting:
            self._failed(item, problem)

    def _answered(self, item: WorkItem, destination: str, answer: SendOutcome) -> None:
        if not answer.ok:
            status = "" if answer.dicom_status is None else f" (status {answer.dicom_status:04X}H)"
            self._failed(item, f"{destination}: {answer.detail}{status}", dead=not answer.transient)
            return
        outcome = {"result": "delivered", "destination": destination, "detail": answer.detail}
        if answer.dicom_status is not None:
            outcome["status"] = f"{answer.dicom_status:04X}H"
        try:
            with self._archive.transaction() as connection:
                self._archive.work.finish(item.id, owner=self._leases.owner, outcome=outcome, conn=connection)
                self._archive.audit.write(
                    connection,
                    event="delivered",
                    correlation_id=item.correlation_id,
                    study_uid=item.study_uid,
                    sop_instance_uid=item.sop_instance_uid,
                    who=self._leases.owner,
                    details={"destination": destination, "workitem": item.id},
                )
        except IllegalTransition as error:  # canceled or reaped meanwhile
            LOG.warning("a delivery was not ours to end", extra={"workitem": item.id, "reason": str(error)})
        else:
            self._count_delivered(item, destination)
        self._leases.drop(item.id)

    def _count_delivered(self, item: WorkItem, destination: str) -> None:
        now = self._clock()
        self._tally.count("deliveries", destination, "delivered")
        self._tally.observe("delivery_lag_seconds", destination, seconds=now - item.created_at)
        with contextlib.suppress(EchonodeError):  # the run may be gone; a number more or less harms nobody
            arrived = self._archive.work.get(str(item.payload.get("run", ""))).created_at
            self._tally.observe("store_to_delivery_seconds", destination, seconds=now - arrived)

    def _failed(self, item: WorkItem, reason: str, *, dead: bool = False) -> None:
        last = dead or item.attempts >= item.max_attempts
        try:
            with self._archive.transaction() as connection:
                self._archive.work.fail(
                    item.id,
                    owner=self._leases.owner,
                    reason=reason,
                    not_before=self._clock() + pause_after(item.attempts, self._settings),
                    exhausted=last,
                    conn=connection,
                )
                self._archive.audit.write(
                    connection,
                    event="dead letter" if last else "delivery failed",
                    correlation_id=item.correlation_id,
                    study_uid=item.study_uid,
                    sop_instance_uid=item.sop_instance_uid,
                    who=self._leases.owner,
                    details={
                        "destination": item.queue,
                        "reason": reason,
                        "attempt": item.attempts,
                        "workitem": item.id,
                    },
                )
        except EchonodeError as error:
            LOG.warning("a delivery was not ours to end", extra={"workitem": item.id, "reason": str(error)})
        self._leases.drop(item.id)
        self._tally.count("deliveries", item.queue, "dead letter" if last else "failed")
        level = logging.WARNING if last else logging.INFO
        LOG.log(level, "not delivered", extra={"destination": item.queue, "workitem": item.id, "reason": reason})


def _outgoing(stored: StoredInstance) -> Outgoing:
    return Outgoing(
        path=Path(stored.path),
        dataset_offset=stored.dataset_offset,
        sop_class_uid=stored.sop_class_uid,
        sop_instance_uid=stored.sop_instance_uid,
        transfer_syntax_uid=stored.transfer_syntax_uid,
    )
