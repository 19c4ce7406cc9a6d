"""The first and last that a request meets: its id, its line in the log, and its count.

Pure ASGI and lean, because every frame passes here. The line has the path, which holds UIDs, and never the query,
which holds names.
"""

from __future__ import annotations

import logging
import re
import time

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from echonode.core.identity import new_id
from echonode.core.tally import Tally
from echonode.core.text import one_line

LOG = logging.getLogger("echonode.access")
HEADER = b"x-request-id"
CORRELATION = "correlation_id"
"""Key of the request's state that holds its id."""
LONGEST_PATH = 400
_SANE = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._-]{7,63}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"})
_RESOURCES = frozenset(
    {
        "api", "bulkdata", "frames", "health", "instances", "metadata", "metrics", "rendered", "series", "studies",
        "thumbnail", "viewer", "wado",
    }
)  # fmt: skip


def correlation_id(scope: Scope) -> str:
    """The id of a request: in its answer, in every log line, and in whatever it stores."""
    return str(scope.get("state", {}).get(CORRELATION, ""))


def resource_of(path: str) -> str:
    """What kind of thing a path names: the last of its words that is a DICOMweb resource or a part of the node.

    A viewer's files and paths that nobody serves share one name each: strangers cannot make series of metrics.
    """
    words = path[:LONGEST_PATH].split("/")
    first = words[1] if len(words) > 1 else ""
    if first in ("viewer", "api", "health"):
        return first
    for word in reversed(words):
        if word in _RESOURCES:
            return word
    return "other"


class Access:
    """Gives each request an id (its own X-Request-ID when that is sane), and notes how it ended."""

    def __init__(self, app: ASGIApp, *, tally: Tally) -> None:
        self._app = app
        self._tally = tally

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, identity = time.perf_counter(), _identity(scope)
        scope.setdefault("state", {})[CORRELATION] = identity
        structlog.contextvars.bind_contextvars(correlation_id=identity)
        stamp = (HEADER, identity.encode("ascii"))
        status, sent = 500, 0

        async def noting(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.body":
                sent += len(message.get("body", b""))
            elif message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), stamp]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            self._note(scope, identity, status, sent, time.perf_counter() - began)

    def _note(self, scope: Scope, identity: str, status: int, sent: int, seconds: float) -> None:
        path, method = scope["path"], scope["method"]
        resource = resource_of(path)
        self._tally.count("http_requests", method if method in _METHODS else "other", resource, str(status))
        self._tally.observe("http_request_seconds", resource, seconds=seconds)
        self._tally.count("http_sent_bytes", resource, by=sent)
        if LOG.isEnabledFor(logging.INFO) and resource != "health":
            request = {
                CORRELATION: identity,
                "method": one_line(method[:16]),
                "path": one_line(path[:LONGEST_PATH]),
                "status": status,
                "bytes": sent,
                "seconds": round(seconds, 6),
                "address": (scope.get("client") or ("",))[0],
            }
            LOG.info("request", extra={"request": request})


def _identity(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == HEADER:
            return value.decode("ascii") if _SANE.fullmatch(value) else new_id()
    return new_id()
