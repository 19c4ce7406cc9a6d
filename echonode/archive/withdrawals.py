"""Results that were taken back: hidden from every query and never sent again, but kept, with the reason."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import exists, select, true, update
from sqlalchemy.engine import Connection

from echonode.archive.database import Database
from echonode.archive.schema import INSTANCE, PATIENT, READING, SERIES, STUDY

_I = INSTANCE.c
KEY_OBJECTS = "1.2.840.10008.5.1.4.1.1.88.59"
"""Of rejection notes: they are never taken back."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """One derived object of a study; `withdrawn` says why it was taken back, empty when it was not."""

    sop_instance_uid: str
    sop_class_uid: str
    series_uid: str
    size: int
    received_at: float
    patient_id: str
    withdrawn: str

    @property
    def is_note(self) -> bool:
        """Whether it is a rejection note, which is no result and stays."""
        return self.sop_class_uid == KEY_OBJECTS


class Withdrawals:
    """The withdrawn objects of an archive."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def results(self, study_uid: str) -> list[Result]:
        """Every derived object of the study, withdrawn or not, in the order in which they were made."""
        query = (
            select(
                _I.sop_instance_uid,
                _I.sop_class_uid,
                SERIES.c.series_uid,
                _I.size,
                _I.received_at,
                _I.patient_id,
                _I.withdrawn,
            )
            .join(SERIES, SERIES.c.id == _I.series_fk)
            .join(STUDY, STUDY.c.id == _I.study_fk)
            .where(STUDY.c.study_uid == study_uid, _I.derived, (_I.hidden == ~true()) | (_I.withdrawn != ""))
            .order_by(_I.id)
        )
        with self._database.reading() as connection:
            return [Result(**row._asdict()) for row in connection.execute(query)]

    def hide(self, connection: Connection, uids: Collection[str], *, reason: str) -> list[str]:
        """Hide these derived objects, and the levels above of which nothing is left to be seen; those that were not yet.

        What is hidden for another reason (this node's own simulations) stays as it is.
        """
        query = select(_I.id, _I.sop_instance_uid, _I.series_fk, _I.study_fk).where(
            _I.sop_instance_uid.in_(list(uids)), _I.derived, ~_I.hidden
        )
        rows = connection.execute(query).all()
        if not rows:
            return []
        connection.execute(
            update(INSTANCE).where(_I.id.in_([row.id for row in rows])).values(hidden=True, withdrawn=reason)
        )
        shown = exists(select(_I.id).where(_I.series_fk == SERIES.c.id, ~_I.hidden))
        connection.execute(
            update(SERIES).where(SERIES.c.id.in_({row.series_fk for row in rows}), ~shown).values(hidden=True)
        )
        shown = exists(select(_I.id).where(_I.study_fk == STUDY.c.id, ~_I.hidden))
        studies = {row.study_fk for row in rows}
        connection.execute(update(STUDY).where(STUDY.c.id.in_(studies), ~shown).values(hidden=True))
        shown = exists(select(STUDY.c.id).where(STUDY.c.patient_fk == PATIENT.c.id, ~STUDY.c.hidden))
        of_studies = select(STUDY.c.patient_fk).where(STUDY.c.id.in_(studies))
        connection.execute(update(PATIENT).where(PATIENT.c.id.in_(of_studies), ~shown).values(hidden=True))
        return [row.sop_instance_uid for row in rows]

    def reason(self, sop_instance_uid: str) -> str:
        """Why the object was taken back; empty when it was not, or is not there."""
        with self._database.reading() as connection:
            found = connection.execute(select(_I.withdrawn).where(_I.sop_instance_uid == sop_instance_uid)).scalar()
        return str(found or "")

    def forget_readings(self, connection: Connection, study_uid: str) -> None:
        """What models said of the study counts no more: its next report says nothing of it."""
        connection.execute(update(READING).where(READING.c.study_uid == study_uid).values(current=False))
