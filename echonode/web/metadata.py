"""Metadata of a study, a series or an instance (PS3.18 10.4.1.1.2) in DICOM JSON or XML, joined from stored text."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from echonode.archive.contents import Contents, Told
from echonode.core.errors import NotFound
from echonode.dicom.json_model import MARK
from echonode.dicom.native_xml import native_xml
from echonode.web import multipart
from echonode.web.accept import accepted, best
from echonode.web.address import base_url
from echonode.web.body import Headers, empty, send_bytes, start
from echonode.web.conditional import etag_of, is_current, not_modified
from echonode.web.failures import refused
from echonode.web.services import Services

JSON, XML = "application/dicom+json", "application/dicom+xml"
AT_ONCE = 64
"""Instances whose metadata is answered in one piece; more go out piece by piece, read in a thread."""
_STYLE = "1"
"""Part of the entity tag: another way of writing metadata must give it another number."""


def routes(services: Services) -> list[BaseRoute]:
    """/metadata at study, series and instance."""
    study = f"{services.web.prefix}/studies/{{study}}"
    endpoint = _Metadata(services)
    paths = (
        f"{study}/metadata",
        f"{study}/series/{{series}}/metadata",
        f"{study}/series/{{series}}/instances/{{instance}}/metadata",
    )
    return [Route(path, endpoint, methods=["GET"]) for path in paths]


class _Metadata:
    """An ASGI endpoint: viewers ask for metadata before anything else, and for much of it."""

    def __init__(self, services: Services) -> None:
        self._contents: Contents = services.archive.contents
        self._web = services.web

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        media = media_of(scope)
        if media is None:
            offered = f'{JSON}, multipart/related; type="{XML}"'
            await refused(406, f"metadata can be had as {offered}")(scope, receive, send)
            return
        study, series, instance = (scope["path_params"].get(name) for name in ("study", "series", "instance"))
        rows = self._contents.told(study_uid=study, series_uid=series, sop_instance_uid=instance, limit=AT_ONCE)
        if not rows:
            raise NotFound("no stored object has these UIDs")
        base = f"{base_url(scope, self._web)}/studies/{study}"
        whole = len(rows) < AT_ONCE
        digests = (row.sha256 for row in rows) if whole else await run_in_threadpool(self._digests, study, series)
        tag = _digest(_STYLE, base, *digests)
        headers: Headers = [(b"etag", etag_of(tag, "json" if media == JSON else "xml").encode()), (b"vary", b"accept")]
        if is_current(scope, headers[0][1].decode()):
            await not_modified(send, headers)
            return
        boundary = multipart.boundary_of(tag)
        content_type = JSON.encode() if media == JSON else multipart.content_type(XML, boundary)
        headers.append((b"content-type", content_type))
        if scope["method"] == "HEAD":
            await empty(send, 200, headers)
        elif whole and media == JSON:
            await send_bytes(send, 200, headers, f"[{_json(rows, base)}]".encode())
        else:
            await self._stream(send, headers, rows, base, None if media == JSON else boundary, (study, series))

    async def _stream(
        self, send: Send, headers: Headers, rows: list[Told], base: str, boundary: bytes | None, of: tuple[str, str]
    ) -> None:
        """Piece by piece, so that the metadata of a large study is never held at once."""
        await start(send, 200, headers)
        first = True
        while rows:
            if boundary is None:
                piece = ("[" if first else ",").encode() + _json(rows, base).encode()
            else:
                piece = await run_in_threadpool(_xml, rows, base, boundary, first)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            first = False
            rows = await run_in_threadpool(self._next, rows, *of) if len(rows) == AT_ONCE else []
        end = b"]" if boundary is None else multipart.closing(boundary)
        await send({"type": "http.response.body", "body": end})

    def _next(self, rows: list[Told], study: str, series: str | None) -> list[Told]:
        return self._contents.told(study_uid=study, series_uid=series, after=rows[-1].row, limit=AT_ONCE)

    def _digests(self, study: str, series: str | None) -> list[str]:
        return self._contents.digests(study_uid=study, series_uid=series)


def media_of(scope: Scope) -> str | None:
    """DICOM JSON or XML, whichever the client would rather have; None when it takes neither."""
    chosen = best(accepted(scope), lambda each: _form(each.media_type, each.multipart) is not None)
    return None if chosen is None else _form(chosen.media_type, chosen.multipart)


def _form(media_type: str, parts: bool) -> str | None:
    """JSON has no parts, XML has one for each instance."""
    if parts:
        return XML if media_type in (XML, "*/*") else None
    return JSON if media_type in (JSON, "application/json", "application/*", "*/*") else None


def _json(rows: Iterable[Told], base: str) -> str:
    return ",".join(row.metadata.replace(MARK, _address(row, base)) for row in rows)


def _xml(rows: Iterable[Told], base: str, boundary: bytes, first: bool) -> bytes:
    pieces = []
    for row in rows:
        pieces.append(multipart.opening(boundary, XML, first=first))
        pieces.append(native_xml(orjson.loads(row.metadata.replace(MARK, _address(row, base)))))
        first = False
    return b"".join(pieces)


def _address(row: Told, base: str) -> str:
    return f"{base}/series/{row.series_uid}/instances/{row.sop_instance_uid}"


def _digest(*parts: str) -> str:
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()
