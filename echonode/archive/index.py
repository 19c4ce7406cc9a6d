"""Reading the index: queries at four levels, single objects, facts, versions."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, and_, exists, func, select
from sqlalchemy.engine import Connection

from echonode.archive.conditions import INDEXED, attribute_matches, column_condition, text_condition
from echonode.archive.database import Database
from echonode.archive.known_facts import write_facts
from echonode.archive.rows import count, count_at, ids_at, load, metadata
from echonode.archive.schema import INSTANCE, PATIENT, SERIES, STUDY, VERSION
from echonode.core.attributes import ATTRIBUTES, COMPUTED, LEVELS, Attribute
from echonode.core.errors import BadInput, BadQuery, NotFound
from echonode.core.facts import Facts
from echonode.core.ports import BlobStore
from echonode.core.query import AnyOf, Level, Matcher, QueryMatch, QueryRequest, StoredInstance, Universal, Wildcard

T = TypeVar("T")
_CHUNK = 500
_FEW = 20
_MOST_VALUES = 10_000
_STORED = (
    INSTANCE.c.sop_instance_uid,
    INSTANCE.c.sop_class_uid,
    INSTANCE.c.transfer_syntax_uid,
    SERIES.c.series_uid,
    STUDY.c.study_uid,
    STUDY.c.patient_id,
    INSTANCE.c.sha256,
    INSTANCE.c.blob,
    INSTANCE.c.size,
    INSTANCE.c.dataset_offset,
    INSTANCE.c.derived,
    INSTANCE.c.hidden,
    INSTANCE.c.withdrawn,
)
_HIDDEN = {Level.PATIENT: PATIENT.c.hidden, Level.STUDY: STUDY.c.hidden, Level.SERIES: SERIES.c.hidden}


class Index:
    """What is stored, by identity and by query. Answers need time that grows with the matches, not with the archive.

    What is hidden matches nothing and is not counted; `instance` and `facts` alone, which ask for one UID, know it.
    """

    def __init__(self, database: Database, blobs: BlobStore) -> None:
        self._database = database
        self._blobs = blobs

    def find(self, request: QueryRequest) -> Iterator[QueryMatch]:
        """Every match from `offset` on, `limit` at most, in the order of arrival; no transaction stays open meanwhile.

        Raises:
            BadQuery: a key that is not indexed, or that describes a level below the request's.
        """
        columns, rest = self._conditions(request)
        if not rest:
            ids = self._ids(request, columns)
            return (match for batch in _batches(ids) for match in self.load(request, batch))
        fitting = self._walk(request, columns, rest)
        batches = iter(lambda: list(islice(fitting, _FEW)), [])
        return (match for batch in batches for match in self.load(request, batch))

    def locate(self, request: QueryRequest) -> list[int]:
        """The rows of one page of matches, for `load`. Quick where `decided_by_columns`.

        Raises:
            BadQuery: as `find`.
        """
        columns, rest = self._conditions(request)
        return list(self._walk(request, columns, rest)) if rest else self._ids(request, columns)

    def decided_by_columns(self, request: QueryRequest) -> bool:
        """Whether the database alone tells what matches, and an index leads it there.

        Raises:
            BadQuery: as `find`.
        """
        return not self._conditions(request)[1] and _keyed(request)

    def count(self, request: QueryRequest) -> int:
        """How many matches there are, whatever `limit` and `offset` say.

        Raises:
            BadQuery: as `find`.
        """
        columns, rest = self._conditions(request)
        if rest:
            return sum(1 for _ in self._walk(replace(request, limit=None, offset=0), columns, rest))
        with self._database.reading() as connection:
            return int(connection.execute(count_at(request.level, columns)).scalar_one())

    def load(self, request: QueryRequest, ids: Sequence[int]) -> list[QueryMatch]:
        """The matches of those rows, with what the request asks to be computed; what is gone meanwhile is left out."""
        fetch = self._database.look_up_all
        rows = load(fetch, request.level, ids)
        asked = [keyword for keyword in request.keys if keyword in COMPUTED]
        counts = {keyword: count(fetch, keyword, rows) for keyword in asked} if rows else {}
        return [
            QueryMatch(
                level=request.level,
                attributes=found.attributes,
                counts={keyword: counts[keyword].get(found) for keyword in asked},
                row=found.ids[request.level],
            )
            for found in rows
        ]

    def metadata(self, rows: Sequence[int]) -> dict[int, str]:
        """Metadata of instances by the `row` of their match, where it is kept; see archive/contents.py for its form."""
        return metadata(self._database.look_up_all, rows)

    def instance(self, sop_instance_uid: str) -> StoredInstance | None:
        """The stored object with that UID, the first one received; None when there is none."""
        found = self._stored([INSTANCE.c.sop_instance_uid == sop_instance_uid])
        return found[0] if found else None

    def instances(
        self,
        *,
        patient_id: str | None = None,
        study_uid: str | None = None,
        series_uid: str | None = None,
        sop_instance_uids: Collection[str] | None = None,
        include_derived: bool = True,
        include_hidden: bool = False,
    ) -> list[StoredInstance]:
        """Stored objects that fit every argument given, in the order of arrival."""
        conditions: list[ColumnElement[bool]] = []
        for column, value in (
            (STUDY.c.patient_id, patient_id),
            (STUDY.c.study_uid, study_uid),
            (SERIES.c.series_uid, series_uid),
        ):
            if value is not None:
                conditions.append(column == value)
        if not include_derived:
            conditions.append(INSTANCE.c.derived.is_(False))
        if not include_hidden:
            conditions.append(INSTANCE.c.hidden.is_(False))
        if sop_instance_uids is None:
            return self._stored(conditions)
        return [
            stored
            for batch in _batches(list(dict.fromkeys(sop_instance_uids)))
            for stored in self._stored([*conditions, INSTANCE.c.sop_instance_uid.in_(batch)])
        ]

    def select(self, keys: Mapping[str, Matcher]) -> list[StoredInstance]:
        """Stored objects whose attributes of any level fit every key, in the order of arrival.

        Raises:
            BadQuery: a key that is not indexed.
        """
        request = QueryRequest(level=Level.IMAGE, keys=keys)
        return [
            stored for batch in _batches(self.locate(request)) for stored in self._stored([INSTANCE.c.id.in_(batch)])
        ]

    def versions(self, sop_instance_uid: str) -> list[StoredInstance]:
        """Further versions of that object that were kept beside the first, oldest first."""
        replaced = {column.name: column for column in VERSION.c}
        columns = [replaced[c.name] if c.table is INSTANCE and c.name in replaced else c for c in _STORED]
        query = (
            select(*columns)
            .select_from(VERSION)
            .join(INSTANCE, INSTANCE.c.id == VERSION.c.instance_fk)
            .join(SERIES, SERIES.c.id == INSTANCE.c.series_fk)
            .join(STUDY, STUDY.c.id == INSTANCE.c.study_fk)
            .where(INSTANCE.c.sop_instance_uid == sop_instance_uid)
            .order_by(VERSION.c.id)
        )
        with self._database.reading() as connection:
            return [self._as_stored(row) for row in connection.execute(query)]

    def facts(self, sop_instance_uid: str) -> Facts | None:
        """The facts of that object; None when it is not stored."""
        query = select(INSTANCE.c.facts).where(INSTANCE.c.sop_instance_uid == sop_instance_uid)
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else Facts.from_dict(row.facts)

    def update_facts(self, connection: Connection, sop_instance_uid: str, facts: Facts) -> None:
        """`facts` are the object's from now on, for routes and for questions.

        Raises:
            NotFound: it is not stored.
        """
        write_facts(connection, sop_instance_uid, facts)

    def facts_of_study(self, study_uid: str) -> list[Facts]:
        """The facts of every object of the study, in the order of arrival."""
        query = (
            select(INSTANCE.c.facts)
            .join(STUDY, STUDY.c.id == INSTANCE.c.study_fk)
            .where(STUDY.c.study_uid == study_uid, INSTANCE.c.hidden.is_(False))
            .order_by(INSTANCE.c.id)
        )
        with self._database.reading() as connection:
            return [Facts.from_dict(row.facts) for row in connection.execute(query)]

    def resolve_study(self, text: str) -> str:
        """The Study Instance UID that `text` is, or whose accession number it is.

        Raises:
            NotFound: no such study.
            BadInput: more than one study has that accession number.
        """
        text = text.strip()
        with self._database.reading() as connection:
            visible = STUDY.c.hidden.is_(False)
            if connection.execute(select(STUDY.c.id).where(STUDY.c.study_uid == text, visible)).first() is not None:
                return text
            by_accession = select(STUDY.c.study_uid).where(STUDY.c.accession == text, visible)
            by_accession = by_accession.order_by(STUDY.c.id).limit(10)
            found = list(connection.execute(by_accession).scalars()) if text else []
        if not found:
            raise NotFound(f"no study has the UID or accession number {text!r}")
        if len(found) > 1:
            raise BadInput(f"accession number {text!r} belongs to more than one study: {', '.join(found)}")
        return str(found[0])

    def derived_usage(self, study_uid: str) -> tuple[int, int]:
        """How many derived objects the study has that were not withdrawn, and their bytes."""
        query = (
            select(func.count(), func.coalesce(func.sum(INSTANCE.c.size), 0))
            .select_from(INSTANCE)
            .join(STUDY, STUDY.c.id == INSTANCE.c.study_fk)
            .where(STUDY.c.study_uid == study_uid, INSTANCE.c.derived, INSTANCE.c.withdrawn == "")
        )
        with self._database.reading() as connection:
            count, size = connection.execute(query).one()
        return int(count), int(size)

    def totals(self) -> dict[str, int]:
        """How many patients, studies, series and instances there are, and the bytes of the instances."""
        names = {"patients": PATIENT, "studies": STUDY, "series": SERIES, "instances": INSTANCE}
        with self._database.reading() as connection:
            found = {
                name: int(
                    connection.execute(
                        select(func.count()).select_from(table).where(table.c.hidden.is_(False))
                    ).scalar_one()
                )
                for name, table in names.items()
            }
            visible = INSTANCE.c.hidden.is_(False)
            size = connection.execute(select(func.coalesce(func.sum(INSTANCE.c.size), 0)).where(visible)).scalar_one()
        return found | {"bytes": int(size)}

    def known_blobs(self, connection: Connection, blobs: Collection[str]) -> set[str]:
        """Which of these blobs belong to an object or a version."""
        found: set[str] = set()
        for table in (INSTANCE, VERSION):
            found |= set(connection.execute(select(table.c.blob).where(table.c.blob.in_(blobs))).scalars())
        return found

    def _conditions(self, request: QueryRequest) -> tuple[list[ColumnElement[bool]], list[tuple[Attribute, Matcher]]]:
        glob = self._database.sqlite
        columns: list[ColumnElement[bool]] = []
        rest: list[tuple[Attribute, Matcher]] = []
        for keyword, matcher in request.keys.items():
            if isinstance(matcher, AnyOf) and len(matcher.values) > _MOST_VALUES:
                raise BadQuery(f"{keyword}: {len(matcher.values)} values, {_MOST_VALUES} at most")
            if keyword in COMPUTED:
                columns += self._computed_condition(keyword, matcher, request.level)
                continue
            attribute = ATTRIBUTES.get(keyword)
            if attribute is None:
                raise BadQuery(f"{keyword} is not indexed")
            if LEVELS.index(attribute.level) > LEVELS.index(request.level):
                raise BadQuery(f"{keyword} does not describe the level {request.level}")
            if isinstance(matcher, Universal):
                continue
            condition = column_condition(attribute, matcher, request.level, glob=glob)
            columns.append(condition.sql)
            if not condition.exact:
                rest.append((attribute, matcher))
        if not request.include_hidden:
            columns.append(_HIDDEN.get(request.level, INSTANCE.c.hidden).is_(False))
        return columns, rest

    def _computed_condition(self, keyword: str, matcher: Matcher, level: Level) -> list[ColumnElement[bool]]:
        """ModalitiesInStudy and SOPClassesInStudy match when any series or object does; numbers never select."""
        if isinstance(matcher, Universal) or level is Level.PATIENT:
            return []
        if keyword == "ModalitiesInStudy":
            part = SERIES.alias("any_series")
            condition = text_condition(part.c.modality, matcher, glob=self._database.sqlite).sql
            condition = and_(condition, part.c.hidden.is_(False))
        elif keyword == "SOPClassesInStudy":
            part = INSTANCE.alias("any_instance")
            condition = text_condition(part.c.sop_class_uid, matcher, glob=self._database.sqlite).sql
            condition = and_(condition, part.c.hidden.is_(False))
        else:
            return []
        return [exists(select(part.c.id).where(part.c.study_fk == STUDY.c.id, condition))]

    def _ids(self, request: QueryRequest, columns: Sequence[ColumnElement[bool]]) -> list[int]:
        query = ids_at(request.level, columns, walk=not _keyed(request)).limit(request.limit).offset(request.offset)
        with self._database.reading() as connection:
            return list(connection.execute(query).scalars())

    def _walk(
        self,
        request: QueryRequest,
        columns: Sequence[ColumnElement[bool]],
        rest: Sequence[tuple[Attribute, Matcher]],
    ) -> Iterator[int]:
        """One page where stored attributes have to be looked into: rows are read until it is full."""
        candidates = self._ids(replace(request, limit=None, offset=0), columns)
        stop = None if request.limit is None else request.offset + request.limit
        fitting = (
            row.ids[request.level]
            for batch in _batches(candidates)
            for row in load(self._database.look_up_all, request.level, batch)
            if _fits(row.attributes, rest)
        )
        return islice(fitting, request.offset, stop)

    def _stored(self, conditions: Sequence[ColumnElement[bool]]) -> list[StoredInstance]:
        query = (
            select(*_STORED)
            .select_from(INSTANCE)
            .join(SERIES, SERIES.c.id == INSTANCE.c.series_fk)
            .join(STUDY, STUDY.c.id == INSTANCE.c.study_fk)
            .where(*conditions)
            .order_by(INSTANCE.c.id)
        )
        with self._database.reading() as connection:
            return [self._as_stored(row) for row in connection.execute(query)]

    def _as_stored(self, row: Any) -> StoredInstance:
        values = row._asdict()
        return StoredInstance(path=str(self._blobs.path(values.pop("blob"))), **values)


def _keyed(request: QueryRequest) -> bool:
    """Whether a key leads to an index, so that matches are looked up and not met on a walk."""
    return any(
        keyword in INDEXED and not isinstance(matcher, Universal) and not _begins_with_a_wildcard(matcher)
        for keyword, matcher in request.keys.items()
    )


def _begins_with_a_wildcard(matcher: Matcher) -> bool:
    return isinstance(matcher, Wildcard) and matcher.pattern[:1] in "*?"


def _fits(attributes: Mapping[str, Any], rest: Sequence[tuple[Attribute, Matcher]]) -> bool:
    return all(attribute_matches(attribute, matcher, attributes) for attribute, matcher in rest)


def _batches(values: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), _CHUNK):
        yield values[start : start + _CHUNK]
