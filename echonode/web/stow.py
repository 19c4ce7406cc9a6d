"""STOW-RS (PS3.18 10.5): every part goes to disk as it comes, then through the one ingest door.

Bytes are gathered to a megabyte at most and worked on in a thread, so that neither a large study nor ten thousand small
objects hold up other requests, and no body is ever in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import anyio
import anyio.to_thread
import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Message

from echonode.core.errors import BadInput, EchonodeError, StorageUnavailable, UnsupportedMedia
from echonode.core.identity import is_uid, new_id
from echonode.dicom.native_xml import native_xml
from echonode.web.access import correlation_id
from echonode.web.address import base_url
from echonode.web.arrival import CANNOT_UNDERSTAND, Arrivals, FileArrival, Outcome, Sender
from echonode.web.composed import JSON, XML, Composed
from echonode.web.parts import PartHeaders, PartsReader, Sink, media_type
from echonode.web.services import Services
from echonode.web.store_answer import answer_model, status_of, warning_of
from echonode.web.tokens import HOLDER

DICOM, MULTIPART = "application/dicom", "multipart/related"
GATHERED_BYTES, ENOUGH_BYTES = 1 << 20, 1 << 18
"""What is gathered at most while a thread is at work, and what is worth a thread's while."""
MOST_AT_ONCE = 16
"""Requests of one process that work on the disk at the same time; the others wait with two megabytes each."""
MOST_AT_THE_DOOR = 8


def routes(services: Services) -> list[BaseRoute]:
    """POST to /studies, and to one study."""
    store = _Store(services)
    prefix = services.web.prefix
    return [
        Route(f"{prefix}/studies", store.any_study, methods=["POST"]),
        Route(f"{prefix}/studies/{{study}}", store.one_study, methods=["POST"]),
    ]


class _Intake(Protocol):
    """Takes the bytes of a body, in a thread."""

    def feed(self, data: bytes) -> None: ...

    def finish(self) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _Form:
    """How the objects of a request are written: the media type of its parts, and the boundary between them."""

    kind: str
    boundary: str


class _Store:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._limiter: anyio.CapacityLimiter | None = None
        self._pool = ThreadPoolExecutor(MOST_AT_THE_DOOR, thread_name_prefix="stow")

    async def any_study(self, request: Request) -> Response:
        """Objects of whatever studies."""
        return await self._store(request, "")

    async def one_study(self, request: Request) -> Response:
        """Objects of the study that the path names; others fail."""
        study = request.path_params["study"]
        if not is_uid(study):
            raise BadInput("the study in the path is no UID")
        return await self._store(request, study)

    async def _store(self, request: Request, study: str) -> Response:
        form = _form_of(request.headers.get("content-type", ""))
        self._services.ingest.precheck(_declared(request))
        arrivals = Arrivals(services=self._services, sender=_sender(request, study), pool=self._pool)
        intake = _intake(form, arrivals)
        try:
            await self._read(request, intake)
        finally:
            with anyio.CancelScope(shield=True):
                await self._work(intake.close)
        outcomes = arrivals.outcomes
        if not outcomes:
            raise BadInput("the request holds no object")
        return self._answer(request, outcomes, study)

    async def _read(self, request: Request, intake: _Intake) -> None:
        """Feed the body to the intake; while a thread works on one stretch, the next one is gathered."""
        gathered, size, more = list[bytes](), 0, True
        job: asyncio.Task[None] | None = None
        try:
            while more:
                message: Message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                body: bytes = message.get("body", b"")
                more = message.get("more_body", False)
                gathered.append(body)
                size += len(body)
                if job is not None and (job.done() or size >= GATHERED_BYTES or not more):
                    await job
                    job = None
                if not more:
                    await self._work(_feeding(intake, gathered, last=True))
                elif job is None and size >= ENOUGH_BYTES:
                    job = asyncio.create_task(self._work(_feeding(intake, gathered, last=False)))
                    gathered, size = [], 0
        except _Over:
            return
        finally:
            if job is not None:  # something else ended the request: what the job has to say comes too late
                await asyncio.gather(job, return_exceptions=True)

    async def _work(self, job: Callable[[], None]) -> None:
        self._limiter = self._limiter or anyio.CapacityLimiter(MOST_AT_ONCE)
        await anyio.to_thread.run_sync(job, limiter=self._limiter)

    def _answer(self, request: Request, outcomes: list[Outcome], study: str) -> Response:
        model = answer_model(outcomes, base_url=base_url(request.scope, self._services.web), study_uid=study)
        status, warning = status_of(outcomes), warning_of(outcomes)
        headers = {"Warning": warning} if warning else {}
        if status == 503:
            headers["Retry-After"] = "60"
        if _wants_xml(request):
            return Response(native_xml(model), status, headers, XML)
        return Response(orjson.dumps(model, option=orjson.OPT_SORT_KEYS), status, headers, JSON)


class _FileBody:
    """A body that is one Part 10 file."""

    def __init__(self, arrivals: Arrivals) -> None:
        self._arrivals = arrivals
        self._arrival: FileArrival | None = FileArrival(arrivals)

    def feed(self, data: bytes) -> None:
        if self._arrival is not None:
            self._arrival.write(memoryview(data))

    def finish(self) -> None:
        arrival, self._arrival = self._arrival, None
        if arrival is not None:
            arrival.complete()
        self._arrivals.settle()

    def close(self) -> None:
        arrival, self._arrival = self._arrival, None
        if arrival is not None:
            arrival.discard()


class _PartsBody:
    """A multipart body, of files or of metadata with bulk."""

    def __init__(self, form: _Form, arrivals: Arrivals) -> None:
        self._arrivals = arrivals
        self._kind = form.kind
        self._composed = Composed(arrivals, kind=form.kind) if form.kind in (JSON, XML) else None
        self._reader = PartsReader(form.boundary.encode("latin-1"), self._open)

    def _open(self, headers: PartHeaders) -> Sink:
        if self._composed is not None:
            return self._composed.open_part(headers)
        kind, _ = media_type(headers.get("content-type", DICOM))
        if kind not in ("", DICOM, "application/octet-stream"):
            outcome = Outcome(status=CANNOT_UNDERSTAND, detail="a part is not application/dicom")
            advice = "the sender's parts have to be application/dicom"
            self._arrivals.refuse(self._arrivals.place(), outcome, advice=advice)
            return _Dropped()
        return FileArrival(self._arrivals)

    def feed(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
        except EchonodeError as error:
            self._break_off(error)

    def finish(self) -> None:
        if not self._reader.ended:
            self._break_off(BadInput("the multipart body ends without its closing boundary"))
        if self._composed is not None:
            self._composed.complete()
        self._arrivals.settle()

    def close(self) -> None:
        self._reader.close()
        self._arrivals.settle()
        if self._composed is not None:
            self._composed.close()

    def _break_off(self, error: EchonodeError) -> None:
        """What was stored before the fault stays stored, and the answer says so; else the request was wrong.

        Raises:
            EchonodeError: nothing has been stored yet.
        """
        self._arrivals.settle()
        before = len(self._arrivals.outcomes)
        self._reader.close()
        if not self._arrivals.outcomes:
            raise error
        if len(self._arrivals.outcomes) == before:
            outcome = Outcome(status=CANNOT_UNDERSTAND, detail=str(error))
            advice = "the sender's request has to be mended"
            self._arrivals.refuse(self._arrivals.place(), outcome, advice=advice)
        raise _Over


class _Over(Exception):
    """The rest of the body is of no use."""


class _Dropped:
    def write(self, piece: memoryview) -> None:
        """Dropped."""

    def complete(self) -> None:
        """Its outcome is noted already."""

    def discard(self) -> None:
        """Its outcome is noted already."""


def _feeding(intake: _Intake, gathered: list[bytes], *, last: bool) -> Callable[[], None]:
    def feed() -> None:
        try:
            if gathered:
                intake.feed(gathered[0] if len(gathered) == 1 else b"".join(gathered))
            if last:
                intake.finish()
        except OSError as error:
            raise StorageUnavailable(f"the request could not be written: {error.strerror}") from error

    return feed


def _intake(form: _Form, arrivals: Arrivals) -> _Intake:
    if form.boundary:
        return _PartsBody(form, arrivals)
    return _FileBody(arrivals)


def _form_of(content_type: str) -> _Form:
    """What Content-Type says of the body.

    Raises:
        BadInput: multipart without a boundary.
        UnsupportedMedia: something else than DICOM in one of its three forms.
    """
    kind, options = media_type(content_type)
    if kind == DICOM:
        return _Form(DICOM, "")
    if kind != MULTIPART:
        raise UnsupportedMedia(f"{MULTIPART} or {DICOM} is taken here")
    boundary, inner = options.get("boundary", ""), options.get("type", DICOM).lower()
    if inner not in (DICOM, JSON, XML):
        raise UnsupportedMedia(f"parts are taken as {DICOM}, {JSON} or {XML}")
    if not boundary:
        raise BadInput("Content-Type names no boundary")
    return _Form(inner, boundary)


def _declared(request: Request) -> int:
    length = request.headers.get("content-length", "")
    return int(length) if length.isdecimal() else 0


def _sender(request: Request, study: str) -> Sender:
    client = request.client
    return Sender(
        holder=str(request.scope.get("state", {}).get(HOLDER, "")),
        address=client.host if client else "",
        correlation_id=correlation_id(request.scope) or new_id(),
        study_uid=study,
    )


def _wants_xml(request: Request) -> bool:
    accept = request.headers.get("accept", "")
    return XML in accept and JSON not in accept
