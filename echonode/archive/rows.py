"""From conditions to row ids, from row ids to attributes of every level, and the numbers that are computed when asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, distinct, func, select
from sqlalchemy.engine import Connection

from echonode.archive.schema import INSTANCE, PATIENT, SERIES, STUDY
from echonode.core.attributes import COMPUTED
from echonode.core.query import Level

_TABLES: dict[Level, Table] = {
    Level.PATIENT: PATIENT,
    Level.STUDY: STUDY,
    Level.SERIES: SERIES,
    Level.IMAGE: INSTANCE,
}


@dataclass(frozen=True, slots=True)
class FoundRow:
    """One row that fits: the row ids of its level and of those above, and the attributes of all of them."""

    ids: Mapping[Level, int]
    attributes: Mapping[str, Any] = field(compare=False)


class Counts:
    """One computed keyword for some rows of one level."""

    def __init__(self, level: Level, values: Mapping[int, Any], empty: Any) -> None:
        self._level = level
        self._values = values
        self._empty = empty

    def get(self, row: FoundRow) -> Any:
        """The value for that row: a number, or a sorted list of texts."""
        return self._values.get(row.ids.get(self._level, 0), self._empty)


def ids_at(level: Level, conditions: Sequence[ColumnElement[bool]]) -> Select[int]:
    """The ids of the rows of that level that fit, in no order; only tables that a condition names are joined."""
    table = _TABLES[level]
    named = {name for condition in conditions for name in _tables_of(condition)}
    query: Select[Any] = select(table.c.id).select_from(table)
    if level is Level.IMAGE and SERIES.name in named:
        query = query.join(SERIES, SERIES.c.id == INSTANCE.c.series_fk)
    if level in (Level.IMAGE, Level.SERIES) and STUDY.name in named:
        query = query.join(STUDY, STUDY.c.id == table.c.study_fk)
    return query.where(*conditions)


def load(connection: Connection, level: Level, ids: Sequence[int]) -> list[FoundRow]:
    """The rows with those ids, in the order of `ids`; one that is gone meanwhile is left out."""
    table = _TABLES[level]
    if level is Level.PATIENT:
        rows = connection.execute(select(table.c.id, table.c.attributes).where(table.c.id.in_(ids)))
        patients = {row.id: row.attributes for row in rows}
        return [FoundRow({level: id_}, patients[id_]) for id_ in ids if id_ in patients]
    if level is Level.STUDY:
        studies = _studies(connection, ids)
        return [studies[id_] for id_ in ids if id_ in studies]
    if level is Level.SERIES:
        series = _series(connection, ids)
        return [series[id_] for id_ in ids if id_ in series]
    columns = (table.c.id, table.c.series_fk, table.c.attributes)
    instances = {row.id: row for row in connection.execute(select(*columns).where(table.c.id.in_(ids)))}
    series = _series(connection, {row.series_fk for row in instances.values()})
    found = []
    for id_ in ids:
        if (row := instances.get(id_)) is not None:
            above = series[row.series_fk]
            found.append(FoundRow({**above.ids, level: id_}, {**above.attributes, **row.attributes}))
    return found


def count(connection: Connection, keyword: str, rows: Sequence[FoundRow]) -> Counts:
    """The computed keyword for each of the rows (PS3.4 C.3.4)."""
    level = COMPUTED[keyword][2]
    ids = {row.ids[level] for row in rows if level in row.ids}
    if keyword in ("ModalitiesInStudy", "SOPClassesInStudy"):
        column = SERIES.c.modality if keyword == "ModalitiesInStudy" else INSTANCE.c.sop_class_uid
        parent = column.table.c.study_fk
        texts: dict[int, list[str]] = {}
        for row in connection.execute(select(parent, column).where(parent.in_(ids), column != "").distinct()):
            texts.setdefault(row[0], []).append(row[1])
        return Counts(level, {key: sorted(values) for key, values in texts.items()}, [])
    query = _numbers(keyword, ids)
    return Counts(level, {row[0]: int(row[1]) for row in connection.execute(query)}, 0)


def _numbers(keyword: str, ids: set[int]) -> Select[Any]:
    visible = INSTANCE.c.hidden.is_(False)
    match keyword:
        case "NumberOfSeriesRelatedInstances":
            by = INSTANCE.c.series_fk
            return select(by, func.count()).where(by.in_(ids), visible).group_by(by)
        case "NumberOfStudyRelatedInstances":
            by = INSTANCE.c.study_fk
            return select(by, func.count()).where(by.in_(ids), visible).group_by(by)
        case "NumberOfStudyRelatedSeries":
            by = SERIES.c.study_fk
            return select(by, func.count()).where(by.in_(ids)).group_by(by)
    by = STUDY.c.patient_fk
    if keyword == "NumberOfPatientRelatedStudies":
        return select(by, func.count()).where(by.in_(ids)).group_by(by)
    part = SERIES if keyword == "NumberOfPatientRelatedSeries" else INSTANCE
    query = select(by, func.count(distinct(part.c.id))).join(part, part.c.study_fk == STUDY.c.id).where(by.in_(ids))
    return (query.where(visible) if part is INSTANCE else query).group_by(by)


def _studies(connection: Connection, ids: Sequence[int] | set[int]) -> dict[int, FoundRow]:
    columns = (STUDY.c.id, STUDY.c.patient_fk, STUDY.c.patient_attributes, STUDY.c.attributes)
    rows = connection.execute(select(*columns).where(STUDY.c.id.in_(ids)))
    return {
        row.id: FoundRow(
            {Level.PATIENT: row.patient_fk, Level.STUDY: row.id}, {**row.patient_attributes, **row.attributes}
        )
        for row in rows
    }


def _series(connection: Connection, ids: Sequence[int] | set[int]) -> dict[int, FoundRow]:
    columns = (SERIES.c.id, SERIES.c.study_fk, SERIES.c.attributes)
    rows = list(connection.execute(select(*columns).where(SERIES.c.id.in_(ids))))
    studies = _studies(connection, {row.study_fk for row in rows})
    return {
        row.id: FoundRow(
            {**studies[row.study_fk].ids, Level.SERIES: row.id},
            {**studies[row.study_fk].attributes, **row.attributes},
        )
        for row in rows
    }


def _tables_of(condition: ColumnElement[bool]) -> set[str]:
    return {element.name for element in condition._from_objects if isinstance(element, Table)}
