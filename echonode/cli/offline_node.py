"""A node of one command: its own archive in a folder that is thrown away, the node's own door, runs and report.

Nothing of what the node decides is decided here a second time: files come in through the ingest door, routes plan runs,
views are reconciled, and the report is composed, by the same code and under the same UIDs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from echonode.core.errors import BadInput, RunFailed, UnreadableObject
from echonode.core.identity import new_id

if TYPE_CHECKING:
    from echonode.archive.archive import Archive
    from echonode.archive.blobs import LocalBlobs
    from echonode.core.configuration import Configuration
    from echonode.core.ports import Executor
    from echonode.core.query import StoredInstance
    from echonode.core.readings import KeptReading
    from echonode.core.report import StudyReport
    from echonode.core.work import WorkItem
    from echonode.flow.ingest import Ingest
    from echonode.flow.reporting import Reporting
    from echonode.flow.run import Runs
    from echonode.registry.catalogue import Catalogue

VIEW_TASK, SLOW_MOTION = "view", "slow_motion"
MEASUREMENTS = "measurements"
NOBODY = "files"
"""The destination that stands for the folder that is written: nothing is sent."""
WEEK = 7 * 86400.0
CHUNK_BYTES = 1 << 20
WAIT_SECONDS = 0.1
MOST_ITEMS = 100_000

Told = Callable[[int, int], None]


def offline(
    site: Configuration, scratch: Path, *, slow_motion: bool, document: bool, measurements: bool, on_patients: bool
) -> Configuration:
    """The configuration `site` for one command: everything is kept under `scratch`, nothing is delivered, and what fails
    is not tried again. Reports are made whatever `site` says, with what was asked for beside them."""
    from echonode.core.routes import Destination

    node, routes = site.node, site.routes
    rules = [each for each in routes.route if slow_motion or each.task != SLOW_MOTION]
    units = [each for each in routes.destination if each.kinds is not None and MEASUREMENTS in each.kinds]
    nobody = [
        Destination(name=f"{NOBODY}-{unit}", peer=NOBODY, kinds=(MEASUREMENTS,), length_unit=unit)
        for unit in dict.fromkeys(each.length_unit for each in units) or ("mm",)
    ]
    section = routes.report.model_copy(
        update={
            "enabled": True,
            "deliver_to": tuple(each.name for each in nobody),
            "document": document,
            "measurements": measurements,
        }
    )
    return replace(
        site,
        node=node.model_copy(
            update={
                "storage": node.storage.model_copy(
                    update={"root": scratch, "database_url": "", "refuse_below_bytes": 0, "warn_below_bytes": 0}
                ),
                "work": node.work.model_copy(update={"lease_seconds": WEEK, "run_attempts": 1}),
                "models": node.models.model_copy(
                    update={"simulated_on_patients": node.models.simulated_on_patients or on_patients}
                ),
            }
        ),
        routes=routes.model_copy(
            update={
                "route": tuple(each.model_copy(update={"deliver_to": ()}) for each in rules),
                "destination": tuple(nobody),
                "report": section,
            }
        ),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class OfflineNode:
    """One study at a time: `take` its files, `run` what its routes ask for, and look at its `report`."""

    configuration: Configuration
    archive: Archive
    blobs: LocalBlobs
    ingest: Ingest
    catalogue: Catalogue
    runs: Runs
    reporting: Reporting

    def take(self, file: Path) -> str:
        """The SOP Instance UID of a Part 10 file that came in.

        Raises:
            UnreadableObject: the door does not take it; why.
        """
        from echonode.core.received import Origin, ReceivedObject, Verdict

        title = self.configuration.node.node.ae_title
        part, meta_class, meta_uid, syntax, offset, size, digest = self._copied(file)
        receipt = self.ingest.accept(
            ReceivedObject(
                part=part,
                dataset_offset=offset,
                size=size,
                sha256=digest,
                sop_class_uid=meta_class,
                sop_instance_uid=meta_uid,
                transfer_syntax_uid=syntax,
                origin=Origin.IMPORT,
                called_ae=title,
                correlation_id=new_id(),
            )
        )
        if receipt.verdict in (Verdict.QUARANTINED, Verdict.CONFLICT) or not receipt.accepted:
            raise UnreadableObject(f"{file}: {receipt.detail or receipt.verdict}")
        return receipt.sop_instance_uid

    def run(self, study_uid: str, told: Told) -> None:
        """Every run that the routes ask for: what recognises views first, so that nothing else runs in vain.

        Raises:
            RunFailed: the study is held, or a run could not end.
        """
        state = self.archive.studies.state(study_uid)
        if state is None:
            raise RunFailed("no object of the study came in", transient=False)
        if state.held is not None:
            raise BadInput(f"the study is held: {state.held}")
        looking = [name for name in self.catalogue.names() if self.catalogue.get(name).task == VIEW_TASK]
        self._until_nothing_is_left(study_uid, told, looking)
        self._until_nothing_is_left(study_uid, told)
        if left := self.archive.studies.open_runs(study_uid):
            raise RunFailed(f"{left} runs of the study could not end: {self._first_reason(study_uid)}", transient=False)

    def report(self, study_uid: str) -> StudyReport | None:
        """The study's report, made now; None where no model was asked about any of its objects.

        Raises:
            RunFailed: it could not be made.
        """
        from echonode.core.report_json import of_json
        from echonode.core.states import WorkState
        from echonode.core.work import WorkKind
        from echonode.flow.settle import process_now

        process_now(self.archive, self.configuration.routes.report, study=study_uid, who="echonode run report")
        while self.reporting.sweep() + self.reporting.step():
            pass
        kept = self.archive.reports.current(study_uid)
        if kept is not None:
            return of_json(kept.content)
        items = self.archive.work.list(kind=WorkKind.REPORT, study_uid=study_uid, limit=MOST_ITEMS)
        for item in items:
            if item.state is not WorkState.COMPLETED:
                raise RunFailed(item.reason or "the report could not be made", transient=False)
        return None

    def readings(self, study_uid: str) -> list[KeptReading]:
        """What models said that counts."""
        return self.archive.readings.of_study(study_uid)

    def stored(self, sop_instance_uid: str) -> StoredInstance:
        """One object that is here.

        Raises:
            RunFailed: it is not.
        """
        found = self.archive.index.instance(sop_instance_uid)
        if found is None:
            raise RunFailed(f"{sop_instance_uid} was not stored", transient=False)
        return found

    def of_report(self, study_uid: str) -> Sequence[tuple[str, str]]:
        """Kind and SOP Instance UID of the report and of what goes with it."""
        kept = self.archive.reports.current(study_uid)
        if kept is None:
            return ()
        return [("report", kept.sop_instance_uid), *((each.kind, each.sop_instance_uid) for each in kept.objects)]

    def missing(self, study_uid: str) -> Mapping[str, str]:
        """What was to go with the report and could not be made, and why."""
        made = [row.details for row in self.archive.audit.story(study_uid) if row.event == "report made"]
        return dict(made[-1].get("missing", {})) if made else {}

    def _copied(self, file: Path) -> tuple[Path, str, str, str, int, int, str]:
        """The file's data set as it stands, under a head of our own, as it would come in from the network."""
        from echonode.dicom.file_meta import LONGEST_META, read_file_meta
        from echonode.dicom.part10 import part10_head

        part, digest, size = self.blobs.new_part(), hashlib.sha256(), 0
        try:
            with file.open("rb") as source, part.open("xb") as target:
                meta = read_file_meta(source.read(LONGEST_META + 1024), complete=True)
                assert meta is not None, "all that there is was read"
                head = part10_head(
                    sop_class_uid=meta.sop_class_uid,
                    sop_instance_uid=meta.sop_instance_uid,
                    transfer_syntax_uid=meta.transfer_syntax_uid,
                )
                target.write(head)
                source.seek(meta.end)
                while piece := source.read(CHUNK_BYTES):
                    target.write(piece)
                    digest.update(piece)
                    size += len(piece)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        syntax = meta.transfer_syntax_uid
        return part, meta.sop_class_uid, meta.sop_instance_uid, syntax, len(head), size, digest.hexdigest()

    def _until_nothing_is_left(self, study_uid: str, told: Told, models: Sequence[str] | None = None) -> None:
        while self.runs.step(models) or (models is None and self.runs.refuse_strays()):
            while self.runs.in_hand:
                self.runs.changed.wait(WAIT_SECONDS)
                self.runs.changed.clear()
            items = self._items(study_uid)
            told(sum(item.state in _ended() for item in items), len(items))

    def _items(self, study_uid: str) -> list[WorkItem]:
        from echonode.core.work import WorkKind

        return self.archive.work.list(kind=WorkKind.RUN, study_uid=study_uid, limit=MOST_ITEMS)

    def _first_reason(self, study_uid: str) -> str:
        return next((item.reason for item in self._items(study_uid) if item.state not in _ended() and item.reason), "")


@contextmanager
def opened(configuration: Configuration, executor: Executor) -> Iterator[OfflineNode]:
    """An empty node under the folder that `configuration` keeps things in; `executor` is left open."""
    import time

    from echonode import node
    from echonode.core.task import installed_tasks
    from echonode.flow.leases import Leases
    from echonode.flow.publish import Publisher
    from echonode.flow.reporting import Reporting
    from echonode.flow.run import Runs

    settings, routes = configuration.node, configuration.routes
    configuration.root.mkdir(parents=True, exist_ok=True)
    archive, blobs = node.open_archive(configuration, migrate=True), node.open_blobs(configuration)
    catalogue, ingest = node.open_catalogue(configuration), node.open_ingest(configuration, archive)
    leases = Leases(archive.work, owner="echonode run report", seconds=settings.work.lease_seconds)
    publisher = Publisher(
        archive=archive, blobs=blobs, ingest=ingest, routes=routes, settings=settings, clock=time.time
    )
    runs = Runs(
        archive=archive,
        blobs=blobs,
        catalogue=catalogue,
        executor=executor,
        publisher=publisher,
        routes=routes,
        settings=settings,
        leases=leases,
        clock=time.time,
    )
    reporting = Reporting(
        archive=archive,
        catalogue=catalogue,
        publisher=publisher,
        routes=routes,
        settings=settings,
        leases=leases,
        tasks=installed_tasks(),
        clock=time.time,
    )
    try:
        yield OfflineNode(
            configuration=configuration,
            archive=archive,
            blobs=blobs,
            ingest=ingest,
            catalogue=catalogue,
            runs=runs,
            reporting=reporting,
        )
    finally:
        runs.stop()
        archive.close()


def _ended() -> tuple[object, ...]:
    from echonode.core.states import WorkState

    return (WorkState.COMPLETED, WorkState.CANCELED)
