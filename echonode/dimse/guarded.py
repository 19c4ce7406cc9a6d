"""pynetdicom's association with our guards: bounded PDUs, deadlines, our negotiation, stores straight to disk.

Why each override is needed in pynetdicom 3.0: its reader believes any PDU length; it picks transfer syntaxes by the
acceptor's taste; it keeps a C-STORE's data set in memory or in a temporary folder; a command set without Affected SOP
Instance UID ends its reader thread; what waits to be sent or answered is unbounded; and its threads never rest.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

import structlog
from pynetdicom import AE
from pynetdicom.acse import ACSE
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu_primitives import P_DATA, SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AddressInformation, AssociationSocket

from echonode.core.errors import ProtocolViolation
from echonode.core.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from echonode.dimse.assembly import Assembly, DataSink, State
from echonode.dimse.command import RESPONSE, Command, Field
from echonode.dimse.pdu import COMMAND, LAST, ContextAnswer, PduType, abort, check_data, header
from echonode.dimse.reception import Answer
from echonode.dimse.wire import prepare

log = structlog.get_logger(__name__)
LONGEST_IDENTIFIER = 1 << 20
_MOST_WAITING_STORES = 64
_MOST_WAITING_MESSAGES = 16
_MOST_WAITING_PDUS = 16
_LOOP_SECONDS = 0.0005
_QUIET_LOOP_SECONDS = 0.01
_LIVELY_SECONDS = 0.5


class StoreSink(Protocol):
    """Takes the data set of one C-STORE-RQ and says what became of it."""

    def write(self, piece: memoryview) -> None:
        """Append a piece."""
        ...

    def complete(self) -> Answer:
        """Every byte has come; the status to answer."""
        ...

    def discard(self) -> None:
        """The rest will never come."""
        ...


StoreOpener = Callable[[Command, str], StoreSink]
"""(command, transfer syntax) -> sink."""


@dataclass(eq=False, kw_only=True, slots=True)
class IncomingStore:
    """A C-STORE-RQ whose data set has come completely."""

    command: Command
    sink: StoreSink


class GuardedSocket(AssociationSocket):
    """Reads in large pieces, each PDU within a deadline; may begin with bytes that were read already."""

    def __init__(
        self,
        assoc: Association,
        *,
        stall_seconds: float,
        client_socket: socket.socket | None = None,
        address: AddressInformation | None = None,
        first: bytes = b"",
    ) -> None:
        super().__init__(assoc, client_socket=client_socket, address=address)
        self._first = bytearray(first)
        self._stall_seconds = stall_seconds
        if client_socket is not None:
            prepare(client_socket, send_seconds=stall_seconds)

    def connect(self, primitive: Any) -> None:
        """As pynetdicom, then with our time-outs and without Nagle's algorithm."""
        super().connect(primitive)
        if self.socket is not None:
            prepare(self.socket, send_seconds=self._stall_seconds)

    def _shutdown_socket(self) -> None:
        """Close in any case: pynetdicom leaks the socket when its peer is gone already."""
        open_socket = self.socket
        super()._shutdown_socket()
        if open_socket is not None:
            open_socket.close()

    @property
    def ready(self) -> bool:
        """Whether there is something to read."""
        return bool(self._first) or bool(super().ready)

    def push_back(self, data: bytes | bytearray) -> None:
        """`data` is read again next."""
        self._first[:0] = data

    def recv(self, nr_bytes: int) -> bytearray:
        """`nr_bytes` bytes, or fewer when the peer closes.

        Raises:
            TimeoutError: they did not come in time.
        """
        taken = self._first[:nr_bytes]
        del self._first[: len(taken)]
        if len(taken) == nr_bytes:
            return taken
        if self.socket is None:
            raise ConnectionResetError("closed")
        deadline = time.monotonic() + self._stall_seconds
        data = bytearray(nr_bytes)
        view, got = memoryview(data), len(taken)
        view[:got] = taken
        while got < nr_bytes:
            if time.monotonic() > deadline:
                raise TimeoutError("a PDU came too slowly")
            try:
                count = self.socket.recv_into(view[got:])
            except BlockingIOError:
                continue
            if count == 0:
                break
            got += count
        view.release()
        del data[got:]
        return data


class GuardedReader(DULServiceProvider):
    """pynetdicom's upper layer, which looks at a PDU's length before it reads the PDU."""

    def __init__(self, assoc: Association, *, max_pdu: int) -> None:
        super().__init__(assoc)
        self.daemon = True
        self._max_pdu = max_pdu
        self._run_loop_delay = _LOOP_SECONDS
        self._lively_until = 0.0

    @property
    def is_lively(self) -> bool:
        """Whether something went in or out a moment ago."""
        return time.monotonic() < self._lively_until

    def _process_recv_primitive(self) -> bool:
        return self._noticed(super()._process_recv_primitive())

    def _is_transport_event(self) -> bool:
        return self._noticed(super()._is_transport_event())

    def _noticed(self, happened: bool) -> bool:
        """Go on at once after something happened: a response is several steps, and a sleep before each made most of the
        time of a query. Look less often at a connection that is quiet: thirty idle workstations would take a whole core.
        """
        if happened:
            self._lively_until = time.monotonic() + _LIVELY_SECONDS
            self._run_loop_delay = 0.0
        else:
            self._run_loop_delay = _LOOP_SECONDS if self.is_lively else _QUIET_LOOP_SECONDS
        return happened

    def _read_pdu_data(self) -> None:
        guarded = cast(GuardedSocket, self.socket)
        try:
            head = guarded.recv(6)
        except OSError:
            self.event_queue.put("Evt17")
            return
        if len(head) < 6:
            self.event_queue.put("Evt17")
            return
        try:
            kind, length = header(head, max_pdu=self._max_pdu)
            body = guarded.recv(length)
            if len(body) == length:
                self._check(kind, body)
        except ProtocolViolation as violation:
            self.refuse(violation)
            return
        except OSError:
            self.event_queue.put("Evt17")
            return
        guarded.push_back(head + body)
        super()._read_pdu_data()

    def _check(self, kind: PduType, body: bytearray) -> None:
        """What pynetdicom would answer with an abort and then wait for the peer to hang up, we cut off."""
        association = cast(GuardedAssociation, self.assoc)
        if kind is PduType.DATA:
            check_data(body)
        elif kind is PduType.RELEASE_RQ and association.dimse.in_message:
            raise ProtocolViolation("a release in the middle of a message")
        elif kind in (PduType.ASSOCIATE_RQ, PduType.ASSOCIATE_AC, PduType.ASSOCIATE_RJ) and association.is_established:
            raise ProtocolViolation(f"{kind.name} on an established association")

    def refuse(self, violation: ProtocolViolation) -> None:
        """Abort and close at once: nothing more is read from a peer that breaks the protocol."""
        log.warning("protocol violation", reason=str(violation))
        association = cast(GuardedAssociation, self.assoc)
        if association.violated is not None:
            association.violated(str(violation))
        guarded = self.socket
        if guarded is not None:
            guarded.send(abort(source=2, reason=6))
            guarded.close()


class GuardedMessages(DIMSEServiceProvider):
    """pynetdicom's DIMSE provider behind our own assembly of messages."""

    def __init__(self, assoc: Association, *, open_store: StoreOpener | None) -> None:
        super().__init__(assoc)
        self._open_store = open_store
        self._pieces = Assembly(self)

    @property
    def in_message(self) -> bool:
        """Whether the peer has begun a message and not ended it."""
        return self._pieces.state is not State.IDLE

    def get_msg(self, block: bool = False) -> Any:
        """As pynetdicom; while a peer of ours is quiet its thread waits here, and does not ask time and again."""
        if block or not self.assoc.is_acceptor or cast(GuardedReader, self.dul).is_lively:
            return super().get_msg(block)
        try:
            return self.msg_queue.get(timeout=_QUIET_LOOP_SECONDS)
        except queue.Empty:
            return None, None

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take one P-DATA; a violation of PS3.7 aborts the association and harms no thread."""
        try:
            for context_id, data in primitive.presentation_data_value_list:
                if not data:
                    raise ProtocolViolation("a presentation data value without a header")
                self._pieces.piece(context_id, data[0], memoryview(data)[1:], end_of_pdv=True)
        except ProtocolViolation as violation:
            cast(GuardedReader, self.dul).refuse(violation)

    def on_command(self, context_id: int, command: Command, encoded: bytes) -> None:
        """A message without a data set: pynetdicom makes a primitive of it."""
        self._check_room(command)
        self._forward([(context_id, bytes((COMMAND | LAST,)) + encoded)])

    def on_data_set(self, context_id: int, command: Command, encoded: bytes) -> DataSink:
        """A message whose data set follows: an object goes to a sink, an identifier to memory."""
        context = self.assoc._accepted_cx.get(context_id)
        if context is None:
            raise ProtocolViolation(f"presentation context {context_id} was not accepted")
        if command.field == Field.C_STORE:
            if self._open_store is None or self.msg_queue.qsize() >= _MOST_WAITING_STORES:
                raise ProtocolViolation("a C-STORE that was not asked for")
            return _Object(self, context_id, command, self._open_store(command, str(context.transfer_syntax[0])))
        self._check_room(command)
        return _Identifier(self, context_id, encoded)

    def _check_room(self, command: Command) -> None:
        """A peer may have one request open (PS3.7 D.3.3.3); one that sends on and on would fill our memory.

        What a peer answers to our own requests is not counted: a C-FIND may have any number of responses.
        """
        counted = self.assoc.is_acceptor or not command.field & RESPONSE
        if counted and self.msg_queue.qsize() >= _MOST_WAITING_MESSAGES:
            raise ProtocolViolation("more requests at once than were negotiated")

    def queue_store(self, context_id: int, incoming: IncomingStore) -> None:
        """A complete object waits for the association's thread."""
        self.msg_queue.put((context_id, cast(Any, incoming)))

    def _forward(self, values: list[tuple[int, bytes]]) -> None:
        primitive = P_DATA()
        primitive.presentation_data_value_list = pdvs(*values)
        try:
            super().receive_primitive(primitive)
        except Exception as error:
            raise ProtocolViolation(f"undecodable message: {type(error).__name__}") from error

    def close(self) -> None:
        """Discard what is half received or was never answered."""
        self._pieces.close()
        while not self.msg_queue.empty():
            _, waiting = self.msg_queue.get_nowait()
            if isinstance(waiting, IncomingStore):
                waiting.sink.discard()


class _Object:
    def __init__(self, messages: GuardedMessages, context_id: int, command: Command, sink: StoreSink) -> None:
        self._messages = messages
        self._context_id = context_id
        self._incoming = IncomingStore(command=command, sink=sink)
        self.write = sink.write
        self.discard = sink.discard

    def finish(self) -> None:
        self._messages.queue_store(self._context_id, self._incoming)


class _Identifier:
    def __init__(self, messages: GuardedMessages, context_id: int, encoded: bytes) -> None:
        self._messages = messages
        self._context_id = context_id
        self._encoded = encoded
        self._data = bytearray()

    def write(self, piece: memoryview) -> None:
        if len(self._data) + len(piece) > LONGEST_IDENTIFIER:
            raise ProtocolViolation(f"an identifier has more than {LONGEST_IDENTIFIER} bytes")
        self._data += piece

    def finish(self) -> None:
        self._messages._forward(
            [
                (self._context_id, bytes((COMMAND | LAST,)) + self._encoded),
                (self._context_id, bytes((LAST,)) + bytes(self._data)),
            ]
        )

    def discard(self) -> None:
        self._data.clear()


class GuardedControl(ACSE):
    """pynetdicom's association control, told by our negotiation what to accept."""

    def __init__(self, assoc: Association, answers: Mapping[int, ContextAnswer]) -> None:
        super().__init__(assoc)
        self._answers = answers

    def _negotiate_as_acceptor(self) -> None:
        request = cast(Any, self.requestor.primitive)
        self.requestor.ae_title = request.calling_ae_title
        roles: dict[str, SCP_SCU_RoleSelectionNegotiation] = {}
        for proposed in request.presentation_context_definition_list:
            answer = self._answers[proposed.context_id]
            context = PresentationContext()
            context.context_id = proposed.context_id
            context.abstract_syntax = proposed.abstract_syntax
            context.transfer_syntax = [answer.transfer_syntax]
            context.result = int(answer.result)
            context._as_scu = bool(answer.roles and answer.roles.scp)
            context._as_scp = answer.roles is None or answer.roles.scu
            if not answer.accepted:
                self.assoc._rejected_cx.append(context)
                continue
            self.assoc._accepted_cx[proposed.context_id] = context
            if answer.roles is not None:
                item = SCP_SCU_RoleSelectionNegotiation()
                item.sop_class_uid = answer.abstract_syntax
                item.scu_role, item.scp_role = answer.roles.scu, answer.roles.scp
                roles[answer.abstract_syntax] = item
        for item in roles.values():
            self.acceptor.add_negotiation_item(item)
        self.send_accept()
        self.assoc.is_established = True


class GuardedAssociation(Association):
    """An association of either mode with every guard in place.

    `serve` gets each request that a peer makes of us: (association, message, context id). A peer of an association
    that we requested may ask nothing of us but the C-STOREs of a C-GET. `violated` is told how a peer broke the
    protocol.
    """

    def __init__(
        self,
        ae: AE,
        mode: str,
        *,
        max_pdu: int,
        answers: Mapping[int, ContextAnswer] | None = None,
        open_store: StoreOpener | None = None,
        serve: Callable[[GuardedAssociation, Any, int], None] | None = None,
        violated: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(ae, mode)
        self._serve = serve
        self.violated = violated
        self.dul: GuardedReader = GuardedReader(self, max_pdu=max_pdu)
        self.dimse: GuardedMessages = GuardedMessages(self, open_store=open_store)
        if answers is not None:
            self.acse = GuardedControl(self, answers)
        self.acse_timeout = ae.acse_timeout  # once more: the timers live in the reader that was put in
        # A peer may rightly be silent while we decode a loop for it; our waits for an answer have bounds of their own.
        self.network_timeout = ae.network_timeout if mode == "acceptor" else None

    def _bind_defaults(self) -> None:
        """pynetdicom's default handlers log and decode every PDU; none is bound."""

    def _serve_request(self, msg: Any, context_id: int) -> None:
        if self._serve is None or context_id not in self._accepted_cx or not self._answerable(msg):
            self.dul.refuse(ProtocolViolation("a message that was not asked for, or of a context that was refused"))
            return
        self._is_paused = True
        self._serve(self, msg, context_id)
        self._is_paused = False
        self.dimse.cancel_req = {}
        self.dul._idle_timer.restart()  # who waited for a long retrieve was not idle

    @staticmethod
    def _answerable(msg: Any) -> bool:
        return isinstance(msg, IncomingStore) or bool(msg.is_valid_request)

    def wait_for_room(self, *, seconds: float) -> None:
        """Wait until few PDUs wait to be sent, so that a slow peer never fills our memory.

        Raises:
            ConnectionError: the association ended.
            TimeoutError: the peer took nothing for `seconds`.
        """
        waiting = self.dul.to_provider_queue
        deadline, before = time.monotonic() + seconds, waiting.qsize()
        while waiting.qsize() >= _MOST_WAITING_PDUS:
            if not self.is_established or not self.dul.is_alive():
                raise ConnectionResetError("the association ended")
            if waiting.qsize() < before:
                deadline, before = time.monotonic() + seconds, waiting.qsize()
            if time.monotonic() > deadline:
                raise TimeoutError("the peer does not read")
            time.sleep(_LOOP_SECONDS)

    def look_up(self, *, seconds: float) -> None:
        """Let the reader look at what came in, a C-CANCEL perhaps: while anything waits to be sent it reads nothing.

        Raises:
            ConnectionError, TimeoutError: as `wait_for_room`.
        """
        deadline = time.monotonic() + seconds
        while not self.dul.to_provider_queue.empty():
            if not self.is_established or not self.dul.is_alive():
                raise ConnectionResetError("the association ended")
            if time.monotonic() > deadline:
                raise TimeoutError("the peer does not read")
            time.sleep(_LOOP_SECONDS)
        time.sleep(4 * _LOOP_SECONDS)

    @contextlib.contextmanager
    def exclusive(self) -> Any:
        """Keep pynetdicom's own loop away from the messages while we wait for ours."""
        self._reactor_checkpoint.clear()
        while not self._is_paused and self.is_alive():
            time.sleep(_LOOP_SECONDS)
        try:
            yield
        finally:
            self._reactor_checkpoint.set()


def pdvs(*values: tuple[int, bytes]) -> Any:
    """Presentation data values in the form that pynetdicom checks for, which is not the one that it declares."""
    return [list(value) for value in values]


def application_entity(ae_title: str, *, timeout_seconds: float) -> AE:
    """An AE that names this implementation and whose waits are bounded.

    pynetdicom's own log is silenced: it writes what peers send, patients' names among it, as lines of their own.
    """
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)
    ae = AE(ae_title=ae_title)
    ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = timeout_seconds
    ae.connection_timeout = min(10.0, timeout_seconds)
    return ae
