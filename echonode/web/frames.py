"""Retrieve frames (PS3.18 10.4.1.1.6): one indexed lookup, and one read a frame at the place found at ingest."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from echonode.archive.contents import Contents, Located
from echonode.core.errors import BadInput, NotAcceptable, NotFound
from echonode.flow.decoding import Decoder
from echonode.web import conditional, multipart
from echonode.web.accept import accepted
from echonode.web.body import FilePieces, Headers, Piece, empty, send_files, send_piece, start
from echonode.web.representation import Representation, of_frames, what_there_is
from echonode.web.retrieve import FIXED, METHODS, located
from echonode.web.services import Services
from echonode.web.turns import Turns

_MOST = 10_000
_DIGITS = 6


def routes(services: Services, decoder: Decoder) -> list[BaseRoute]:
    """The frames of an instance; `decoder` transcodes them."""
    endpoint = FramesEndpoint(services.archive.contents, decoder)
    address = f"{services.web.prefix}/studies/{{study}}/series/{{series}}/instances/{{instance}}/frames/{{frames}}"
    return [Route(address, endpoint, methods=METHODS)]


def frame_numbers(text: str) -> list[int]:
    """A comma-separated list of frame numbers, counted from 1.

    Raises:
        BadInput: something else stands there, or too many.
    """
    parts = text.split(",")
    if len(parts) > _MOST:
        raise BadInput(f"more than {_MOST} frames in one request")
    if not all(part.isascii() and part.isdigit() and len(part) <= _DIGITS for part in parts):
        raise BadInput("frames are numbers counted from 1, separated by commas")
    numbers = [int(part) for part in parts]
    if 0 in numbers:
        raise BadInput("frames are counted from 1")
    if len(set(numbers)) < len(numbers):  # PS3.18 10.4.1.1.6: each once; one small frame would fill a disk otherwise
        raise BadInput("a frame is asked for twice")
    return numbers


class FramesEndpoint:
    """Frames in the stored transfer syntax, or decoded and encoded again in the decoder process."""

    def __init__(self, contents: Contents, decoder: Decoder) -> None:
        self._contents = contents
        self._decoder = decoder
        self._turns = Turns()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        indices = [number - 1 for number in frame_numbers(scope["path_params"]["frames"])]
        await self.answer(located(self._contents, scope), indices, scope, receive, send)

    async def answer(self, item: Located, indices: Sequence[int], scope: Scope, receive: Receive, send: Send) -> None:
        """Send frames of `item`, counted from 0, in the order given.

        Raises:
            NotFound: a frame, or any picture, that the object does not have.
            NotAcceptable: the client takes no form that can be had.
        """
        if not item.has_pixels:
            raise NotFound("the instance has no pixel data")
        count = item.frames.count
        if count and max(indices) >= count:
            raise NotFound(f"the instance has {count} frames")
        chosen = of_frames(accepted(scope), item.transfer_syntax_uid, single=len(indices) == 1)
        if chosen is None:
            raise NotAcceptable(f"frames can be had as {what_there_is(item.transfer_syntax_uid, frames=True)}")
        form = "parts" if chosen.multipart else "one"
        etag = conditional.etag_of(item.sha256[:32], chosen.transfer_syntax_uid, chosen.media_type[-4:], form)
        boundary = multipart.boundary_of(item.sha256)
        kind = multipart.content_type(chosen.media_type, boundary) if chosen.multipart else chosen.part_type.encode()
        headers: Headers = [(b"content-type", kind), (b"etag", etag.encode()), *FIXED]
        if conditional.is_current(scope, etag):
            await conditional.not_modified(send, headers)
        elif chosen.stored and count:
            pieces = _laid_out([item.frames.spans(index) for index in indices], chosen, boundary)
            await send_files(scope, receive, send, status=200, headers=headers, files=[FilePieces(item.path, pieces)])
        else:
            await self._transcoded(item, indices, chosen, boundary, headers, scope, send)

    async def _transcoded(
        self,
        item: Located,
        indices: Sequence[int],
        chosen: Representation,
        boundary: bytes,
        headers: Headers,
        scope: Scope,
        send: Send,
    ) -> None:
        if scope["method"] == "HEAD":
            await empty(send, 200, headers)
            return
        job = partial(self._decoder.frames, item.path, chosen.transfer_syntax_uid, indices)
        file, lengths = await self._turns.take(job)
        with file:
            offset, spans = 0, []
            for length in lengths:
                spans.append(((offset, length),))
                offset += length
            laid = FilePieces(item.path, _laid_out(spans, chosen, boundary))
            await start(send, 200, [*headers, (b"content-length", b"%d" % laid.length)])
            for piece in laid.pieces:
                await send_piece(send, file.fileno(), piece)
            await send({"type": "http.response.body", "body": b""})


def _laid_out(frames: Sequence[Sequence[tuple[int, int]]], chosen: Representation, boundary: bytes) -> list[Piece]:
    """The pieces of an answer: each frame's spans, with what stands between parts."""
    if not chosen.multipart:
        return list(frames[0])
    pieces: list[Piece] = []
    for number, spans in enumerate(frames):
        pieces.append(multipart.opening(boundary, chosen.part_type, first=number == 0))
        pieces += spans
    return [*pieces, multipart.closing(boundary)]
