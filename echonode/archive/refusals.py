"""What the node refused, counted: a scanner that is set up wrongly tries again and again."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete, func, select, update

from echonode.archive.database import Database
from echonode.archive.schema import REFUSAL
from echonode.archive.upsert import insert_new
from echonode.core.ports import Clock

MOST_ROWS = 2000
"""Distinct refusals that are kept; the ones not seen for longest go first."""
_LONGEST_TEXT = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """One kind of refusal of one caller, how often, and what to do about it; times in seconds since the epoch."""

    what: str
    calling_ae: str
    address: str
    reason: str
    advice: str
    count: int
    first_seen: float
    last_seen: float


class Refusals:
    """Refusals by what was refused, caller, address and reason."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def record(self, *, what: str, calling_ae: str = "", address: str = "", reason: str, advice: str = "") -> None:
        """Count one refusal."""
        now = self._clock()
        key = {
            "what": what[:_LONGEST_TEXT],
            "calling_ae": calling_ae[:_LONGEST_TEXT],
            "address": address[:_LONGEST_TEXT],
            "reason": reason[:_LONGEST_TEXT],
        }
        row = {**key, "advice": advice, "count": 1, "first_seen_at": now, "last_seen_at": now}
        with self._database.transaction() as connection:
            if insert_new(connection, REFUSAL, row) is None:
                same = [REFUSAL.c[name] == value for name, value in key.items()]
                connection.execute(
                    update(REFUSAL).where(*same).values(count=REFUSAL.c.count + 1, last_seen_at=now, advice=advice)
                )
            elif connection.execute(select(func.count()).select_from(REFUSAL)).scalar_one() > MOST_ROWS:
                oldest = select(REFUSAL.c.id).order_by(REFUSAL.c.last_seen_at, REFUSAL.c.id).limit(MOST_ROWS // 10)
                connection.execute(delete(REFUSAL).where(REFUSAL.c.id.in_(oldest)))

    def list(self) -> list[Refusal]:
        """All refusals, the latest first."""
        with self._database.reading() as connection:
            rows = connection.execute(select(REFUSAL).order_by(REFUSAL.c.last_seen_at.desc(), REFUSAL.c.id.desc()))
            return [
                Refusal(
                    what=row.what,
                    calling_ae=row.calling_ae,
                    address=row.address,
                    reason=row.reason,
                    advice=row.advice,
                    count=int(row._mapping["count"]),
                    first_seen=row.first_seen_at,
                    last_seen=row.last_seen_at,
                )
                for row in rows
            ]
