"""A bench whose worker makes reports too: what a model says is put in as a runner's results would be."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from echonode.archive.reports import KeptReport
from echonode.core.codes import PRIVATE_SCHEME, Code
from echonode.core.identity import new_id
from echonode.core.readings import KeptReading
from echonode.core.results import Measurement, Result
from echonode.core.task import TaskSpec
from echonode.core.work import WorkKind
from echonode.flow.reporting import Reporting
from echonode.flow.settle import settle
from tests.support.bench import Bench
from tests.support.loops import loop_dataset
from tests.support.runners import TASKS

EF = Code("18043-0", "LN", "Left Ventricular Ejection Fraction")
PERCENT = Code("%", "UCUM", "percent")
REGRESSION = Code("VIDEOREGR", PRIVATE_SCHEME, "Video regression by neural network")
ROUTES: Mapping[str, Any] = {
    "destination": [
        {"name": "pacs", "peer": "pacs", "kinds": ["slow-motion", "report", "rejection"]},
        {"name": "archive", "peer": "archive"},
    ],
    "report": {"deliver_to": ["pacs", "archive"]},
}
WITH_RUNS: Mapping[str, Any] = {
    **ROUTES,
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
}
QUIET_SECONDS = 1000.0


def ejection_fraction(value: float) -> tuple[Result, ...]:
    """What a video regression says of one loop."""
    return (Measurement(concept=EF, value=value, unit=PERCENT, method=REGRESSION, uncertainty=10.0),)


class ReportBench(Bench):
    """`study` has one accession number; `say` is what a model says of a stored loop."""

    def __init__(self, folder: Path, *, routes: Mapping[str, Any] = ROUTES, **settings: Any) -> None:
        self._numbers = itertools.count(1)
        super().__init__(folder, routes=routes, **settings)

    def restart(self, owner: str = "") -> None:
        """As Bench.restart, with the report loop."""
        super().restart(owner)
        tasks: dict[str, TaskSpec] = {
            **TASKS,
            "ejection_fraction": TaskSpec(name="ejection_fraction", title="Ejection fraction", runner="nowhere:make"),
        }
        self.reporting = Reporting(
            archive=self.archive,
            catalogue=self.catalogue,
            publisher=self.publisher,
            routes=self.routes,
            settings=self.settings,
            leases=self.leases,
            tasks=tasks,
            clock=self.clock,
        )

    def loop(self, study_uid: str = "", *, stage: str = "", **options: Any) -> Dataset:
        """One loop that a scanner sends; its association is closed at once."""
        loop = loop_dataset(study_uid=study_uid, seed=next(self._numbers), frames=4, **options)
        if stage:
            loop.StageName = stage
        association = new_id()
        assert self.receive(loop, association=association).accepted
        self.archive.activity.closed(association)
        return loop

    def say(self, loop: Dataset, value: float, *, route: str = "ef") -> None:
        """A model says of that loop that the ejection fraction is `value`."""
        reading = KeptReading(
            sop_instance_uid=str(loop.SOPInstanceUID),
            study_uid=str(loop.StudyInstanceUID),
            task="ejection_fraction",
            model="ef-video",
            version="1",
            digest="ab" * 32,
            route=route,
            work_id=new_id(),
            results=ejection_fraction(value),
        )
        with self.archive.transaction() as connection:
            self.archive.readings.put(connection, reading)

    def complete(self) -> None:
        """A quiet time passes, and whatever report is due is made."""
        self.clock.now += QUIET_SECONDS
        settle(self.archive, self.settings.settle)
        self.report_all()

    def report_all(self) -> None:
        """Until no report is due and none is asked for."""
        while self.reporting.sweep() + self.reporting.step():
            pass

    def current(self, study_uid: str) -> KeptReport:
        """The report that stands."""
        report = self.archive.reports.current(study_uid)
        assert report is not None, [item.reason for item in self.items(WorkKind.REPORT)]
        return report

    def notes(self) -> list[str]:
        """SOP Instance UIDs of the rejection notes that were made."""
        return [
            str(item.outcome["sop_instance_uid"])
            for item in self.items(WorkKind.REPORT)
            if item.outcome.get("kind") == "rejection"
        ]
