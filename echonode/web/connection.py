"""One HTTP connection: uvicorn's protocol, with bounds on what may come before a handler sees anything.

uvicorn's own limits do not reach this far with httptools: a head may be as long and as slow as a client likes, an idle
socket counts as a client, and an answer that nobody reads waits for ever.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from echonode.core.settings import WebSection

_REFUSALS = {
    400: (b"400 Bad Request", "this is no HTTP request"),
    408: (b"408 Request Timeout", "the request line and headers did not arrive in time (web.stall_seconds)"),
    431: (b"431 Request Header Fields Too Large", "the request line and headers are longer than web.max_header_bytes"),
    503: (b"503 Service Unavailable", "every connection is in use (web.connections)"),
}


def connection_class(web: WebSection) -> type[HttpToolsProtocol]:
    """uvicorn's protocol class, held to the limits of `web`."""

    class BoundedConnection(_BoundedConnection):
        bounds = web

    return BoundedConnection


class _BoundedConnection(HttpToolsProtocol):
    bounds: WebSection
    transport: asyncio.Transport

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._in_head = True
        self._head_bytes = 0  # of this request, as its parts are understood
        self._unheard_bytes = 0  # since the parser last had something to say
        self._said = 0
        self._last_seen = self.loop.time()
        self._head_late: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A new client; one that only holds a socket makes room for it."""
        super().connection_made(transport)
        if len(self.connections) > self.bounds.connections and not self._make_room():
            self._refuse(503)
            return
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        _cancel(self._head_late)
        self._head_late = None
        _cancel(self._unread)
        self._unread = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes, of which a head may only have so many."""
        if self.transport.is_closing():
            return
        if self._in_head and self._head_late is None:
            self._expect_head()
        said = self._said
        super().data_received(data)
        self._unheard_bytes = 0 if self._said != said else self._unheard_bytes + len(data)
        if self._unheard_bytes > self.bounds.max_header_bytes:
            self._refuse(431)

    def send_400_response(self, msg: str) -> None:
        """What the parser refuses, or what one of the callbacks below has refused."""
        self._refuse(431 if self._head_bytes > self.bounds.max_header_bytes else 400)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A piece of the request's target."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer behind a chunked body: those are dropped."""
        self._count(len(name) + len(value) + 4)
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole: the request begins."""
        self._said += 1
        self._last_seen = self.loop.time()
        self._in_head = False
        _cancel(self._head_late)
        self._head_late = None
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._said += 1
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The end of the body."""
        self._said += 1
        self._in_head = True
        super().on_message_complete()

    def pause_writing(self) -> None:
        """The client reads slower than we write: it must take something in every `web.stall_seconds`."""
        super().pause_writing()
        self._watch_reader(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """The client reads again."""
        if not self.transport.is_closing():
            _cancel(self._unread)
            self._unread = None
        super().resume_writing()

    def on_response_complete(self) -> None:
        """The answer is written; when the connection ends with it, the client has to take what is left."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._watch_reader(self.transport.get_write_buffer_size())

    def timeout_keep_alive_handler(self) -> None:
        """Nothing was asked for `web.idle_seconds`."""
        self._close()

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self.bounds.max_header_bytes:
            raise ValueError("the head is too long")

    def _expect_head(self) -> None:
        self._head_late = self.loop.call_later(self.bounds.stall_seconds, self._on_head_late)

    def _on_head_late(self) -> None:
        self._head_late = None
        if self._in_head and self._is_idle():
            self._refuse(408)

    def _watch_reader(self, left: int) -> None:
        _cancel(self._unread)
        self._unread = self.loop.call_later(self.bounds.stall_seconds, self._on_unread, left)

    def _on_unread(self, before: int) -> None:
        left = self.transport.get_write_buffer_size()
        if left >= before:
            self.transport.abort()
        else:
            self._watch_reader(left)

    def _is_idle(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # None until the first request, whatever uvicorn declares
        return cycle is None or cycle.response_complete

    def _make_room(self) -> bool:
        """Close the connection that has asked nothing for longest; False when every one is at work."""
        idle = [
            other
            for other in self.connections
            if other is not self and isinstance(other, _BoundedConnection) and other._is_idle()
        ]
        if not idle:
            return False
        oldest = min(idle, key=lambda other: other._last_seen)
        self.connections.discard(oldest)
        oldest._close()
        return True

    def _close(self) -> None:
        """Close, and do not wait for ever for a client that does not take what is still on its way."""
        if not self.transport.is_closing():
            self.transport.close()
            self._watch_reader(self.transport.get_write_buffer_size())

    def _refuse(self, status: int) -> None:
        """Answer where no other answer has begun, and close."""
        if self.transport.is_closing():
            return
        if not self._is_idle():
            if self.cycle.response_started:
                self.transport.abort()
                return
            self.cycle.disconnected = True  # its handler learns that nobody listens any more
            self.cycle.message_event.set()
        line, reason = _REFUSALS[status]
        body = json.dumps({"status": status, "error": reason}).encode()
        self.transport.write(
            b"HTTP/1.1 " + line + b"\r\ncontent-type: application/json\r\nx-content-type-options: nosniff\r\n"
            b"connection: close\r\ncontent-length: " + str(len(body)).encode() + b"\r\n\r\n" + body
        )
        self._close()


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
