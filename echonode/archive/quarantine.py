"""The shelf of objects that were not taken, each with its reason; a person may send one through the door again."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, delete, select, update
from sqlalchemy.engine import Connection

from echonode.archive.database import Database
from echonode.archive.schema import QUARANTINE
from echonode.archive.upsert import insert_new
from echonode.core.errors import NotFound
from echonode.core.ports import Clock

_Q = QUARANTINE.c


@dataclass(frozen=True, kw_only=True, slots=True)
class QuarantinedObject:
    """One quarantined object. UIDs are as claimed, cut to 64 characters; times in seconds since the epoch."""

    id: int
    blob: str
    sha256: str
    size: int
    dataset_offset: int
    reason: str
    dicom_status: int
    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str
    transfer_syntax_uid: str
    origin: str
    calling_ae: str
    called_ae: str
    peer_address: str
    correlation_id: str
    first_seen_at: float
    last_seen_at: float
    count: int


class QuarantineShelf:
    """Rows of quarantined objects; their bytes lie in the BlobStore's quarantine under `blob`."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def put(self, connection: Connection, row: Mapping[str, Any]) -> int:
        """Add an object, or count it when the same bytes lie here already; its id.

        `row` has every field of QuarantinedObject but id, times and count.
        """
        now = self._clock()
        made = insert_new(connection, QUARANTINE, {**row, "first_seen_at": now, "last_seen_at": now, "count": 1})
        if made is not None:
            return made
        same = _Q.blob == row["blob"]
        latest = {name: row[name] for name in ("reason", "dicom_status", "correlation_id")}
        connection.execute(update(QUARANTINE).where(same).values(**latest, last_seen_at=now, count=_Q.count + 1))
        return int(connection.execute(select(_Q.id).where(same)).scalar_one())

    def get(self, id: int) -> QuarantinedObject:
        """The object with that number.

        Raises:
            NotFound: there is none.
        """
        with self._database.reading() as connection:
            row = connection.execute(select(QUARANTINE).where(_Q.id == id)).first()
        if row is None:
            raise NotFound(f"nothing in quarantine has the number {id}")
        return _object(row)

    def list(self, *, limit: int = 1000) -> list[QuarantinedObject]:
        """What lies here, the latest first."""
        query = select(QUARANTINE).order_by(_Q.last_seen_at.desc(), _Q.id.desc()).limit(limit)
        with self._database.reading() as connection:
            return [_object(row) for row in connection.execute(query)]

    def take(self, connection: Connection, id: int) -> bool:
        """Remove the row; False when it is gone already."""
        return connection.execute(delete(QUARANTINE).where(_Q.id == id)).rowcount > 0

    def known(self, connection: Connection, blobs: Collection[str]) -> set[str]:
        """Which of these blobs have a row here."""
        return set(connection.execute(select(_Q.blob).where(_Q.blob.in_(blobs))).scalars())


def _object(row: Row[Any]) -> QuarantinedObject:
    return QuarantinedObject(**row._mapping)
