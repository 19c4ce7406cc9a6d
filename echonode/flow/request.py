"""A person asks for more: a task on one stored object, or on every loop of a study, whatever the routes say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from echonode.archive.archive import Archive
from echonode.core.errors import BadInput, NotFound
from echonode.core.facts import Facts
from echonode.core.identity import digest_of
from echonode.core.package import Package
from echonode.core.routes import Route, RoutesFile
from echonode.core.settings import NodeSettings
from echonode.core.states import WorkState
from echonode.core.work import WorkItem, WorkKind
from echonode.flow.lines import Lines
from echonode.flow.route import run_request
from echonode.registry.catalogue import Catalogue

MOST_ITEMS = 100_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Requested:
    """One object and the workitem that runs it; `new` is False when the same was asked before."""

    sop_instance_uid: str
    item: WorkItem
    new: bool


def request(
    archive: Archive,
    catalogue: Catalogue,
    routes: RoutesFile,
    settings: NodeSettings,
    *,
    task: str,
    target: str,
    model: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    deliver_to: Sequence[str] | None = None,
    who: str = "",
) -> list[Requested]:
    """Enqueue runs of `task` for `target`: a SOP Instance UID, a Study Instance UID or an accession number.

    Model, parameters and destinations that are not given are those of the first route of that task. Asking the same
    again while the model is the same changes nothing, but a run that was given up is tried again; a model that was
    replaced since is run anew. Whether the model takes an object is answered by its run, with the reason.

    Raises:
        NotFound: no such object, study or model.
        BadInput: no route has that task and no model is named, the model is for another task, a destination is
            unknown, or there is nothing with pixels to run it on.
    """
    route = _route(routes, task=task, model=model)
    if deliver_to is not None:
        unknown = sorted(set(deliver_to) - {destination.name for destination in routes.destination})
        if unknown:
            raise BadInput(f"routes.toml names no destination {unknown[0]!r}")
    lines = Lines(archive, catalogue)
    names = lines.names()
    line = next((name for name in route.models if name in names), route.model)
    package = lines.get(line)
    if package.task != task:
        raise BadInput(f"model {package.name!r} is for {package.task}, not for {task}")
    asked = route.model_copy(
        update={
            "parameters": {**route.parameters, **(parameters or {})},
            "deliver_to": tuple(deliver_to) if deliver_to is not None else route.deliver_to,
        }
    )
    return [_enqueue(archive, asked, facts, settings, line, package, who) for facts in _targets(archive, target)]


def _route(routes: RoutesFile, *, task: str, model: str | None) -> Route:
    fitting = [route for route in routes.route if route.task == task and model in (None, route.model)]
    if fitting:
        return min(fitting, key=lambda route: not route.enabled)
    if model is None:
        raise BadInput(f"no route of routes.toml has the task {task!r}: name a model")
    return Route(name="request", task=task, model=model)


def _targets(archive: Archive, target: str) -> list[Facts]:
    one = archive.index.facts(target)
    if one is not None and not one.self_check:
        if one.derived:
            raise BadInput(f"{target} was made by echonode itself; results are never run again")
        return [one]
    try:
        study_uid = archive.index.resolve_study(target)
    except NotFound:
        raise NotFound(f"no stored object, study or accession number is {target!r}") from None
    found = [facts for facts in archive.index.facts_of_study(study_uid) if facts.has_pixels and not facts.derived]
    if not found:
        raise BadInput(f"study {study_uid} has no object with pixels that came from elsewhere")
    return found


def _enqueue(
    archive: Archive, route: Route, facts: Facts, settings: NodeSettings, line: str, package: Package, who: str
) -> Requested:
    again = f"request {package.digest[:16]} {digest_of(list(route.deliver_to))[:16]}"
    wanted = run_request(route, facts, settings, again=again, installed=(line,))
    before = {item.id for item in archive.work.list(kind=WorkKind.RUN, study_uid=facts.study_uid, limit=MOST_ITEMS)}
    with archive.transaction() as connection:
        (work_id,) = archive.work.enqueue(connection, [wanted])
        archive.audit.write(
            connection,
            event="requested",
            study_uid=facts.study_uid,
            sop_instance_uid=facts.sop_instance_uid,
            who=who,
            details={"workitem": work_id, "task": route.task, "model": route.model, "parameters": route.parameters},
        )
    item = archive.work.get(work_id)
    if item.state is WorkState.CANCELED:
        item = archive.work.retry(work_id)
    return Requested(sop_instance_uid=facts.sop_instance_uid, item=item, new=work_id not in before)
