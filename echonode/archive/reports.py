"""The reports of each study: what they say, which one stands, and how they follow each other."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.engine import Connection

from echonode.archive.database import Database
from echonode.archive.schema import REPORT
from echonode.archive.upsert import is_inserted
from echonode.core.readings import KeptObject
from echonode.core.report import ObjectReference, ReportState

_R = REPORT.c


class ReportStatus(StrEnum):
    """How a report stands to the others of its study."""

    WRITING = "writing"  # its object is on the way into the archive: to be ended, or to be forgotten
    CURRENT = "current"
    SUPERSEDED = "superseded"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class KeptReport:
    """One report as it is kept. `content` is what core/report_json.py gives, `work_id` the workitem that made it.

    `objects` are further objects of this report: document, measurements. `again` says that a report that does not stand
    may be made once more though nothing new is to be said.
    """

    study_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    series_uid: str
    content_digest: str
    state: ReportState
    status: ReportStatus
    predecessor_uid: str = ""
    revision: int = 0
    by: str = ""
    comment: str = ""
    content: Mapping[str, Any] = field(default_factory=dict)
    objects: tuple[KeptObject, ...] = ()
    work_id: str = ""
    again: bool = False
    at: float = 0.0

    @property
    def reference(self) -> ObjectReference:
        """How another object names it."""
        return ObjectReference(
            sop_instance_uid=self.sop_instance_uid, sop_class_uid=self.sop_class_uid, series_uid=self.series_uid
        )

    @property
    def uids(self) -> tuple[str, ...]:
        """The report's object and those that go with it."""
        return (self.sop_instance_uid, *(each.sop_instance_uid for each in self.objects))


class Reports:
    """At most one report of a study is current, and beside a person's at most one addendum."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self, study_uid: str) -> list[KeptReport]:
        """Every report of the study, the first one first; those that are being written too."""
        return self._read(_R.study_uid == study_uid)

    def current(self, study_uid: str) -> KeptReport | None:
        """The report that stands, a person's or a machine's; never an addendum."""
        standing = [each for each in self.standing(study_uid) if each.state is not ReportState.ADDENDUM]
        return standing[-1] if standing else None

    def addendum(self, study_uid: str) -> KeptReport | None:
        """What was added to the person's report since."""
        standing = [each for each in self.standing(study_uid) if each.state is ReportState.ADDENDUM]
        return standing[-1] if standing else None

    def standing(self, study_uid: str) -> list[KeptReport]:
        """The reports of the study that are current, the first one first."""
        return self._read(_R.study_uid == study_uid, _R.status == ReportStatus.CURRENT)

    def get(self, sop_instance_uid: str) -> KeptReport | None:
        """The report of that object, None when it is no report."""
        found = self._read(_R.sop_instance_uid == sop_instance_uid)
        return found[0] if found else None

    def put(self, connection: Connection, report: KeptReport) -> bool:
        """Keep it; False when there is one of that UID already."""
        content = {"report": dict(report.content), "work_id": report.work_id, "again": report.again}
        row = {name: getattr(report, name) for name in KeptReport.__slots__ if name not in ("work_id", "again")}
        objects = [asdict(each) for each in report.objects]
        return is_inserted(connection, REPORT, row | {"content": content, "objects": objects})

    def stands(self, connection: Connection, sop_instance_uid: str, *, objects: Sequence[KeptObject]) -> bool:
        """What was being written is current now, with its further objects; False when it was withdrawn meanwhile."""
        done = connection.execute(
            update(REPORT)
            .where(_R.sop_instance_uid == sop_instance_uid, _R.status == ReportStatus.WRITING)
            .values(status=ReportStatus.CURRENT, objects=[asdict(each) for each in objects])
        )
        return done.rowcount > 0

    def supersede(self, connection: Connection, uids: Collection[str]) -> None:
        """Those of them that are current are superseded."""
        self._mark(connection, uids, ReportStatus.SUPERSEDED, (ReportStatus.CURRENT,))

    def withdraw(self, connection: Connection, uids: Collection[str]) -> None:
        """Those of them that are reports are withdrawn."""
        self._mark(connection, uids, ReportStatus.WITHDRAWN, tuple(ReportStatus))

    def allow_again(self, connection: Connection, study_uid: str, *, uids: Collection[str] | None = None) -> None:
        """What earlier reports of the study (of `uids`) said may be said once more though nothing of it is new."""
        query = select(_R.id, _R.content, _R.sop_instance_uid, _R.status).where(_R.study_uid == study_uid)
        for row in connection.execute(query).all():
            if row.sop_instance_uid in uids if uids is not None else row.status != ReportStatus.CURRENT:
                again = {**row.content, "again": True}
                connection.execute(update(REPORT).where(_R.id == row.id).values(content=again))

    def forget(self, connection: Connection, sop_instance_uid: str) -> None:
        """Drop one that was being written and of which nothing was stored."""
        connection.execute(
            delete(REPORT).where(_R.sop_instance_uid == sop_instance_uid, _R.status == ReportStatus.WRITING)
        )

    def _mark(
        self, connection: Connection, uids: Collection[str], status: ReportStatus, of: tuple[ReportStatus, ...]
    ) -> None:
        connection.execute(
            update(REPORT).where(_R.sop_instance_uid.in_(list(uids)), _R.status.in_(of)).values(status=status)
        )

    def _read(self, *conditions: Any) -> list[KeptReport]:
        with self._database.reading() as connection:
            rows = connection.execute(select(REPORT).where(*conditions).order_by(_R.id)).all()
        return [_kept(row) for row in rows]


def _kept(row: Any) -> KeptReport:
    values = row._asdict()
    values.pop("id")
    content = values["content"]
    return KeptReport(
        **values
        | {
            "state": ReportState(row.state),
            "status": ReportStatus(row.status),
            "content": content["report"],
            "objects": tuple(KeptObject(**each) for each in row.objects),
            "work_id": content.get("work_id", ""),
            "again": bool(content.get("again")),
        }
    )
