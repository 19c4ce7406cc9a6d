"""What models said of stored objects: one row a run, and which of them count now."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import Row, and_, false, func, insert, select, true, update
from sqlalchemy.engine import Connection

from echonode.archive.database import Database
from echonode.archive.schema import READING, STUDY
from echonode.core.ports import Clock
from echonode.core.readings import KeptObject, KeptReading
from echonode.core.result_json import KEPT, json_values, results_of_json, results_to_json

REQUESTED = "request"
"""The route of runs that a person asked for where no route of routes.toml has the task."""
_R = READING.c


class Readings:
    """The readings of an archive. Whatever changes what counts makes a new report of the study due."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def put(self, connection: Connection, reading: KeptReading, *, shadow: bool = False) -> None:
        """Keep `reading`; earlier ones of the same object and route (asked for by a person: and model) count no more.

        Arrays and details among its results are left out. Without a time it is of now. A `shadow` one is of a model that
        only looks: it never counts, and nothing that counts changes by it.
        """
        earlier = and_(_R.sop_instance_uid == reading.sop_instance_uid, _R.route == reading.route, _R.current == true())
        if reading.route == REQUESTED:
            earlier = and_(earlier, _R.model == reading.model)
        if not shadow:
            connection.execute(update(READING).where(earlier).values(current=False))
        row = {
            "work_id": reading.work_id,
            "study_uid": reading.study_uid,
            "sop_instance_uid": reading.sop_instance_uid,
            "task": reading.task,
            "model": reading.model,
            "version": reading.version,
            "digest": reading.digest,
            "route": reading.route,
            "parameters": json_values(reading.parameters),
            "results": json_values(results_to_json(each for each in reading.results if isinstance(each, KEPT))),
            "details": json_values(reading.details),
            "objects": [asdict(each) for each in reading.objects],
            "view": reading.view or "",
            "stage": reading.stage or "",
            "current": not shadow,
            "shadow": shadow,
            "at": reading.at or self._clock(),
        }
        connection.execute(insert(READING).values(row))
        if not shadow:
            self._due(connection, reading.study_uid)

    def of_study(self, study_uid: str, *, current: bool = True) -> list[KeptReading]:
        """What was said of the study's objects, oldest first; with `current` only what counts now. Never a shadow's."""
        query = select(READING).where(_R.study_uid == study_uid, _R.shadow == false()).order_by(_R.id)
        if current:
            query = query.where(_R.current == true())
        with self._database.reading() as connection:
            return [_reading(row) for row in connection.execute(query)]

    def of_instance(self, sop_instance_uid: str, *, current: bool = True) -> list[KeptReading]:
        """What was said of one object, oldest first; with `current` only what counts now. Never a shadow's."""
        query = select(READING).where(_R.sop_instance_uid == sop_instance_uid, _R.shadow == false()).order_by(_R.id)
        if current:
            query = query.where(_R.current == true())
        with self._database.reading() as connection:
            return [_reading(row) for row in connection.execute(query)]

    def of_model(self, model: str, *, task: str | None = None) -> list[KeptReading]:
        """What that model said of every object, the newest of each object, shadow or not, oldest first."""
        newest = select(func.max(_R.id)).where(_R.model == model).group_by(_R.sop_instance_uid)
        query = select(READING).where(_R.id.in_(newest)).order_by(_R.id)
        if task is not None:
            query = query.where(_R.task == task)
        with self._database.reading() as connection:
            return [_reading(row) for row in connection.execute(query)]

    def retire(self, connection: Connection, sop_instance_uid: str, routes: Collection[str]) -> list[str]:
        """What was said of the object by way of these routes counts no more; the routes that had said something."""
        counted = and_(_R.sop_instance_uid == sop_instance_uid, _R.route.in_(sorted(routes)), _R.current == true())
        found = connection.execute(select(_R.route, _R.study_uid).where(counted)).all()
        if found:
            connection.execute(update(READING).where(counted).values(current=False))
            self._due(connection, found[0].study_uid)
        return sorted({str(row.route) for row in found})

    @staticmethod
    def _due(connection: Connection, study_uid: str) -> None:
        connection.execute(
            update(STUDY).where(STUDY.c.study_uid == study_uid, STUDY.c.report_due == false()).values(report_due=True)
        )


def _reading(row: Row[Any]) -> KeptReading:
    objects: list[Mapping[str, Any]] = row.objects
    return KeptReading(
        sop_instance_uid=row.sop_instance_uid,
        study_uid=row.study_uid,
        task=row.task,
        model=row.model,
        version=row.version,
        digest=row.digest,
        route=row.route,
        work_id=row.work_id,
        parameters=row.parameters,
        results=results_of_json(row.results),
        details=row.details,
        objects=tuple(KeptObject(**each) for each in objects),
        view=row.view or None,
        stage=row.stage or None,
        at=row.at,
    )
