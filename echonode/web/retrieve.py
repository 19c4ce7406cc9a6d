"""Retrieve study, series and instance (PS3.18 10.4): stored files as they are, or transcoded where the client asks."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from echonode.archive.contents import Contents, Located
from echonode.core.errors import EchonodeError, NotAcceptable, NotFound
from echonode.core.identity import is_uid
from echonode.dicom.part10 import part10_head
from echonode.flow.decoding import Decoder
from echonode.web import conditional, multipart
from echonode.web.accept import MediaRange, accepted
from echonode.web.body import FilePieces, Hangup, Headers, empty, send_files, send_piece, start
from echonode.web.failures import refused
from echonode.web.representation import DICOM, Representation, of_object, what_there_is
from echonode.web.services import Services
from echonode.web.turns import Turns

log = structlog.get_logger(__name__)
METHODS = ["GET", "HEAD"]
FIXED: Headers = [
    (b"cache-control", b"private, no-cache"),
    (b"vary", b"accept"),
    (b"x-content-type-options", b"nosniff"),
]
"""Headers of every answer that has bytes of an object: a cache may keep it, and must ask before it uses it."""


def routes(services: Services, decoder: Decoder) -> list[BaseRoute]:
    """Instance, series and study, in this order; `decoder` transcodes whole objects."""
    one, many = InstanceEndpoint(services.archive.contents, decoder), GroupEndpoint(services.archive.contents, decoder)
    study = f"{services.web.prefix}/studies/{{study}}"
    series = f"{study}/series/{{series}}"
    return [
        Route(f"{series}/instances/{{instance}}", one, methods=METHODS),
        Route(series, many, methods=METHODS),
        Route(study, many, methods=METHODS),
    ]


def located(contents: Contents, scope: Scope) -> Located:
    """The instance that the path names.

    Raises:
        NotFound: there is none.
    """
    path = scope["path_params"]
    study, series, instance = path["study"], path["series"], path["instance"]
    if is_uid(study) and is_uid(series) and is_uid(instance):
        found = contents.located(study_uid=study, series_uid=series, sop_instance_uid=instance)
        if found is not None:
            return found
    raise NotFound("no stored instance has that address")


class InstanceEndpoint:
    """One instance, in parts or by itself; by itself it can be asked for in byte ranges."""

    def __init__(self, contents: Contents, decoder: Decoder) -> None:
        self._contents = contents
        self._decoder = decoder
        self._turns = Turns()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        item = located(self._contents, scope)
        chosen = of_object(accepted(scope), item.transfer_syntax_uid, item.has_pixels, parts=False)
        if chosen is None:
            raise NotAcceptable(f"this instance can be had as {what_there_is(item.transfer_syntax_uid, frames=False)}")
        if not chosen.stored:
            await self._transcoded(item, chosen, scope, receive, send)
        elif chosen.multipart:
            await _send_stored([item], scope, receive, send)
        else:
            await self._by_itself(item, chosen, scope, receive, send)

    async def _by_itself(
        self, item: Located, chosen: Representation, scope: Scope, receive: Receive, send: Send
    ) -> None:
        etag = _etag([item], chosen)
        headers = [*_headers(etag, chosen.part_type), *_as_file(item), (b"accept-ranges", b"bytes")]
        if conditional.is_current(scope, etag):
            await conditional.not_modified(send, headers)
            return
        total = item.dataset_offset + item.size
        wanted = conditional.byte_range(scope, etag, total)
        if wanted is False:
            answer = refused(416, "no byte of this instance lies there", {"content-range": f"bytes */{total}"})
            await answer(scope, receive, send)
            return
        status, span = 200, (0, total)
        if isinstance(wanted, tuple):
            status, span = 206, wanted
            headers.append((b"content-range", b"bytes %d-%d/%d" % (span[0], sum(span) - 1, total)))
        await send_files(scope, receive, send, status=status, headers=headers, files=[FilePieces(item.path, [span])])

    async def _transcoded(
        self, item: Located, chosen: Representation, scope: Scope, receive: Receive, send: Send
    ) -> None:
        etag = _etag([item], chosen)
        boundary = multipart.boundary_of(item.sha256, chosen.transfer_syntax_uid)
        headers = (
            _headers(etag, multipart.content_type(DICOM, boundary).decode())
            if chosen.multipart
            else [*_headers(etag, chosen.part_type), *_as_file(item)]
        )
        if conditional.is_current(scope, etag):
            await conditional.not_modified(send, headers)
            return
        if scope["method"] == "HEAD":
            await empty(send, 200, headers)
            return
        try:
            made = await self._turns.take(partial(self._decoder.object, item.path, chosen.transfer_syntax_uid))
        except EchonodeError as error:
            if not chosen.or_stored:
                raise
            log.warning("sent as stored", reason=str(error), sop_instance_uid=item.sop_instance_uid)
            await _send_stored([item], scope, receive, send, parts=chosen.multipart)
            return
        with made:
            before, after = _head(item, chosen.transfer_syntax_uid), b""
            if chosen.multipart:
                before = multipart.opening(boundary, chosen.part_type, first=True) + before
                after = multipart.closing(boundary)
            size = os.fstat(made.fileno()).st_size
            headers.append((b"content-length", b"%d" % (len(before) + size + len(after))))
            await start(send, 200, headers)
            for piece in (before, (0, size), after):
                await send_piece(send, made.fileno(), piece)
            await send({"type": "http.response.body", "body": b""})


class GroupEndpoint:
    """Every instance of a study or a series, each a part."""

    def __init__(self, contents: Contents, decoder: Decoder) -> None:
        self._contents = contents
        self._decoder = decoder
        self._turns = Turns()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope["path_params"]
        study, series = path["study"], path.get("series")
        items: list[Located] = []
        if is_uid(study) and (series is None or is_uid(series)):
            items = await run_in_threadpool(self._contents.located_all, study_uid=study, series_uid=series)
        if not items:
            raise NotFound("no stored study or series has that address")
        ranges = accepted(scope)
        plan = list(_planned(items, ranges))
        if not plan:
            forms = what_there_is(items[0].transfer_syntax_uid, frames=False)
            raise NotAcceptable(f"these instances can be had in parts, the first as {forms}")
        status = 200 if len(plan) == len(items) else 206
        if all(chosen.stored for _, chosen in plan):
            await _send_stored([item for item, _ in plan], scope, receive, send, status=status)
        else:
            await self._transcoded(plan, scope, receive, send, status=status)

    async def _transcoded(
        self, plan: Sequence[tuple[Located, Representation]], scope: Scope, receive: Receive, send: Send, *, status: int
    ) -> None:
        """Transcoded one by one while they are sent, so the length is not known before.

        An object that turns out to be undecodable is sent as it is stored, and its part says so: leaving it out in the
        middle of an answer would look like success.
        """
        syntaxes = [chosen.transfer_syntax_uid for _, chosen in plan]
        boundary = multipart.boundary_of(*(item.sha256 for item, _ in plan), *syntaxes)
        headers: Headers = [(b"content-type", multipart.content_type(DICOM, boundary)), *FIXED]
        if scope["method"] == "HEAD":
            await empty(send, status, headers)
            return
        await start(send, status, headers)
        gone = Hangup(receive)
        try:
            for number, (item, chosen) in enumerate(plan):
                if gone.is_so:
                    return
                await self._send_part(item, chosen, boundary, send, gone, first=number == 0)
            await send({"type": "http.response.body", "body": multipart.closing(boundary)})
        finally:
            await gone.end()

    async def _send_part(
        self, item: Located, chosen: Representation, boundary: bytes, send: Send, gone: Hangup, *, first: bool
    ) -> None:
        syntax, made = chosen.transfer_syntax_uid, None
        if not chosen.stored:
            try:
                made = await self._turns.take(partial(self._decoder.object, item.path, syntax))
            except EchonodeError as error:
                log.warning("sent as stored", reason=str(error), sop_instance_uid=item.sop_instance_uid)
                syntax = item.transfer_syntax_uid
        head = multipart.opening(boundary, f"{DICOM}; transfer-syntax={syntax}", first=first)
        with made or item.path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            before = head + _head(item, syntax) if made else head
            for piece in (before, (0, size)):
                await send_piece(send, file.fileno(), piece, gone)


async def _send_stored(
    items: Sequence[Located], scope: Scope, receive: Receive, send: Send, *, status: int = 200, parts: bool = True
) -> None:
    """Stored files as they lie, with the length of the whole."""
    digests = [item.sha256 for item in items]
    etag = conditional.etag_of(multipart.digest(digests)[:32], "stored", "parts" if parts else "one")
    boundary = multipart.boundary_of(*digests)
    kind = multipart.content_type(DICOM, boundary).decode() if parts else _part_type(items[0])
    headers = _headers(etag, kind)
    if conditional.is_current(scope, etag):
        await conditional.not_modified(send, headers)
        return
    files = []
    for number, item in enumerate(items):
        whole = (0, item.dataset_offset + item.size)
        if not parts:
            files.append(FilePieces(item.path, [whole]))
            continue
        last = multipart.closing(boundary) if number == len(items) - 1 else b""
        before = multipart.opening(boundary, _part_type(item), first=number == 0)
        files.append(FilePieces(item.path, [before, whole, last] if last else [before, whole]))
    await send_files(scope, receive, send, status=status, headers=headers, files=files)


def _planned(items: Sequence[Located], ranges: tuple[MediaRange, ...]) -> Iterator[tuple[Located, Representation]]:
    """Each item with its representation; items that cannot be had in an accepted form are left out."""
    for item in items:
        chosen = of_object(ranges, item.transfer_syntax_uid, item.has_pixels, parts=True)
        if chosen is not None:
            yield item, chosen


def _part_type(item: Located) -> str:
    return f"{DICOM}; transfer-syntax={item.transfer_syntax_uid}"


def _head(item: Located, transfer_syntax_uid: str) -> bytes:
    return part10_head(
        sop_class_uid=item.sop_class_uid,
        sop_instance_uid=item.sop_instance_uid,
        transfer_syntax_uid=transfer_syntax_uid,
    )


def _etag(items: Sequence[Located], chosen: Representation) -> str:
    digests = multipart.digest(item.sha256 for item in items)
    return conditional.etag_of(digests[:32], chosen.transfer_syntax_uid, "parts" if chosen.multipart else "one")


def _headers(etag: str, kind: str) -> Headers:
    return [(b"content-type", kind.encode()), (b"etag", etag.encode()), *FIXED]


def _as_file(item: Located) -> Headers:
    """A browser saves it under a name of digits and dots; no value of the object is in it."""
    return [(b"content-disposition", f'attachment; filename="{item.sop_instance_uid}.dcm"'.encode())]
