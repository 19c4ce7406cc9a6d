"""The audit trail: what happened to which study and object, when, and by whom. Rows are only ever added."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.engine import Connection

from echonode.archive import bare
from echonode.archive.bare import json_text
from echonode.archive.database import Database
from echonode.archive.schema import AUDIT
from echonode.core.ports import Clock


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditRow:
    """One event; `at` in seconds since the epoch."""

    at: float
    event: str
    correlation_id: str
    study_uid: str
    sop_instance_uid: str
    who: str
    details: Mapping[str, Any]


class Audit:
    """Written in the transaction of what it tells about, so that neither exists without the other."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def write(
        self,
        connection: Connection,
        *,
        event: str,
        correlation_id: str = "",
        study_uid: str = "",
        sop_instance_uid: str = "",
        who: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Add one event to the caller's transaction."""
        row = {
            "at": self._clock(),
            "event": event,
            "correlation_id": correlation_id,
            "study_uid": study_uid,
            "sop_instance_uid": sop_instance_uid,
            "who": who,
            "details": json_text(dict(details or {})),
        }
        _INSERT.run(connection, row)

    def story(self, study_uid: str) -> list[AuditRow]:
        """Every event of the study, oldest first."""
        with self._database.reading() as connection:
            rows = connection.execute(_COLUMNS.where(AUDIT.c.study_uid == study_uid).order_by(AUDIT.c.id))
            return [AuditRow(**row._asdict()) for row in rows]

    def latest(self, limit: int = 100) -> list[AuditRow]:
        """The newest events of the node, newest first."""
        with self._database.reading() as connection:
            rows = connection.execute(_COLUMNS.order_by(AUDIT.c.id.desc()).limit(limit))
            return [AuditRow(**row._asdict()) for row in rows]


_INSERT = bare.insert(AUDIT)
_COLUMNS = select(
    AUDIT.c.at,
    AUDIT.c.event,
    AUDIT.c.correlation_id,
    AUDIT.c.study_uid,
    AUDIT.c.sop_instance_uid,
    AUDIT.c.who,
    AUDIT.c.details,
)
