"""A connection read with deadlines and one fixed buffer, whatever lengths the peer claims."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Callable

BUFFER_BYTES = 256 * 1024
_TICK_SECONDS = 0.5


def prepare(sock: socket.socket, *, send_seconds: float) -> None:
    """Blocking with kernel time-outs: one system call a read, and no wait longer than a tick.

    Nagle's algorithm is off: a response is one small write that must not wait for an acknowledgement.
    """
    sock.setblocking(True)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _timeval(_TICK_SECONDS))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(send_seconds))


def _timeval(seconds: float) -> bytes:
    whole = int(seconds)
    return struct.pack("@ll", whole, int((seconds - whole) * 1_000_000))


class Wire:
    """Reads PDUs piece by piece. `TimeoutError`: silent or too slow; `ConnectionError`: gone, or we are stopping."""

    def __init__(
        self, sock: socket.socket, *, idle_seconds: float, stall_seconds: float, stopping: Callable[[], bool]
    ) -> None:
        prepare(sock, send_seconds=stall_seconds)
        self._sock = sock
        self._idle_seconds = idle_seconds
        self._stall_seconds = stall_seconds
        self._stopping = stopping
        self._view = memoryview(bytearray(BUFFER_BYTES))
        self._start = self._end = 0
        self._deadline = 0.0
        self.received = 0
        """Bytes read so far."""

    def _fill(self, *, between_pdus: bool) -> None:
        self._start = self._end = 0
        while True:
            if time.monotonic() > self._deadline:
                raise TimeoutError("silent for too long" if between_pdus else "a PDU came too slowly")
            if between_pdus and self._stopping():
                raise ConnectionAbortedError("the node is stopping")
            try:
                count = self._sock.recv_into(self._view)
            except BlockingIOError:
                continue
            if count == 0:
                raise ConnectionResetError("the peer closed the connection")
            self._end = count
            self.received += count
            return

    def header(self, *, in_message: bool) -> bytes:
        """The six bytes that begin the next PDU, waited for as long as an association may be silent."""
        if self._start == self._end:
            self._deadline = time.monotonic() + (self._stall_seconds if in_message else self._idle_seconds)
            self._fill(between_pdus=not in_message)
        self._deadline = time.monotonic() + self._stall_seconds
        return self.exactly(6)

    def take(self, limit: int) -> memoryview:
        """Between 1 and `limit` bytes of the current PDU; valid until the next call."""
        if self._start == self._end:
            self._fill(between_pdus=False)
        stop = min(self._end, self._start + limit)
        piece = self._view[self._start : stop]
        self._start = stop
        return piece

    def exactly(self, count: int) -> bytes:
        """A few bytes of the current PDU."""
        data = bytes(self.take(count))
        while len(data) < count:
            data += self.take(count - len(data))
        return data

    def send(self, data: bytes) -> None:
        """Write all of `data` at once."""
        try:
            self._sock.sendall(data)
        except BlockingIOError as error:
            raise TimeoutError("the peer does not read") from error

    def close(self) -> None:
        """Close; idempotent."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()
