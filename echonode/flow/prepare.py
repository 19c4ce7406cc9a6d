"""Before a frame is decoded: whether a run may start, with which model, or what is there already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from echonode.archive.archive import Archive
from echonode.core.errors import BudgetExceeded, EchonodeError, RunFailed, Undecodable, UnreadableObject
from echonode.core.facts import Facts
from echonode.core.package import Package
from echonode.core.query import StoredInstance
from echonode.core.readings import KeptReading
from echonode.core.result_json import json_values
from echonode.core.results import Ineligible
from echonode.core.settings import NodeSettings
from echonode.core.work import WorkItem
from echonode.derive.cine import KIND, cine_uid
from echonode.flow.choice import Choice, choose
from echonode.flow.contract import names_another
from echonode.flow.lines import Exactly, Lines
from echonode.flow.publish import Published, Publisher

SLOW_MOTION = "slow_motion"
"""The task whose one object has a name before it is made."""
SHADOW, LINE, BEGUN = "shadow", "line", "begun"
"""Words of a payload: the run only looks, and `model` names the package itself; the line that it looks at. And of an
outcome that is not there yet: the package with which an attempt began to publish."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A run that may start. `source` is the object that it is about, `decoded` the one whose frames the model sees: the
    same, or a label map of it. `revision` is the study's, counted in corrections of its patient."""

    item: WorkItem
    facts: Facts
    source: StoredInstance
    decoded: StoredInstance
    choice: Choice
    parameters: Mapping[str, Any]
    revision: int

    @property
    def package(self) -> Package:
        """The model that runs."""
        return self.choice.package


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """A run that need not start: its objects are stored, and what it would say is kept, where anything is."""

    prepared: Prepared
    published: tuple[Published, ...]
    reading: KeptReading | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """A run that may not start, and why; `package` where one was chosen, `facts` of the object."""

    refusal: Ineligible
    facts: Facts
    parameters: Mapping[str, Any]
    package: Package | None = None


class Preparation:
    """Looks at items before they run."""

    def __init__(self, *, archive: Archive, lines: Lines, publisher: Publisher, settings: NodeSettings) -> None:
        self._archive, self._lines = archive, lines
        self._publisher, self._settings = publisher, settings

    def of(self, item: WorkItem) -> Prepared | Known | Refused:
        """What to do with the item.

        Raises:
            EchonodeError: the object, or every model, is gone.
        """
        facts = self._archive.index.facts(item.sop_instance_uid)
        source = self._archive.index.instance(item.sop_instance_uid)
        if facts is None or source is None:
            raise RunFailed("the object is not stored on this node any more", transient=False)
        payload = item.payload
        parameters = dict(payload.get("parameters", {}))
        if "input" in payload:
            parameters["input"] = payload["input"]

        def refused(refusal: Ineligible, package: Package | None = None) -> Refused:
            return Refused(refusal=refusal, facts=facts, parameters=parameters, package=package)

        if facts.derived:
            reason = "echonode made this object itself; results are never run again"
            return refused(Ineligible(reason=reason, code="derived"))
        if names_another(facts, patient_id=source.patient_id):
            reason = "the object names another patient than the one that its study was decided to be of"
            return refused(Ineligible(reason=reason, code="identity"))
        models = [payload["model"], *payload.get("fallback", ())]
        only_looks = bool(payload.get(SHADOW))
        choice = self._begun(item) or self._chosen(models, item, facts, exactly=only_looks)
        if isinstance(choice, Ineligible):
            return refused(choice, self._first_installed(models, exactly=only_looks))
        study = self._archive.studies.state(source.study_uid)
        prepared = Prepared(
            item=item,
            facts=facts,
            source=source,
            decoded=self._decoded(item, source),
            choice=choice,
            parameters=parameters,
            revision=study.revision if study is not None else 0,
        )
        if only_looks:
            return prepared  # it makes nothing that could be there already
        if payload["task"] == SLOW_MOTION:
            found = self._cine(prepared)
            return refused(found, choice.package) if isinstance(found, Ineligible) else found
        return self._said_before(prepared) or prepared

    def _decoded(self, item: WorkItem, source: StoredInstance) -> StoredInstance:
        if "input" not in item.payload:
            return source
        stored = self._archive.index.instance(item.payload["input"])
        if stored is None or stored.withdrawn:
            raise RunFailed("the label map that it starts from is not there any more", transient=False)
        return stored

    def _cine(self, prepared: Prepared) -> Prepared | Known | Ineligible:
        """Slow motion is not made twice, nor for a study that takes no more."""
        try:
            uid = cine_uid(
                Path(prepared.source.path),
                package=prepared.package,
                parameters=prepared.parameters,
                revision=prepared.revision,
                limits=self._settings.limits,
            )
        except (Undecodable, BudgetExceeded, UnreadableObject) as error:
            return Ineligible(reason=str(error), code="undecodable")
        archived = self._publisher.archived(uid, kind=KIND)
        if isinstance(archived, Published):
            return Known(prepared=prepared, published=(archived,))
        return archived or self._publisher.over_the_caps(prepared.source.study_uid) or prepared

    def _said_before(self, prepared: Prepared) -> Known | None:
        """The same model on the same object, seen as the same view, with the same parameters, says the same.

        What it said while it only looked is run again: no objects were made of that.
        """
        parameters, uid = json_values(prepared.parameters), prepared.facts.sop_instance_uid
        for reading in reversed(self._archive.readings.of_instance(uid, current=False)):
            same = (reading.digest, reading.view, reading.parameters) == (
                prepared.package.digest,
                prepared.facts.view,
                parameters,
            )
            if not same or reading.refusals or not (reading.results or reading.objects):
                continue
            archived = [self._publisher.archived(each.sop_instance_uid, kind=each.kind) for each in reading.objects]
            published = [each for each in archived if isinstance(each, Published)]
            if len(published) == len(archived) and all(each.revision == prepared.revision for each in reading.objects):
                return Known(prepared=prepared, published=tuple(published), reading=reading)
        return None

    def _chosen(self, models: list[str], item: WorkItem, facts: Facts, *, exactly: bool) -> Choice | Ineligible:
        packages = Exactly(self._lines) if exactly else self._lines
        return choose(models, task=item.payload["task"], facts=facts, catalogue=packages, settings=self._settings)

    def _begun(self, item: WorkItem) -> Choice | None:
        """What an attempt that was cut short had begun to publish with ends with it, whoever was promoted meanwhile."""
        begun = item.outcome.get(BEGUN)
        if not begun:
            return None
        try:
            package = self._lines.exactly(begun["model"])
        except EchonodeError:
            return None
        return Choice(package=package) if package.digest == begun["digest"] else None

    def _first_installed(self, models: list[str], *, exactly: bool) -> Package | None:
        packages = Exactly(self._lines) if exactly else self._lines
        for name in models:
            try:
                return packages.get(name)
            except EchonodeError:
                continue
        return None
