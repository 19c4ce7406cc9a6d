"""Associations that query or retrieve: pynetdicom behind our guards, every request answered here."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

import structlog
from pynetdicom.dimse_primitives import C_ECHO, C_FIND, C_GET, C_MOVE
from pynetdicom.transport import AddressInformation

from echonode.archive.archive import Archive
from echonode.dimse.classes import VERIFICATION
from echonode.dimse.command import Command, Status, response
from echonode.dimse.desk import Caller, Desk
from echonode.dimse.finding import answer_find
from echonode.dimse.guarded import (
    GuardedAssociation,
    GuardedSocket,
    IncomingStore,
    StoreSink,
    application_entity,
)
from echonode.dimse.pdu import ContextAnswer
from echonode.dimse.reception import Reception
from echonode.dimse.responding import send_command
from echonode.dimse.retrieving import Retrieval
from echonode.flow.decoding import Decoder

log = structlog.get_logger(__name__)
_POLL_SECONDS = 0.25


def serve_query_retrieve(
    sock: socket.socket,
    *,
    body: bytes,
    desk: Desk,
    archive: Archive,
    decoder: Decoder,
    caller: Caller,
    answers: tuple[ContextAnswer, ...],
    stopping: Callable[[], bool],
) -> None:
    """Serve one association whose A-ASSOCIATE-RQ is `body` until it ends. The socket is closed by then."""
    settings = desk.configuration.node
    service = QueryRetrieveService(desk=desk, archive=archive, decoder=decoder, caller=caller)
    association = GuardedAssociation(
        application_entity(settings.node.ae_title, timeout_seconds=settings.dimse.idle_seconds),
        "acceptor",
        max_pdu=settings.dimse.max_pdu_bytes,
        answers={answer.id: answer for answer in answers},
        open_store=service.open_store,
        serve=service.serve,
        violated=service.violated,
    )
    association.name = f"query-{caller.correlation_id[:8]}"
    association.set_socket(
        GuardedSocket(association, stall_seconds=settings.dimse.stall_seconds, client_socket=sock, first=body)
    )
    association.acceptor.maximum_length = settings.dimse.max_pdu_bytes
    association.acceptor.ae_title = settings.node.ae_title
    association.acceptor.address_info = AddressInformation.from_tuple(sock.getsockname())
    association.acceptor.implementation_class_uid = association.ae.implementation_class_uid
    association.acceptor.implementation_version_name = association.ae.implementation_version_name
    association.requestor.address_info = AddressInformation.from_tuple(sock.getpeername())
    association.start()
    while association.is_alive():
        association.join(timeout=_POLL_SECONDS)
        if stopping() and association.is_established and not service.busy:
            association.abort()
    association.dimse.close()
    deadline = time.monotonic() + settings.dimse.stall_seconds
    while association.dul.is_alive() and time.monotonic() < deadline:
        association.dul.kill_dul()
        association.dul.join(timeout=_POLL_SECONDS)


class QueryRetrieveService:
    """Answers the requests of one association, in the association's own thread."""

    def __init__(self, *, desk: Desk, archive: Archive, decoder: Decoder, caller: Caller) -> None:
        self._desk = desk
        self._archive = archive
        self._caller = caller
        self._retrieval = Retrieval(desk=desk, archive=archive, decoder=decoder, caller=caller)
        self.busy = False

    def open_store(self, command: Command, transfer_syntax_uid: str) -> StoreSink:
        """A C-STORE on this association goes the way of all others."""
        return Reception(desk=self._desk, caller=self._caller, command=command, transfer_syntax_uid=transfer_syntax_uid)

    def violated(self, reason: str) -> None:
        """Write down how the peer broke the protocol; its association is over."""
        self._desk.refusals.record(
            what="association",
            calling_ae=self._caller.calling_ae,
            address=self._caller.address,
            reason=f"protocol violation: {reason}",
            advice="the caller breaks PS3.7 or PS3.8; a capture of the connection helps its vendor",
        )

    def serve(self, association: GuardedAssociation, message: Any, context_id: int) -> None:
        """Answer one request; whatever goes wrong ends this association only."""
        self.busy = True
        try:
            self._serve(association, message, context_id)
        except OSError as error:
            log.info("association broke", correlation_id=self._caller.correlation_id, reason=type(error).__name__)
            association.abort(block=False)
        except Exception:
            log.exception("request failed", correlation_id=self._caller.correlation_id)
            association.abort(block=False)
        finally:
            self.busy = False

    def _serve(self, association: GuardedAssociation, message: Any, context_id: int) -> None:
        if isinstance(message, IncomingStore):
            answer = message.sink.complete()
            encoded = response(message.command, status=answer.status, comment=answer.comment)
            send_command(association, context_id, encoded)
            return
        if isinstance(message, C_ECHO) and _abstract(association, context_id) == VERIFICATION:
            _answer_echo(association, message, context_id)
        elif isinstance(message, C_FIND):
            answer_find(association, message, context_id, archive=self._archive, desk=self._desk)
        elif isinstance(message, C_GET):
            self._retrieval.answer_get(association, message, context_id)
        elif isinstance(message, C_MOVE):
            self._retrieval.answer_move(association, message, context_id)
        else:
            association.abort(block=False)


def _abstract(association: GuardedAssociation, context_id: int) -> str:
    return str(association._accepted_cx[context_id].abstract_syntax)


def _answer_echo(association: GuardedAssociation, message: C_ECHO, context_id: int) -> None:
    answer = C_ECHO()
    answer.MessageIDBeingRespondedTo = message.MessageID
    answer.AffectedSOPClassUID = message.AffectedSOPClassUID
    answer.Status = int(Status.SUCCESS)
    association.dimse.send_msg(answer, context_id)
