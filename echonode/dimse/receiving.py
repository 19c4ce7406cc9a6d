"""The receive path: our own upper layer (PS3.8) for associations that verify and store, a thread each."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping

import structlog

from echonode.core.errors import ProtocolViolation
from echonode.dimse.assembly import Assembly, DataSink, State
from echonode.dimse.classes import VERIFICATION
from echonode.dimse.command import RESPONSE, Command, Field, Status, response
from echonode.dimse.desk import Caller, Desk
from echonode.dimse.pdu import (
    PDV_HEADER,
    ContextAnswer,
    PduType,
    abort,
    command_data,
    header,
    release_response,
)
from echonode.dimse.reception import Reception
from echonode.dimse.wire import Wire

log = structlog.get_logger(__name__)


class ReceivingAssociation:
    """One established association, from its A-ASSOCIATE-AC to the end of its connection."""

    def __init__(
        self,
        sock: socket.socket,
        *,
        desk: Desk,
        caller: Caller,
        contexts: Mapping[int, ContextAnswer],
        stopping: Callable[[], bool],
    ) -> None:
        settings = desk.configuration.node.dimse
        self._wire = Wire(
            sock, idle_seconds=settings.idle_seconds, stall_seconds=settings.stall_seconds, stopping=stopping
        )
        self._desk = desk
        self._caller = caller
        self._contexts = contexts
        self._max_pdu = settings.max_pdu_bytes
        self._assembly = Assembly(self)
        self._log = log.bind(correlation_id=caller.correlation_id)

    def run(self) -> None:
        """Serve until the peer releases, goes away, breaks the protocol or falls silent. Never raises OSError."""
        try:
            while self._assembly.state is not State.CLOSED:
                self._pdu()
        except ProtocolViolation as violation:
            self._end(abort(source=2, reason=6))  # PS3.8 table 9-26: invalid PDU parameter value
            self._desk.refusals.record(
                what="association",
                calling_ae=self._caller.calling_ae,
                address=self._caller.address,
                reason=f"protocol violation: {violation}",
                advice="the sender breaks PS3.7 or PS3.8; a capture of the connection helps its vendor",
            )
        except TimeoutError as error:
            self._log.warning("association timed out", reason=str(error))
            self._end(abort(source=2, reason=0))
        except ConnectionAbortedError:
            self._end(abort(source=0, reason=0))
        except OSError as error:
            self._log.info("association ended without release", reason=type(error).__name__)
        finally:
            self._assembly.close()
            self._wire.close()

    def _end(self, farewell: bytes) -> None:
        try:
            self._wire.send(farewell)
        except OSError:
            self._log.debug("the peer is gone already")

    def _pdu(self) -> None:
        kind, length = header(
            self._wire.header(in_message=self._assembly.state is not State.IDLE), max_pdu=self._max_pdu
        )
        if kind is PduType.DATA:
            self._data(length)
            return
        if length:
            self._wire.exactly(length)
        if kind is PduType.RELEASE_RQ:
            self._assembly.release()
            self._end(release_response())
        elif kind is PduType.ABORT:
            self._log.info("aborted by the peer")
            self._assembly.close()
        else:
            raise ProtocolViolation(f"{kind.name} on an established association")

    def _data(self, remaining: int) -> None:
        wire, assembly = self._wire, self._assembly
        while remaining:
            if remaining < 6:
                raise ProtocolViolation("a presentation data value is cut off")
            length, context_id, control = PDV_HEADER.unpack(wire.exactly(6))
            remaining -= 4 + length
            left = length - 2
            if left < 0 or remaining < 0:
                raise ProtocolViolation(f"a presentation data value claims {length} bytes")
            if left == 0:
                assembly.piece(context_id, control, memoryview(b""), end_of_pdv=True)
            while left:
                data = wire.take(left)
                left -= len(data)
                assembly.piece(context_id, control, data, end_of_pdv=left == 0)

    def _context(self, context_id: int) -> ContextAnswer:
        context = self._contexts.get(context_id)
        if context is None:
            raise ProtocolViolation(f"presentation context {context_id} was not accepted")
        return context

    def on_command(self, context_id: int, command: Command, encoded: bytes) -> None:
        """A message without a data set: C-ECHO, a C-CANCEL for nothing, or something that is not ours to answer."""
        context = self._context(context_id)
        if command.field == Field.C_ECHO and context.abstract_syntax == VERIFICATION:
            self.answer(context_id, command, status=Status.SUCCESS)
        elif command.field == Field.C_STORE:
            self.answer(context_id, command, status=Status.CANNOT_UNDERSTAND, comment="C-STORE without a data set")
        elif command.field & RESPONSE:
            raise ProtocolViolation(f"a response {command.field:04X}H to nothing")
        elif command.field != Field.C_CANCEL:
            self.answer(context_id, command, status=Status.UNRECOGNISED_OPERATION)

    def on_data_set(self, context_id: int, command: Command, encoded: bytes) -> DataSink:
        """A C-STORE-RQ, or another message whose data set is read and dropped."""
        context = self._context(context_id)
        if command.field & RESPONSE:
            raise ProtocolViolation(f"a response {command.field:04X}H to nothing")
        if command.field != Field.C_STORE:
            return _Drain(self, context_id, command)
        reception = Reception(
            desk=self._desk, caller=self._caller, command=command, transfer_syntax_uid=context.transfer_syntax
        )
        return _Store(self, context_id, command, reception)

    def answer(self, context_id: int, command: Command, *, status: int, comment: str = "") -> None:
        """Send the response to `command`: one PDU, one write."""
        self._wire.send(command_data(context_id, response(command, status=status, comment=comment)))


class _Store:
    """A data set that goes to the ingest door."""

    def __init__(
        self, association: ReceivingAssociation, context_id: int, command: Command, reception: Reception
    ) -> None:
        self._association = association
        self._context_id = context_id
        self._command = command
        self._reception = reception
        self.write = reception.write
        self.discard = reception.discard

    def finish(self) -> None:
        answer = self._reception.complete()
        self._association.answer(self._context_id, self._command, status=answer.status, comment=answer.comment)


class _Drain:
    """A data set of an operation that the receive path does not know."""

    def __init__(self, association: ReceivingAssociation, context_id: int, command: Command) -> None:
        self._association = association
        self._context_id = context_id
        self._command = command

    def write(self, piece: memoryview) -> None:
        """Dropped."""

    def finish(self) -> None:
        self._association.answer(self._context_id, self._command, status=Status.UNRECOGNISED_OPERATION)

    def discard(self) -> None:
        """Nothing was kept."""
