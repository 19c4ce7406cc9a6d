"""QIDO-RS (PS3.18 10.6): studies, series and instances at every path, in DICOM JSON or as XML parts."""

from __future__ import annotations

import hashlib
from urllib.parse import parse_qsl

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from echonode.core.errors import BadQuery
from echonode.core.query import Level
from echonode.core.text import one_line
from echonode.dicom.native_xml import native_xml
from echonode.flow.search import Page, Search, answers, is_short, located, page_warnings, read_search
from echonode.web import multipart
from echonode.web.address import base_url, host_of
from echonode.web.body import Headers, empty, send_bytes
from echonode.web.failures import refused
from echonode.web.metadata import JSON, XML, media_of
from echonode.web.services import Services

FEW = 64
"""Answers that are put together without leaving the event loop, where an index leads to them."""


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
        page = await self._page(search, base_url(scope, self._web))
        headers: Headers = [(b"x-total-count", b"%d" % page.total), (b"vary", b"accept")]
        if page.warnings:
            headers.append((b"warning", b", ".join(_warning(each, scope) for each in page.warnings[:8])))
        if media == JSON:
            content_type, content = JSON.encode(), orjson.dumps(page.answers)
        else:
            content_type, content = await run_in_threadpool(_xml, page)
        headers.append((b"content-type", content_type))
        if scope["method"] == "HEAD":
            await empty(send, 200, headers)
        else:
            await send_bytes(send, 200, headers, content)

    async def _page(self, search: Search, base: str) -> Page:
        archive = self._archive
        if is_short(archive, search):
            rows, total = located(archive, search)
        else:
            rows, total = await run_in_threadpool(located, archive, search)
        if len(rows) <= FEW:
            found = answers(archive, search, rows, base=base)
        else:
            found = await run_in_threadpool(answers, archive, search, rows, base=base)
        warnings = page_warnings(search, shown=len(rows), total=total, most=self._web.max_results)
        return Page(answers=found, total=total, warnings=warnings)


def _pairs(query: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=1000)
    except ValueError as error:  # undecodable escapes, letters beyond ASCII that are not escaped, too many of them
        raise BadQuery("the query is no list of name=value in escaped UTF-8") from error


def _xml(page: Page) -> tuple[bytes, bytes]:
    parts = [native_xml(answer) for answer in page.answers]
    boundary = multipart.boundary_of(*(hashlib.sha256(part).hexdigest() for part in parts))
    pieces = []
    for number, part in enumerate(parts):
        pieces += [multipart.opening(boundary, XML, first=number == 0), part]
    return multipart.content_type(XML, boundary), b"".join([*pieces, multipart.closing(boundary)])


def _warning(text: str, scope: Scope) -> bytes:
    """A Warning header (RFC 7234 5.5): what of the query was not done."""
    quoted = one_line(text).replace("\\", "\\\\").replace('"', '\\"')
    agent = host_of(scope) or "echonode"
    return f'299 {agent} "{quoted}"'.encode("ascii", "replace")
