"""A report out of a real node whose worker is killed again and again: one stands, each names the one before."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from echonode.archive.reports import ReportStatus
from echonode.core.states import WorkState
from echonode.core.work import WorkKind
from tests.support.live import LiveNode, Pacs, send
from tests.support.loops import loop_dataset
from tests.support.waiting import wait_until

LONG = 90.0
# Slow motion alone makes no report; a model that is kept from patients is accounted for in one.
MEASURING = '\n[[route]]\nname = "view"\ntask = "view"\nmodel = "phantom-view"\nwhen = {modality = ["US"]}\n'


@pytest.fixture
def reporting(tmp_path: Path, free_port: Callable[[], int], pacs: Pacs, checkout: Path) -> Iterator[LiveNode]:
    live = LiveNode(
        tmp_path / "node",
        port=free_port(),
        pacs_port=pacs.port,
        checkout=checkout,
        more="[settle]\nquiet_seconds = 0.5\n",
        report='deliver_to = ["pacs"]' + MEASURING,
    )
    yield live
    live.close()


def kill_the_worker(node: LiveNode) -> None:
    """SIGKILL, whatever it does just now."""
    for pid in node.children("echonode.node worker"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
def test_a_killed_worker_leaves_one_report_and_every_report_arrives_once(reporting: LiveNode, pacs: Pacs) -> None:
    """The worker dies while each report of a study in three pieces is on its way."""
    reporting.start()
    study = ""
    with reporting.archive() as archive:
        for seed in range(3):
            loop = loop_dataset(study_uid=study, seed=seed, frames=4)
            study = str(loop.StudyInstanceUID)
            assert send(reporting.port, loop) == [0x0000]
            wait_until(
                lambda seen=seed: len(archive.work.list(kind=WorkKind.REPORT)) > seen,
                "a report to be asked for",
                seconds=LONG,
                every=0.02,
            )
            kill_the_worker(reporting)
            wait_until(
                lambda: (
                    (items := archive.work.list(kind=WorkKind.REPORT)) != []
                    and all(item.state is WorkState.COMPLETED for item in items)
                ),
                "the report to be made",
                seconds=LONG,
            )
        reports = archive.reports.all(study)
        assert [each.status for each in reports[:-1]] == [ReportStatus.SUPERSEDED] * (len(reports) - 1)
        assert reports[-1].status is ReportStatus.CURRENT
        assert [each.predecessor_uid for each in reports] == ["", *(each.sop_instance_uid for each in reports[:-1])]
        made = {each.sop_instance_uid for each in archive.index.instances() if each.derived}
        runs = archive.work.list(kind=WorkKind.RUN)
        loops = {item.outcome["sop_instance_uid"] for item in runs if item.payload["task"] == "slow_motion"}
        assert made == loops | {each.sop_instance_uid for each in reports}
        wait_until(lambda: made <= set(pacs.times), "everything to arrive", seconds=LONG)
