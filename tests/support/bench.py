"""The whole path of a loop in one process: real archive, real door, real executor, a destination in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from echonode.archive.archive import Archive
from echonode.archive.blobs import LocalBlobs
from echonode.core.identity import new_id
from echonode.core.ports import Executor, Outgoing, SendOutcome
from echonode.core.query import StoredInstance
from echonode.core.received import Origin, Receipt, ReceivedObject
from echonode.core.routes import RoutesFile
from echonode.core.settings import ExecutionSection, NodeSettings
from echonode.core.states import WorkState
from echonode.core.work import WorkItem, WorkKind
from echonode.execution.local import LocalExecutor
from echonode.flow.deliver import Delivery
from echonode.flow.ingest import Ingest
from echonode.flow.leases import Leases
from echonode.flow.lines import Lines
from echonode.flow.publish import Publisher, dataset_offset
from echonode.flow.route import plan
from echonode.flow.run import Runs
from echonode.registry.catalogue import Catalogue
from tests.support.runners import TASKS, write_package
from tests.support.waiting import wait_until


@dataclass(slots=True)
class Clock:
    """A clock that a test moves."""

    now: float = 1_767_348_672.0

    def __call__(self) -> float:
        return self.now


@dataclass(slots=True)
class Destination:
    """A Sender in memory: `says` decides for each UID what comes back; everything that arrived is in `received`."""

    received: list[str] = field(default_factory=list)
    says: Mapping[str, Any] = field(default_factory=dict)
    batches: int = 0

    def send(self, peer: str, objects: Sequence[Outgoing]) -> Iterable[SendOutcome]:
        self.batches += 1
        for outgoing in objects:
            problem = dict(self.says)
            if not problem:
                assert outgoing.path.read_bytes()[outgoing.dataset_offset :]
                self.received.append(outgoing.sop_instance_uid)
            yield SendOutcome(
                sop_instance_uid=outgoing.sop_instance_uid,
                ok=not problem,
                dicom_status=problem.get("status", None if problem else 0),
                detail=problem.get("detail", "stored"),
                transient=problem.get("transient", False),
            )


ROUTES: dict[str, Any] = {
    "route": [
        {
            "name": "slow",
            "task": "sample",
            "model": "probe",
            "when": {"modality": ["US"]},
            "parameters": {"factor": 2},
            "deliver_to": ["pacs"],
        }
    ],
    "destination": [{"name": "pacs", "peer": "pacs"}],
}


class Bench:
    """A node without its processes and sockets; `step` methods run what the worker's loops run."""

    def __init__(
        self,
        folder: Path,
        *,
        routes: Mapping[str, Any] = ROUTES,
        contract: str = "frames_min = 2",
        tasks: Mapping[str, Any] = TASKS,
        recogniser: Any = None,
        **settings: Any,
    ) -> None:
        self.folder, self.clock = folder, Clock()
        self.settings = NodeSettings.model_validate(
            {"storage": {"refuse_below_bytes": 0, "warn_below_bytes": 0}, **settings}
        )
        self.routes = RoutesFile.model_validate(routes)
        models = folder / "models"
        if not models.exists():
            write_package(models, contract=contract)
        self.catalogue = Catalogue([models])
        self.blobs = LocalBlobs(folder / "data")
        self.archive = Archive.open(
            f"sqlite:///{folder / 'data' / 'echonode.sqlite3'}", clock=self.clock, migrate=True, blobs=self.blobs
        )
        lines = Lines(self.archive, self.catalogue)
        self.ingest = Ingest(
            archive=self.archive,
            blobs=self.blobs,
            planner=lambda facts: plan(
                facts, self.routes, self.settings, installed=lines.names(), shadows=lines.shadows()
            ),
            settings=self.settings,
            recogniser=recogniser,
        )
        self.destination = Destination()
        self.executor: Executor = LocalExecutor(
            tasks=tasks,
            settings=ExecutionSection.model_validate({"devices": ["cpu"], "threads": 1}),
            limits=self.settings.limits,
        )
        self.restart()

    def restart(self, owner: str = "") -> None:
        """A new worker on the same archive: whatever the last one had in hand, it has no more."""
        self.leases = Leases(
            self.archive.work, owner=owner or f"worker {new_id()[:8]}", seconds=self.settings.work.lease_seconds
        )
        self.publisher = Publisher(
            archive=self.archive,
            blobs=self.blobs,
            ingest=self.ingest,
            routes=self.routes,
            settings=self.settings,
            clock=self.clock,
        )
        self.runs = Runs(
            archive=self.archive,
            blobs=self.blobs,
            catalogue=self.catalogue,
            executor=self.executor,
            publisher=self.publisher,
            routes=self.routes,
            settings=self.settings,
            leases=self.leases,
            clock=self.clock,
        )
        self.delivery = Delivery(
            archive=self.archive,
            sender=self.destination,
            routes=self.routes,
            settings=self.settings.work,
            leases=self.leases,
            clock=self.clock,
        )

    def receive(self, dataset: Dataset, *, calling_ae: str = "SCANNER", association: str = "") -> Receipt:
        """`dataset` through the ingest door, as an edge brings it."""
        part = self.blobs.new_part()
        dataset.save_as(part, enforce_file_format=True)
        return self.receive_file(part, dataset, calling_ae=calling_ae, association=association)

    def receive_file(self, part: Path, dataset: Dataset, *, calling_ae: str, association: str = "") -> Receipt:
        """A Part 10 file under parts/ through the ingest door."""
        offset = dataset_offset(part)
        body = part.read_bytes()[offset:]
        return self.ingest.accept(
            ReceivedObject(
                part=part,
                dataset_offset=offset,
                size=len(body),
                sha256=hashlib.sha256(body).hexdigest(),
                sop_class_uid=str(dataset.SOPClassUID),
                sop_instance_uid=str(dataset.SOPInstanceUID),
                transfer_syntax_uid=str(dataset.file_meta.TransferSyntaxUID),
                origin=Origin.DIMSE,
                calling_ae=calling_ae,
                called_ae="ECHONODE",
                correlation_id=association or new_id(),
            )
        )

    def run_all(self) -> None:
        """Until no run can be claimed and none is in hand."""
        while self.runs.step():
            wait_until(lambda: self.runs.in_hand == 0, "the runs to end", seconds=240)

    def deliver_all(self) -> None:
        """Until nothing can be claimed for any destination."""
        while any(self.delivery.step(name) for name in self.delivery.destinations):
            pass

    def items(self, kind: WorkKind, state: WorkState | None = None) -> list[WorkItem]:
        """Workitems, oldest first."""
        return self.archive.work.list(kind=kind, state=state, limit=10_000)[::-1]

    def derived(self) -> list[StoredInstance]:
        """Everything that the node made."""
        return [stored for stored in self.archive.index.instances() if stored.derived]

    def close(self) -> None:
        """End the runners and the archive."""
        self.runs.stop()
        self.executor.shutdown()
        self.archive.close()
