"""What an operator asks of stored objects and their views, and how one is corrected."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from echonode.archive.archive import Archive
from echonode.archive.known_facts import known_facts
from echonode.archive.object_query import ObjectQuery, find_objects
from echonode.core.clip import Mode
from echonode.core.errors import BadInput, NotFound
from echonode.core.identity import is_uid
from echonode.core.routes import RoutesFile
from echonode.core.settings import NodeSettings
from echonode.core.view_codes import UNKNOWN_VIEW, VIEWS, family_of, finer_views
from echonode.flow.replan import replan
from echonode.flow.view import PERSON, with_person

Row = dict[str, Any]
_FAMILIES = frozenset(family_of(view) for view in VIEWS)


def objects(
    archive: Archive,
    *,
    study: str = "",
    view: str = "",
    mode: str = "",
    confidence_min: float | None = None,
    quality_min: float | None = None,
    limit: int = 1000,
) -> list[Row]:
    """The stored objects that fit every word, in the order of arrival; PSAX finds PSAX-MV too, `unknown` what has no view.

    Raises:
        BadInput: no such view or mode, or a bound that is not between 0 and 1.
        NotFound: no such study.
    """
    if mode and mode.lower() not in set(Mode):
        raise BadInput(f"{mode!r} is no mode: {', '.join(Mode)}")
    for name, bound in (("confidence", confidence_min), ("quality", quality_min)):
        if bound is not None and not 0 <= bound <= 1:
            raise BadInput(f"{name} is between 0 and 1, not {bound:g}")
    return find_objects(
        archive,
        ObjectQuery(
            study_uid=archive.index.resolve_study(study) if study else None,
            views=_views(view) if view else None,
            modes=(mode.lower(),) if mode else None,
            confidence_min=confidence_min,
            quality_min=quality_min,
            limit=limit,
        ),
    )


def set_view(
    archive: Archive,
    sop_instance_uid: str,
    view: str,
    *,
    routes: RoutesFile,
    settings: NodeSettings,
    installed: Collection[str],
    by: str,
    reason: str = "",
    shadows: Mapping[str, str] | None = None,
) -> Row:
    """A person's word on the view of one object: kept, audited, and what depends on it planned anew, all at once.

    `unknown` says that it is no view that the table has.

    Raises:
        BadInput: no such view, or the object is one of echonode's own.
        NotFound: no such object.
    """
    name = view.strip().upper()
    if name not in VIEWS and name != UNKNOWN_VIEW.upper():
        raise BadInput(f"{view!r} is no view: {', '.join(VIEWS)}, {UNKNOWN_VIEW}")
    with archive.transaction() as connection:
        before = known_facts(connection, sop_instance_uid) if is_uid(sop_instance_uid) else None
        if before is None or before.self_check:
            raise NotFound(f"no stored object has the SOP Instance UID {sop_instance_uid}")
        if before.derived:
            raise BadInput("echonode made this object itself; set the view of the one that it was made of")
        facts = with_person(before, name if name in VIEWS else None, by=by, reason=reason)
        done = replan(
            archive,
            connection,
            facts,
            routes=routes,
            settings=settings,
            installed=installed,
            source=PERSON,
            who=by,
            shadows=shadows,
        )
    return {
        "sop_instance_uid": sop_instance_uid,
        "study_uid": before.study_uid,
        "view": facts.view,
        "before": before.view,
        "reason": facts.view_reason,
        "changed": done.changed,
        "planned": list(done.planned),
        "canceled": list(done.canceled),
        "retired": list(done.retired),
    }


def _views(text: str) -> tuple[str, ...]:
    name = text.strip().upper()
    if name == UNKNOWN_VIEW.upper():
        return ("",)
    if name not in VIEWS and name not in _FAMILIES:
        raise BadInput(f"{text!r} is no view: {', '.join(VIEWS)}, {UNKNOWN_VIEW}")
    return finer_views(name)
