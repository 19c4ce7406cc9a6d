"""Self-checks: who asked for one, where it stands, and what was measured against what is true."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import delete, insert, select, update

from echonode.archive.database import Database
from echonode.archive.schema import SELF_CHECK, SELF_CHECK_ANSWER
from echonode.archive.upsert import is_inserted
from echonode.core.errors import NotFound
from echonode.core.identity import new_id
from echonode.core.ports import Clock

_C, _A = SELF_CHECK.c, SELF_CHECK_ANSWER.c


class CheckState(StrEnum):
    """Where a check stands."""

    ASKED = "asked"
    RUNNING = "running"
    ENDED = "ended"


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """One thing that the node was asked about a simulated heart, and what is true.

    `limit` is how far `measured` may be from `truth`, in `unit`. Where the answer is no number, or none came, `says`
    tells. `at` is seconds since the epoch.
    """

    at: float
    task: str
    model: str
    what: str
    ok: bool
    unit: str = ""
    measured: float | None = None
    truth: float | None = None
    limit: float | None = None
    says: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One check; `ok` is None while it runs, and when it was cut short before it could tell."""

    id: str
    state: CheckState
    asked_by: str
    asked_at: float
    started_at: float | None
    ended_at: float | None
    owner: str
    study_uid: str
    ok: bool | None
    says: str
    answers: tuple[Answer, ...] = ()


class SelfChecks:
    """The checks in the archive's database."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database, self._clock = database, clock

    def ask(self, *, by: str, occasion: str = "") -> str | None:
        """Ask for a check; its id, or None when that occasion had one already. Without an occasion it is its own."""
        check_id = new_id()
        values = {
            "check_id": check_id,
            "occasion": occasion or check_id,
            "state": CheckState.ASKED,
            "asked_by": by,
            "asked_at": self._clock(),
            "owner": "",
            "study_uid": "",
            "says": "",
        }
        with self._database.transaction() as connection:
            return check_id if is_inserted(connection, SELF_CHECK, values) else None

    def claim(self, *, owner: str) -> Check | None:
        """The oldest check that was asked for, now `owner`'s; None when there is none."""
        asked = select(_C.id).where(_C.state == CheckState.ASKED).order_by(_C.id).limit(1)
        with self._database.reading() as connection:
            if connection.execute(asked).first() is None:
                return None
        with self._database.transaction() as connection:
            key = connection.execute(asked.with_for_update(skip_locked=True)).scalar()
            if key is None:
                return None
            values = {"state": CheckState.RUNNING, "owner": owner, "started_at": self._clock()}
            connection.execute(update(SELF_CHECK).where(_C.id == key).values(**values))
            return _check(connection.execute(select(SELF_CHECK).where(_C.id == key)).one())

    def names(self, check_id: str, study_uid: str) -> None:
        """The study that the check is about to send."""
        with self._database.transaction() as connection:
            connection.execute(update(SELF_CHECK).where(_C.check_id == check_id).values(study_uid=study_uid))

    def end(self, check_id: str, *, ok: bool | None, says: str, answers: Sequence[Answer] = ()) -> None:
        """Write down how it ended.

        Raises:
            NotFound: there is no such check.
        """
        with self._database.transaction() as connection:
            key = connection.execute(select(_C.id).where(_C.check_id == check_id)).scalar()
            if key is None:
                raise NotFound(f"no self-check {check_id!r}")
            values = {"state": CheckState.ENDED, "ok": ok, "says": says, "ended_at": self._clock()}
            connection.execute(update(SELF_CHECK).where(_C.id == key).values(**values))
            rows = [{"check_fk": key, **asdict(answer)} for answer in answers]
            if rows:
                connection.execute(insert(SELF_CHECK_ANSWER), rows)

    def end_interrupted(self, alive: Callable[[str], bool]) -> int:
        """End checks whose process lives no more; how many. Nothing is known of the models then: it is no alarm."""
        running = [check for check in self.list(state=CheckState.RUNNING) if not alive(check.owner)]
        for check in running:
            self.end(check.id, ok=None, says="interrupted: the process that ran it ended")
        return len(running)

    def list(self, *, limit: int = 20, state: CheckState | None = None) -> list[Check]:
        """The newest checks with their answers."""
        query = select(SELF_CHECK).order_by(_C.id.desc()).limit(limit)
        query = query if state is None else query.where(_C.state == state)
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
            answers: dict[int, list[Answer]] = {}
            found = select(SELF_CHECK_ANSWER).where(_A.check_fk.in_([row.id for row in rows])).order_by(_A.id)
            for row in connection.execute(found):
                answers.setdefault(row.check_fk, []).append(_answer(row))
        return [_check(row, answers.get(row.id, ())) for row in rows]

    def get(self, check_id: str) -> Check:
        """That check.

        Raises:
            NotFound: there is none.
        """
        with self._database.reading() as connection:
            row = connection.execute(select(SELF_CHECK).where(_C.check_id == check_id)).first()
            if row is None:
                raise NotFound(f"no self-check {check_id!r}")
            found = select(SELF_CHECK_ANSWER).where(_A.check_fk == row.id).order_by(_A.id)
            return _check(row, [_answer(answer) for answer in connection.execute(found)])

    def latest(self) -> Check | None:
        """The last check that told something, without its answers; None when there has been none."""
        told = select(SELF_CHECK).where(_C.state == CheckState.ENDED, _C.ok.is_not(None))
        with self._database.reading() as connection:
            row = connection.execute(told.order_by(_C.ended_at.desc()).limit(1)).first()
        return None if row is None else _check(row)

    def forget(self, *, before: float) -> int:
        """Drop checks that ended before that time; how many."""
        old = select(_C.id).where(_C.ended_at < before)
        with self._database.transaction() as connection:
            connection.execute(delete(SELF_CHECK_ANSWER).where(_A.check_fk.in_(old)))
            return connection.execute(delete(SELF_CHECK).where(_C.ended_at < before)).rowcount


def _check(row: Any, answers: Sequence[Answer] = ()) -> Check:
    return Check(
        id=row.check_id,
        state=CheckState(row.state),
        asked_by=row.asked_by,
        asked_at=row.asked_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        owner=row.owner,
        study_uid=row.study_uid,
        ok=row.ok,
        says=row.says,
        answers=tuple(answers),
    )


def _answer(row: Any) -> Answer:
    values = row._asdict()
    return Answer(**{name: values[name] for name in Answer.__slots__})
