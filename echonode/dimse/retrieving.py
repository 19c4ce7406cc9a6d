"""C-MOVE and C-GET as services (PS3.4 C.4.2, C.4.3): stored bytes out, counted, cancellable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import structlog
from pydicom import Dataset
from pynetdicom.dimse_primitives import C_GET, C_MOVE

from echonode.archive.archive import Archive
from echonode.core.errors import DeliveryFailed, EchonodeError, UnknownDestination
from echonode.core.peers import Peer
from echonode.core.ports import Outgoing
from echonode.core.query import StoredInstance
from echonode.dimse.admission import printable
from echonode.dimse.desk import Caller, Desk
from echonode.dimse.guarded import GuardedAssociation, application_entity
from echonode.dimse.responding import (
    CANCELLED,
    PENDING,
    SEND_SECONDS,
    cancelled,
    identifier_of,
    respond,
    root_of,
    status_of,
)
from echonode.dimse.sending import ObjectSender, Sent, associate, proposals
from echonode.flow.decoding import Decoder
from echonode.flow.query import select

log = structlog.get_logger(__name__)
WARNING_SOME_FAILED = 0xB000
UNABLE_TO_PERFORM = 0xA702
UNABLE_TO_COUNT = 0xA701
_MOST_SUBOPERATIONS = 65535
_MOST_FAILED_LISTED = 4096


@dataclass(slots=True)
class Progress:
    """Sub-operation counts of one retrieve (PS3.7 C.4.2.1.6)."""

    remaining: int
    completed: int = 0
    failed: int = 0
    warning: int = 0
    failed_uids: list[str] = field(default_factory=list)

    def count(self, item: Outgoing, sent: Sent) -> None:
        """One sub-operation is over."""
        self.remaining -= 1
        if not sent.ok:
            self.fail(item)
        elif sent.status:
            self.warning += 1
        else:
            self.completed += 1

    def fail(self, item: Outgoing) -> None:
        """`item` did not get through."""
        self.failed += 1
        if len(self.failed_uids) < _MOST_FAILED_LISTED:
            self.failed_uids.append(item.sop_instance_uid)

    @property
    def status(self) -> int:
        """The final status: success, some failed, or none got through."""
        if not self.failed and not self.warning:
            return 0x0000
        return WARNING_SOME_FAILED if self.completed or self.warning else UNABLE_TO_PERFORM

    def write(self, answer: Any, *, pending: bool) -> None:
        """Put the counts into a response; Remaining stands in pending and cancelled ones only."""
        answer.NumberOfRemainingSuboperations = self.remaining if pending else None
        answer.NumberOfCompletedSuboperations = self.completed
        answer.NumberOfFailedSuboperations = self.failed
        answer.NumberOfWarningSuboperations = self.warning

    @property
    def identifier(self) -> Dataset | None:
        """Failed SOP Instance UID List (0008,0058), where something failed."""
        if not self.failed_uids:
            return None
        dataset = Dataset()
        dataset.FailedSOPInstanceUIDList = self.failed_uids
        return dataset


def outgoing(instance: StoredInstance) -> Outgoing:
    """A stored instance as something to send."""
    return Outgoing(
        path=Path(instance.path),
        dataset_offset=instance.dataset_offset,
        sop_class_uid=instance.sop_class_uid,
        sop_instance_uid=instance.sop_instance_uid,
        transfer_syntax_uid=instance.transfer_syntax_uid,
    )


class Retrieval:
    """Answers the C-MOVE and C-GET requests of one association."""

    def __init__(self, *, desk: Desk, archive: Archive, decoder: Decoder, caller: Caller) -> None:
        self._desk = desk
        self._archive = archive
        self._decoder = decoder
        self._caller = caller
        self._log = log.bind(correlation_id=caller.correlation_id)

    def answer_get(self, association: GuardedAssociation, message: C_GET, context_id: int) -> None:
        """C-GET: sub-operations go over the same association, in contexts where the peer is the SCP."""
        answer: Any = C_GET()
        objects = self._selected(association, message, context_id, answer)
        if objects is None:
            return
        dimse = self._desk.configuration.node.dimse
        sender = ObjectSender(association, decoder=self._decoder, stall_seconds=dimse.stall_seconds, as_scp=True)
        self._perform(association, message, context_id, answer, objects, sender.send)

    def answer_move(self, association: GuardedAssociation, message: C_MOVE, context_id: int) -> None:
        """C-MOVE: sub-operations go to the peer that peers.toml has for the destination's AE title, or A801H."""
        answer: Any = C_MOVE()
        objects = self._selected(association, message, context_id, answer)
        if objects is None:
            return
        try:
            destination = self._destination(str(message.MoveDestination or ""))
        except UnknownDestination as error:
            self._desk.refusals.record(
                what="move",
                calling_ae=self._caller.calling_ae,
                address=self._caller.address,
                reason=str(error),
                advice="add a [[peer]] with that ae_title, a host and a port to peers.toml",
            )
            respond(association, answer, context_id, status=error.dicom_status, comment=str(error))
            return
        if not objects:
            self._finish(association, context_id, answer, Progress(remaining=0))
            return
        originator = (self._caller.calling_ae, int(message.MessageID or 0))
        try:
            self._move(association, message, context_id, answer, objects, destination, originator)
        except DeliveryFailed as failure:
            self._log.warning("move destination refused or unreachable", reason=str(failure))
            progress = Progress(remaining=0)
            for item in objects:
                progress.fail(item)
            self._finish(association, context_id, answer, progress, comment="move destination cannot be reached")

    def _move(
        self,
        association: GuardedAssociation,
        message: C_MOVE,
        context_id: int,
        answer: Any,
        objects: Sequence[Outgoing],
        destination: Peer,
        originator: tuple[str, int],
    ) -> None:
        node = self._desk.configuration.node
        ae = application_entity(destination.called_as or node.node.ae_title, timeout_seconds=node.dimse.idle_seconds)
        with associate(
            ae,
            host=destination.host,
            port=int(destination.port or 0),
            called_ae=destination.ae_title,
            contexts=proposals(objects),
            max_pdu=node.dimse.max_pdu_bytes,
            stall_seconds=node.dimse.stall_seconds,
        ) as outward:
            sender = ObjectSender(outward, decoder=self._decoder, stall_seconds=node.dimse.stall_seconds)
            self._perform(
                association,
                message,
                context_id,
                answer,
                objects,
                lambda item: sender.send(item, originator=originator),
            )

    def _destination(self, title: str) -> Peer:
        for peer in self._desk.configuration.peers.peer:
            if peer.ae_title.strip() == title.strip() and peer.host:
                return peer
        raise UnknownDestination(f"no [[peer]] with a host has the AE title {printable(title, limit=16)!r}")

    def _selected(
        self, association: GuardedAssociation, message: Any, context_id: int, answer: Any
    ) -> list[Outgoing] | None:
        answer.MessageIDBeingRespondedTo = message.MessageID
        answer.AffectedSOPClassUID = message.AffectedSOPClassUID
        root = cast(Literal["patient", "study"], root_of(association, context_id))
        try:
            identifier = identifier_of(association, message, context_id)
            objects = [outgoing(instance) for instance in select(self._archive, identifier, root=root)]
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 - the edge of one request: the peer gets a status
            status, comment = status_of(error)
            if not isinstance(error, EchonodeError):
                self._log.exception("retrieve failed")
            respond(association, answer, context_id, status=status, comment=comment)
            return None
        if len(objects) > _MOST_SUBOPERATIONS:
            respond(association, answer, context_id, status=UNABLE_TO_COUNT, comment="more than 65535 objects")
            return None
        return objects

    def _perform(
        self,
        association: GuardedAssociation,
        message: Any,
        context_id: int,
        answer: Any,
        objects: Sequence[Outgoing],
        send: Callable[[Outgoing], Sent],
    ) -> None:
        progress = Progress(remaining=len(objects))
        for item in objects:
            association.look_up(seconds=SEND_SECONDS)
            if cancelled(association, message):
                progress.write(answer, pending=True)
                respond(association, answer, context_id, status=CANCELLED, identifier=progress.identifier)
                return
            sent = send(item)
            if not sent.ok:
                self._log.warning("sub-operation failed", reason=sent.detail)
            progress.count(item, sent)
            if progress.remaining:
                progress.write(answer, pending=True)
                respond(association, answer, context_id, status=PENDING)
        self._finish(association, context_id, answer, progress)

    def _finish(
        self, association: GuardedAssociation, context_id: int, answer: Any, progress: Progress, comment: str = ""
    ) -> None:
        progress.write(answer, pending=False)
        respond(
            association,
            answer,
            context_id,
            status=progress.status,
            identifier=progress.identifier,
            comment=comment,
        )
