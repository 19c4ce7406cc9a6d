"""One object on its way in over HTTP: to a part file, hashed as it passes, then to the ingest door."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path

import structlog

from echonode.core.errors import BudgetExceeded, EchonodeError, UnreadableObject
from echonode.core.identity import is_uid
from echonode.core.received import Origin, ReceivedObject
from echonode.core.text import one_line
from echonode.dicom.file_meta import LONGEST_META, FileMeta, read_file_meta
from echonode.dicom.header import SYNTAXES_DEFLATED, read_header
from echonode.dicom.part10 import part10_head
from echonode.dicom.storage import storable, storage_syntaxes
from echonode.web.services import Services

SUCCESS, OUT_OF_RESOURCES, MISMATCH, CANNOT_UNDERSTAND, FAULT = 0x0000, 0xA700, 0xA900, 0xC000, 0x0110
CLASS_NOT_SUPPORTED, SYNTAX_NOT_SUPPORTED = 0x0122, 0xC122
"""Failure Reasons of PS3.18 I.2.2, the ones that C-STORE would answer too (PS3.4 B.2.3)."""
MOST_UNDER_WAY = 8
"""Objects of one request that are at the door at the same time."""
CHECK_EVERY_BYTES = 64 << 20
_LONGEST_HOLDER = 16
_STUDY, _CLASS, _INSTANCE = 0x0020000D, 0x00080016, 0x00080018
log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of one instance of a request; a `status` of 0 is success, everything else a Failure Reason."""

    status: int
    detail: str = ""
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    series_uid: str = ""
    study_uid: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sender:
    """Who stores, under which id, and into which study (empty for any)."""

    holder: str
    address: str
    correlation_id: str
    study_uid: str = ""


class Arrivals:
    """What all instances of one request share, and what became of each so far, in the order in which they came.

    Complete objects go through the door side by side, a few at a time: they then share the syncs of disk and database.
    """

    def __init__(self, *, services: Services, sender: Sender, pool: Executor) -> None:
        self.services = services
        self.sender = sender
        dimse = services.configuration.node.dimse
        self.classes, self.syntaxes = storable(dimse), storage_syntaxes(deflate=dimse.deflate)
        self._pool = pool
        self._places: list[Outcome | None] = []
        self._complained: set[str] = set()
        self._last: Callable[[], None] | None = None
        self._under_way: deque[Future[None]] = deque()

    @property
    def outcomes(self) -> list[Outcome]:
        """What is known so far."""
        return [outcome for outcome in self._places if outcome is not None]

    def place(self) -> int:
        """The number under which the next instance's outcome will stand."""
        self._places.append(None)
        return len(self._places) - 1

    def note(self, place: int, outcome: Outcome) -> None:
        """What became of an instance."""
        self._places[place] = outcome

    def finish(self, complete: Callable[[], None]) -> None:
        """Have an object completed soon; the last one waits until another comes, or `settle`."""
        if self._last is not None:
            while len(self._under_way) >= MOST_UNDER_WAY:
                self._under_way.popleft().result()
            self._under_way.append(self._pool.submit(self._last))
        self._last = complete

    def settle(self) -> None:
        """Return when every object that has come is stored or refused."""
        last, self._last = self._last, None
        if last is not None:
            last()
        while self._under_way:
            self._under_way.popleft().result()

    def refuse(self, place: int, outcome: Outcome, *, advice: str) -> None:
        """Note a failure; the first of its kind is written down for the people who run the node."""
        self.note(place, outcome)
        if outcome.detail in self._complained:
            return
        self._complained.add(outcome.detail)
        caller, address, reason = self.sender.holder, self.sender.address, outcome.detail
        log.warning("refused", what="object", address=address, reason=reason, advice=advice)
        try:
            self.services.archive.refusals.record(
                what="object", calling_ae=caller, address=address, reason=reason, advice=advice
            )
        except EchonodeError as error:
            log.error("a refusal could not be written", error=type(error).__name__)


class Arrival:
    """Takes the bytes of one data set under a head that is known; no path is ever made from what the client sent."""

    def __init__(self, arrivals: Arrivals, *, meta: FileMeta, place: int) -> None:
        self._arrivals = arrivals
        self._place = place
        self._meta = meta
        self._failed = False
        self._file, self._part, self._offset, self._size = -1, Path(), 0, 0
        self._check_at = CHECK_EVERY_BYTES
        self._digest = hashlib.sha256()
        self._limit = arrivals.services.configuration.node.dimse.max_object_bytes
        self._begin()

    def _begin(self) -> None:
        meta, arrivals = self._meta, self._arrivals
        if meta.sop_class_uid and meta.sop_class_uid not in arrivals.classes:
            self._fail_class(meta.sop_class_uid)
        elif meta.transfer_syntax_uid not in arrivals.syntaxes:
            name = one_line(meta.transfer_syntax_uid)
            advice = "deflate under [dimse] in node.toml allows deflated objects; others cannot be read"
            self._fail(SYNTAX_NOT_SUPPORTED, f"transfer syntax {name} is not taken here", advice=advice)
        else:
            self._checked(self._open)

    def _open(self) -> None:
        head = part10_head(
            sop_class_uid=self._meta.sop_class_uid,
            sop_instance_uid=self._meta.sop_instance_uid,
            transfer_syntax_uid=self._meta.transfer_syntax_uid,
            source_ae=self._arrivals.sender.holder,
        )
        self._part = self._arrivals.services.blobs.new_part()
        self._file = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self._offset = len(head)
        write_all(self._file, memoryview(head))

    def write(self, piece: memoryview | bytes) -> None:
        """Append to the part file, or drop when the object has failed already."""
        if self._failed:
            return
        piece = memoryview(piece)
        self._size += len(piece)
        if self._size > self._limit:
            advice = "raise max_object_bytes under [dimse] in node.toml if such objects are wanted"
            self._fail(OUT_OF_RESOURCES, f"more than {self._limit} bytes", advice=advice)
        elif self._size >= self._check_at:
            self._check_at = self._size + CHECK_EVERY_BYTES
            self._checked(lambda: write_all(self._file, piece))
        else:
            try:
                write_all(self._file, piece)
            except OSError as error:
                self._fail_disk(error)
        self._digest.update(piece)

    def complete(self) -> None:
        """Hand the object to the door; the outcome is noted once the object would survive a power cut."""
        if self._failed:
            return
        try:
            self._close()
            if self._is_wanted():
                self._accept()
        except EchonodeError as error:
            log.error("not stored", correlation_id=self._arrivals.sender.correlation_id, reason=str(error))
            self._note(error.dicom_status, str(error))
        except OSError as error:
            self._fail_disk(error)
        except Exception:
            # The edge: whatever goes wrong behind the door, the client is told and keeps its object.
            log.exception("not stored", correlation_id=self._arrivals.sender.correlation_id)
            self._note(FAULT, "the node failed to store the object")
        finally:
            self._drop()

    def discard(self) -> None:
        """The body ended in the middle of the object: it goes, and nothing is acknowledged."""
        if not self._failed:
            advice = "the sender keeps it; look for network trouble if this goes on"
            self._fail(CANNOT_UNDERSTAND, "the body ends inside this object", advice=advice)

    def fail(self, error: EchonodeError) -> None:
        """What was to come cannot be had."""
        if not self._failed:
            self._fail(error.dicom_status, str(error), advice="the sender's request has to be mended")

    def _is_wanted(self) -> bool:
        """Whether the data set itself is of a class and a study that may come in, where the head did not say so."""
        study = self._arrivals.sender.study_uid
        if self._meta.transfer_syntax_uid in SYNTAXES_DEFLATED or (self._meta.sop_class_uid and not study):
            return True
        try:
            raw = read_header(
                self._part,
                offset=self._offset,
                transfer_syntax_uid=self._meta.transfer_syntax_uid,
                limits=self._arrivals.services.limits,
            ).raw
        except (UnreadableObject, BudgetExceeded):
            return True  # the door says so, and keeps it
        found = {
            tag: (raw[tag].value or b"")[:80].rstrip(b"\0 ").decode("latin-1")
            for tag in (_STUDY, _CLASS, _INSTANCE)
            if tag in raw
        }
        self._meta = FileMeta(
            sop_class_uid=self._meta.sop_class_uid or found.get(_CLASS, ""),
            sop_instance_uid=self._meta.sop_instance_uid or found.get(_INSTANCE, ""),
            transfer_syntax_uid=self._meta.transfer_syntax_uid,
            end=self._meta.end,
        )
        if is_uid(self._meta.sop_class_uid) and self._meta.sop_class_uid not in self._arrivals.classes:
            self._fail_class(self._meta.sop_class_uid)
            return False
        if study and found.get(_STUDY) != study:
            advice = "the sender names the study in the path and another one in the object"
            self._fail(MISMATCH, "the object belongs to another study than the one in the path", advice=advice)
            return False
        return True

    def _accept(self) -> None:
        sender = self._arrivals.sender
        receipt = self._arrivals.services.ingest.accept(
            ReceivedObject(
                part=self._part,
                dataset_offset=self._offset,
                size=self._size,
                sha256=self._digest.hexdigest(),
                sop_class_uid=self._meta.sop_class_uid,
                sop_instance_uid=self._meta.sop_instance_uid,
                transfer_syntax_uid=self._meta.transfer_syntax_uid,
                origin=Origin.WEB,
                calling_ae=sender.holder[:_LONGEST_HOLDER],
                called_ae=self._arrivals.services.configuration.node.node.ae_title,
                peer_address=sender.address,
                correlation_id=sender.correlation_id,
            )
        )
        log.info(
            "received",
            correlation_id=sender.correlation_id,
            verdict=str(receipt.verdict),
            status=f"{receipt.dicom_status:04X}H",
            bytes=self._size,
        )
        self._arrivals.note(
            self._place,
            Outcome(
                status=receipt.dicom_status,
                detail=receipt.detail,
                sop_class_uid=receipt.sop_class_uid,
                sop_instance_uid=receipt.sop_instance_uid,
                series_uid=receipt.series_uid,
                study_uid=receipt.study_uid,
            ),
        )

    def _checked(self, then: Callable[[], None]) -> None:
        """Do `then` if there is room on the disk; fail the object if not, or if it fails for the disk's sake."""
        try:
            self._arrivals.services.ingest.precheck()
            then()
        except EchonodeError as error:
            self._fail(error.dicom_status, "too little room on the disk", advice=f"free disk space: {error}")
        except OSError as error:
            self._fail_disk(error)

    def _fail_class(self, uid: str) -> None:
        name = one_line(uid[:64])
        advice = f'add "{name}" to private_classes under [dimse] in node.toml'
        self._fail(CLASS_NOT_SUPPORTED, f"SOP class {name} is not stored here", advice=advice)

    def _fail_disk(self, error: OSError) -> None:
        self._fail(OUT_OF_RESOURCES, f"cannot write: {error.strerror}", advice="check the disk of the storage root")

    def _fail(self, status: int, detail: str, *, advice: str) -> None:
        self._failed = True
        self._drop()
        self._arrivals.refuse(self._place, self._outcome(status, detail), advice=advice)

    def _note(self, status: int, detail: str) -> None:
        self._arrivals.note(self._place, self._outcome(status, detail))

    def _outcome(self, status: int, detail: str) -> Outcome:
        uids = (self._meta.sop_class_uid, self._meta.sop_instance_uid)
        class_uid, instance_uid = (uid if is_uid(uid) else "" for uid in uids)
        return Outcome(status=status, detail=detail, sop_class_uid=class_uid, sop_instance_uid=instance_uid)

    def _drop(self) -> None:
        with contextlib.suppress(OSError):
            self._close()
        if self._offset:
            with contextlib.suppress(OSError):
                self._part.unlink(missing_ok=True)

    def _close(self) -> None:
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)


class FileArrival:
    """Takes the bytes of one Part 10 file: its head is read and left behind, its data set goes on untouched."""

    def __init__(self, arrivals: Arrivals) -> None:
        self._arrivals = arrivals
        self._place = arrivals.place()
        self._head = bytearray()
        self._arrival: Arrival | None = None
        self._failed = False

    def write(self, piece: memoryview) -> None:
        """The next bytes of the file."""
        if self._arrival is not None:
            self._arrival.write(piece)
        elif not self._failed:
            taken = min(len(piece), LONGEST_META + 1024 - len(self._head))
            self._head += piece[:taken]
            self._begin(complete=False)
            if self._arrival is not None:
                self._arrival.write(piece[taken:])

    def complete(self) -> None:
        """The file has ended."""
        if self._arrival is None and not self._failed:
            self._begin(complete=True)
        if self._arrival is not None:
            self._arrivals.finish(self._arrival.complete)

    def discard(self) -> None:
        """The body ended in the middle of the file."""
        if self._arrival is not None:
            self._arrival.discard()
        elif not self._failed:
            self._fail("the body ends inside this object")

    def _begin(self, *, complete: bool) -> None:
        try:
            meta = read_file_meta(bytes(self._head), complete=complete)
        except UnreadableObject as error:
            self._fail(str(error))
            return
        if meta is not None:
            self._arrival = Arrival(self._arrivals, meta=meta, place=self._place)
            self._arrival.write(memoryview(self._head)[meta.end :])
            self._head = bytearray()

    def _fail(self, detail: str) -> None:
        self._failed = True
        outcome = Outcome(status=CANNOT_UNDERSTAND, detail=detail)
        self._arrivals.refuse(self._place, outcome, advice="what the sender sends is no DICOM file")


def write_all(file: int, data: memoryview) -> None:
    """Write every byte of `data`."""
    written = os.write(file, data)
    while written < len(data):
        written += os.write(file, data[written:])
