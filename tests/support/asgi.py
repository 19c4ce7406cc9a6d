"""Requests to an ASGI application in this process, without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from tests.support.web import Answer


def get(app: Any, target: str, headers: Mapping[str, str] | None = None, *, method: str = "GET") -> Answer:
    """What `app` answers to one request; an answer's header that is there twice counts once."""
    path, _, query = target.partition("?")
    given = {"host": "localhost"} | {name.lower(): value for name, value in (headers or {}).items()}
    sent: list[dict[str, Any]] = []
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 80),
    }

    said: list[bool] = []

    async def receive() -> dict[str, Any]:
        if said:
            await asyncio.Event().wait()  # a client that stays until it has its answer
        said.append(True)
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    asyncio.run(app(scope, receive, send))
    start = next(message for message in sent if message["type"] == "http.response.start")
    return Answer(
        status=start["status"],
        headers={name.decode().lower(): value.decode() for name, value in start["headers"]},
        body=b"".join(bytes(message.get("body", b"")) for message in sent if message["type"] == "http.response.body"),
    )
