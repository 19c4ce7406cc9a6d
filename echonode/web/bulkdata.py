"""Retrieve bulk data (PS3.18 10.4.1.1.5): the value that a BulkDataURI of the metadata names, from where it lies."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from echonode.archive.contents import Contents, Located
from echonode.core.errors import NotAcceptable
from echonode.core.settings import LimitsSection
from echonode.dicom.bulk import BulkValue, bulk_steps, find_value
from echonode.dicom.decode import NATIVE, VIDEO
from echonode.dicom.header import SYNTAXES_DEFLATED
from echonode.dicom.storage import EXPLICIT_BE, EXPLICIT_LE
from echonode.flow.decoding import Decoder
from echonode.web import conditional, multipart
from echonode.web.accept import accepted, best
from echonode.web.body import FilePieces, Headers, Piece, send_files
from echonode.web.failures import refused
from echonode.web.frames import FramesEndpoint
from echonode.web.representation import OCTETS, video_type
from echonode.web.retrieve import FIXED, METHODS, located
from echonode.web.services import Services
from echonode.web.turns import Turns

_PIXEL_DATA = 0x7FE00010
_MADE_ANEW = SYNTAXES_DEFLATED | {EXPLICIT_BE}
"""Transfer syntaxes in which no value can be read where it lies."""
_WHOLE = NATIVE - {EXPLICIT_BE} | VIDEO
"""Transfer syntaxes whose pixel data is one value for a client; of all others it is frames."""


def routes(services: Services, decoder: Decoder) -> list[BaseRoute]:
    """The bulk data of an instance; `decoder` transcodes what is not readable where it lies."""
    endpoint = BulkDataEndpoint(services.archive.contents, decoder, services.limits)
    address = f"{services.web.prefix}/studies/{{study}}/series/{{series}}/instances/{{instance}}/bulkdata/{{path}}"
    return [Route(address, endpoint, methods=METHODS)]


class BulkDataEndpoint:
    """One value. Pixel data that is compressed, or big endian, is answered as `/frames` answers for all of its frames."""

    def __init__(self, contents: Contents, decoder: Decoder, limits: LimitsSection) -> None:
        self._contents = contents
        self._decoder = decoder
        self._limits = limits
        self._turns = Turns()
        self._frames = FramesEndpoint(contents, decoder)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        steps = bulk_steps(scope["path_params"]["path"], nesting=self._limits.nesting)
        item = located(self._contents, scope)
        syntax = item.transfer_syntax_uid
        if steps == (_PIXEL_DATA,) and syntax not in _WHOLE:
            await self._frames.answer(item, range(item.frames.count or 1), scope, receive, send)
            return
        kind = video_type(syntax) if steps == (_PIXEL_DATA,) and syntax in VIDEO else OCTETS
        with ExitStack() as stack:
            find = partial(self._find, item, steps, stack)
            made = syntax in _MADE_ANEW
            path, value = await (self._turns.take(find) if made else run_in_threadpool(find))
            await _send_value(item, path, value, kind, scope, receive, send)

    def _find(self, item: Located, steps: tuple[int, ...], stack: ExitStack) -> tuple[Path, BulkValue]:
        """The file and the place in it. A deflated or big endian object is looked into as Explicit VR Little Endian."""
        path, offset, syntax = item.path, item.dataset_offset, item.transfer_syntax_uid
        if syntax in _MADE_ANEW:
            path = stack.enter_context(self._decoder.transcoded(path, EXPLICIT_LE))
            offset, syntax = 0, EXPLICIT_LE
        return path, find_value(path, offset=offset, transfer_syntax_uid=syntax, steps=steps, limits=self._limits)


async def _send_value(
    item: Located, path: Path, value: BulkValue, kind: str, scope: Scope, receive: Receive, send: Send
) -> None:
    chosen = best(accepted(scope), lambda each: each.covers(kind) or each.covers(OCTETS))
    if chosen is None:
        raise NotAcceptable(f'this value can be had as {kind}, or as multipart/related; type="{kind}"')
    if not chosen.covers(kind):
        kind = OCTETS
    etag = conditional.etag_of(
        item.sha256[:32], scope["path_params"]["path"].upper(), kind[-4:], str(chosen.multipart)[0]
    )
    boundary = multipart.boundary_of(item.sha256)
    media = multipart.content_type(kind, boundary) if chosen.multipart else kind.encode()
    headers: Headers = [(b"content-type", media), (b"etag", etag.encode()), *FIXED]
    if conditional.is_current(scope, etag):
        await conditional.not_modified(send, headers)
        return
    status, pieces = 200, list[Piece](value.spans)
    if chosen.multipart:
        pieces = [multipart.opening(boundary, kind, first=True), *pieces, multipart.closing(boundary)]
    else:
        headers.append((b"accept-ranges", b"bytes"))
        wanted = conditional.byte_range(scope, etag, value.length)
        if wanted is False:
            answer = refused(416, "no byte of this value lies there", {"content-range": f"bytes */{value.length}"})
            await answer(scope, receive, send)
            return
        if isinstance(wanted, tuple):
            status, pieces = 206, list(_cut(value.spans, *wanted))
            text = b"bytes %d-%d/%d" % (wanted[0], sum(wanted) - 1, value.length)
            headers.append((b"content-range", text))
    await send_files(scope, receive, send, status=status, headers=headers, files=[FilePieces(path, pieces)])


def _cut(spans: Sequence[tuple[int, int]], begin: int, length: int) -> list[tuple[int, int]]:
    """The pieces of `spans` that make up `length` bytes from `begin` on."""
    cut = []
    for offset, size in spans:
        if begin < size and length > 0:
            taken = min(size - begin, length)
            cut.append((offset + begin, taken))
            length -= taken
        begin = max(begin - size, 0)
    return cut
