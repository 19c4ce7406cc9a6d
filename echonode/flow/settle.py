"""When a study counts as complete: nothing open for it and a quiet period over, the longest wait, or a person's word."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from echonode.archive.archive import Archive
from echonode.core.errors import BadInput
from echonode.core.routes import ReportSection
from echonode.core.settings import SettleSection

LOG = logging.getLogger(__name__)


def settle(archive: Archive, settings: SettleSection) -> list[str]:
    """Mark every study that is complete now, and audit it; their Study Instance UIDs.

    Idempotent: a study that an object reached meanwhile stays open and is looked at again. A late object opens a
    settled study again; runs of single loops never wait for any of this.
    """
    archive.activity.reap()
    settled = []
    for study_uid in archive.activity.unsettled(
        quiet_seconds=settings.quiet_seconds,
        stress_quiet_seconds=settings.stress_quiet_seconds,
        longest_seconds=settings.longest_seconds,
    ):
        through = archive.activity.last_received(study_uid)
        if through is None:
            continue
        with archive.transaction() as connection:
            if archive.activity.settled(connection, study_uid, through=through):
                archive.audit.write(connection, event="settled", study_uid=study_uid, who="settle")
                settled.append(study_uid)
    if settled:
        LOG.info("studies settled", extra={"count": len(settled)})
    return settled


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessedNow:
    """What a study waits for now that it counts as complete: how many of its runs have not ended."""

    study_uid: str
    open_runs: int


def process_now(archive: Archive, report: ReportSection, *, study: str, who: str) -> ProcessedNow:
    """Let the study count as complete, and its report be made as soon as its runs have ended; audited.

    Where the last report was withdrawn and none stands, it is made once more though nothing new is to be said.

    Raises:
        NotFound: no such study.
        BadInput: it is held, or routes.toml wants no reports.
    """
    study_uid = archive.index.resolve_study(study)
    state = archive.studies.state(study_uid)
    if state is not None and state.held is not None:
        raise BadInput(f"study {study_uid} is held: {state.held}; see echonode conflicts")
    if not report.enabled:
        raise BadInput("routes.toml wants no reports: [report] enabled is false")
    with archive.transaction() as connection:
        archive.studies.settle_now(connection, study_uid)
        if not archive.reports.standing(study_uid):
            archive.reports.allow_again(connection, study_uid)
        archive.audit.write(connection, event="settled", study_uid=study_uid, who=who, details={"asked": True})
    return ProcessedNow(study_uid=study_uid, open_runs=archive.studies.open_runs(study_uid))
