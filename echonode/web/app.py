"""The web edge as an application: the routes of every module, and what each request passes through."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute

from echonode.core.errors import EchonodeError
from echonode.flow.decoding import Decoder
from echonode.web import (
    admin,
    bulkdata,
    frames,
    health,
    metadata,
    metrics,
    openapi,
    qido,
    rendered,
    retrieve,
    stow,
    viewer,
    wado_uri,
)
from echonode.web.access import Access
from echonode.web.bounds import Bounds
from echonode.web.failures import on_echonode_error, on_fault, on_hangup, on_http_exception
from echonode.web.services import Services
from echonode.web.tokens import Gate, TokenBook

EXPOSED = ("Content-Location", "ETag", "Location", "Warning", "X-Request-ID", "X-Total-Count")


def build_app(services: Services) -> Starlette:
    """An ASGI application that holds no state of its own: any number of processes may run it."""
    return Starlette(
        routes=_routes(services),
        middleware=_passages(services),
        exception_handlers={
            EchonodeError: on_echonode_error,
            HTTPException: on_http_exception,
            ClientDisconnect: on_hangup,
            Exception: on_fault,
        },
    )


def _passages(services: Services) -> list[Middleware]:
    """What a request passes through on its way in, the outermost first; pure ASGI, nothing here buffers."""
    web = services.web
    passages = [Middleware(Access, tally=services.tally), Middleware(Bounds, web=web)]
    if web.allowed_origins:
        cors = Middleware(
            CORSMiddleware,
            allow_origins=web.allowed_origins,
            allow_methods=("GET", "HEAD", "POST", "PUT", "DELETE"),
            allow_headers=("Authorization", "If-None-Match", "Range", "X-Request-ID"),
            expose_headers=EXPOSED,
        )
        passages.append(cors)
    return [*passages, Middleware(Gate, book=TokenBook(services.configuration), web=web)]


def _routes(services: Services) -> list[BaseRoute]:
    """Every module's routes; the hottest first, because they are tried in order."""
    # Two decoder processes, each started when it is needed: nobody's frame waits for somebody's whole study.
    quick, long = (Decoder(limits=services.limits, blobs=services.blobs) for _ in range(2))
    return [
        *frames.routes(services, quick),
        *retrieve.routes(services, long),
        *metadata.routes(services),
        *bulkdata.routes(services, quick),
        *rendered.routes(services),
        *qido.routes(services),
        *wado_uri.routes(services),
        *stow.routes(services),
        *viewer.routes(services),
        *health.routes(services),
        *metrics.routes(services),
        *admin.routes(services),
        *openapi.routes(services),
    ]
