"""The store of workitems: enqueue, claim with a lease, finish; every change follows core/states.py."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, false, not_, or_, select, update
from sqlalchemy.engine import Connection

from echonode.archive.database import Database
from echonode.archive.schema import PAUSE, STUDY, WORKITEM
from echonode.archive.upsert import is_inserted
from echonode.core.errors import IllegalTransition, NotFound
from echonode.core.identity import new_id
from echonode.core.ports import Clock
from echonode.core.states import OPEN, WorkEvent, WorkState, after
from echonode.core.work import WorkItem, WorkKind, WorkRequest

_W = WORKITEM.c


class WorkStore:
    """Workitems in the archive's database. A worker is named by `owner`; only the owner of a lease may end an attempt."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def enqueue(self, connection: Connection, requests: Iterable[WorkRequest]) -> list[str]:
        """The id of each request's workitem, new or the one that has its `unique_key` already.

        An item of a study that is on hold is held too.
        """
        requests = list(requests)
        if not requests:
            return []
        held = self._held_studies(connection, {request.study_uid for request in requests})
        return [self._enqueue(connection, request, held.get(request.study_uid)) for request in requests]

    def claim(
        self,
        *,
        kind: WorkKind,
        owner: str,
        lease_seconds: float,
        limit: int = 1,
        queues: Collection[str] | None = None,
    ) -> list[WorkItem]:
        """Up to `limit` items with a lease for `owner`: highest priority first, then oldest.

        What is held, not due yet, or whose route, model or destination is paused is skipped.
        """
        if limit < 1 or (queues is not None and not queues):
            return []
        now = self._clock()
        offered = select(_W.id).where(self._offered(kind, queues, now))
        with self._database.reading() as connection:  # an idle worker takes no write lock
            if connection.execute(offered.limit(1)).first() is None:
                return []
        ordered = offered.order_by(_W.priority.desc(), _W.created_at, _W.id).limit(limit)
        with self._database.transaction() as connection:
            ids = list(connection.execute(ordered.with_for_update(skip_locked=True)).scalars())
            if not ids:
                return []
            connection.execute(
                update(WORKITEM)
                .where(_W.id.in_(ids))
                .values(
                    state=after(WorkState.SCHEDULED, WorkEvent.CLAIM),
                    attempts=_W.attempts + 1,
                    lease_owner=owner,
                    lease_until=now + lease_seconds,
                    updated_at=now,
                )
            )
            rows = {row.id: row for row in connection.execute(select(WORKITEM).where(_W.id.in_(ids)))}
        return [_item(rows[each]) for each in ids]

    def renew(self, ids: Iterable[str], *, owner: str, lease_seconds: float) -> set[str]:
        """Prolong the leases of `ids`; the ids that are still `owner`'s. Stop work on the others."""
        wanted = list(ids)
        if not wanted:
            return set()
        now = self._clock()
        ours = and_(_W.work_id.in_(wanted), _W.state == WorkState.IN_PROGRESS, _W.lease_owner == owner)
        with self._database.transaction() as connection:
            connection.execute(update(WORKITEM).where(ours).values(lease_until=now + lease_seconds, updated_at=now))
            return set(connection.execute(select(_W.work_id).where(ours)).scalars())

    def finish(
        self, work_id: str, *, owner: str, outcome: Mapping[str, Any], conn: Connection | None = None
    ) -> WorkItem:
        """Record the outcome; with `conn`, in the caller's transaction.

        Raises:
            NotFound: no such workitem.
            IllegalTransition: it is not in progress, or the lease is another worker's.
        """
        return self._change(work_id, WorkEvent.FINISH, owner=owner, conn=conn, outcome=dict(outcome), reason="")

    def fail(
        self,
        work_id: str,
        *,
        owner: str,
        reason: str,
        not_before: float = 0.0,
        exhausted: bool | None = None,
        conn: Connection | None = None,
    ) -> WorkItem:
        """This attempt failed: offered again from `not_before`, or CANCELED when it was the last.

        `exhausted` overrides the count of attempts.

        Raises:
            NotFound, IllegalTransition: as `finish`.
        """
        with self._within(conn) as connection:
            item = self._locked(connection, work_id)
            last = item.attempts >= item.max_attempts if exhausted is None else exhausted
            event = WorkEvent.EXHAUST if last else WorkEvent.FAIL
            values = {"reason": reason, "not_before": not_before}
            return self._apply(connection, item, event, owner=owner, values=values)

    def release(
        self, work_id: str, *, owner: str, not_before: float | None = None, reason: str | None = None
    ) -> WorkItem:
        """Give the item back untouched; the attempt does not count. It is offered again at once, or from `not_before`.

        Raises:
            NotFound, IllegalTransition: as `finish`.
        """
        given = {"not_before": not_before, "reason": reason}
        values: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        return self._change(work_id, WorkEvent.RELEASE, owner=owner, attempts=_W.attempts - 1, **values)

    def tell(self, work_id: str, *, owner: str, outcome: Mapping[str, Any]) -> None:
        """Write what is known so far of an item in progress; nothing when it is not `owner`'s any more."""
        ours = and_(_W.work_id == work_id, _W.state == WorkState.IN_PROGRESS, _W.lease_owner == owner)
        with self._database.transaction() as connection:
            connection.execute(update(WORKITEM).where(ours).values(outcome=dict(outcome), updated_at=self._clock()))

    def has_live_runs(self) -> bool:
        """Whether a run that somebody waits for is under way, or could be: neither held nor paused, and due.

        Runs of a model that only looks (payload `shadow`) are not waited for.
        """
        awaited = _W.payload["shadow"].as_boolean().is_not(True)
        in_hand = and_(_W.kind == WorkKind.RUN, _W.state == WorkState.IN_PROGRESS)
        with self._database.reading() as connection:
            for runs in (in_hand, self._offered(WorkKind.RUN, None, self._clock())):
                if connection.execute(select(_W.id).where(runs, awaited).limit(1)).first() is not None:
                    return True
        return False

    def cancel(
        self, work_id: str, *, reason: str, outcome: Mapping[str, Any] | None = None, conn: Connection | None = None
    ) -> WorkItem:
        """Cancel an item that is scheduled or in progress; its worker learns it at the next `renew`.

        Raises:
            NotFound: no such workitem.
            IllegalTransition: it has ended already.
        """
        return self._change(work_id, WorkEvent.CANCEL, conn=conn, reason=reason, outcome=dict(outcome or {}))

    def retry(self, work_id: str, *, not_before: float = 0.0, conn: Connection | None = None) -> WorkItem:
        """Offer an item that has ended again, with all its attempts; held when its study was put on hold since.

        Raises:
            NotFound: no such workitem.
            IllegalTransition: it has not ended.
        """
        with self._within(conn) as connection:
            item = self._locked(connection, work_id)
            held = item.held or self._held_studies(connection, {item.study_uid}).get(item.study_uid)
            values = {"attempts": 0, "reason": "", "outcome": {}, "not_before": not_before, "held": held}
            return self._apply(connection, item, WorkEvent.RETRY, values=values)

    def reap(self) -> int:
        """Offer items again whose lease ended without a word, CANCEL those without attempts left; how many."""
        now = self._clock()
        lapsed = select(WORKITEM).where(_W.state == WorkState.IN_PROGRESS, _W.lease_until < now)
        with self._database.reading() as connection:
            if connection.execute(lapsed.limit(1)).first() is None:
                return 0
        with self._database.transaction() as connection:
            items = [_item(row) for row in connection.execute(lapsed.with_for_update(skip_locked=True))]
            for item in items:
                last = item.attempts >= item.max_attempts
                reason = f"the worker went silent in attempt {item.attempts} of {item.max_attempts}"
                event = WorkEvent.EXHAUST if last else WorkEvent.LAPSE
                self._apply(connection, item, event, values={"reason": reason})
        return len(items)

    def get(self, work_id: str, *, conn: Connection | None = None) -> WorkItem:
        """The item.

        Raises:
            NotFound: no such workitem.
        """
        with self._database.reading() if conn is None else nullcontext(conn) as connection:
            return self._read(connection, work_id)

    def open_runs(
        self, connection: Connection, *, study_uid: str, sop_instance_uid: str | None = None
    ) -> Sequence[WorkItem]:
        """Runs of that object, or of the whole study, that wait or are under way, oldest first."""
        wanted = _W.study_uid == study_uid
        if sop_instance_uid is not None:
            wanted = and_(wanted, _W.sop_instance_uid == sop_instance_uid)
        runs = and_(wanted, _W.kind == WorkKind.RUN, _W.state.in_(OPEN))
        return [_item(row) for row in connection.execute(select(WORKITEM).where(runs).order_by(_W.id))]

    def beginning_with(self, text: str, *, limit: int = 2) -> Sequence[WorkItem]:
        """Items whose id begins with `text`, hex digits in any case; none for an empty one."""
        if not text:
            return []
        query = select(WORKITEM).where(_W.work_id.startswith(text.lower(), autoescape=True)).limit(limit)
        with self._database.reading() as connection:
            return [_item(row) for row in connection.execute(query)]

    def list(
        self,
        *,
        kind: WorkKind | None = None,
        state: WorkState | None = None,
        study_uid: str | None = None,
        queue: str | None = None,
        limit: int = 100,
    ) -> list[WorkItem]:
        """The newest items that fit."""
        wanted = {_W.kind: kind, _W.state: state, _W.study_uid: study_uid, _W.queue: queue}
        query = select(WORKITEM).order_by(_W.created_at.desc(), _W.id.desc()).limit(limit)
        for column, value in wanted.items():
            if value is not None:
                query = query.where(column == str(value))
        with self._database.reading() as connection:
            return [_item(row) for row in connection.execute(query)]

    def waiting_queues(self, beginning: str) -> Sequence[str]:
        """Queues of runs that are scheduled, of those whose name begins so; sorted."""
        waiting = and_(_W.kind == WorkKind.RUN, _W.state == WorkState.SCHEDULED)
        query = select(_W.queue).distinct().where(waiting, _W.queue.startswith(beginning, autoescape=True))
        with self._database.reading() as connection:
            return [str(name) for name in connection.execute(query.order_by(_W.queue)).scalars()]

    def hold_study(self, connection: Connection, study_uid: str, reason: str) -> None:
        """Hold every open item of the study, and those to come, until `release_study`."""
        connection.execute(update(STUDY).where(STUDY.c.study_uid == study_uid).values(held=reason))
        connection.execute(
            update(WORKITEM)
            .where(_W.study_uid == study_uid, _W.state.in_(OPEN))
            .values(held=reason, updated_at=self._clock())
        )

    def release_study(self, connection: Connection, study_uid: str) -> None:
        """End the hold of the study and of its items."""
        connection.execute(update(STUDY).where(STUDY.c.study_uid == study_uid).values(held=None))
        connection.execute(
            update(WORKITEM)
            .where(_W.study_uid == study_uid, _W.held.is_not(None))
            .values(held=None, updated_at=self._clock())
        )

    def _enqueue(self, connection: Connection, request: WorkRequest, study_held: str | None) -> str:
        now, work_id = self._clock(), new_id()
        values = {
            "work_id": work_id,
            "kind": request.kind,
            "queue": request.queue,
            "unique_key": request.unique_key,
            "state": WorkState.SCHEDULED,
            "study_uid": request.study_uid,
            "series_uid": request.series_uid,
            "sop_instance_uid": request.sop_instance_uid,
            "route": request.route,
            "payload": dict(request.payload),
            "correlation_id": request.correlation_id,
            "priority": request.priority,
            "attempts": 0,
            "max_attempts": request.max_attempts,
            "created_at": now,
            "updated_at": now,
            "not_before": request.not_before,
            "held": request.held or study_held,
            "reason": "",
            "outcome": {},
        }
        if is_inserted(connection, WORKITEM, values):
            return work_id
        known = connection.execute(select(_W.work_id).where(_W.unique_key == request.unique_key)).scalar_one()
        return str(known)

    @staticmethod
    def _held_studies(connection: Connection, uids: set[str]) -> dict[str, str]:
        query = select(STUDY.c.study_uid, STUDY.c.held).where(STUDY.c.study_uid.in_(uids), STUDY.c.held.is_not(None))
        return {row.study_uid: row.held for row in connection.execute(query)}

    @staticmethod
    def _offered(kind: WorkKind, queues: Collection[str] | None, now: float) -> ColumnElement[bool]:
        queue_pause = "model" if kind is WorkKind.RUN else "destination"
        paused = select(PAUSE.c.id).where(
            or_(
                and_(PAUSE.c.kind == queue_pause, PAUSE.c.name == _W.queue),
                and_(PAUSE.c.kind == "route", PAUSE.c.name == _W.route),
            )
        )
        conditions = [
            _W.kind == kind,
            _W.state == WorkState.SCHEDULED,
            _W.held.is_(None),
            _W.not_before <= now,
            not_(paused.exists()),
        ]
        if queues is not None:
            conditions.append(_W.queue.in_(sorted(queues)))
        return and_(*conditions)

    def _within(self, conn: Connection | None) -> AbstractContextManager[Connection]:
        return self._database.transaction() if conn is None else nullcontext(conn)

    def _change(
        self,
        work_id: str,
        event: WorkEvent,
        *,
        owner: str | None = None,
        conn: Connection | None = None,
        **values: Any,
    ) -> WorkItem:
        with self._within(conn) as connection:
            item = self._locked(connection, work_id)
            return self._apply(connection, item, event, owner=owner, values=values)

    def _apply(
        self,
        connection: Connection,
        item: WorkItem,
        event: WorkEvent,
        *,
        owner: str | None = None,
        values: Mapping[str, Any],
    ) -> WorkItem:
        state = after(item.state, event)
        if owner is not None and item.lease_owner != owner:
            raise IllegalTransition(
                f"workitem {item.id} is leased to {item.lease_owner}, not to {owner}: cannot {event}"
            )
        connection.execute(
            update(WORKITEM)
            .where(_W.work_id == item.id)
            .values(state=state, lease_owner=None, lease_until=None, updated_at=self._clock(), **values)
        )
        looks = bool(item.payload.get("shadow"))  # what a model says that only looks is in no report
        if (
            state is WorkState.CANCELED and item.kind is WorkKind.RUN and not looks
        ):  # the study's report says that nothing came of it
            due = and_(STUDY.c.study_uid == item.study_uid, STUDY.c.report_due == false())
            connection.execute(update(STUDY).where(due).values(report_due=True))
        return self._read(connection, item.id)

    def _locked(self, connection: Connection, work_id: str) -> WorkItem:
        return self._read(connection, work_id, lock=True)

    @staticmethod
    def _read(connection: Connection, work_id: str, *, lock: bool = False) -> WorkItem:
        query = select(WORKITEM).where(_W.work_id == work_id)
        row = connection.execute(query.with_for_update() if lock else query).first()
        if row is None:
            raise NotFound(f"no workitem {work_id!r}")
        return _item(row)


def _item(row: Row[Any]) -> WorkItem:
    values = row._asdict()
    values["id"] = values.pop("work_id")
    return WorkItem(**values | {"kind": WorkKind(row.kind), "state": WorkState(row.state)})
