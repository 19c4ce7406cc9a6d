"""Routes, models and destinations that a person has paused: their workitems wait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import delete, select

from echonode.archive.audit import Audit
from echonode.archive.database import Database
from echonode.archive.schema import PAUSE
from echonode.archive.upsert import insert_new
from echonode.core.errors import NotFound
from echonode.core.ports import Clock

PauseKind = Literal["route", "model", "destination"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pause:
    """What is paused, by whom, why and since when (seconds since the epoch)."""

    kind: str
    name: str
    by: str
    reason: str
    at: float


class Pauses:
    """The pauses that hold now; each change is audited."""

    def __init__(self, database: Database, audit: Audit, *, clock: Clock) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock

    def pause(self, kind: PauseKind, name: str, *, by: str, reason: str) -> None:
        """Claim no workitem of that route, model or destination from now on; the first pause keeps its reason."""
        row = {"kind": kind, "name": name, "by": by, "reason": reason, "at": self._clock()}
        with self._database.transaction() as connection:
            if insert_new(connection, PAUSE, row) is not None:
                details = {"kind": kind, "name": name, "reason": reason}
                self._audit.write(connection, event="paused", who=by, details=details)

    def resume(self, kind: PauseKind, name: str, *, by: str, reason: str = "") -> None:
        """End a pause.

        Raises:
            NotFound: it is not paused.
        """
        with self._database.transaction() as connection:
            ended = connection.execute(delete(PAUSE).where(PAUSE.c.kind == kind, PAUSE.c.name == name))
            if not ended.rowcount:
                raise NotFound(f"{kind} {name!r} is not paused")
            details = {"kind": kind, "name": name, "reason": reason}
            self._audit.write(connection, event="resumed", who=by, details=details)

    def list(self) -> list[Pause]:
        """All pauses, by kind and name."""
        columns = (PAUSE.c.kind, PAUSE.c.name, PAUSE.c.by, PAUSE.c.reason, PAUSE.c.at)
        with self._database.reading() as connection:
            rows = connection.execute(select(*columns).order_by(PAUSE.c.kind, PAUSE.c.name))
            return [Pause(**row._asdict()) for row in rows]
