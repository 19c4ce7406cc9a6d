"""The whole story of a study: what came in, what the rules said, what ran or why not, what was made, where it went."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from echonode.archive.archive import Archive
from echonode.archive.audit import AuditRow
from echonode.core.facts import Facts
from echonode.core.query import StoredInstance
from echonode.core.routes import RoutesFile
from echonode.core.states import WorkState
from echonode.core.work import WorkItem, WorkKind
from echonode.flow.results import line_of
from echonode.flow.route import RouteExplanation, explain

MOST_ITEMS = 100_000


@dataclass(frozen=True, kw_only=True, slots=True)
class RunStory:
    """One run: its workitem, in one line what became of it, its first object's UID when there is one, and the deliveries
    of all its objects."""

    item: WorkItem
    says: str
    result_uid: str
    deliveries: tuple[WorkItem, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectStory:
    """One object that came from elsewhere; `routes` says what today's rules make of it."""

    stored: StoredInstance
    facts: Facts
    received_at: float | None
    routes: tuple[RouteExplanation, ...]
    runs: tuple[RunStory, ...]
    versions: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportStory:
    """One report of the study, how it stands, and the deliveries of its objects."""

    sop_instance_uid: str
    state: str
    status: str
    by: str
    made_at: float
    deliveries: tuple[WorkItem, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyStory:
    """A study from the first object to the last delivery; times are seconds since the epoch."""

    study_uid: str
    held: str | None
    objects: tuple[ObjectStory, ...]
    derived: tuple[StoredInstance, ...]
    quarantined: tuple[str, ...]
    events: tuple[AuditRow, ...]
    reports: tuple[ReportStory, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values; each delivery with what it says."""
        plain = asdict(self)
        for told, each in zip(plain["objects"], self.objects, strict=True):
            for run, run_story in zip(told["runs"], each.runs, strict=True):
                for row, delivery in zip(run["deliveries"], run_story.deliveries, strict=True):
                    row["says"] = says(delivery)
        for report, report_story in zip(plain["reports"], self.reports, strict=True):
            for row, delivery in zip(report["deliveries"], report_story.deliveries, strict=True):
                row["says"] = says(delivery)
        return plain


def story(archive: Archive, text: str, routes: RoutesFile) -> StudyStory:
    """The story of the study whose UID or accession number `text` is.

    Raises:
        NotFound: no such study.
    """
    study_uid = archive.index.resolve_study(text)
    instances = archive.index.instances(study_uid=study_uid)
    facts = {each.sop_instance_uid: each for each in archive.index.facts_of_study(study_uid)}
    items = sorted(archive.work.list(study_uid=study_uid, limit=MOST_ITEMS), key=lambda item: item.created_at)
    events = archive.audit.story(study_uid)
    runs: dict[str, list[WorkItem]] = defaultdict(list)
    deliveries: dict[str, list[WorkItem]] = defaultdict(list)
    for item in items:
        if item.kind is not WorkKind.REPORT:
            (runs if item.kind is WorkKind.RUN else deliveries)[item.sop_instance_uid].append(item)
    first_seen: dict[str, float] = {}
    for event in events:
        if event.sop_instance_uid:
            first_seen.setdefault(event.sop_instance_uid, event.at)
    return StudyStory(
        study_uid=study_uid,
        held=_held(archive, study_uid, items),
        objects=tuple(
            ObjectStory(
                stored=stored,
                facts=facts[stored.sop_instance_uid],
                received_at=first_seen.get(stored.sop_instance_uid),
                routes=tuple(explain(facts[stored.sop_instance_uid], routes)),
                runs=tuple(_run(item, deliveries) for item in runs[stored.sop_instance_uid]),
                versions=len(archive.index.versions(stored.sop_instance_uid)),
            )
            for stored in instances
            if not stored.derived
        ),
        derived=tuple(stored for stored in instances if stored.derived),
        quarantined=tuple(each.reason for each in archive.quarantine.list() if each.study_uid == study_uid),
        events=tuple(events),
        reports=tuple(
            ReportStory(
                sop_instance_uid=report.sop_instance_uid,
                state=str(report.state),
                status=str(report.status),
                by=report.by,
                made_at=report.at,
                deliveries=tuple(each for uid in report.uids for each in deliveries.get(uid, ())),
            )
            for report in archive.reports.all(study_uid)
        ),
    )


def says(item: WorkItem) -> str:
    """One line for people: where the item stands and why."""
    outcome: Mapping[str, Any] = item.outcome
    if item.payload.get("shadow"):
        return f"only looks: {_says(item, outcome)}"
    return _says(item, outcome)


def _says(item: WorkItem, outcome: Mapping[str, Any]) -> str:
    match item.state:
        case WorkState.SCHEDULED if item.held:
            return f"held: {item.held}"
        case WorkState.SCHEDULED if item.attempts:
            return f"waits for attempt {item.attempts + 1} of {item.max_attempts}: {item.reason}"
        case WorkState.SCHEDULED:
            return "waits"
        case WorkState.IN_PROGRESS:
            return f"in progress, attempt {item.attempts} of {item.max_attempts}"
        case WorkState.CANCELED if outcome.get("result") == "superseded":
            return line_of(outcome)
        case WorkState.CANCELED:
            return f"given up: {item.reason}"
    if outcome.get("result") == "nothing":
        return f"nothing new: {outcome.get('reason', '')}"
    if outcome.get("result") == "delivered":
        return f"delivered to {outcome.get('destination', item.queue)}"
    return line_of(outcome)


def _run(item: WorkItem, deliveries: Mapping[str, list[WorkItem]]) -> RunStory:
    result = str(item.outcome.get("sop_instance_uid", ""))
    made = [str(each["uid"]) for each in item.outcome.get("objects", ())] or [result]
    return RunStory(
        item=item,
        says=says(item),
        result_uid=result,
        deliveries=tuple(each for uid in made if uid for each in deliveries.get(uid, ())),
    )


def _held(archive: Archive, study_uid: str, items: list[WorkItem]) -> str | None:
    for conflict in archive.conflicts.list():
        if conflict.study_uid == study_uid:
            return f"{len(conflict.claims)} patient identities in one study"
    return next((item.held for item in items if item.held), None)
