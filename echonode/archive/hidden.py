"""What is kept without anything being told of it, and how it goes: rows first, then bytes. The audit trail stays.

Results that a person took back are hidden too, and stay: they are no business of this page.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import delete, exists, select, true
from sqlalchemy.engine import Connection

from echonode.archive.database import Database
from echonode.archive.schema import (
    ASSOCIATION_STUDY,
    CONTENT,
    IDENTITY,
    INSTANCE,
    NAME_WORD,
    PATIENT,
    READING,
    SERIES,
    STUDY,
    VERSION,
    WORKITEM,
)
from echonode.core.ports import BlobStore

_I = INSTANCE.c


class Hidden:
    """The hidden objects of an archive."""

    def __init__(self, database: Database, blobs: BlobStore) -> None:
        self._database, self._blobs = database, blobs

    def studies(self) -> list[str]:
        """Study UIDs with a hidden object."""
        of_hidden = select(_I.study_fk).where(_I.hidden == true(), _I.withdrawn == "")
        with self._database.reading() as connection:
            found = connection.execute(select(STUDY.c.study_uid).where(STUDY.c.id.in_(of_hidden)))
            return list(found.scalars())

    def purge(self, study_uid: str) -> int:
        """Forget the hidden objects of the study with their versions, workitems, readings and bytes, and say how many they were.

        What is visible in the study stays, with its own work. A crash in between leaves bytes that no row names, and
        those are swept.
        """
        with self._database.transaction() as connection:
            rows = connection.execute(
                select(_I.id, _I.sop_instance_uid, _I.blob)
                .join(STUDY, STUDY.c.id == _I.study_fk)
                .where(STUDY.c.study_uid == study_uid, _I.hidden, _I.withdrawn == "")
            ).all()
            blobs = [row.blob for row in rows] + _forget(connection, [row.id for row in rows])
            uids = [row.sop_instance_uid for row in rows]
            connection.execute(delete(WORKITEM).where(WORKITEM.c.sop_instance_uid.in_(uids)))
            connection.execute(delete(READING).where(READING.c.sop_instance_uid.in_(uids)))
            _forget_empty(connection, study_uid)
        with self._database.transaction() as connection:  # no row can be added while the bytes go
            kept = _known(connection, blobs)
            for blob in blobs:
                if blob not in kept:
                    self._blobs.remove(blob)
        return len(rows)


def _forget(connection: Connection, keys: Collection[int]) -> list[str]:
    """Rows of these instances go; the blobs of their versions."""
    versions = list(connection.execute(select(VERSION.c.blob).where(VERSION.c.instance_fk.in_(keys))).scalars())
    for table in (CONTENT, VERSION):
        connection.execute(delete(table).where(table.c.instance_fk.in_(keys)))
    connection.execute(delete(INSTANCE).where(_I.id.in_(keys)))
    return versions


def _forget_empty(connection: Connection, study_uid: str) -> None:
    """Series, study and patient go when nothing of them is left."""
    study = connection.execute(
        select(STUDY.c.id, STUDY.c.patient_fk, STUDY.c.hidden).where(STUDY.c.study_uid == study_uid)
    ).first()
    if study is None:
        return
    of_series = exists(select(_I.id).where(_I.series_fk == SERIES.c.id))
    connection.execute(delete(SERIES).where(SERIES.c.study_fk == study.id, ~of_series))
    if connection.execute(select(_I.id).where(_I.study_fk == study.id).limit(1)).first() is not None:
        return
    by_uid: tuple[Any, ...] = (IDENTITY, WORKITEM, READING, ASSOCIATION_STUDY)
    for table in by_uid:
        connection.execute(delete(table).where(table.c.study_uid == study_uid))
    connection.execute(delete(NAME_WORD).where(NAME_WORD.c.study_fk == study.id))
    connection.execute(delete(STUDY).where(STUDY.c.id == study.id))
    of_patient = exists(select(STUDY.c.id).where(STUDY.c.patient_fk == PATIENT.c.id))
    connection.execute(delete(PATIENT).where(PATIENT.c.hidden, ~of_patient))


def _known(connection: Connection, blobs: Collection[str]) -> set[str]:
    found: set[str] = set()
    for table in (INSTANCE, VERSION):
        found |= set(connection.execute(select(table.c.blob).where(table.c.blob.in_(blobs))).scalars())
    return found
