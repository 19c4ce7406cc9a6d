"""What a request may cost, checked before any handler sees it; and what every answer says to a browser.

Pure ASGI, because every frame passes here: requests without a body get their `receive` back untouched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from echonode.core.errors import TooLarge, TooSlow
from echonode.core.settings import WebSection
from echonode.web.address import host_of
from echonode.web.failures import refused

PROGRESS_BYTES = 16384
"""A body must grow by this much in every `web.stall_seconds`, or end."""
LINGER_BYTES = 1 << 20
LINGER_SECONDS = 2.0
"""How much, and for how long, of a refused body is read and dropped so that the client gets to see the answer."""
SAFE_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)
DEFAULT_HEADERS: dict[bytes, bytes] = {
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"cache-control": b"private, no-cache",
}
"""Said of every answer that does not say otherwise: no script, no frame, nothing kept without asking again."""


class Bounds:
    """Refuses what is too long, too large or encoded, and ends what stalls; writes the headers of `SAFE_HEADERS`."""

    def __init__(self, app: ASGIApp, *, web: WebSection) -> None:
        self._app = app
        self._web = web
        self._store_path = f"{web.prefix}/studies"
        policy = b"cross-origin" if web.allowed_origins else b"same-origin"
        self._headers = (*SAFE_HEADERS, (b"cross-origin-resource-policy", policy))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        body = _BodyFacts(scope)
        send = self._saying(send)
        if body.declared or body.chunked:
            counted = _Body(receive, limit=self._limit(scope), stall_seconds=self._web.stall_seconds)
            receive, send = counted.receive, _Lingering(send, counted).send
        refusal = self._refusal(scope, body)
        if refusal is not None:
            await refused(*refusal)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _limit(self, scope: Scope) -> int:
        stores = scope["method"] == "POST" and scope["path"].startswith(self._store_path)
        return self._web.max_body_bytes if stores else self._web.max_document_bytes

    def _refusal(self, scope: Scope, body: _BodyFacts) -> tuple[int, str, dict[str, str]] | None:
        web = self._web
        if len(scope["query_string"]) > web.max_query_bytes:
            return 414, f"the query is longer than web.max_query_bytes = {web.max_query_bytes}", {}
        if scope["http_version"] != "1.0" and host_of(scope) is None:
            return 400, "the Host header is missing, there twice, or not the name of a host", {}
        if body.encoded:
            return 415, "bodies are taken as they are, without Content-Encoding", {"accept-encoding": "identity"}
        if body.declared > self._limit(scope):
            name = "max_body_bytes" if self._limit(scope) == web.max_body_bytes else "max_document_bytes"
            return 413, f"the body would be longer than web.{name} = {self._limit(scope)}", {}
        return None

    def _saying(self, send: Send) -> Send:
        headers = self._headers

        async def say(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = message.setdefault("headers", [])
                names = {name.lower() for name, _ in given}
                said = [pair for pair in headers if pair[0] not in names]
                said += [pair for pair in DEFAULT_HEADERS.items() if pair[0] not in names]
                message["headers"] = [*given, *said]
            await send(message)

        return say


class _BodyFacts:
    """What the headers say of the body. llhttp has refused a Content-Length that is no number or there twice."""

    __slots__ = ("chunked", "declared", "encoded")

    def __init__(self, scope: Scope) -> None:
        self.declared, self.chunked, self.encoded = 0, False, False
        for name, value in scope["headers"]:
            if name == b"content-length":
                self.declared = int(value) if value.isdigit() else 0
            elif name == b"transfer-encoding":
                self.chunked = True
            elif name == b"content-encoding":
                self.encoded = value.strip().lower() not in (b"", b"identity")


class _Body:
    """Counts what arrives, and gives up on a client that stops in the middle."""

    def __init__(self, receive: Receive, *, limit: int, stall_seconds: float) -> None:
        self._receive = receive
        self._limit = limit
        self._stall_seconds = stall_seconds
        self._seconds: Callable[[], float] = asyncio.get_running_loop().time
        self._left = stall_seconds  # of waiting; time that we spend on what came does not count
        self._received = 0
        self._mark = PROGRESS_BYTES
        self.ended = False
        """Whether the whole body has arrived, or the client is gone."""

    async def receive(self) -> Message:
        """The next piece.

        Raises:
            TooLarge: more than the limit has arrived.
            TooSlow: too little for too long.
        """
        if self.ended:
            return await self._receive()
        began = self._seconds()
        try:
            async with asyncio.timeout(self._left):
                message = await self._receive()
        except TimeoutError:
            raise TooSlow(f"the body stayed silent for {self._stall_seconds:g} s (web.stall_seconds)") from None
        self._left -= self._seconds() - began
        self._received += len(message.get("body", b""))
        self.ended = not message.get("more_body", False)
        if self._received > self._limit:
            raise TooLarge(f"the body is longer than {self._limit} bytes")
        if self._received >= self._mark:
            self._mark = self._received + PROGRESS_BYTES
            self._left = self._stall_seconds
        return message

    async def drop_rest(self) -> None:
        """Read and drop a little of what still comes, so that closing does not destroy the answer on its way."""
        dropped = 0
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while not self.ended and dropped < LINGER_BYTES:
                    message = await self._receive()
                    dropped += len(message.get("body", b""))
                    self.ended = not message.get("more_body", False)
        except TimeoutError:
            return


class _Lingering:
    """Closes the connection behind an answer that came before the end of the body."""

    def __init__(self, send: Send, body: _Body) -> None:
        self._send = send
        self._body = body
        self._closing = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._closing = not self._body.ended
            if self._closing:
                message["headers"] = [*message.get("headers", []), (b"connection", b"close")]
        elif self._closing and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._body.drop_rest()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)
