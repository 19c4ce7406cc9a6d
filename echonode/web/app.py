"""The web edge as an application: the routes of every module, and what each request passes through."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute

from echonode.core.errors import EchonodeError
from echonode.web.failures import on_echonode_error, on_fault, on_http_exception
from echonode.web.services import Services


def build_app(services: Services) -> Starlette:
    """An ASGI application that holds no state of its own: any number of processes may run it."""
    return Starlette(
        routes=_routes(services),
        exception_handlers={
            EchonodeError: on_echonode_error,
            HTTPException: on_http_exception,
            Exception: on_fault,
        },
    )


def _routes(services: Services) -> list[BaseRoute]:
    """Every module's routes; the hottest first, because they are tried in order."""
    return []
