"""History run again by another model: first it only looks, then the difference is shown, then a person may let it count.

Runs of history are taken when nobody waits for anything else (flow/run.py): they never stand before a patient's.
"""

from __future__ import annotations

import contextlib
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean
from typing import Any, Final

from echonode.archive.archive import Archive
from echonode.core.errors import BadInput, IllegalTransition, NotFound
from echonode.core.facts import Facts
from echonode.core.identity import digest_of
from echonode.core.package import Package
from echonode.core.query_text import keys_of_query
from echonode.core.readings import KeptReading
from echonode.core.routes import Route, RoutesFile
from echonode.core.settings import NodeSettings
from echonode.core.states import WorkState
from echonode.core.work import WorkRequest
from echonode.flow.agreement import OBJECT, Comparison, answers, compare
from echonode.flow.lines import Lines
from echonode.flow.prepare import SHADOW
from echonode.flow.route import explain, run_request, shadow_queue

MOST: Final = 10_000
"""Objects that are run again without a further word."""
PRIORITY: Final = -200
"""Below every route and every shadow of one: what comes in today is compared before history."""
STANDS: Final = "what stands"
BATCH: Final = 500
LISTED: Final = 5
PATIENCE: Final = 50
ALL: Final = 1_000_000
_ENDED: Final = (WorkState.COMPLETED, WorkState.CANCELED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """The objects that fit, each with the route that takes it; `left_out` counts the others by the reason."""

    package: Package
    objects: tuple[tuple[Facts, Route], ...]
    left_out: Mapping[str, int]

    @property
    def studies(self) -> int:
        """How many studies they belong to."""
        return len({facts.study_uid for facts, _ in self.objects})


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """Ids of the workitems, one an object that has to be run; `known` objects need no run."""

    ids: tuple[str, ...]
    known: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What a quantity of a study would become: means over its objects that both measured."""

    study_uid: str
    title: str
    unit: str
    stands: float
    new: float

    @property
    def by(self) -> float:
        """new minus what stands."""
        return self.new - self.stands


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """`comparison` is new minus what stands, over the objects that have both; `changes` are the largest of each quantity.

    `read` objects were read by the model, `missing` not yet, of which `failed` were given up; `fresh` were read where
    nothing stood before; `standing` stand with this very model already.
    """

    comparison: Comparison
    changes: tuple[Change, ...]
    read: int
    missing: int
    failed: int
    fresh: int
    standing: int

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)


def choose_objects(
    archive: Archive,
    lines: Lines,
    routes: RoutesFile,
    *,
    model: str,
    query: str | None = None,
    study: str | None = None,
    route: str | None = None,
) -> Chosen:
    """Stored objects that fit the query, or are of the study, and that a route of the model's task takes.

    Parameters and destinations are the route's; `route` names one, which may be disabled.

    Raises:
        BadInput: neither or both of query and study, a query that is none, no route has the task, two take one object.
        NotFound, PackageInvalid: no such model, study or route, or the package is not sound.
    """
    if (query is None) == (study is None):
        raise BadInput("either --query or --study says which objects are run again")
    package = lines.exactly(model)
    fitting = _routes(routes, package, route)
    if study is not None:
        keys = keys_of_query(f"StudyInstanceUID={archive.index.resolve_study(study)}")
    else:
        keys = keys_of_query(query or "", called="--query ")
    objects: list[tuple[Facts, Route]] = []
    left_out: Counter[str] = Counter()
    for stored in archive.index.select(keys):
        facts = None if stored.derived or stored.hidden else archive.index.facts(stored.sop_instance_uid)
        if facts is None or facts.derived or facts.self_check or not facts.has_pixels:
            continue
        told = [each for each, said in zip(fitting, explain(facts, _file(fitting)), strict=True) if said.matches]
        if len(told) > 1:
            names = " and ".join(each.name for each in told)
            raise BadInput(f"routes {names} both take {facts.sop_instance_uid}; name one with --route")
        if told:
            objects.append((facts, told[0]))
        else:
            left_out["no route of that task takes it"] += 1
    return Chosen(package=package, objects=tuple(objects), left_out=left_out)


def bounded(chosen: Chosen, *, yes: bool) -> None:
    """Nothing, where that many objects may be run again.

    Raises:
        BadInput: more than MOST, and nobody said yes.
    """
    if len(chosen.objects) > MOST and not yes:
        raise BadInput(f"{len(chosen.objects)} objects fit, more than {MOST}; narrow the query, or add --yes")


def look(archive: Archive, chosen: Chosen, settings: NodeSettings, *, by: str, asked: str) -> Asked:
    """Ask for runs that only look, of the objects that this very package has not read by that route.

    Asking again asks for nothing new, but what was given up is tried again. `asked` are the query's words, for the audit.
    """
    read = _read(archive, chosen)
    wanted = [
        _request(chosen.package, route, facts, settings, shadow=True)
        for facts, route in chosen.objects
        if facts.sop_instance_uid not in read
    ]
    ids = _enqueue(archive, wanted)
    _audit(archive, chosen, "history asked", by=by, details={"asked": asked, "objects": len(wanted)})
    return Asked(ids=tuple(ids), known=len(chosen.objects) - len(wanted))


def publish(archive: Archive, lines: Lines, chosen: Chosen, settings: NodeSettings, *, by: str, asked: str) -> Asked:
    """Ask for runs that count, of what the model has read while it only looked; reports of the studies are revised.

    Raises:
        BadInput: the model runs nowhere, or has not read every object yet.
    """
    package = chosen.package
    try:
        active = lines.get(package.name)
    except NotFound:
        active = None
    if active is None or active.digest != package.digest:
        instead = f"; {active.name} runs in its line" if active is not None else ""
        raise BadInput(
            f"{package.name} is {lines.standing().state(package.name)}{instead}: what no active model says is not "
            f"published; echonode models promote {package.name} --active comes first"
        )
    found = difference(archive, chosen, settings)
    if found.missing > found.failed:
        raise BadInput(
            f"{found.missing - found.failed} of {len(chosen.objects)} objects were not read by {package.name} yet: "
            "look at the difference first, without --publish"
        )
    read, standing = _read(archive, chosen), _standing(archive, chosen)
    wanted = [
        _request(package, route, facts, settings, shadow=False)
        for facts, route in chosen.objects
        if facts.sop_instance_uid in read and not _is_of(standing.get(facts.sop_instance_uid), package)
    ]
    ids = _enqueue(archive, wanted)
    by_study = Counter(request.study_uid for request in wanted)
    for study_uid, count in by_study.items():
        _audit(archive, chosen, "history published", by=by, details={"objects": count}, study_uid=study_uid)
    _audit(archive, chosen, "history published", by=by, details={"asked": asked, "objects": len(wanted)})
    return Asked(ids=tuple(ids), known=len(chosen.objects) - len(wanted))


def cancel(archive: Archive, chosen: Chosen, settings: NodeSettings, *, by: str, asked: str) -> int:
    """Cancel the runs of history by this model that wait for these objects; how many. What has begun is finished."""
    package = chosen.package
    keys = {
        _request(package, route, facts, settings, shadow=shadow).unique_key
        for facts, route in chosen.objects
        for shadow in (True, False)
    }
    waiting = archive.work.list(queue=shadow_queue(package.name), state=WorkState.SCHEDULED, limit=ALL)
    canceled = 0
    for item in (each for each in waiting if each.unique_key in keys):
        with contextlib.suppress(IllegalTransition):  # it has ended meanwhile
            archive.work.cancel(item.id, reason=f"canceled by {by}")
            canceled += 1
    _audit(archive, chosen, "history canceled", by=by, details={"asked": asked, "objects": canceled})
    return canceled


def difference(archive: Archive, chosen: Chosen, settings: NodeSettings) -> Difference:
    """What the model said of these objects beside what stands for them by the same route."""
    package = chosen.package
    read, standing = _read(archive, chosen), _standing(archive, chosen)
    already = {uid for uid, reading in standing.items() if _is_of(reading, package)}
    new = answers(reading for uid, reading in read.items() if uid not in already)
    old = answers(reading for uid, reading in standing.items() if uid not in already)
    comparison = compare(new, old, a=package.name, b=STANDS, case=OBJECT)
    missing = [
        (facts, route)
        for facts, route in chosen.objects
        if facts.sop_instance_uid not in read and facts.sop_instance_uid not in already
    ]
    return Difference(
        comparison=comparison,
        changes=tuple(_changes(comparison)),
        read=len(read),
        missing=len(missing),
        failed=_failed(archive, missing, package, settings),
        fresh=sum(uid not in standing for uid in read),
        standing=len(already),
    )


class Waiting:
    """How far runs are that were asked for; runs are begun in the order in which they were asked for."""

    def __init__(self, archive: Archive, ids: Sequence[str]) -> None:
        self._archive = archive
        self._open = deque(ids)
        self.total = len(ids)

    def done(self) -> int:
        """How many have ended; a look at the first of those that had not."""
        left: list[str] = []
        while self._open and len(left) < PATIENCE:
            work_id = self._open.popleft()
            if self._archive.work.get(work_id).state not in _ENDED:
                left.append(work_id)
        self._open.extendleft(reversed(left))
        return self.total - len(self._open)


def _routes(routes: RoutesFile, package: Package, name: str | None) -> list[Route]:
    of_task = [each for each in routes.route if each.task == package.task and not each.after]
    if name is None:
        found = [each for each in of_task if each.enabled]
        if not found:
            raise BadInput(f"no route of routes.toml has the task {package.task!r} of {package.name}")
        return found
    named = [each for each in of_task if each.name == name]
    if not named:
        known = ", ".join(each.name for each in of_task) or "none"
        raise NotFound(f"no route {name!r} has the task {package.task!r}; there are: {known}")
    return [named[0].model_copy(update={"enabled": True})]


def _file(routes: Sequence[Route]) -> RoutesFile:
    return RoutesFile.model_construct(route=tuple(routes))


def _request(package: Package, route: Route, facts: Facts, settings: NodeSettings, *, shadow: bool) -> WorkRequest:
    asked = route.model_copy(update={"model": package.name, "fallback": ()})
    request = run_request(asked, facts, settings, again=f"history {package.digest[:16]}")
    payload = {**request.payload, "deliver_to": [], SHADOW: True} if shadow else request.payload
    return replace(
        request,
        queue=shadow_queue(package.name),  # runs that count too: history waits until nobody else does
        unique_key=f"shadow|{request.unique_key}" if shadow else request.unique_key,
        priority=PRIORITY,
        payload=payload,
    )


def _enqueue(archive: Archive, wanted: Sequence[WorkRequest]) -> list[str]:
    ids: list[str] = []
    for start in range(0, len(wanted), BATCH):
        with archive.transaction() as connection:
            added = archive.work.enqueue(connection, wanted[start : start + BATCH])
            for work_id in added:
                if archive.work.get(work_id, conn=connection).state in _ENDED:
                    archive.work.retry(work_id, conn=connection)
            ids += added
    return ids


def _read(archive: Archive, chosen: Chosen) -> dict[str, KeptReading]:
    """What this very package said of the objects by their routes and with their parameters, by UID."""
    routes = {facts.sop_instance_uid: (facts, route) for facts, route in chosen.objects}
    found: dict[str, KeptReading] = {}
    for reading in archive.readings.of_model(chosen.package.name, task=chosen.package.task):
        if reading.sop_instance_uid not in routes or not _is_of(reading, chosen.package):
            continue
        facts, route = routes[reading.sop_instance_uid]
        same = digest_of(reading.parameters) == digest_of(route.parameters)
        if same and (reading.route, reading.view) == (route.name, facts.view):
            found[reading.sop_instance_uid] = reading
    return found


def _standing(archive: Archive, chosen: Chosen) -> dict[str, KeptReading]:
    """What counts now of each object by its route, by UID."""
    return {
        facts.sop_instance_uid: reading
        for facts, route in chosen.objects
        for reading in archive.readings.of_instance(facts.sop_instance_uid)
        if reading.route == route.name
    }


def _is_of(reading: KeptReading | None, package: Package) -> bool:
    return reading is not None and reading.digest == package.digest


def _failed(archive: Archive, missing: Sequence[tuple[Facts, Route]], package: Package, settings: NodeSettings) -> int:
    """How many of these were tried and given up."""
    keys = {_request(package, route, facts, settings, shadow=True).unique_key for facts, route in missing}
    if not keys:
        return 0
    given_up = archive.work.list(queue=shadow_queue(package.name), state=WorkState.CANCELED, limit=ALL)
    return sum(item.unique_key in keys for item in given_up)


def _changes(comparison: Comparison) -> Iterator[Change]:
    for concept in comparison.concepts:
        by_study: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for pair in concept.pairs:
            by_study[pair.study_uid].append((pair.a, pair.b))
        changes = [
            Change(
                study_uid=study_uid,
                title=concept.title,
                unit=concept.unit,
                stands=fmean(b for _, b in pairs),
                new=fmean(a for a, _ in pairs),
            )
            for study_uid, pairs in by_study.items()
        ]
        yield from sorted((each for each in changes if each.by), key=lambda each: -abs(each.by))[:LISTED]


def _audit(
    archive: Archive, chosen: Chosen, event: str, *, by: str, details: Mapping[str, Any], study_uid: str = ""
) -> None:
    package = chosen.package
    named = {"model": package.name, "version": package.version, "digest": package.digest}
    with archive.transaction() as connection:
        archive.audit.write(connection, event=event, study_uid=study_uid, who=by, details={**named, **details})
