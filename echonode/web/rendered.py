"""Rendered resources and thumbnails (PS3.18 10.4.1.1.3, 10.4.1.1.4): pictures, loops and documents for people."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import AsyncIterator, Callable, Sequence
from functools import cached_property, partial
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from echonode.archive.contents import Located
from echonode.core.errors import BadInput, EchonodeError, NotAcceptable, NotFound
from echonode.dicom.decode import JPEG, VIDEO
from echonode.dicom.document import DOCUMENTS, PAGE, PDF, page_of, pdf_of
from echonode.dicom.json_model import MARK
from echonode.dicom.look import AS_STORED, Look, Viewport
from echonode.dicom.render import MOVING, STILLS, open_pictures, rendered
from echonode.dicom.still import shown_by_browsers
from echonode.web.accept import MediaRange, accepted
from echonode.web.conditional import etag_of, is_current
from echonode.web.looks import look_of, whole
from echonode.web.multipart import boundary_of, closing, content_type, digest, opening
from echonode.web.services import Services

LOG = logging.getLogger(__name__)
THUMBNAIL = Viewport(width=256, height=256, enlarges=False)
_SMALL = 1 << 20
_MOST_TRIES = 8
_LOOP = ("image/gif", "video/mp4", "image/jpeg", "image/png")
_ONE = (*STILLS, "video/mp4")
_ALWAYS = {"Cache-Control": "private, no-cache", "Vary": "Accept"}
T = TypeVar("T")


def routes(services: Services) -> list[BaseRoute]:
    """/rendered and /thumbnail of studies, series, instances and frames."""
    view = Rendering(services)
    study = f"{services.web.prefix}/studies/{{study}}"
    series = f"{study}/series/{{series}}"
    instance = f"{series}/instances/{{instance}}"
    return [
        Route(f"{instance}/frames/{{frames}}/rendered", view.frames),
        Route(f"{instance}/frames/{{frames}}/thumbnail", view.thumbnail),
        Route(f"{instance}/rendered", view.instance),
        Route(f"{instance}/thumbnail", view.thumbnail),
        Route(f"{series}/rendered", view.several),
        Route(f"{series}/thumbnail", view.thumbnail_of_several),
        Route(f"{study}/rendered", view.several),
        Route(f"{study}/thumbnail", view.thumbnail_of_several),
    ]


class Rendering:
    """Decodes and encodes in threads, only so many at a time as there are cores; one frame of each is in memory."""

    def __init__(self, services: Services) -> None:
        self._contents = services.archive.contents
        self._limits = services.limits

    @cached_property
    def _limiter(self) -> CapacityLimiter:
        return CapacityLimiter(max(os.cpu_count() or 1, 2))

    async def in_thread(self, work: Callable[[], T]) -> T:
        """The result of `work`, run when it is its turn."""
        return await to_thread.run_sync(work, limiter=self._limiter)

    async def frames(self, request: Request) -> Response:
        """One frame as a picture; several as a loop, or as parts."""
        located, indices = self._located(request), _indices(request.path_params["frames"])
        _check(located, indices)
        offered = _ONE if len(indices) == 1 else (*MOVING, *STILLS[:2])
        media_type, parts = choose(accepted(request.scope), offered)
        look = look_of(request.query_params)
        if parts or (media_type not in MOVING and len(indices) > 1):
            works = [indices] if media_type in MOVING else [[index] for index in indices]
            return self._parts(media_type, look, [(located, work) for work in works])
        return await self.answer(request, located, media_type, look, indices)

    async def instance(self, request: Request) -> Response:
        """The instance as a picture, a loop or a document; one picture of a loop is its representative frame."""
        located = self._located(request)
        media_type, parts = choose(accepted(request.scope), offers(located))
        look = look_of(request.query_params)
        if parts:
            return self._parts(media_type, look, [(located, None)])
        return await self.answer(request, located, media_type, look, None)

    async def several(self, request: Request) -> Response:
        """Every instance of a study or series that has the form that is asked for, each as one part."""
        all_of_it = await self._all(request)
        there = dict.fromkeys(kind for each in all_of_it for kind in offers(each))
        offered = sorted(there, key=lambda kind: kind != STILLS[0])
        media_type, _ = choose(accepted(request.scope), offered)
        works = [(each, None) for each in all_of_it if media_type in offers(each)]
        return self._parts(media_type, look_of(request.query_params), works)

    async def thumbnail(self, request: Request) -> Response:
        """A small picture of an instance, or of one of its frames."""
        located = self._located(request)
        indices = _indices(request.path_params["frames"])[:1] if "frames" in request.path_params else None
        _check(located, indices or [])
        if not located.has_pixels:
            raise NotAcceptable("an object without pixels has no thumbnail")
        media_type, _ = choose(accepted(request.scope), STILLS)
        look = look_of(request.query_params, viewport=THUMBNAIL)
        return await self.answer(request, located, media_type, look, indices)

    async def thumbnail_of_several(self, request: Request) -> Response:
        """A small picture that stands for a study or series: of its first object that can be shown."""
        all_of_it = await self._all(request)
        media_type, _ = choose(accepted(request.scope), STILLS)
        look = look_of(request.query_params, viewport=THUMBNAIL)
        failure: EchonodeError = NotAcceptable("nothing here has pixels")
        for located in [each for each in all_of_it if each.has_pixels][:_MOST_TRIES]:
            try:
                return await self.answer(request, located, media_type, look, None)
            except BadInput as error:
                failure = error
        raise failure

    async def answer(
        self, request: Request, located: Located, media_type: str, look: Look, indices: Sequence[int] | None
    ) -> Response:
        """One rendered object as a body without parts, or 304 where the client has it already."""
        tag = _tag(located, media_type, look, indices)
        headers = {"ETag": tag, **_ALWAYS}
        if is_current(request.scope, tag):
            return Response(status_code=304, headers=headers)
        body = self._as_stored(located, media_type, look, indices)
        if body is None:
            body = await self.in_thread(partial(self.draw, located, media_type, look, indices))
        if media_type == PAGE:
            headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
        return Response(body, media_type=media_type, headers=headers | _warnings(request))

    def draw(self, located: Located, media_type: str, look: Look, indices: Sequence[int] | None) -> bytes:
        """One object as a file of `media_type`: all its frames where that is a loop, else its representative one."""
        if media_type == PDF:
            return pdf_of(located.path, limits=self._limits)
        if media_type == PAGE:
            return self._page(located)
        pictures = open_pictures(
            located.path,
            limits=self._limits,
            dataset_offset=located.dataset_offset,
            transfer_syntax_uid=located.transfer_syntax_uid,
            table=located.frames,
        )
        with pictures:
            if indices is None:
                indices = range(pictures.count) if media_type in MOVING else [pictures.representative]
            return rendered(pictures, media_type, look, indices)

    def _as_stored(self, located: Located, media_type: str, look: Look, indices: Sequence[int] | None) -> bytes | None:
        """The stored JPEG of a small frame that nothing is to be changed of: that needs no thread and no decoder."""
        if media_type != "image/jpeg" or look != AS_STORED or located.transfer_syntax_uid not in JPEG:
            return None
        if indices is None or len(indices) != 1 or not located.frames.count:
            return None
        spans = located.frames.spans(indices[0])
        if sum(length for _, length in spans) > _SMALL:
            return None
        with located.path.open("rb", buffering=0) as file:
            stream = b"".join(os.pread(file.fileno(), length, offset) for offset, length in spans)
        fits = shown_by_browsers(stream, photometric=located.photometric, rows=located.rows, columns=located.columns)
        return stream if fits else None

    def _located(self, request: Request) -> Located:
        names = request.path_params
        located = self._contents.located(
            study_uid=names["study"], series_uid=names["series"], sop_instance_uid=names["instance"]
        )
        if located is None:
            raise NotFound("no such instance is stored")
        return located

    async def _all(self, request: Request) -> list[Located]:
        names = request.path_params
        find = partial(self._contents.located_all, study_uid=names["study"], series_uid=names.get("series"))
        found: list[Located] = await to_thread.run_sync(find)
        if not found:
            raise NotFound("no such series is stored" if "series" in names else "no such study is stored")
        return found

    def _page(self, located: Located) -> bytes:
        found = self._contents.metadata(
            study_uid=located.study_uid, series_uid=located.series_uid, sop_instance_uid=located.sop_instance_uid
        )
        if not found:
            raise NotFound("no such instance is stored")
        return page_of(json.loads(found[0][2].replace(MARK, ""))).encode()  # a raw mark is no JSON

    def _parts(self, media_type: str, look: Look, works: Sequence[tuple[Located, Sequence[int] | None]]) -> Response:
        boundary = boundary_of(media_type, str(look), *(located.sha256 for located, _ in works))
        headers = {**_ALWAYS, "Content-Type": content_type(media_type, boundary).decode()}
        return StreamingResponse(self._stream(media_type, look, boundary, works), headers=headers)

    async def _stream(
        self, media_type: str, look: Look, boundary: bytes, works: Sequence[tuple[Located, Sequence[int] | None]]
    ) -> AsyncIterator[bytes]:
        """Each part when it is made. What cannot be decoded is left out: the status line is long gone."""
        first = True
        for located, indices in works:
            try:
                body = await self.in_thread(partial(self.draw, located, media_type, look, indices))
            except EchonodeError as error:
                LOG.info("an object was left out of a rendered answer", extra={"reason": str(error)})
                continue
            yield opening(boundary, media_type, first=first) + body
            first = False
        yield closing(boundary)


def offers(located: Located) -> tuple[str, ...]:
    """The media types that an object can be shown as, the one it is shown as by default first."""
    if located.sop_class_uid in DOCUMENTS:
        return (DOCUMENTS[located.sop_class_uid],)
    if not located.has_pixels:
        return ()
    moves = located.frames.count > 1 or located.transfer_syntax_uid in VIDEO
    return _LOOP if moves else _ONE


def choose(ranges: Sequence[MediaRange], offered: Sequence[str]) -> tuple[str, bool]:
    """The media type of the answer, and whether it must come in parts.

    Raises:
        NotAcceptable: the client takes none of what is offered.
    """
    for each in ranges:
        for media_type in offered:
            if each.covers(media_type):
                return media_type, not each.takes_one_part
    there = f"it can be had as {', '.join(offered)}" if offered else "there is nothing in it that can be shown"
    raise NotAcceptable(f"not in a form that the request accepts: {there}")


def _indices(text: str) -> list[int]:
    """Frame numbers, counted from 1 and separated by commas, as indices."""
    numbers = [whole(part.strip(), "frames") for part in text.split(",")]
    if 0 in numbers:
        raise BadInput("frames are counted from 1")
    return [number - 1 for number in numbers]


def _check(located: Located, indices: Sequence[int]) -> None:
    count = located.frames.count
    if count and indices and max(indices) >= count:
        raise NotFound(f"there is no frame {max(indices) + 1}: the object has {count}")
    if len(indices) > max(count, 1) and located.transfer_syntax_uid not in VIDEO:
        raise BadInput("more frames are asked for than the object has")


def _tag(located: Located, media_type: str, look: Look, indices: Sequence[int] | None) -> str:
    shown = digest((media_type, str(look), str(None if indices is None else list(indices))))
    return etag_of(located.sha256[:32], shown[:16])


def _warnings(request: Request) -> dict[str, str]:
    if request.query_params.get("annotation"):
        return {"Warning": '299 echonode "annotations are not written into pictures"'}
    return {}
