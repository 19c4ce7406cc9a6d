"""What every association of an acceptor shares: the ingest door, settings, and where refusals are written down."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from echonode.core.configuration import Configuration
from echonode.core.peers import Right
from echonode.core.ports import BlobStore
from echonode.core.received import Receipt, ReceivedObject
from echonode.core.tally import Tally
from echonode.dimse.admission import printable

log = structlog.get_logger(__name__)
_WAITING = 256


class Door(Protocol):
    """The part of flow.ingest.Ingest that an edge needs."""

    def precheck(self, expected_bytes: int = 0) -> None:
        """Raises OutOfStorage before any data is read."""
        ...

    def accept(self, received: ReceivedObject) -> Receipt:
        """Takes one object; raises StorageUnavailable only."""
        ...


class RefusalBook(Protocol):
    """The part of archive.Refusals that an edge needs."""

    def record(self, *, what: str, calling_ae: str, address: str, reason: str, advice: str) -> None:
        """Write one refusal down."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Who is at the other end; titles are printable text, `correlation_id` names the association everywhere."""

    calling_ae: str
    called_ae: str
    address: str
    correlation_id: str
    rights: tuple[Right, ...] = ()
    marked_only: bool = False


class RefusalWriter:
    """Writes refusals in a thread of its own: a caller that is turned away a thousand times a second stalls nobody.

    What waits is bounded; equal refusals that wait together are written once.
    """

    def __init__(self, book: RefusalBook, *, tally: Tally | None = None) -> None:
        self._book, self._tally = book, tally or Tally()
        self._queue: queue.Queue[tuple[str, str, str, str, str] | None] = queue.Queue(maxsize=_WAITING)
        self._thread = threading.Thread(target=self._run, name="refusals", daemon=True)
        self._thread.start()

    def record(self, *, what: str, calling_ae: str, address: str, reason: str, advice: str) -> None:
        """Log the refusal now and have it written soon; dropped when more wait than anybody will read."""
        title = printable(calling_ae, limit=16)
        self._tally.count("refusals", what)
        log.warning("refused", what=what, calling_ae=title, address=address, reason=reason, advice=advice)
        try:
            self._queue.put_nowait((what, title, address, reason, advice))
        except queue.Full:
            log.warning("refusals come faster than they are written", address=address)

    def _run(self) -> None:
        open_for_work = True
        while open_for_work:
            first = self._queue.get()
            batch = [first]
            while not self._queue.empty() and len(batch) < _WAITING:
                batch.append(self._queue.get_nowait())
            for entry in dict.fromkeys(batch):
                if entry is None:
                    open_for_work = False
                    continue
                self._write(entry)

    def _write(self, entry: tuple[str, str, str, str, str]) -> None:
        what, title, address, reason, advice = entry
        try:
            self._book.record(what=what, calling_ae=title, address=address, reason=reason, advice=advice)
        except Exception as error:  # noqa: BLE001 - the edge of this thread; the refusal itself stands
            log.error("a refusal could not be written", error=type(error).__name__)

    def close(self) -> None:
        """Write what waits and end the thread."""
        self._queue.put(None)
        self._thread.join(timeout=5)


@dataclass(frozen=True, kw_only=True, slots=True)
class Desk:
    """Handed to every association."""

    configuration: Configuration
    door: Door
    blobs: BlobStore
    refusals: RefusalWriter
    tally: Tally = field(default_factory=Tally)
