"""Stored objects by what is known of them: view, mode, confidence, quality."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, select

from echonode.archive.archive import Archive
from echonode.archive.schema import INSTANCE, SERIES, STUDY

_FACTS = ("view_source", "view_reason", "mode_reason", "stage", "frames", "frame_rate", "heart_rate", "age_years")


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectQuery:
    """What to look for; None and empty ask for nothing. `views` are short names; an empty one is no view.

    `confidence_min` and `quality_min` leave out what nobody judged. What echonode made itself is left out too.
    """

    study_uid: str | None = None
    views: Collection[str] | None = None
    modes: Collection[str] | None = None
    confidence_min: float | None = None
    quality_min: float | None = None
    limit: int = 1000


def find_objects(archive: Archive, query: ObjectQuery) -> list[dict[str, Any]]:
    """The visible objects that fit, in the order of arrival, as JSON values."""
    conditions: list[ColumnElement[bool]] = [INSTANCE.c.hidden.is_(False), INSTANCE.c.derived.is_(False)]
    if query.study_uid is not None:
        conditions.append(STUDY.c.study_uid == query.study_uid)
    if query.views is not None:
        conditions.append(INSTANCE.c.view.in_(list(query.views)))
        if all(query.views):
            conditions.append(INSTANCE.c.view != "")  # the index has no others
    if query.modes is not None:
        conditions.append(INSTANCE.c.mode.in_(list(query.modes)))
    if query.confidence_min is not None:
        conditions.append(INSTANCE.c.view_confidence >= query.confidence_min)
    if query.quality_min is not None:
        conditions.append(INSTANCE.c.quality >= query.quality_min)
    wanted = (
        select(
            INSTANCE.c.sop_instance_uid,
            STUDY.c.study_uid,
            SERIES.c.series_uid,
            INSTANCE.c.mode,
            INSTANCE.c.view,
            INSTANCE.c.view_confidence,
            INSTANCE.c.quality,
            INSTANCE.c.received_at,
            INSTANCE.c.facts,
        )
        .join(SERIES, SERIES.c.id == INSTANCE.c.series_fk)
        .join(STUDY, STUDY.c.id == INSTANCE.c.study_fk)
        .where(*conditions)
        .order_by(INSTANCE.c.id)
        .limit(query.limit)
    )
    with archive.reading() as connection:
        found = [row._asdict() for row in connection.execute(wanted)]
    rows = []
    for row in found:
        facts = row.pop("facts")
        rows.append(row | {"view": row["view"] or None} | {name: facts.get(name) for name in _FACTS})
    return rows
