"""When a study counts as complete: nothing open for it and a quiet period over, or the longest wait (settings)."""

from __future__ import annotations

import logging

from echonode.archive.archive import Archive
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
