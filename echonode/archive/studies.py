"""A study as a whole: whose it is by a person's decision, how often that changed, and whether a report of it is due."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, exists, false, func, select, true, update
from sqlalchemy.engine import Connection

from echonode.archive.database import Database
from echonode.archive.entry import identity_of, patient_row, person_columns, write_words
from echonode.archive.identity import PatientIdentity
from echonode.archive.schema import IDENTITY, PATIENT, STUDY, WORKITEM
from echonode.core.ports import Clock
from echonode.core.states import OPEN
from echonode.core.work import WorkKind

_AWAITED = WORKITEM.c.payload["shadow"].as_boolean().is_not(True)
"""A run of a model that only looks is not waited for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyState:
    """What is known of a study beside its objects; times are seconds since the epoch.

    `patient` is the patient level as DICOM JSON; `decided` says that a person chose or corrected it, so that it stands
    above what the objects' own headers say. `revision` counts corrections.
    """

    study_uid: str
    patient_id: str
    patient: Mapping[str, Any]
    decided: bool
    revision: int
    settled_at: float | None
    unsettled_since: float | None
    held: str | None
    stress: bool
    report_due: bool
    hidden: bool

    @property
    def decided_patient(self) -> Mapping[str, Any] | None:
        """The patient that every derived object must name, None where its source tells it."""
        return self.patient if self.decided else None


class Studies:
    """The rows of studies, as far as they change after the objects came in."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def state(self, study_uid: str) -> StudyState | None:
        """What is known of that study; None when there is none."""
        decided = exists(select(IDENTITY.c.id).where(IDENTITY.c.study_uid == STUDY.c.study_uid, ~IDENTITY.c.open))
        query = select(
            STUDY.c.study_uid,
            STUDY.c.patient_id,
            STUDY.c.patient_attributes.label("patient"),
            decided.label("decided"),
            STUDY.c.revision,
            STUDY.c.settled_at,
            STUDY.c.unsettled_since,
            STUDY.c.held,
            STUDY.c.stress,
            STUDY.c.report_due,
            STUDY.c.hidden,
        ).where(STUDY.c.study_uid == study_uid)
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        if row is None:
            return None
        values = row._asdict()
        return StudyState(**values | {"decided": bool(row.decided)})

    def decide(self, connection: Connection, study_uid: str, attributes: Mapping[str, Any]) -> PatientIdentity:
        """The study is of the patient whose level in DICOM JSON is `attributes`; queries answer so from now on."""
        identity = identity_of(attributes)
        study = connection.execute(select(STUDY.c.id, STUDY.c.patient_fk).where(STUDY.c.study_uid == study_uid)).one()
        connection.execute(
            update(STUDY)
            .where(STUDY.c.id == study.id)
            .values(
                patient_fk=patient_row(connection, attributes, study_uid=study_uid),
                patient_attributes=attributes,
                **person_columns(identity, attributes),
            )
        )
        write_words(connection, study.id, identity.name, instead=True)
        of_patient = exists(select(STUDY.c.id).where(STUDY.c.patient_fk == PATIENT.c.id))
        connection.execute(delete(PATIENT).where(PATIENT.c.id == study.patient_fk, ~of_patient))
        return identity

    def revise(self, connection: Connection, study_uid: str) -> int:
        """Count one more correction, and let a report be made; the new revision."""
        connection.execute(
            update(STUDY).where(STUDY.c.study_uid == study_uid).values(revision=STUDY.c.revision + 1, report_due=true())
        )
        return int(connection.execute(select(STUDY.c.revision).where(STUDY.c.study_uid == study_uid)).scalar_one())

    def revision(self, connection: Connection, study_uid: str) -> int:
        """How often its patient was corrected, 0 for no study; no correction is made until the transaction has ended."""
        query = select(STUDY.c.revision).where(STUDY.c.study_uid == study_uid).with_for_update()
        return int(connection.execute(query).scalar() or 0)

    def settle_now(self, connection: Connection, study_uid: str) -> None:
        """The study counts as complete, and a report of it is due."""
        connection.execute(
            update(STUDY)
            .where(STUDY.c.study_uid == study_uid)
            .values(unsettled_since=None, settled_at=self._clock(), report_due=true())
        )

    def due(self, connection: Connection, study_uid: str, *, wanted: bool = True) -> None:
        """A report of the study is wanted, or is not any more."""
        connection.execute(update(STUDY).where(STUDY.c.study_uid == study_uid).values(report_due=wanted))

    def due_now(self, *, limit: int = 50) -> list[str]:
        """Study UIDs of which a report can be made now: complete, not held, not hidden, and nothing of them runs."""
        with self._database.reading() as connection:
            return list(connection.execute(select(STUDY.c.study_uid).where(_is_due()).limit(limit)).scalars())

    def take_due(self, connection: Connection, study_uid: str) -> bool:
        """Whether the report is still due now; then it is not any more, until something changes again."""
        done = connection.execute(
            update(STUDY).where(STUDY.c.study_uid == study_uid, _is_due()).values(report_due=false())
        )
        return done.rowcount > 0

    def open_runs(self, study_uid: str) -> int:
        """How many runs of the study wait or are under way."""
        query = select(func.count()).select_from(WORKITEM).where(
            WORKITEM.c.study_uid == study_uid, WORKITEM.c.kind == WorkKind.RUN, WORKITEM.c.state.in_(OPEN), _AWAITED
        )  # fmt: skip
        with self._database.reading() as connection:
            return int(connection.execute(query).scalar_one())


def _is_due() -> ColumnElement[bool]:
    at_work = select(WORKITEM.c.id).where(
        WORKITEM.c.study_uid == STUDY.c.study_uid,
        WORKITEM.c.kind.in_((WorkKind.RUN, WorkKind.REPORT)),
        WORKITEM.c.state.in_(OPEN),
        _AWAITED,
    )
    return and_(
        STUDY.c.report_due == true(),
        STUDY.c.settled_at.is_not(None),
        STUDY.c.unsettled_since.is_(None),
        STUDY.c.held.is_(None),
        STUDY.c.hidden == false(),
        ~at_work.exists(),
    )
