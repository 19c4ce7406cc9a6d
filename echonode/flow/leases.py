"""The leases that a worker holds, and the heartbeat that keeps them."""

from __future__ import annotations

import logging
import threading

from echonode.archive.workitems import WorkStore
from echonode.core.errors import EchonodeError
from echonode.core.work import WorkItem, WorkKind

LOG = logging.getLogger(__name__)


class Leases:
    """Workitems in hand under one owner's name. An item that was lost (reaped, canceled) must be dropped, not ended."""

    def __init__(self, work: WorkStore, *, owner: str, seconds: float) -> None:
        self.owner, self.seconds = owner, seconds
        self._work = work
        self._held: set[str] = set()
        self._lock = threading.Lock()

    def claim(self, kind: WorkKind, queue: str, *, limit: int) -> list[WorkItem]:
        """Up to `limit` items of one queue, whose leases are kept from now on."""
        items = self._work.claim(kind=kind, owner=self.owner, lease_seconds=self.seconds, limit=limit, queues={queue})
        with self._lock:
            self._held |= {item.id for item in items}
        return items

    def drop(self, work_id: str) -> None:
        """The item has ended, or is not ours any more."""
        with self._lock:
            self._held.discard(work_id)

    def holds(self, work_id: str) -> bool:
        """Whether the item is still ours, as far as the last heartbeat knows."""
        return work_id in self._held

    def renew(self) -> None:
        """One heartbeat: prolong every lease, and forget what is ours no more."""
        with self._lock:
            held = set(self._held)
        if held:
            lost = held - self._work.renew(held, owner=self.owner, lease_seconds=self.seconds)
            with self._lock:
                self._held -= lost
            for work_id in lost:
                LOG.warning("a workitem is ours no more", extra={"workitem": work_id})

    def release_all(self) -> None:
        """Give every item back untouched (shutdown)."""
        with self._lock:
            held, self._held = self._held, set()
        for work_id in held:
            try:
                self._work.release(work_id, owner=self.owner)
            except EchonodeError as error:
                LOG.info("a workitem was not given back", extra={"workitem": work_id, "reason": str(error)})

    def beat(self, stop: threading.Event) -> None:
        """Heartbeats until `stop`: three to a lease, so that one may be late."""
        while not stop.wait(self.seconds / 3):
            try:
                self.renew()
            except EchonodeError as error:  # the database is busy or away: the next beat may find it
                LOG.warning("a heartbeat failed", extra={"reason": str(error)})
