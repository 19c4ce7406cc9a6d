"""Errors of echonode as HTTP responses: the one place where the web edge translates them."""

from __future__ import annotations

import logging

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from echonode.core.errors import EchonodeError
from echonode.core.text import one_line
from echonode.web.access import correlation_id

LOG = logging.getLogger(__name__)
LONGEST = 400
_HEADERS = {
    503: {"Retry-After": "10"},
    507: {"Retry-After": "60"},
    401: {"WWW-Authenticate": 'Bearer realm="echonode"'},
}


def refused(status: int, reason: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """A refusal as JSON: what and where in one line, nothing of it markup."""
    return JSONResponse({"status": status, "error": one_line(reason)[:LONGEST]}, status_code=status, headers=headers)


async def on_echonode_error(_request: Request, error: Exception) -> Response:
    """The HTTP code that the error carries, and its one line."""
    assert isinstance(error, EchonodeError)
    return refused(error.http_status, str(error), _HEADERS.get(error.http_status))


async def on_http_exception(_request: Request, error: Exception) -> Response:
    """Starlette's own refusals (404, 405) in the same form."""
    assert isinstance(error, HTTPException)
    return refused(error.status_code, str(error.detail), dict(error.headers or {}))


async def on_hangup(_request: Request, _error: Exception) -> Response:
    """The client went away in the middle of its request: nobody hears the answer, and nothing here is at fault."""
    return refused(400, "the request broke off")


async def on_fault(request: Request, error: Exception) -> Response:
    """A fault of ours: the client learns that, the log learns where."""
    LOG.error("a request failed", exc_info=error)
    identity = correlation_id(request.scope)  # this answer is made outside of what stamps the others
    headers = {"X-Request-ID": identity} if identity else None
    return refused(500, f"a fault of echonode itself: {type(error).__name__}", headers)
