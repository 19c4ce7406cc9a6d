"""One object on its way in: data set bytes go undecoded to a part file, hashed as they pass, then to the ingest door."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from echonode.core.errors import EchonodeError
from echonode.core.peers import Right
from echonode.core.received import ReceivedObject
from echonode.dicom.part10 import part10_head
from echonode.dicom.storage import storable
from echonode.dimse.admission import printable
from echonode.dimse.command import Command, Status
from echonode.dimse.desk import Caller, Desk

_CHECK_EVERY_BYTES = 64 << 20
log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """The status of a C-STORE-RSP and its Error Comment."""

    status: int
    comment: str = ""
    study_uid: str = ""


class Reception:
    """Takes the data set of one C-STORE-RQ.

    When the object cannot be taken (unknown class, no disk, too large), the rest of its bytes is read and dropped so
    that the association goes on; `finish` then says why. No path is ever made from what the peer sent.
    """

    def __init__(self, *, desk: Desk, caller: Caller, command: Command, transfer_syntax_uid: str) -> None:
        self._desk = desk
        self._caller = caller
        self._command = command
        self._transfer_syntax_uid = transfer_syntax_uid
        self._refused: Answer | None = None
        self._file = -1
        self._part: Path | None = None
        self._offset = 0
        self._size = 0
        self._check_at = _CHECK_EVERY_BYTES
        self._digest = hashlib.sha256()
        self._limit = desk.configuration.node.dimse.max_object_bytes
        self._begin()

    def _begin(self) -> None:
        command, settings = self._command, self._desk.configuration.node
        if Right.STORE not in self._caller.rights:
            self._refuse(Status.NOT_AUTHORISED, "no right to store", 'add "store" to the rights of this [[peer]]')
        elif command.sop_class_uid not in storable(settings.dimse):
            name = printable(command.sop_class_uid)
            self._refuse(
                Status.CLASS_NOT_SUPPORTED,
                f"SOP class {name} is not stored here",
                f'add "{name}" to private_classes under [dimse] in node.toml',
            )
        elif not command.sop_instance_uid:
            self._refuse(
                Status.INVALID_INSTANCE,
                "C-STORE without Affected SOP Instance UID",
                "the sender breaks PS3.7 9.3.1.1: ask its vendor",
            )
        else:
            self._checked(self._open)

    def _checked(self, then: Callable[[], None]) -> None:
        """Do `then` if there is room on the disk; refuse the object if not, or if it fails for the disk's sake."""
        try:
            self._desk.door.precheck()
            then()
        except EchonodeError as error:
            self._refuse(error.dicom_status, "too little room on the disk", f"free disk space: {error}")
        except OSError as error:
            self._refuse_disk(error)

    def _open(self) -> None:
        head = part10_head(
            sop_class_uid=self._command.sop_class_uid,
            sop_instance_uid=self._command.sop_instance_uid,
            transfer_syntax_uid=self._transfer_syntax_uid,
            source_ae=self._caller.calling_ae,
        )
        self._part = self._desk.blobs.new_part()
        self._file = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self._offset = len(head)
        _write_all(self._file, memoryview(head))

    def _refuse(self, status: int, reason: str, advice: str) -> None:
        self._refused = Answer(status=status, comment=reason)
        self._drop()
        self._desk.refusals.record(
            what="object",
            calling_ae=self._caller.calling_ae,
            address=self._caller.address,
            reason=reason,
            advice=advice,
        )

    def _refuse_disk(self, error: OSError) -> None:
        self._refuse(Status.OUT_OF_RESOURCES, f"cannot write: {error.strerror}", "check the disk of the storage root")

    def _drop(self) -> None:
        self._close()
        part, self._part = self._part, None
        if part is not None:
            with contextlib.suppress(OSError):
                part.unlink()

    def _close(self) -> None:
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def write(self, piece: memoryview) -> None:
        """Append to the part file, or drop when the object is refused already."""
        self._size += len(piece)
        if self._refused is not None:
            return
        if self._size > self._limit:
            self._refuse(
                Status.OUT_OF_RESOURCES,
                f"more than {self._limit} bytes",
                "raise max_object_bytes under [dimse] in node.toml if such objects are wanted",
            )
            return
        if self._size >= self._check_at:
            self._check_at = self._size + _CHECK_EVERY_BYTES
            self._checked(lambda: _write_all(self._file, piece))
        else:
            try:
                _write_all(self._file, piece)
            except OSError as error:
                self._refuse_disk(error)
        self._digest.update(piece)

    def complete(self) -> Answer:
        """Hand the object to the door; its answer, given once the object would survive a power cut."""
        if self._refused is not None or self._part is None:
            return self._refused or Answer(status=Status.PROCESSING_FAILURE)
        try:
            self._close()
        except OSError as error:
            self._refuse_disk(error)
            return self.complete()
        received = ReceivedObject(
            part=self._part,
            dataset_offset=self._offset,
            size=self._size,
            sha256=self._digest.hexdigest(),
            sop_class_uid=self._command.sop_class_uid,
            sop_instance_uid=self._command.sop_instance_uid,
            transfer_syntax_uid=self._transfer_syntax_uid,
            calling_ae=self._caller.calling_ae,
            called_ae=self._caller.called_ae,
            peer_address=self._caller.address,
            correlation_id=self._caller.correlation_id,
            marked_only=self._caller.marked_only,
        )
        try:
            receipt = self._desk.door.accept(received)
        except EchonodeError as error:
            self._drop()
            log.error("not stored", correlation_id=self._caller.correlation_id, reason=str(error))
            return Answer(status=error.dicom_status, comment=str(error))
        except Exception:
            # The edge: whatever goes wrong behind the door, the sender is told and keeps its object.
            self._drop()
            log.exception("not stored", correlation_id=self._caller.correlation_id)
            return Answer(status=Status.PROCESSING_FAILURE, comment="the node failed to store the object")
        self._part = None  # the door owns it now
        log.info(
            "received",
            correlation_id=self._caller.correlation_id,
            verdict=str(receipt.verdict),
            status=f"{receipt.dicom_status:04X}H",
            bytes=self._size,
        )
        comment = "" if receipt.accepted else receipt.detail
        return Answer(status=receipt.dicom_status, comment=comment, study_uid=receipt.study_uid)

    def discard(self) -> None:
        """The sender went away in the middle: the part file goes, nothing is acknowledged, and it is written down."""
        if self._refused is None:
            self._refuse(
                Status.CANNOT_UNDERSTAND,
                "data set cut off: the sender went away in the middle of an object",
                "the sender keeps it; look for network trouble if this goes on",
            )
        self._drop()


def _write_all(file: int, data: memoryview) -> None:
    written = os.write(file, data)
    while written < len(data):
        written += os.write(file, data[written:])
