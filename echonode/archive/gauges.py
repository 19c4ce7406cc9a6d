"""Numbers of the database that change with what waits, not with what has ever been: cheap to read every few seconds."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select

from echonode.archive.database import Database
from echonode.archive.schema import IDENTITY, QUARANTINE, STUDY, WORKITEM
from echonode.core.ports import Clock
from echonode.core.states import OPEN, WorkState
from echonode.core.work import WorkKind

_W = WORKITEM.c
_COUNTED = tuple(kind for kind in WorkKind if kind is not WorkKind.TRAIN)  # that one waits for its night is no backlog


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueGauge:
    """What waits or runs in one queue: how many items, of those how many are held, and the age of the oldest in s."""

    kind: WorkKind
    queue: str
    state: WorkState
    items: int
    held: int
    oldest_seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Gauges:
    """All of them at one moment."""

    queues: tuple[QueueGauge, ...]
    dead_letters: int
    quarantined: int
    conflicts: int
    unsettled: int


def read_gauges(database: Database, *, clock: Clock) -> Gauges:
    """Read under indexes whose part is as large as what waits; a finished workitem is not looked at.

    Raises:
        StorageUnavailable: the database cannot be read.
    """
    open_items = (
        select(
            _W.kind,
            _W.queue,
            _W.state,
            func.count().label("items"),
            func.count(_W.held).label("held"),
            func.min(_W.created_at).label("oldest"),
        )
        .where(_W.kind.in_(_COUNTED), _W.state.in_(OPEN))
        .group_by(_W.kind, _W.queue, _W.state)
    )
    dead = select(func.count()).select_from(WORKITEM).where(_W.kind == WorkKind.DELIVER, _W.state == WorkState.CANCELED)
    conflicts = select(func.count(IDENTITY.c.study_uid.distinct())).where(IDENTITY.c.open)
    unsettled = select(func.count()).select_from(STUDY).where(STUDY.c.unsettled_since.is_not(None))
    now = clock()
    with database.reading() as connection:
        queues = tuple(
            QueueGauge(
                kind=WorkKind(row.kind),
                queue=row.queue,
                state=WorkState(row.state),
                items=row.items,
                held=row.held,
                oldest_seconds=max(0.0, now - row.oldest),
            )
            for row in connection.execute(open_items.order_by(_W.kind, _W.queue, _W.state))
        )
        return Gauges(
            queues=queues,
            dead_letters=connection.execute(dead).scalar_one(),
            quarantined=connection.execute(select(func.count()).select_from(QUARANTINE)).scalar_one(),
            conflicts=connection.execute(conflicts).scalar_one(),
            unsettled=connection.execute(unsettled).scalar_one(),
        )
