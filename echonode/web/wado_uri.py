"""WADO-URI (PS3.18 chapter 9): one object by query parameters, as older viewers and reports link to it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from echonode.archive.contents import Located
from echonode.core.errors import BadInput, NotAcceptable, NotFound
from echonode.core.identity import is_uid
from echonode.dicom.look import LARGEST_SIDE, Look, Viewport, VoiWindow
from echonode.dicom.storage import EXPLICIT_LE
from echonode.flow.decoding import Decoder
from echonode.web.accept import media_ranges
from echonode.web.looks import real, whole
from echonode.web.rendered import Rendering, choose, offers
from echonode.web.representation import DICOM
from echonode.web.retrieve import InstanceEndpoint
from echonode.web.services import Services

PATH = "/wado"
_MOST_PARAMETERS = 64


def routes(services: Services) -> list[BaseRoute]:
    """/wado, beside the DICOMweb prefix."""
    return [Route(PATH, WadoUri(services), methods=["GET", "HEAD"])]


class WadoUri:
    """Answers requestType=WADO: a picture, a loop, a document, or the object itself as application/dicom."""

    def __init__(self, services: Services) -> None:
        self._contents = services.archive.contents
        self._rendering = Rendering(services)
        self._instance = InstanceEndpoint(self._contents, Decoder(limits=services.limits, blobs=services.blobs))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request.

        Raises:
            BadInput: not a WADO request, or a parameter that PS3.18 9.1.2 does not allow.
            NotAcceptable: a form that cannot be had, or something that this node does not do.
            NotFound: no such object, or no such frame.
        """
        query = _query(scope)
        located = await run_in_threadpool(partial(self._located, query))
        offered = offers(located)
        # PS3.18 9.1.2.1.4: without contentType a single picture is JPEG and a report text, all else the object itself.
        moves = located.frames.count > 1
        standard = (DICOM, *offered) if moves or not offered else (*offered, DICOM)
        media_type, _ = choose(media_ranges(query.get("contentType", "")), standard)
        if media_type == DICOM:
            await self._object(located, query, scope, receive, send)
            return
        indices = [_frame(query["frameNumber"], located)] if query.get("frameNumber") else None
        request = Request(scope, receive)
        answer = await self._rendering.answer(request, located, media_type, _look(query, located), indices)
        await answer(scope, receive, send)

    def _located(self, query: Mapping[str, str]) -> Located:
        if query.get("requestType") != "WADO":
            raise BadInput("requestType=WADO was expected")
        study, series, uid = (query.get(name, "") for name in ("studyUID", "seriesUID", "objectUID"))
        if not (study and series and uid):
            raise BadInput("studyUID, seriesUID and objectUID were expected")
        for name in ("anonymize", "presentationUID"):
            if query.get(name):
                raise NotAcceptable(f"{name}: this node does not do that")
        if is_uid(study) and is_uid(series) and is_uid(uid):
            located = self._contents.located(study_uid=study, series_uid=series, sop_instance_uid=uid)
            if located is not None:
                return located
        raise NotFound("no stored instance has these UIDs")

    async def _object(
        self, located: Located, query: Mapping[str, str], scope: Scope, receive: Receive, send: Send
    ) -> None:
        syntax = query.get("transferSyntax") or EXPLICIT_LE
        if not is_uid(syntax):
            raise BadInput("transferSyntax: a UID was expected")
        headers = [(name, value) for name, value in scope["headers"] if name != b"accept"]
        inner = {
            **scope,
            "query_string": b"",
            "headers": [*headers, (b"accept", f"{DICOM}; transfer-syntax={syntax}".encode())],
            "path_params": {
                "study": located.study_uid,
                "series": located.series_uid,
                "instance": located.sop_instance_uid,
            },
        }
        await self._instance(inner, receive, send)


def _query(scope: Scope) -> dict[str, str]:
    text = scope["query_string"].decode("latin-1")
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)
    except ValueError as error:
        raise BadInput(f"more than {_MOST_PARAMETERS} parameters") from error
    return dict(pairs)


def _frame(text: str, located: Located) -> int:
    number = whole(text, "frameNumber")
    count = located.frames.count
    if number < 1 or (count and number > count):
        raise NotFound(f"there is no frame {number}: the object has {count or 'fewer'}")
    return number - 1


def _look(query: Mapping[str, str], located: Located) -> Look:
    """rows, columns, region, windowCenter, windowWidth and imageQuality (PS3.18 9.1.2.2)."""
    window = None
    if query.get("windowCenter") or query.get("windowWidth"):
        window = VoiWindow(
            centre=real(query.get("windowCenter", ""), "windowCenter"),
            width=real(query.get("windowWidth", ""), "windowWidth"),
        )
    quality = whole(query["imageQuality"], "imageQuality") if query.get("imageQuality") else None
    return Look(viewport=_viewport(query, located), window=window, quality=quality)


def _viewport(query: Mapping[str, str], located: Located) -> Viewport | None:
    region = None
    if query.get("region"):
        parts = [real(part, "region") for part in query["region"].split(",")]
        if len(parts) != 4 or not (0 <= parts[0] < parts[2] <= 1 and 0 <= parts[1] < parts[3] <= 1):
            raise BadInput("region: left,top,right,bottom from 0 to 1 was expected")
        left, right = parts[0] * located.columns, parts[2] * located.columns
        top, bottom = parts[1] * located.rows, parts[3] * located.rows
        region = (left, top, right - left, bottom - top)
    rows = whole(query["rows"], "rows") if query.get("rows") else None
    columns = whole(query["columns"], "columns") if query.get("columns") else None
    if rows is None and columns is None and region is None:
        return None
    if rows is None and columns is None:
        assert region is not None
        return Viewport(width=max(round(region[2]), 1), height=max(round(region[3]), 1), region=region)
    return Viewport(width=columns or LARGEST_SIDE, height=rows or LARGEST_SIDE, region=region)
