"""One web process: uvicorn on a socket that the supervisor opened."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Iterator

import uvicorn
import uvloop

from echonode.core.tally import Tally
from echonode.web.app import build_app
from echonode.web.connection import connection_class
from echonode.web.services import Services

WATCH_SECONDS = 0.1
DRAIN_SECONDS = 10


class _Server(uvicorn.Server):
    """uvicorn that leaves signals to the supervisor's child, and says when it listens."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()


def run_web(services: Services, *, sock: socket.socket, stop: threading.Event, ready: Callable[[], None]) -> None:
    """Serve on `sock` until `stop`; requests that are under way get a few seconds to end."""
    web = services.web
    config = uvicorn.Config(
        build_app(services),
        loop="uvloop",
        http=connection_class(web),
        ws="none",
        lifespan="off",
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        log_config=None,
        timeout_keep_alive=int(web.idle_seconds),
        timeout_graceful_shutdown=DRAIN_SECONDS,
        limit_concurrency=web.connections + 1,
    )
    for name in ("uvicorn", "uvicorn.error"):  # what it has to say of a request, the application has said already
        logging.getLogger(name).setLevel(logging.CRITICAL)
    server = _Server(config, ready)

    async def serve() -> None:
        watch = asyncio.create_task(_watch(server, stop, services.tally))
        await server.serve(sockets=[sock])
        watch.cancel()

    uvloop.run(serve())


async def _watch(server: uvicorn.Server, stop: threading.Event, tally: Tally) -> None:
    while not stop.is_set():
        tally.pulse()
        await asyncio.sleep(WATCH_SECONDS)
    server.should_exit = True
