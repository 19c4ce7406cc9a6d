"""The ports of the house: small Protocols that one machine or many can stand behind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from echonode.core.results import RunOutcome


class Clock(Protocol):
    """Seconds since the epoch."""

    def __call__(self) -> float:
        """Now."""
        ...


class BlobStore(Protocol):
    """Content-addressed files. Nothing is ever named after a UID."""

    def new_part(self) -> Path:
        """A fresh, not yet existing path on the store's own file system, for one object that is being received."""
        ...

    def adopt(self, part: Path, *, sha256: str) -> Path:
        """Make `part` durable (fsync file and folder) and move it to its place; idempotent for the same digest."""
        ...

    def path(self, sha256: str) -> Path:
        """Where the object with that digest lies."""
        ...

    def quarantine(self, file: Path, *, sha256: str) -> Path:
        """Keep `file` durably in a place apart that no query and no run reaches; `file` itself stays."""
        ...

    def quarantined(self, sha256: str) -> Path:
        """Where the quarantined object with that digest lies."""
        ...

    def remove_quarantined(self, sha256: str) -> None:
        """As `remove`, of a quarantined object."""
        ...

    def remove(self, sha256: str) -> None:
        """Forget an object that no row refers to."""
        ...

    def free_bytes(self) -> int:
        """Room left on the file system."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRequest:
    """One run: which model on which stored object. `source` is a Part 10 file, a video file or a folder of pictures.

    `package` is the model package's folder. `spool` is a folder of this run alone, on the blob file system, where the
    runner process writes large arrays.
    """

    run_id: str
    task: str
    package: Path
    source: Path
    spool: Path
    parameters: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    correlation_id: str = ""


class Executor(Protocol):
    """Runs models somewhere else: a crash or an out-of-memory there never reaches here."""

    def submit(self, request: RunRequest, *, progress: Callable[[int, int], None] | None = None) -> Future[RunOutcome]:
        """Queue one run. The future fails with RunFailed (crash, time-out, out of memory), and never hangs."""
        ...

    def capacity(self, package: Path) -> int:
        """How many more runs of that model are worth claiming now."""
        ...

    def health(self) -> Mapping[str, Any]:
        """State of each runner, for people."""
        ...

    def shutdown(self) -> None:
        """End every runner process; idempotent."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Outgoing:
    """One stored object on its way to a destination."""

    path: Path
    dataset_offset: int
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SendOutcome:
    """What the destination said of one object."""

    sop_instance_uid: str
    ok: bool
    dicom_status: int | None
    detail: str
    transient: bool = False


class Sender(Protocol):
    """Sends objects to one named peer."""

    def send(self, peer: str, objects: Sequence[Outgoing]) -> Iterable[SendOutcome]:
        """One outcome an object, in order. A peer that cannot be reached gives transient failures, not an exception."""
        ...
