"""Which associations are open for which study, and which studies wait to be settled."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

from sqlalchemy import and_, case, func, or_, select, true, update
from sqlalchemy.engine import Connection

from echonode.archive.database import Database
from echonode.archive.schema import ASSOCIATION, ASSOCIATION_STUDY, STUDY
from echonode.archive.upsert import insert_new
from echonode.core.ports import Clock

_MOST_REMEMBERED = 10_000


class Activity:
    """Associations are known from their first object on; the ones of a process that died are closed by `reap`."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._written: set[tuple[str, str]] = set()
        self._writing = threading.Lock()

    def received(
        self,
        connection: Connection,
        *,
        association_id: str,
        study_uid: str,
        calling_ae: str = "",
        called_ae: str = "",
        peer_address: str = "",
    ) -> None:
        """An object of `study_uid` came in over the association; part of the ingest transaction."""
        if (association_id, study_uid) in self._written:
            return
        association = {
            "association_id": association_id,
            "calling_ae": calling_ae,
            "called_ae": called_ae,
            "peer_address": peer_address,
            "owner": process_name(),
            "opened_at": self._clock(),
            "closed_at": None,
        }
        insert_new(connection, ASSOCIATION, association)
        insert_new(connection, ASSOCIATION_STUDY, {"association_id": association_id, "study_uid": study_uid})

    def remember(self, association_id: str, study_uid: str) -> None:
        """What `received` wrote is committed: it need not be written again by this process."""
        with self._writing:
            if len(self._written) >= _MOST_REMEMBERED:
                self._written.clear()
            self._written.add((association_id, study_uid))

    def closed(self, association_id: str) -> None:
        """The association ended, however it ended; nothing happens when no object came over it."""
        with self._writing:
            self._written = {pair for pair in self._written if pair[0] != association_id}
        is_open = and_(ASSOCIATION.c.association_id == association_id, ASSOCIATION.c.closed_at.is_(None))
        with self._database.reading() as connection:
            if connection.execute(select(ASSOCIATION.c.id).where(is_open)).first() is None:
                return
        with self._database.transaction() as connection:
            connection.execute(update(ASSOCIATION).where(is_open).values(closed_at=self._clock()))

    def reap(self) -> int:
        """Close the associations of processes of this host that live no more; how many."""
        host = socket.gethostname()
        with self._database.reading() as connection:
            owners = connection.execute(
                select(ASSOCIATION.c.owner).where(ASSOCIATION.c.closed_at.is_(None)).distinct()
            ).scalars()
            dead = [owner for owner in owners if owner.startswith(f"{host}/") and not is_alive(owner)]
        if not dead:
            return 0
        ended = and_(ASSOCIATION.c.owner.in_(dead), ASSOCIATION.c.closed_at.is_(None))
        with self._database.transaction() as connection:
            return connection.execute(update(ASSOCIATION).where(ended).values(closed_at=self._clock())).rowcount

    def unsettled(
        self,
        *,
        quiet_seconds: float,
        longest_seconds: float,
        stress_quiet_seconds: float | None = None,
        limit: int = 100,
    ) -> list[str]:
        """Study UIDs that count as complete now, the longest waiting first.

        A study does when nothing came for `quiet_seconds` and no association that brought an object of it is open, or
        when `longest_seconds` have passed since the first object that is not settled yet. A study with a named stage
        must be quiet for `stress_quiet_seconds`: between two stages a patient walks.
        """
        now = self._clock()
        open_for_it = (
            select(ASSOCIATION.c.id)
            .join(ASSOCIATION_STUDY, ASSOCIATION_STUDY.c.association_id == ASSOCIATION.c.association_id)
            .where(ASSOCIATION_STUDY.c.study_uid == STUDY.c.study_uid, ASSOCIATION.c.closed_at.is_(None))
        )
        longer = quiet_seconds if stress_quiet_seconds is None else stress_quiet_seconds
        enough = case((STUDY.c.stress == true(), now - longer), else_=now - quiet_seconds)
        quiet = and_(STUDY.c.last_received_at <= enough, ~open_for_it.exists())
        query = (
            select(STUDY.c.study_uid)
            .where(STUDY.c.unsettled_since.is_not(None), or_(quiet, STUDY.c.unsettled_since <= now - longest_seconds))
            .order_by(STUDY.c.unsettled_since)
            .limit(limit)
        )
        with self._database.reading() as connection:
            return list(connection.execute(query).scalars())

    def last_received(self, study_uid: str) -> float | None:
        """When the study's latest object came in, seconds since the epoch; None when it is not known."""
        with self._database.reading() as connection:
            return connection.execute(select(STUDY.c.last_received_at).where(STUDY.c.study_uid == study_uid)).scalar()

    def settled(self, connection: Connection, study_uid: str, *, through: float) -> bool:
        """Mark the study settled, unless an object came after `through` (what `last_received` said before planning)."""
        done = connection.execute(
            update(STUDY)
            .where(STUDY.c.study_uid == study_uid, STUDY.c.last_received_at <= through)
            .values(unsettled_since=None, settled_at=self._clock())
        )
        return done.rowcount > 0

    def forget_closed(self, *, before: float) -> int:
        """Drop associations that closed before that time; how many."""
        old = select(ASSOCIATION.c.association_id).where(ASSOCIATION.c.closed_at < before)
        with self._database.transaction() as connection:
            connection.execute(ASSOCIATION_STUDY.delete().where(ASSOCIATION_STUDY.c.association_id.in_(old)))
            return connection.execute(ASSOCIATION.delete().where(ASSOCIATION.c.closed_at < before)).rowcount

    def count_open(self) -> int:
        """Associations that are open now and have brought an object."""
        query = select(func.count()).select_from(ASSOCIATION).where(ASSOCIATION.c.closed_at.is_(None))
        with self._database.reading() as connection:
            return int(connection.execute(query).scalar_one())


def process_name() -> str:
    """This process as host/pid/start: a pid that is used again has another start."""
    return f"{socket.gethostname()}/{os.getpid()}/{_started(os.getpid())}"


def is_alive(owner: str) -> bool:
    """Whether the process of that name lives, for a name of this host."""
    _, pid, started = owner.rsplit("/", 2)
    return _started(int(pid)) == started


def _started(pid: int) -> str:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "gone"
    fields = text.rpartition(")")[2].split()
    return "gone" if fields[0] in "ZX" else fields[19]
