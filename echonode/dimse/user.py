"""DICOM services as a user, for people at a command line: echo, store, find, move and get."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import structlog
from pydicom import Dataset
from pydicom.errors import InvalidDicomError
from pynetdicom.dimse_primitives import C_ECHO, C_FIND, C_GET, C_MOVE
from pynetdicom.dsutils import encode, split_dataset

from echonode.core.configuration import Configuration
from echonode.core.errors import BadInput, DeliveryFailed, UnknownDestination, UnreadableObject
from echonode.core.identity import is_uid
from echonode.core.peers import Peer
from echonode.core.ports import Outgoing
from echonode.core.query import Level
from echonode.dicom.part10 import part10_head
from echonode.dimse import classes
from echonode.dimse.command import Command, response
from echonode.dimse.guarded import GuardedAssociation, IncomingStore, StoreOpener, application_entity
from echonode.dimse.reception import Answer
from echonode.dimse.responding import PENDING, identifier_of, send_command
from echonode.dimse.sender import DimseSender
from echonode.dimse.sending import associate, context_of

log = structlog.get_logger(__name__)
Root = Literal["patient", "study"]
_SECONDS = 120.0
_PENDING_TOO = 0xFF01
_IMAGES = ("3.1", "6.1", "3", "6", "6.2", "7", "7.4")
_SENT_COMPRESSED = ("4.50", "4.70", "4.80", "4.90", "4.91", "4.102", "5")


@dataclass(frozen=True, kw_only=True, slots=True)
class FileOutcome:
    """What became of one file that was sent."""

    path: Path
    ok: bool
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RetrieveOutcome:
    """The end of a C-MOVE or C-GET as the peer tells it; `files` are those that a C-GET wrote."""

    status: int
    completed: int = 0
    failed: int = 0
    warning: int = 0
    failed_uids: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether everything came through."""
        return self.status == 0 and not self.failed


def peer_of(configuration: Configuration, name: str) -> Peer:
    """The peer of peers.toml with that name, or that AE title, which has a host.

    Raises:
        UnknownDestination: there is none.
    """
    peer = configuration.peers.named(name) or configuration.peers.titled(name)
    if peer is None or not peer.host:
        raise UnknownDestination(f"peers.toml has no [[peer]] {name!r} with a host and a port")
    return peer


def echo(configuration: Configuration, peer: str) -> float:
    """C-ECHO; the seconds it took, association included.

    Raises:
        UnknownDestination, DeliveryFailed: no such peer, or it does not answer success.
    """
    began = time.monotonic()
    with _associate(configuration, peer, [context_of(classes.VERIFICATION, *classes.UNCOMPRESSED)]) as association:
        request = C_ECHO()
        request.MessageID = 1
        request.AffectedSOPClassUID = classes.VERIFICATION
        with association.exclusive():
            association.dimse.send_msg(request, _accepted(association, classes.VERIFICATION))
            answer: Any = _next(association)[1]
        if getattr(answer, "Status", None) != 0:
            raise DeliveryFailed(f"{peer} answered C-ECHO with {answer.Status:04X}H", transient=False)
    return time.monotonic() - began


def stored_file(path: Path) -> Outgoing:
    """A Part 10 file as something to send.

    Raises:
        UnreadableObject: no Part 10 file, or its file meta names no object.
    """
    try:
        meta, offset = split_dataset(path)
        return Outgoing(
            path=path,
            dataset_offset=offset,
            sop_class_uid=str(meta.MediaStorageSOPClassUID),
            sop_instance_uid=str(meta.MediaStorageSOPInstanceUID),
            transfer_syntax_uid=str(meta.TransferSyntaxUID),
        )
    except (InvalidDicomError, AttributeError, ValueError, OSError) as error:
        raise UnreadableObject(f"{path}: no DICOM file with complete file meta: {error}") from error


def store(configuration: Configuration, paths: Sequence[Path], *, to: str) -> Iterator[FileOutcome]:
    """C-STORE of files to one peer over one association: one outcome a file, in order.

    Raises:
        UnknownDestination: no such peer.
    """
    name = peer_of(configuration, to).name
    readable: list[Outgoing] = []
    for path in paths:
        try:
            readable.append(stored_file(path))
        except UnreadableObject as error:
            yield FileOutcome(path=path, ok=False, detail=str(error))
    sender = DimseSender(configuration)
    try:
        for item, outcome in zip(readable, sender.send(name, readable), strict=False):
            yield FileOutcome(path=item.path, ok=outcome.ok, detail=outcome.detail)
    finally:
        sender.close()


def find(
    configuration: Configuration,
    peer: str,
    *,
    level: Level,
    keys: Mapping[str, str],
    root: Root = "study",
    limit: int = 10_000,
) -> Iterator[Dataset]:
    """C-FIND: each match as the peer sent it, at most `limit`.

    Raises:
        UnknownDestination, DeliveryFailed, BadInput: no such peer, a failure status, or an unknown keyword.
    """
    abstract = classes.STUDY_ROOT_FIND if root == "study" else classes.PATIENT_ROOT_FIND
    with _associate(configuration, peer, [context_of(abstract, *classes.UNCOMPRESSED)]) as association:
        context_id = _accepted(association, abstract)
        request = _request(C_FIND(), abstract, association, context_id, _identifier(level, keys))
        with association.exclusive():
            association.dimse.send_msg(request, context_id)
            for _ in range(limit):
                answer: Any = _next(association)[1]
                if answer.Status not in (PENDING, _PENDING_TOO):
                    if answer.Status != 0:
                        raise DeliveryFailed(f"{peer} answered C-FIND with {answer.Status:04X}H", transient=False)
                    return
                yield identifier_of(association, answer, context_id)


def move(
    configuration: Configuration,
    peer: str,
    *,
    level: Level,
    keys: Mapping[str, str],
    destination: str,
    root: Root = "study",
) -> RetrieveOutcome:
    """C-MOVE: `peer` sends what the keys name to the AE title `destination`.

    Raises:
        UnknownDestination, DeliveryFailed, BadInput: as `find`.
    """
    abstract = classes.STUDY_ROOT_MOVE if root == "study" else classes.PATIENT_ROOT_MOVE
    with _associate(configuration, peer, [context_of(abstract, *classes.UNCOMPRESSED)]) as association:
        context_id = _accepted(association, abstract)
        request = _request(C_MOVE(), abstract, association, context_id, _identifier(level, keys))
        request.MoveDestination = destination
        return _retrieve(association, request, context_id)


def get(
    configuration: Configuration,
    peer: str,
    *,
    level: Level,
    keys: Mapping[str, str],
    into: Path,
    root: Root = "study",
) -> RetrieveOutcome:
    """C-GET: what the keys name, as Part 10 files in the folder `into`, their data sets byte for byte as sent.

    A file is named for the object's UID when that is a UID, else for its digest; nothing is ever overwritten.

    Raises:
        UnknownDestination, DeliveryFailed, BadInput: as `find`.
    """
    abstract = classes.STUDY_ROOT_GET if root == "study" else classes.PATIENT_ROOT_GET
    into.mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    most = configuration.node.dimse.max_object_bytes

    def open_store(command: Command, transfer_syntax_uid: str) -> _FileSink:
        return _FileSink(into, files, command, transfer_syntax_uid, most=most)

    contexts = [context_of(abstract, *classes.UNCOMPRESSED)]
    contexts += [context_of(uid, classes.EXPLICIT_LE, classes.IMPLICIT_LE) for uid in classes.STORAGE_CLASSES]
    for image in _IMAGES:
        contexts += [
            context_of(f"1.2.840.10008.5.1.4.1.1.{image}", f"1.2.840.10008.1.2.{syntax}") for syntax in _SENT_COMPRESSED
        ]
    with _associate(
        configuration, peer, contexts, roles=tuple(classes.STORAGE_CLASSES), open_store=open_store
    ) as association:
        context_id = _accepted(association, abstract)
        request = _request(C_GET(), abstract, association, context_id, _identifier(level, keys))
        return _retrieve(association, request, context_id, files=files)


class _FileSink:
    """Writes one received object into a folder, under a name that the peer cannot choose."""

    def __init__(
        self, folder: Path, files: list[Path], command: Command, transfer_syntax_uid: str, *, most: int
    ) -> None:
        self._folder, self._files, self._command, self._most = folder, files, command, most
        self._digest, self._size = hashlib.sha256(), 0
        self._part = folder / f".{os.getpid()}-{time.monotonic_ns()}.part"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = os.fdopen(os.open(self._part, flags, 0o600), "wb")
        self._file.write(
            part10_head(
                sop_class_uid=command.sop_class_uid,
                sop_instance_uid=command.sop_instance_uid,
                transfer_syntax_uid=transfer_syntax_uid,
            )
        )

    def write(self, piece: memoryview) -> None:
        self._size += len(piece)
        if self._size <= self._most:
            self._file.write(piece)
            self._digest.update(piece)

    def complete(self) -> Answer:
        self._file.close()
        if self._size > self._most:
            self._part.unlink()
            return Answer(status=0xA700, comment="the object is too large")
        uid, digest = self._command.sop_instance_uid, self._digest.hexdigest()
        for name in (f"{uid}.dcm" if is_uid(uid) else f"{digest}.dcm", f"{digest}.dcm"):
            path = self._folder / name
            try:
                os.link(self._part, path)
            except FileExistsError:
                continue
            self._files.append(path)
            break
        self._part.unlink()
        return Answer(status=0x0000)

    def discard(self) -> None:
        self._file.close()
        self._part.unlink(missing_ok=True)


def _associate(
    configuration: Configuration,
    peer: str,
    contexts: Sequence[Any],
    *,
    roles: Sequence[str] = (),
    open_store: StoreOpener | None = None,
) -> Any:
    known = peer_of(configuration, peer)
    node = configuration.node
    return associate(
        application_entity(known.called_as or node.node.ae_title, timeout_seconds=_SECONDS),
        host=known.host,
        port=int(known.port or 0),
        called_ae=known.ae_title,
        contexts=contexts,
        max_pdu=node.dimse.max_pdu_bytes,
        stall_seconds=node.dimse.stall_seconds,
        roles=roles,
        open_store=open_store,
    )


def _accepted(association: GuardedAssociation, abstract_syntax: str) -> int:
    for context_id, context in association._accepted_cx.items():
        if context.abstract_syntax == abstract_syntax:
            return int(context_id)
    raise DeliveryFailed(f"the peer does not accept {abstract_syntax}", transient=False)


def _next(association: GuardedAssociation) -> tuple[int, Any]:
    context_id, message = association.dimse.get_msg(block=True)
    if message is None or context_id is None:
        raise DeliveryFailed("the peer did not answer")
    return int(context_id), message


def _identifier(level: Level, keys: Mapping[str, str]) -> Dataset:
    identifier = Dataset()
    identifier.SpecificCharacterSet = "ISO_IR 192"
    identifier.QueryRetrieveLevel = str(level)
    for keyword, value in keys.items():
        try:
            setattr(identifier, keyword, value)
            if keyword not in identifier:
                raise BadInput(f"{keyword!r} is no DICOM keyword, such as PatientID")
        except (ValueError, TypeError) as error:
            raise BadInput(f"{keyword}: {error}") from error
    return identifier


def _request(
    request: Any, abstract_syntax: str, association: GuardedAssociation, context_id: int, identifier: Dataset
) -> Any:
    syntax = association._accepted_cx[context_id].transfer_syntax[0]
    request.MessageID = 1
    request.AffectedSOPClassUID = abstract_syntax
    request.Priority = 0
    request.Identifier = BytesIO(encode(identifier, syntax.is_implicit_VR, syntax.is_little_endian) or b"")
    return request


def _retrieve(
    association: GuardedAssociation, request: Any, context_id: int, *, files: Sequence[Path] = ()
) -> RetrieveOutcome:
    with association.exclusive():
        association.dimse.send_msg(request, context_id)
        while True:
            at, message = _next(association)
            if isinstance(message, IncomingStore):
                answer = message.sink.complete()
                send_command(association, at, response(message.command, status=answer.status, comment=answer.comment))
            elif message.Status not in (PENDING, _PENDING_TOO):
                return _outcome(association, message, context_id, files)


def _outcome(association: GuardedAssociation, message: Any, context_id: int, files: Sequence[Path]) -> RetrieveOutcome:
    failed: tuple[str, ...] = ()
    if message.Identifier is not None and message.Identifier.getbuffer().nbytes:
        listed = identifier_of(association, message, context_id).get("FailedSOPInstanceUIDList") or ()
        failed = (str(listed),) if isinstance(listed, str) else tuple(str(uid) for uid in listed)
    return RetrieveOutcome(
        status=int(message.Status),
        completed=message.NumberOfCompletedSuboperations or 0,
        failed=message.NumberOfFailedSuboperations or 0,
        warning=message.NumberOfWarningSuboperations or 0,
        failed_uids=failed,
        files=tuple(files),
    )
