"""One acceptor process: takes connections, hears who calls, and gives each association a thread."""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable

import structlog

from echonode.archive.archive import Archive
from echonode.core.configuration import Configuration
from echonode.core.errors import EchonodeError, ProtocolViolation
from echonode.core.identity import new_id
from echonode.core.ports import BlobStore
from echonode.core.tally import Tally
from echonode.dimse.admission import Rejection, admit, printable
from echonode.dimse.desk import Caller, Desk, Door, RefusalWriter
from echonode.dimse.greeting import Greeting, Hall
from echonode.dimse.negotiation import is_receive_only, negotiate
from echonode.dimse.pdu import (
    AssociateRequest,
    ContextAnswer,
    ContextResult,
    abort,
    associate_accept,
    associate_reject,
    parse_associate_request,
)
from echonode.dimse.receiving import ReceivingAssociation
from echonode.dimse.wire import prepare
from echonode.flow.decoding import Decoder

log = structlog.get_logger(__name__)
LOCAL_LIMIT = (2, 3, 2)
"""Rejected transient, by the presentation service, local limit exceeded (PS3.8 table 9-21)."""
_CONTEXT_ADVICE = {
    ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED: "if these are storage classes that you need, add them to "
    "private_classes under [dimse] in node.toml",
    ContextResult.USER_REJECTION: "add store, query or retrieve to the rights of this [[peer]] in peers.toml",
    ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED: "let the caller propose Explicit VR Little Endian too",
}
_MOST_NAMED = 3
_DRAIN_SECONDS = 10.0
_POLL_SECONDS = 0.25


def listen(configuration: Configuration) -> socket.socket:
    """A listening socket on the node's address; several processes may each open one on the same port.

    Raises:
        OSError: the address cannot be bound.
    """
    node = configuration.node.node
    family = socket.AF_INET6 if ":" in node.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((node.host, node.port))
        listener.listen(256)
    except OSError:
        listener.close()
        raise
    return listener


def run_acceptor(
    configuration: Configuration,
    *,
    ingest: Door,
    archive: Archive,
    stop: threading.Event,
    sock: socket.socket | None = None,
    blobs: BlobStore | None = None,
    ready: Callable[[int], None] | None = None,
    tally: Tally | None = None,
) -> None:
    """Serve until `stop` is set, then finish what is in the middle of a message and return.

    `ready` is told the port once connections are taken. Several processes may run this on one port (SO_REUSEPORT).
    `tally` counts associations and refusals; it pulses with the accept loop.
    """
    listener = sock or listen(configuration)
    tally = tally or Tally()
    refusals = RefusalWriter(archive.refusals, tally=tally)
    desk = Desk(
        configuration=configuration,
        door=ingest,
        blobs=blobs or archive.blobs,
        refusals=refusals,
        tally=tally,
    )
    acceptor = Acceptor(listener, desk=desk, archive=archive, stop=stop)
    try:
        if ready is not None:
            ready(listener.getsockname()[1])
        acceptor.run()
    finally:
        refusals.close()


class Acceptor:
    """The accept loop and its associations."""

    def __init__(self, listener: socket.socket, *, desk: Desk, archive: Archive, stop: threading.Event) -> None:
        self._listener = listener
        self._desk = desk
        self._archive = archive
        self._stop = stop
        self._settings = desk.configuration.node.dimse
        self._decoder = Decoder(limits=desk.configuration.node.limits, blobs=desk.blobs)
        self._hall = Hall(greeting_seconds=self._settings.greeting_seconds)
        self._lock = threading.Lock()
        self._hosts: Counter[str] = Counter()
        self._open: dict[threading.Thread, socket.socket] = {}

    def run(self) -> None:
        """Serve until the stop event, then drain."""
        self._listener.setblocking(False)
        self._hall.watch(self._listener)
        try:
            while not self._stop.is_set():
                self._desk.tally.pulse()
                for greeting in self._hall.ready(timeout=_POLL_SECONDS):
                    if greeting is None:
                        self._accept()
                    else:
                        self._hear(greeting)
                for late in self._hall.expired():
                    log.info("connection closed: no A-ASSOCIATE-RQ in time", address=late.address)
        finally:
            self._listener.close()
            self._hall.close()
            self._drain()
            self._decoder.close()

    def _accept(self) -> None:
        try:
            connection, peer = self._listener.accept()
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                log.error("no room for another connection", reason=error.strerror)
                self._stop.wait(0.05)
            return
        address = str(peer[0])
        silent = self._hall.of_host(address)
        if silent and len(silent) + self._hosts[address] >= self._settings.max_per_host:
            self._hall.leave(silent[0], close=True)
            log.info("connection closed: too many silent ones from this address", address=address)
        self._hall.admit(connection, address)

    def _hear(self, greeting: Greeting) -> None:
        try:
            body = greeting.read()
            if body is None:
                return
            request = parse_associate_request(memoryview(body)[6:])
        except ProtocolViolation as violation:
            self._hall.leave(greeting, close=False)
            self._dismiss(greeting.sock, abort(source=2, reason=2))
            self._desk.refusals.record(
                what="association",
                calling_ae="",
                address=greeting.address,
                reason=f"no association request: {violation}",
                advice="something that does not speak DICOM (or speaks TLS) calls this port",
            )
            return
        except OSError:
            self._hall.leave(greeting, close=True)
            return
        self._hall.leave(greeting, close=False)
        self._decide(greeting, body, request)

    def _decide(self, greeting: Greeting, body: bytes, request: AssociateRequest) -> None:
        decision = self._limits(greeting.address) or admit(
            request,
            address=greeting.address,
            settings=self._desk.configuration.node,
            peers=self._desk.configuration.peers,
        )
        self._desk.tally.count("associations", "rejected" if isinstance(decision, Rejection) else "accepted")
        if isinstance(decision, Rejection):
            self._dismiss(
                greeting.sock,
                associate_reject(result=decision.result, source=decision.source, reason=decision.reason),
            )
            self._desk.refusals.record(
                what="association",
                calling_ae=request.calling_ae,
                address=greeting.address,
                reason=decision.detail,
                advice=decision.advice,
            )
            return
        caller = Caller(
            calling_ae=printable(request.calling_ae, limit=16),
            called_ae=printable(request.called_ae, limit=16),
            address=greeting.address,
            correlation_id=new_id(),
            rights=decision.rights,
            marked_only=decision.marked_only,
        )
        answers = negotiate(request, rights=decision.rights, settings=self._settings)
        self._note_refused_contexts(caller, answers)
        self._start(greeting.sock, body=body, caller=caller, answers=answers)

    def _limits(self, address: str) -> Rejection | None:
        with self._lock:
            total, here = len(self._open), self._hosts[address]
        result, source, reason = LOCAL_LIMIT
        if total >= self._settings.max_associations:
            return Rejection(
                result=result,
                source=source,
                reason=reason,
                detail=f"{total} associations are open",
                advice="raise max_associations or acceptors under [dimse] in node.toml",
            )
        if here >= self._settings.max_per_host:
            return Rejection(
                result=result,
                source=source,
                reason=reason,
                detail=f"{here} associations are open from this address",
                advice="raise max_per_host under [dimse] in node.toml",
            )
        return None

    def _note_refused_contexts(self, caller: Caller, answers: tuple[ContextAnswer, ...]) -> None:
        """One record for each kind of refusal, however many contexts a caller proposes."""
        refused: dict[ContextResult, dict[str, None]] = {}
        for answer in answers:
            if not answer.accepted:
                refused.setdefault(answer.result, {})[printable(answer.abstract_syntax)] = None
        for result, classes in refused.items():
            named = ", ".join(list(classes)[:_MOST_NAMED])
            more = f" and {len(classes) - _MOST_NAMED} more" if len(classes) > _MOST_NAMED else ""
            self._desk.refusals.record(
                what="context",
                calling_ae=caller.calling_ae,
                address=caller.address,
                reason=f"{result.name.lower().replace('_', ' ')}: {named}{more}",
                advice=_CONTEXT_ADVICE[result],
            )

    def _start(
        self,
        sock: socket.socket,
        *,
        body: bytes,
        caller: Caller,
        answers: tuple[ContextAnswer, ...],
    ) -> None:
        thread = threading.Thread(
            target=self._serve,
            kwargs={"sock": sock, "body": body, "caller": caller, "answers": answers},
            name=f"association-{caller.correlation_id[:8]}",
            daemon=True,
        )
        with self._lock:
            self._open[thread] = sock
            self._hosts[caller.address] += 1
        thread.start()

    def _serve(
        self,
        *,
        sock: socket.socket,
        body: bytes,
        caller: Caller,
        answers: tuple[ContextAnswer, ...],
    ) -> None:
        bound = log.bind(correlation_id=caller.correlation_id)
        bound.info("association", calling_ae=caller.calling_ae, address=caller.address, contexts=len(answers))
        began = time.monotonic()
        self._desk.tally.count("associations_open")
        try:
            if is_receive_only(answers):
                self._receive(sock, body=body, caller=caller, answers=answers)
            else:
                from echonode.dimse.serving import (
                    serve_query_retrieve,
                )  # late: a node that only receives never loads it

                serve_query_retrieve(
                    sock,
                    body=body,
                    desk=self._desk,
                    archive=self._archive,
                    decoder=self._decoder,
                    caller=caller,
                    answers=answers,
                    stopping=self._stop.is_set,
                )
        except Exception:  # noqa: BLE001 - the edge: one association never harms another
            bound.exception("association failed")
        finally:
            with contextlib.suppress(OSError):
                sock.close()
            with self._lock:
                self._open.pop(threading.current_thread(), None)
                self._hosts[caller.address] -= 1
                if self._hosts[caller.address] <= 0:
                    del self._hosts[caller.address]
            self._desk.tally.count("associations_open", by=-1)
            self._closed(caller)
            bound.info("association ended", seconds=round(time.monotonic() - began, 3))

    def _closed(self, caller: Caller) -> None:
        """Tell the archive, which settles a study once no association is open for it."""
        try:
            self._archive.activity.closed(caller.correlation_id)
        except EchonodeError as error:
            log.error("the end of an association could not be written", reason=str(error))

    def _receive(self, sock: socket.socket, *, body: bytes, caller: Caller, answers: tuple[ContextAnswer, ...]) -> None:
        association = ReceivingAssociation(
            sock,
            desk=self._desk,
            caller=caller,
            contexts={answer.id: answer for answer in answers if answer.accepted},
            stopping=self._stop.is_set,
        )
        try:
            sock.sendall(associate_accept(memoryview(body)[6:], answers, max_pdu=self._settings.max_pdu_bytes))
        except OSError:
            return
        association.run()

    def _dismiss(self, sock: socket.socket, farewell: bytes) -> None:
        with contextlib.suppress(OSError):
            prepare(sock, send_seconds=1.0)
            sock.sendall(farewell)
            sock.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):
            sock.close()

    def _drain(self) -> None:
        deadline = time.monotonic() + _DRAIN_SECONDS
        for thread in self._threads():
            thread.join(timeout=max(0.0, deadline - time.monotonic()))
        with self._lock:
            left = list(self._open.values())
        for sock in left:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads():
            thread.join(timeout=2.0)

    def _threads(self) -> list[threading.Thread]:
        with self._lock:
            return list(self._open)
