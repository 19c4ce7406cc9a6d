"""From conditions to row ids, from row ids to attributes of every level, and the numbers that are computed when asked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Select, Table, Text, cast, distinct, false, func, select

from echonode.archive.bare import Bare, among
from echonode.archive.schema import CONTENT, INSTANCE, PATIENT, SERIES, STUDY
from echonode.core.attributes import COMPUTED
from echonode.core.query import Level

Fetch = Callable[[Bare, Mapping[str, Any]], Sequence[Sequence[Any]]]
"""`Database.look_up_all`."""

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


def ids_at(level: Level, conditions: Sequence[ColumnElement[bool]], *, walk: bool) -> Select[int]:
    """The ids of the rows of that level that fit, in the order of arrival; only tables that a condition names are joined.

    With `walk` rows are tried one after another until a limit is reached; without it an index is to find them.
    """
    table = _TABLES[level]
    query = _from(select(table.c.id).select_from(table), level, conditions)
    return query.order_by(table.c.id if walk else table.c.id + 0)


def count_at(level: Level, conditions: Sequence[ColumnElement[bool]]) -> Select[int]:
    """How many rows of that level fit."""
    return _from(select(func.count()).select_from(_TABLES[level]), level, conditions)


def load(fetch: Fetch, level: Level, ids: Sequence[int]) -> list[FoundRow]:
    """The rows with those ids, in the order of `ids`; one that is gone meanwhile is left out."""
    if level is Level.PATIENT:
        patients = {key: orjson.loads(attributes) for key, attributes in fetch(_PATIENTS, {"ids": list(ids)})}
        return [FoundRow({level: id_}, patients[id_]) for id_ in ids if id_ in patients]
    if level is Level.STUDY:
        studies = _studies(fetch, ids)
        return [studies[id_] for id_ in ids if id_ in studies]
    if level is Level.SERIES:
        series = _series(fetch, ids)
        return [series[id_] for id_ in ids if id_ in series]
    instances = {row[0]: row for row in fetch(_INSTANCES, {"ids": list(ids)})}
    series = _series(fetch, {row[1] for row in instances.values()})
    found = []
    for id_ in ids:
        if (row := instances.get(id_)) is not None and (above := series.get(row[1])) is not None:
            found.append(FoundRow({**above.ids, level: id_}, {**above.attributes, **orjson.loads(row[2])}))
    return found


def count(fetch: Fetch, keyword: str, rows: Sequence[FoundRow]) -> Counts:
    """The computed keyword for each of the rows (PS3.4 C.3.4)."""
    level = COMPUTED[keyword][2]
    ids = {row.ids[level] for row in rows if level in row.ids}
    found = fetch(_COMPUTED[keyword], {"ids": list(ids)})
    if keyword not in ("ModalitiesInStudy", "SOPClassesInStudy"):
        return Counts(level, {key: int(number) for key, number in found}, 0)
    texts: dict[int, list[str]] = {}
    for key, value in found:
        texts.setdefault(key, []).append(value)
    return Counts(level, {key: sorted(values) for key, values in texts.items()}, [])


def metadata(fetch: Fetch, ids: Sequence[int]) -> dict[int, str]:
    """The metadata of instances that have it, by row id."""
    return {row[0]: row[1] for row in fetch(_METADATA, {"ids": list(ids)})}


def _studies(fetch: Fetch, ids: Collection[int]) -> dict[int, FoundRow]:
    return {
        key: FoundRow(
            {Level.PATIENT: patient_fk, Level.STUDY: key}, {**orjson.loads(patient), **orjson.loads(attributes)}
        )
        for key, patient_fk, patient, attributes in fetch(_STUDIES, {"ids": list(ids)})
    }


def _series(fetch: Fetch, ids: Collection[int]) -> dict[int, FoundRow]:
    rows = fetch(_SERIES, {"ids": list(ids)})
    studies = _studies(fetch, {row[1] for row in rows})
    return {
        key: FoundRow(
            {**studies[study_fk].ids, Level.SERIES: key},
            {**studies[study_fk].attributes, **orjson.loads(attributes)},
        )
        for key, study_fk, attributes in rows
        if study_fk in studies
    }


def _from(query: Select[Any], level: Level, conditions: Sequence[ColumnElement[bool]]) -> Select[Any]:
    table = _TABLES[level]
    named = {name for condition in conditions for name in _tables_of(condition)}
    if level is Level.IMAGE and SERIES.name in named:
        query = query.join(SERIES, SERIES.c.id == INSTANCE.c.series_fk)
    if level in (Level.IMAGE, Level.SERIES) and STUDY.name in named:
        query = query.join(STUDY, STUDY.c.id == table.c.study_fk)
    return query.where(*conditions)


def _tables_of(condition: ColumnElement[bool]) -> set[str]:
    return {element.name for element in condition._from_objects if isinstance(element, Table)}


def _rows(*columns: Any, by: ColumnElement[int]) -> Bare:
    """The columns of the rows whose `by` is listed; JSON as text."""
    return Bare(lambda dialect: select(*columns).where(among(by, dialect)))


def _counted(by: ColumnElement[int], *conditions: ColumnElement[bool], number: Any = None, join: Any = None) -> Bare:
    """How many rows each of the listed parents has."""

    def make(dialect: str) -> Select[Any]:
        query = select(by, func.count() if number is None else number)
        query = query if join is None else query.select_from(STUDY).join(join, join.c.study_fk == STUDY.c.id)
        return query.where(among(by, dialect), *conditions).group_by(by)

    return Bare(make)


def _texts(column: ColumnElement[str], by: ColumnElement[int], visible: ColumnElement[bool]) -> Bare:
    return Bare(lambda dialect: select(by, column).where(among(by, dialect), column != "", visible).distinct())


_VISIBLE = INSTANCE.c.hidden == false()
_VISIBLE_SERIES = SERIES.c.hidden == false()
_PATIENTS = _rows(PATIENT.c.id, cast(PATIENT.c.attributes, Text), by=PATIENT.c.id)
_STUDIES = _rows(
    STUDY.c.id, STUDY.c.patient_fk, cast(STUDY.c.patient_attributes, Text), cast(STUDY.c.attributes, Text),
    by=STUDY.c.id,
)  # fmt: skip
_SERIES = _rows(SERIES.c.id, SERIES.c.study_fk, cast(SERIES.c.attributes, Text), by=SERIES.c.id)
_INSTANCES = _rows(INSTANCE.c.id, INSTANCE.c.series_fk, cast(INSTANCE.c.attributes, Text), by=INSTANCE.c.id)
_METADATA = _rows(CONTENT.c.instance_fk, CONTENT.c.metadata, by=CONTENT.c.instance_fk)
_OF_PATIENT = STUDY.c.patient_fk
_COMPUTED: dict[str, Bare] = {
    "ModalitiesInStudy": _texts(SERIES.c.modality, SERIES.c.study_fk, _VISIBLE_SERIES),
    "SOPClassesInStudy": _texts(INSTANCE.c.sop_class_uid, INSTANCE.c.study_fk, _VISIBLE),
    "NumberOfSeriesRelatedInstances": _counted(INSTANCE.c.series_fk, _VISIBLE),
    "NumberOfStudyRelatedInstances": _counted(INSTANCE.c.study_fk, _VISIBLE),
    "NumberOfStudyRelatedSeries": _counted(SERIES.c.study_fk, _VISIBLE_SERIES),
    "NumberOfPatientRelatedStudies": _counted(_OF_PATIENT, STUDY.c.hidden == false()),
    "NumberOfPatientRelatedSeries": _counted(
        _OF_PATIENT, _VISIBLE_SERIES, number=func.count(distinct(SERIES.c.id)), join=SERIES
    ),
    "NumberOfPatientRelatedInstances": _counted(
        _OF_PATIENT, _VISIBLE, number=func.count(distinct(INSTANCE.c.id)), join=INSTANCE
    ),
}
