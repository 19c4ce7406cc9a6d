"""What an operator asks a node and tells it to do, as plain JSON values: the command line and the admin API share it.

Every order is audited with who gave it. Times are seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Protocol, get_args

from echonode.archive.archive import Archive
from echonode.archive.blobs import LocalBlobs
from echonode.archive.pauses import PauseKind
from echonode.core.attributes import ATTRIBUTES
from echonode.core.configuration import Configuration
from echonode.core.errors import BadInput, NotFound
from echonode.core.identity import is_uid
from echonode.core.query import Level, QueryRequest, Universal
from echonode.core.states import WorkState
from echonode.core.text import span
from echonode.core.work import WorkItem, WorkKind
from echonode.flow import objects as stored_objects
from echonode.flow import report_desk
from echonode.flow.correct import resolve
from echonode.flow.ingest import Ingest
from echonode.flow.lines import Lines
from echonode.flow.model_life import ModelLife
from echonode.flow.quarantine import resubmit
from echonode.flow.request import request
from echonode.flow.route import explain
from echonode.flow.story import says, story
from echonode.flow.training_orders import order_of, words
from echonode.registry.catalogue import Catalogue

Row = dict[str, Any]
STUDY_KEYS = ("StudyInstanceUID", "StudyDate", "AccessionNumber", "StudyDescription", "PatientID", "PatientName")
COUNTED = ("NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances")
MOST_ROWS = 100_000
SHORTEST_DIGEST = 8


class Console(Protocol):
    """A node under one's hands: this machine's, or another's over HTTP (web/user.py)."""

    def work(self, *, kind: str = "", state: str = "", study: str = "", queue: str = "", limit: int = 50) -> list[Row]:
        """The newest workitems that fit; `says` tells in words where each stands."""
        ...

    def work_item(self, text: str) -> Row:
        """The workitem whose id is, or begins with, `text`."""
        ...

    def retry(self, text: str, *, by: str) -> Row:
        """Offer an item that has ended again; the item."""
        ...

    def cancel(self, text: str, *, by: str, reason: str) -> Row:
        """Cancel an item that has not ended; the item."""
        ...

    def studies(self, *, limit: int = 50) -> list[Row]:
        """Stored studies."""
        ...

    def study(self, text: str) -> Row:
        """The story of the study whose UID or accession number `text` is."""
        ...

    def request(
        self,
        *,
        task: str,
        target: str,
        by: str,
        model: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        deliver_to: Sequence[str] | None = None,
    ) -> list[Row]:
        """Run a task on a stored object or study, whatever the routes say."""
        ...

    def routes(self) -> list[Row]:
        """Every route of routes.toml."""
        ...

    def explain(self, sop_instance_uid: str) -> Row:
        """Which routes take a stored object, condition by condition."""
        ...

    def models(self) -> list[Row]:
        """Every model package: how it stands, in which line, since when, and whether its files are sound."""
        ...

    def model(self, name: str) -> Row:
        """The manifest of one package, its digest, how it stands, and its history."""
        ...

    def promote_model(self, model: str, *, active: bool, line: str = "", name: str, why: str, by: str) -> Row:
        """Let a registered package run where routes name its line, or with `active` False look beside the one that runs;
        `name` is who decides it."""
        ...

    def rollback_model(self, line: str, *, name: str, why: str, by: str) -> Row:
        """What was active in a line before its last change is active again."""
        ...

    def retire_model(self, model: str, *, name: str, why: str, by: str) -> Row:
        """Take a package out of service."""
        ...

    def remove_model(self, model: str, *, name: str, why: str, by: str) -> Row:
        """Remove the folder of a package that neither runs nor looks."""
        ...

    def peers(self) -> Row:
        """peers.toml."""
        ...

    def pauses(self) -> list[Row]:
        """What is paused."""
        ...

    def pause(self, kind: str, name: str, *, by: str, reason: str) -> None:
        """Hold back the work of a route, a model or a destination."""
        ...

    def resume(self, kind: str, name: str, *, by: str) -> None:
        """Let it go on."""
        ...

    def conflicts(self) -> list[Row]:
        """Studies that name two patients."""
        ...

    def resolve(self, study: str, *, keep: str, by: str) -> Row:
        """Say whose a study is: a PatientID, or a digest of the list or its beginning; what was kept."""
        ...

    def quarantine(self, *, limit: int = 100) -> list[Row]:
        """Objects that were not taken."""
        ...

    def resubmit(self, number: int, *, by: str) -> Row:
        """One quarantined object through the door again; verdict and detail."""
        ...

    def refusals(self) -> list[Row]:
        """Who was refused, why, and what to do about it."""
        ...

    def objects(
        self,
        *,
        study: str = "",
        view: str = "",
        mode: str = "",
        confidence_min: float | None = None,
        quality_min: float | None = None,
        limit: int = 1000,
    ) -> list[Row]:
        """Stored objects by what is known of them."""
        ...

    def set_view(self, instance: str, view: str, *, by: str, name: str = "", reason: str = "") -> Row:
        """A person's word on which view an object shows, and what was planned anew for it; `name` is who says so."""
        ...

    def report(self, study: str) -> Row:
        """The report of a study that stands, in values and in lines, those before it, and what the next one waits for."""
        ...

    def process_now(self, study: str, *, by: str) -> Row:
        """Let a study count as complete, so that its report is made; how many of its runs have not ended."""
        ...

    def review(
        self,
        study: str,
        *,
        name: str,
        by: str,
        rejected: str | None = None,
        values: Mapping[str, float] | None = None,
        comment: str = "",
    ) -> Row:
        """A person's last word on the report: accepted, with values of their own (EF: 45), or rejected for a reason."""
        ...

    def correct(self, study: str, *, changes: Mapping[str, str], name: str, reason: str, by: str) -> Row:
        """Say who the patient of a study really is; what was made of it is made anew."""
        ...

    def results(self, study: str) -> list[Row]:
        """Every derived object of a study: kind, model, how it stands, its deliveries."""
        ...

    def withdraw(self, target: str, *, reason: str, name: str, by: str) -> Row:
        """Take back a result, or everything that was made of a study."""
        ...


class LocalConsole:
    """A Console on this machine's archive and configuration.

    Raises:
        NotFound: nothing has that name.
        BadInput: a word that is not understood.
        IllegalTransition: the item is not in a state for that.
    """

    def __init__(
        self, configuration: Configuration, archive: Archive, catalogue: Catalogue, *, ingest: Callable[[], Ingest]
    ) -> None:
        self._configuration, self._archive, self._catalogue = configuration, archive, catalogue
        self._lines = Lines(archive, catalogue)
        self._life = ModelLife(archive, catalogue, configuration.routes, own=configuration.imported_models)
        self._ingest = ingest

    def work(self, *, kind: str = "", state: str = "", study: str = "", queue: str = "", limit: int = 50) -> list[Row]:
        """As Console.work; `state` as in the table of states, in any case, with a dash for the space."""
        items = self._archive.work.list(
            kind=_kind(kind),
            state=_state(state),
            study_uid=self._archive.index.resolve_study(study) if study else None,
            queue=queue or None,
            limit=limit,
        )
        paused = self._paused()
        return [self._row(item, paused) for item in items]

    def work_item(self, text: str) -> Row:
        """As Console.work_item."""
        return self._row(self._item(text), self._paused())

    def retry(self, text: str, *, by: str) -> Row:
        """As Console.retry."""
        found = self._item(text)
        not_before = 0.0
        if found.kind is WorkKind.TRAIN:
            not_before = order_of(found).window.opening(self._archive.clock())
        item = self._archive.work.retry(found.id, not_before=not_before)
        self._audit(item, "retried", by)
        return self._row(item, self._paused())

    def cancel(self, text: str, *, by: str, reason: str) -> Row:
        """As Console.cancel."""
        item = self._archive.work.cancel(self._item(text).id, reason=reason)
        self._audit(item, "canceled", by, reason=reason)
        return self._row(item, self._paused())

    def studies(self, *, limit: int = 50) -> list[Row]:
        """As Console.studies."""
        keys = {name: Universal() for name in (*STUDY_KEYS, *COUNTED)}
        found = self._archive.index.find(QueryRequest(level=Level.STUDY, keys=keys, limit=limit))
        return [_named(match.attributes) | dict(match.counts) for match in found]

    def study(self, text: str) -> Row:
        """As Console.study."""
        return story(self._archive, text, self._configuration.routes).as_dict()

    def request(
        self,
        *,
        task: str,
        target: str,
        by: str,
        model: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        deliver_to: Sequence[str] | None = None,
    ) -> list[Row]:
        """As Console.request."""
        made = request(
            self._archive,
            self._catalogue,
            self._configuration.routes,
            self._configuration.node,
            task=task,
            target=target,
            model=model,
            parameters=parameters,
            deliver_to=deliver_to,
            who=by,
        )
        return [
            {"id": each.item.id, "object": each.sop_instance_uid, "state": str(each.item.state), "new": each.new}
            for each in made
        ]

    def routes(self) -> list[Row]:
        """As Console.routes."""
        return [route.model_dump(mode="json", exclude_none=True) for route in self._configuration.routes.route]

    def explain(self, sop_instance_uid: str) -> Row:
        """As Console.explain."""
        facts = self._archive.index.facts(sop_instance_uid) if is_uid(sop_instance_uid) else None
        if facts is None or facts.self_check:
            raise NotFound(f"no stored object has the SOP Instance UID {sop_instance_uid}")
        found = explain(facts, self._configuration.routes)
        return {"facts": facts.as_dict(), "routes": [asdict(each) for each in found]}

    def models(self) -> list[Row]:
        """As Console.models."""
        return self._life.rows()

    def model(self, name: str) -> Row:
        """As Console.model."""
        stands = self._life.row(name)
        if stands["history"] and name not in self._catalogue.names():
            return {"name": name} | stands
        manifest, package = self._catalogue.manifest(name), self._catalogue.get(name)
        content = manifest.model_dump(mode="json") | {"evaluation": manifest.evaluation}
        return content | {"digest": package.digest, "folder": str(package.folder)} | stands

    def promote_model(self, model: str, *, active: bool, line: str = "", name: str, why: str, by: str) -> Row:
        """As Console.promote_model."""
        return self._life.promote(model, active=active, line=line, by=_person(name, by), why=why)

    def rollback_model(self, line: str, *, name: str, why: str, by: str) -> Row:
        """As Console.rollback_model."""
        return self._life.rollback(line, by=_person(name, by), why=why)

    def retire_model(self, model: str, *, name: str, why: str, by: str) -> Row:
        """As Console.retire_model."""
        return self._life.retire(model, by=_person(name, by), why=why)

    def remove_model(self, model: str, *, name: str, why: str, by: str) -> Row:
        """As Console.remove_model."""
        return self._life.remove(model, by=_person(name, by), why=why)

    def peers(self) -> Row:
        """As Console.peers."""
        return self._configuration.peers.model_dump(mode="json")

    def pauses(self) -> list[Row]:
        """As Console.pauses."""
        return [asdict(pause) for pause in self._archive.pauses.list()]

    def pause(self, kind: str, name: str, *, by: str, reason: str) -> None:
        """As Console.pause; a name that nothing has is refused: a typing error must not look like a pause."""
        checked = _pausable(kind)
        names = self._pausable_names(checked)
        if name not in names:
            raise NotFound(f"there is no {kind} {name!r}; there are: {', '.join(sorted(names)) or 'none'}")
        self._archive.pauses.pause(checked, name, by=by, reason=reason)

    def resume(self, kind: str, name: str, *, by: str) -> None:
        """As Console.resume."""
        self._archive.pauses.resume(_pausable(kind), name, by=by)

    def conflicts(self) -> list[Row]:
        """As Console.conflicts."""
        return [asdict(conflict) for conflict in self._archive.conflicts.list()]

    def resolve(self, study: str, *, keep: str, by: str) -> Row:
        """As Console.resolve."""
        study_uid = self._archive.index.resolve_study(study)
        digests = [
            claim.digest
            for conflict in self._archive.conflicts.list()
            if conflict.study_uid == study_uid
            for claim in conflict.claims
            if len(keep) >= SHORTEST_DIGEST and claim.digest.startswith(keep)
        ]
        patient_id, digest = resolve(
            self._archive,
            self._configuration.routes,
            self._configuration.node.work,
            study_uid=study_uid,
            keep=digests[0] if len(digests) == 1 else keep,
            who=by,
        )
        return {"study_uid": study_uid, "patient_id": patient_id, "digest": digest}

    def quarantine(self, *, limit: int = 100) -> list[Row]:
        """As Console.quarantine."""
        return [asdict(held) for held in self._archive.quarantine.list(limit=limit)]

    def resubmit(self, number: int, *, by: str) -> Row:
        """As Console.resubmit."""
        self._archive.quarantine.get(number)
        blobs = LocalBlobs(self._configuration.root)
        receipt = resubmit(number, archive=self._archive, blobs=blobs, ingest=self._ingest(), by=by)
        return {
            "number": number,
            "verdict": str(receipt.verdict),
            "accepted": receipt.accepted,
            "study_uid": receipt.study_uid,
            "detail": receipt.detail,
        }

    def refusals(self) -> list[Row]:
        """As Console.refusals."""
        return [asdict(refusal) for refusal in self._archive.refusals.list()]

    def objects(
        self,
        *,
        study: str = "",
        view: str = "",
        mode: str = "",
        confidence_min: float | None = None,
        quality_min: float | None = None,
        limit: int = 1000,
    ) -> list[Row]:
        """As Console.objects."""
        return stored_objects.objects(
            self._archive,
            study=study,
            view=view,
            mode=mode,
            confidence_min=confidence_min,
            quality_min=quality_min,
            limit=limit,
        )

    def set_view(self, instance: str, view: str, *, by: str, name: str = "", reason: str = "") -> Row:
        """As Console.set_view."""
        return stored_objects.set_view(
            self._archive,
            instance,
            view,
            routes=self._configuration.routes,
            settings=self._configuration.node,
            installed=self._lines.names(),
            shadows=self._lines.shadows(),
            by=f"{name} ({by})" if name else by,
            reason=reason,
        )

    def report(self, study: str) -> Row:
        """As Console.report."""
        return report_desk.report(self._archive, self._configuration, study)

    def process_now(self, study: str, *, by: str) -> Row:
        """As Console.process_now."""
        return report_desk.process_now(self._archive, self._configuration, study, by=by)

    def review(
        self,
        study: str,
        *,
        name: str,
        by: str,
        rejected: str | None = None,
        values: Mapping[str, float] | None = None,
        comment: str = "",
    ) -> Row:
        """As Console.review."""
        return report_desk.review(
            self._archive,
            self._configuration,
            study,
            name=name,
            by=by,
            rejected=rejected,
            values=values or {},
            comment=comment,
        )

    def correct(self, study: str, *, changes: Mapping[str, str], name: str, reason: str, by: str) -> Row:
        """As Console.correct."""
        return report_desk.correct(
            self._archive, self._configuration, study, changes=changes, name=name, reason=reason, by=by
        )

    def results(self, study: str) -> list[Row]:
        """As Console.results."""
        return report_desk.results(self._archive, study)

    def withdraw(self, target: str, *, reason: str, name: str, by: str) -> Row:
        """As Console.withdraw."""
        return report_desk.withdraw(self._archive, self._configuration, target, reason=reason, name=name, by=by)

    def _row(self, item: WorkItem, paused: set[tuple[str, str]]) -> Row:
        told = {"kind": str(item.kind), "state": str(item.state), "says": self._says(item, paused)}
        return asdict(item) | told

    def _says(self, item: WorkItem, paused: set[tuple[str, str]]) -> str:
        if item.kind is WorkKind.TRAIN:
            return words(item, self._archive.clock())
        if item.state is WorkState.SCHEDULED and not item.held:
            queue = {WorkKind.RUN: "model", WorkKind.DELIVER: "destination"}.get(item.kind, "")
            for kind, name in ((queue, item.queue), ("route", item.route)):
                if (kind, name) in paused:
                    return f"{kind} {name} is paused"
            wait = item.not_before - self._archive.clock()
            if wait > 1:
                return f"next try in {span(wait)}" + (f": {item.reason}" if item.reason else "")
        return says(item)

    def _paused(self) -> set[tuple[str, str]]:
        return {(pause.kind, pause.name) for pause in self._archive.pauses.list()}

    def _item(self, text: str) -> WorkItem:
        found = self._archive.work.beginning_with(text, limit=2)
        if len(found) != 1:
            raise NotFound(f"no workitem {text!r}" if not found else f"several workitems begin with {text!r}")
        return found[0]

    def _audit(self, item: WorkItem, event: str, by: str, **details: str) -> None:
        with self._archive.transaction() as connection:
            self._archive.audit.write(
                connection,
                event=event,
                correlation_id=item.correlation_id,
                study_uid=item.study_uid,
                sop_instance_uid=item.sop_instance_uid,
                who=by,
                details={"workitem": item.id, **details},
            )

    def _pausable_names(self, kind: PauseKind) -> set[str]:
        routes = self._configuration.routes
        if kind == "route":
            return {route.name for route in routes.route}
        if kind == "destination":
            return {destination.name for destination in routes.destination}
        return set(self._lines.names()) | {route.model for route in routes.route}


def _person(name: str, by: str) -> str:
    """Who gave an order that somebody must answer for: the person, and through what; empty where nobody is named."""
    return f"{name.strip()} ({by})" if name.strip() else ""


def _kind(text: str) -> WorkKind | None:
    if text and text not in set(WorkKind):
        raise BadInput(f"{text!r} is no kind of work: {', '.join(WorkKind)}")
    return WorkKind(text) if text else None


def _state(text: str) -> WorkState | None:
    wanted = text.upper().replace("-", " ")
    if wanted and wanted not in set(WorkState):
        raise BadInput(f"{text!r} is no state of work: {', '.join(WorkState)}")
    return WorkState(wanted) if wanted else None


def _pausable(text: str) -> PauseKind:
    for kind in get_args(PauseKind):
        if kind == text:
            checked: PauseKind = kind
            return checked
    raise BadInput(f"{text!r} cannot be paused: {', '.join(get_args(PauseKind))}")


def _named(attributes: Mapping[str, Any]) -> Row:
    """DICOM JSON as keyword -> text."""
    row: Row = {}
    for keyword in STUDY_KEYS:
        values = attributes.get(ATTRIBUTES[keyword].tag, {}).get("Value", [])
        first = values[0] if values else ""
        row[keyword] = first.get("Alphabetic", "") if isinstance(first, dict) else str(first)
    return row
