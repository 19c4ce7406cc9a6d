"""What a killed worker left behind: its leases and its spool, taken over by the next one at once.

One worker runs for a data folder, so whatever another one holds when this one starts, nobody works on any more.
"""

from __future__ import annotations

import logging
import shutil
from collections import Counter

from echonode.archive.archive import Archive
from echonode.archive.blobs import LocalBlobs
from echonode.core.errors import EchonodeError
from echonode.core.states import WorkState
from echonode.core.work import WorkItem, WorkKind
from echonode.flow.leases import Leases

LOG = logging.getLogger(__name__)
INTERRUPTED = "interrupted"
INTERRUPTIONS = 20
"""An item in whose middle the worker ended so often is given up: perhaps it is what ends the worker."""


def take_over(archive: Archive, leases: Leases, *, host: str = "") -> int:
    """Offer every item that an earlier worker had in hand again, without charging it an attempt; how many.

    Only owners whose name begins with `host` are taken over; leases of other machines lapse by themselves.
    """
    taken = 0
    for kind in WorkKind:
        for item in archive.work.list(kind=kind, state=WorkState.IN_PROGRESS, limit=10_000):
            owner = item.lease_owner
            if owner is not None and owner != leases.owner and owner.startswith(host):
                taken += _offer_again(archive, item, owner)
    return taken


def clear_spool(blobs: LocalBlobs) -> int:
    """Remove the folders of runs that nobody will end any more; how many."""
    left = list(blobs.spool.iterdir())
    for folder in left:
        shutil.rmtree(folder, ignore_errors=True)
    return len(left)


def _offer_again(archive: Archive, item: WorkItem, owner: str) -> bool:
    counts = Counter(
        row.details.get("workitem") for row in archive.audit.story(item.study_uid) if row.event == INTERRUPTED
    )
    try:
        with archive.transaction() as connection:
            archive.audit.write(
                connection,
                event=INTERRUPTED,
                correlation_id=item.correlation_id,
                study_uid=item.study_uid,
                sop_instance_uid=item.sop_instance_uid,
                who=owner,
                details={"workitem": item.id, "times": counts[item.id] + 1},
            )
        if counts[item.id] + 1 < INTERRUPTIONS:
            archive.work.release(item.id, owner=owner)
        else:
            reason = f"the worker ended {INTERRUPTIONS} times in the middle of this"
            archive.work.fail(item.id, owner=owner, reason=reason, exhausted=True)
    except EchonodeError as error:
        LOG.warning("a lease was not taken over", extra={"workitem": item.id, "reason": str(error)})
        return False
    return True
