"""Connections that have not said who they are yet: one thread reads them all, so silence costs a socket, not a slot."""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from echonode.core.errors import ProtocolViolation
from echonode.dimse.pdu import PduType, header

MOST_GREETING = 256
_MOST_BYTES = 32 << 20


@dataclass(eq=False, kw_only=True, slots=True)
class Greeting:
    """One connection that has until `deadline` for a complete A-ASSOCIATE-RQ."""

    sock: socket.socket
    address: str
    deadline: float
    data: bytearray = field(default_factory=bytearray)

    def read(self) -> bytes | None:
        """The whole PDU once it is complete, None before; never reads past its end.

        Raises:
            ProtocolViolation: not an A-ASSOCIATE-RQ, or one that claims more than 1 MiB.
            OSError: the peer is gone.
        """
        want = 6 if len(self.data) < 6 else 6 + self._length()
        while len(self.data) < want:
            try:
                chunk = self.sock.recv(min(want - len(self.data), 1 << 16))
            except BlockingIOError:
                return None
            if not chunk:
                raise ConnectionResetError("closed before an A-ASSOCIATE-RQ was complete")
            self.data += chunk
            if len(self.data) == 6:
                want = 6 + self._length()
        return bytes(self.data)

    def _length(self) -> int:
        kind, length = header(self.data, max_pdu=0)
        if kind is not PduType.ASSOCIATE_RQ:
            raise ProtocolViolation(f"the first PDU is {kind.name}")
        return length


class Hall:
    """The connections that wait to be understood. When it is full, the one that has been silent longest goes."""

    def __init__(self, *, greeting_seconds: float) -> None:
        self._seconds = greeting_seconds
        self._selector = selectors.DefaultSelector()
        self._greetings: dict[Greeting, None] = {}

    def watch(self, listener: socket.socket) -> None:
        """Report when `listener` has a connection."""
        self._selector.register(listener, selectors.EVENT_READ, None)

    def admit(self, sock: socket.socket, address: str) -> None:
        """Take in a fresh connection."""
        if len(self._greetings) >= MOST_GREETING or sum(len(g.data) for g in self._greetings) > _MOST_BYTES:
            self.leave(next(iter(self._greetings)), close=True)
        sock.setblocking(False)
        greeting = Greeting(sock=sock, address=address, deadline=time.monotonic() + self._seconds)
        self._greetings[greeting] = None
        self._selector.register(sock, selectors.EVENT_READ, greeting)

    def of_host(self, address: str) -> list[Greeting]:
        """Those from one address, the oldest first."""
        return [greeting for greeting in self._greetings if greeting.address == address]

    def ready(self, *, timeout: float) -> Iterator[Greeting | None]:
        """Whatever has something to read: a greeting, or None for the listener."""
        for key, _ in self._selector.select(timeout):
            if key.data is None or key.data in self._greetings:
                yield key.data

    def expired(self) -> list[Greeting]:
        """Those whose time is over; closed already."""
        now = time.monotonic()
        late = [greeting for greeting in self._greetings if now > greeting.deadline]
        for greeting in late:
            self.leave(greeting, close=True)
        return late

    def leave(self, greeting: Greeting, *, close: bool) -> None:
        """Forget a greeting; its socket lives on unless `close`."""
        if greeting not in self._greetings:
            return
        del self._greetings[greeting]
        self._selector.unregister(greeting.sock)
        if close:
            with contextlib.suppress(OSError):
                greeting.sock.close()

    def close(self) -> None:
        """Close every connection that waits."""
        for greeting in list(self._greetings):
            self.leave(greeting, close=True)
        self._selector.close()
