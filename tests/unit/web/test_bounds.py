"""A client is given up for its own silence, never for the time that we take."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from echonode.core.errors import TooLarge, TooSlow
from echonode.core.settings import WebSection
from echonode.web.bounds import Bounds

CHUNK = b"x" * 20000


def answered(pieces: list[bytes], *, busy: float = 0.0, wait: float = 0.0, length: int = 0) -> Any:
    """What becomes of a handler that reads a body while `pieces` arrive every `wait` seconds, `busy` with each."""
    web, sent, met = WebSection(stall_seconds=0.2, max_document_bytes=65536), list[Any](), list[BaseException]()
    arriving = iter(pieces)

    async def receive() -> Any:
        await asyncio.sleep(wait)
        piece = next(arriving, None)
        if piece is None:
            await asyncio.sleep(30)
        return {"type": "http.request", "body": piece, "more_body": piece != b""}

    async def send(message: Any) -> None:
        sent.append(message)

    async def handler(_scope: Any, receive: Any, _send: Any) -> None:
        try:
            while (await receive())["more_body"]:
                time.sleep(busy)  # as a thread would that works on the disk
        except (TooLarge, TooSlow) as error:
            met.append(error)

    headers = [(b"host", b"localhost"), (b"transfer-encoding", b"chunked")]
    if length:
        headers[1] = (b"content-length", str(length).encode())
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "PUT",
        "path": "/x",
        "query_string": b"",
        "headers": headers,
    }
    asyncio.run(Bounds(handler, web=web)(scope, receive, send))
    return met[0] if met else (sent[0]["status"] if sent else None)


def test_a_slow_disk_is_not_the_clients_fault() -> None:
    assert answered([CHUNK, CHUNK, b""], busy=0.3) is None


def test_silence_is() -> None:
    assert isinstance(answered([CHUNK]), TooSlow)
    assert isinstance(answered([b"x"] * 100, wait=0.03), TooSlow), "drops are silence"
    assert answered([CHUNK, CHUNK, b""], wait=0.1) is None


def test_the_bound_holds_by_header_and_by_count() -> None:
    assert isinstance(answered([CHUNK] * 5 + [b""]), TooLarge)
    assert answered([], length=65537) == 413


@pytest.mark.parametrize("name", [b"X-Content-Type-Options", b"Cache-Control"])
def test_what_a_handler_says_is_not_said_twice(name: bytes) -> None:
    sent: list[Any] = []

    async def handler(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(name.lower(), b"mine")]})

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "http_version": "1.1", "method": "GET", "path": "/x", "query_string": b""}
    app = Bounds(handler, web=WebSection())
    asyncio.run(app({**scope, "headers": [(b"host", b"localhost")]}, send, send))  # type: ignore[arg-type]
    values = [value for key, value in sent[0]["headers"] if key == name.lower()]
    assert values == [b"mine"]
