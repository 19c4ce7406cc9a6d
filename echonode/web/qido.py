"""QIDO-RS (PS3.18 10.6): studies, series and instances at every path, in DICOM JSON or as XML parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from echonode.core.errors import BadQuery
from echonode.core.identity import new_id
from echonode.core.query import Level
from echonode.core.text import one_line
from echonode.dicom.native_xml import native_xml
from echonode.flow.search import Search, answers, is_short, located, page_warnings, read_search
from echonode.web import multipart
from echonode.web.address import base_url, host_of
from echonode.web.body import Hangup, Headers, empty, send_bytes, start
from echonode.web.failures import refused
from echonode.web.metadata import JSON, XML, media_of
from echonode.web.services import Services

FEW = 64
"""Answers that are put together without leaving the event loop, where an index leads to them."""
AT_ONCE = 128
"""Answers that are in memory at the same time when there are many."""


def routes(services: Services) -> list[BaseRoute]:
    """Every search of PS3.18 table 10.6.1-2."""
    studies = f"{services.web.prefix}/studies"
    study, series = f"{studies}/{{study}}", f"{studies}/{{study}}/series/{{series}}"
    paths = {
        studies: Level.STUDY,
        f"{study}/series": Level.SERIES,
        f"{study}/instances": Level.IMAGE,
        f"{series}/instances": Level.IMAGE,
        f"{services.web.prefix}/series": Level.SERIES,
        f"{services.web.prefix}/instances": Level.IMAGE,
    }
    return [Route(path, _Search(services, level), methods=["GET"]) for path, level in paths.items()]


class _Search:
    """An ASGI endpoint for the searches at one level."""

    def __init__(self, services: Services, level: Level) -> None:
        self._archive = services.archive
        self._web = services.web
        self._level = level

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        media = media_of(scope)
        if media is None:
            await refused(406, f'answers can be had as {JSON}, multipart/related; type="{XML}"')(scope, receive, send)
            return
        search = read_search(
            self._level,
            _pairs(scope["query_string"]),
            study_uid=scope["path_params"].get("study"),
            series_uid=scope["path_params"].get("series"),
            most=self._web.max_results,
        )
        rows, total = await self._located(search)
        headers: Headers = [(b"x-total-count", b"%d" % total), (b"vary", b"accept")]
        warnings = page_warnings(search, shown=len(rows), total=total, most=self._web.max_results)
        if warnings:
            headers.append((b"warning", b", ".join(_warning(each, scope) for each in warnings[:8])))
        form = _Json() if media == JSON else _Xml()
        headers.append((b"content-type", form.content_type))
        told = partial(self._told, search, form, base_url(scope, self._web))
        if scope["method"] == "HEAD":
            await empty(send, 200, headers)
        elif len(rows) <= FEW and media == JSON:
            await send_bytes(send, 200, headers, form.opening + told(rows) + form.closing)
        elif len(rows) <= FEW:
            await send_bytes(send, 200, headers, await run_in_threadpool(told, rows) + form.closing)
        else:
            await self._stream(receive, send, headers, rows, told, form)

    async def _located(self, search: Search) -> tuple[list[int], int]:
        if is_short(self._archive, search):
            return located(self._archive, search)
        return await run_in_threadpool(located, self._archive, search)

    def _told(self, search: Search, form: _Json | _Xml, base: str, rows: Sequence[int]) -> bytes:
        return form.written(answers(self._archive, search, rows, base=base))

    async def _stream(
        self,
        receive: Receive,
        send: Send,
        headers: Headers,
        rows: Sequence[int],
        told: Callable[[Sequence[int]], bytes],
        form: _Json | _Xml,
    ) -> None:
        """Some at a time: ten thousand answers with everything that is known would be gigabytes of objects at once."""
        await start(send, 200, headers)
        gone = Hangup(receive)
        try:
            for begin in range(0, len(rows), AT_ONCE):
                if gone.is_so:
                    return
                piece = await run_in_threadpool(told, rows[begin : begin + AT_ONCE])
                piece = piece if begin else form.opening + piece
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": form.closing})
        finally:
            await gone.end()


class _Json:
    """Answers as one array."""

    content_type, opening, closing = JSON.encode(), b"[", b"]"

    def __init__(self) -> None:
        self._begun = False

    def written(self, found: list[dict[str, Any]]) -> bytes:
        text = orjson.dumps(found)[1:-1]
        between = b"," if self._begun and text else b""
        self._begun = self._begun or bool(text)
        return between + text


class _Xml:
    """Answers as parts, between boundaries that nobody can know before."""

    opening = b""

    def __init__(self) -> None:
        self._boundary = multipart.boundary_of(new_id())
        self.content_type = multipart.content_type(XML, self._boundary)
        self.closing = multipart.closing(self._boundary)
        self._begun = False

    def written(self, found: list[dict[str, Any]]) -> bytes:
        pieces = []
        for answer in found:
            pieces += [multipart.opening(self._boundary, XML, first=not self._begun), native_xml(answer)]
            self._begun = True
        return b"".join(pieces)


def _pairs(query: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=1000)
    except ValueError as error:  # undecodable escapes, letters beyond ASCII that are not escaped, too many of them
        raise BadQuery("the query is no list of name=value in escaped UTF-8") from error


def _warning(text: str, scope: Scope) -> bytes:
    """A Warning header (RFC 7234 5.5): what of the query was not done."""
    quoted = one_line(text).replace("\\", "\\\\").replace('"', '\\"')
    agent = host_of(scope) or "echonode"
    return f'299 {agent} "{quoted}"'.encode("ascii", "replace")
