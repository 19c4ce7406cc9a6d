"""What changes when more is known of a stored object: its facts, the runs that are planned for it, and what counts.

A classifier that has looked, or a person who knows better, changes the view; the rules of routes.toml are then asked
again. What the first answer has started and the second does not want is stopped, and what it has said counts no more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.engine import Connection

from echonode.archive.archive import Archive
from echonode.archive.known_facts import known_facts
from echonode.core.errors import NotFound
from echonode.core.facts import Facts
from echonode.core.routes import Route, RoutesFile
from echonode.core.settings import NodeSettings
from echonode.core.states import OPEN
from echonode.core.work import WorkRequest
from echonode.flow.route import explain, run_request, with_shadows
from echonode.flow.view import PERSON

VIEWLESS = frozenset({"slow_motion", "view"})
"""Tasks whose answer to an object is the same whatever view it is said to show."""
FROM_HEADER = frozenset({"", "header", "views.toml"})
PHASE = {"phase": "ED"}
"""What a run that starts from a label map takes of it, where its route does not say."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Replanned:
    """What came of new facts: ids of the workitems that were planned and canceled, and the routes whose readings count
    no more. `changed` is False when the facts were known already, or a person's word stands against them."""

    changed: bool
    planned: tuple[str, ...] = ()
    canceled: tuple[str, ...] = ()
    retired: tuple[str, ...] = ()


def replan(
    archive: Archive,
    connection: Connection,
    facts: Facts,
    *,
    routes: RoutesFile,
    settings: NodeSettings,
    installed: Collection[str],
    source: str,
    who: str = "",
    correlation_id: str = "",
    besides: str = "",
    shadows: Mapping[str, str] | None = None,
) -> Replanned:
    """`facts` are the object's from now on: plan what they ask for and end what they do not, in the caller's transaction.

    `source` says who knows it: classifier or person. The workitem `besides`, which learned it, is left alone. What ran
    under the same facts stays; a view that a person set is never changed by a classifier.

    Raises:
        NotFound: the object is not stored.
    """
    uid = facts.sop_instance_uid
    before = known_facts(connection, uid)
    if before is None:
        raise NotFound(f"no stored object has the UID {uid}")
    if before == facts or (before.view_source == PERSON and source != PERSON and before.view != facts.view):
        return Replanned(changed=False)
    archive.index.update_facts(connection, uid, facts)
    archive.studies.due(connection, facts.study_uid)
    fit_before, fit_now = _fitting(before, routes), _fitting(facts, routes)
    stale = {name for name in fit_before if name not in fit_now}
    asked_anew = {name for name in fit_now if name not in fit_before}
    if (before.view, before.mode) != (facts.view, facts.mode):
        again = {name for name, route in fit_now.items() if name in fit_before and route.task not in VIEWLESS}
        stale |= again
        asked_anew |= again
    canceled = _cancel(archive, connection, facts, stale, besides=besides)
    retired = archive.readings.retire(connection, uid, stale)
    wanted = [
        run_request(route, facts, settings, correlation_id=correlation_id, installed=installed, again=again_of(facts))
        for name, route in fit_now.items()
        if name in asked_anew and not route.after
    ]
    wanted = with_shadows(wanted, shadows or {})
    planned = _enqueue(archive, connection, wanted)
    archive.audit.write(
        connection,
        event="view known" if before.view != facts.view else "facts known",
        correlation_id=correlation_id,
        study_uid=facts.study_uid,
        sop_instance_uid=uid,
        who=who or source,
        details={
            "view": facts.view,
            "before": before.view,
            "reason": facts.view_reason,
            "source": source,
            "planned": [request.unique_key for request in wanted],
            "canceled": canceled,
            "retired": retired,
        },
    )
    return Replanned(changed=True, planned=tuple(planned), canceled=tuple(canceled), retired=tuple(retired))


def again_of(facts: Facts) -> str:
    """What makes a run another one than the first planned: a view that no header told."""
    return "" if facts.view_source in FROM_HEADER else f"view {facts.view or 'unknown'}"


def following(
    facts: Facts,
    *,
    task: str,
    label_map: str,
    routes: RoutesFile,
    settings: NodeSettings,
    installed: Collection[str],
    correlation_id: str = "",
    shadows: Mapping[str, str] | None = None,
) -> list[WorkRequest]:
    """The runs that start from the label map that `task` made of the object: routes `after` it that match."""
    requests = []
    for route in _fitting(facts, routes).values():
        if route.after != task or route.task == task:
            continue
        asked = route.model_copy(update={"parameters": {**PHASE, **route.parameters}})
        request = run_request(
            asked, facts, settings, correlation_id=correlation_id, installed=installed, again=f"after {label_map}"
        )
        requests.append(replace(request, payload={**request.payload, "input": label_map}))
    return with_shadows(requests, shadows or {})


def _fitting(facts: Facts, routes: RoutesFile) -> dict[str, Route]:
    told = zip(routes.route, explain(facts, routes), strict=True)
    return {route.name: route for route, explanation in told if explanation.matches}


def _cancel(
    archive: Archive, connection: Connection, facts: Facts, routes: Collection[str], *, besides: str
) -> list[str]:
    """End what these routes have begun or wait for; their workers find it gone."""
    view = facts.view or "unknown"
    reason = f"the view is {view} now" + (f": {facts.view_reason}" if facts.view_reason else "")
    canceled = []
    for item in archive.work.open_runs(connection, study_uid=facts.study_uid, sop_instance_uid=facts.sop_instance_uid):
        if item.route in routes and item.id != besides:
            outcome: dict[str, Any] = {"result": "superseded", "reason": reason}
            archive.work.cancel(item.id, reason=reason, outcome=outcome, conn=connection)
            canceled.append(item.id)
    return canceled


def _enqueue(archive: Archive, connection: Connection, wanted: Sequence[WorkRequest]) -> list[str]:
    """Ids of the items; one that was ended because another view was believed meanwhile is offered again."""
    ids = archive.work.enqueue(connection, wanted)
    for work_id in ids:
        if archive.work.get(work_id, conn=connection).state not in OPEN:
            archive.work.retry(work_id, conn=connection)
    return ids
