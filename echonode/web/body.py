"""Answers made of bytes and of pieces of stored files, sent as they lie on disk.

A short piece is read at once; a long one is mapped window by window, so that it is copied once, into the socket, and
no answer holds more than two windows' addresses. What has to come from a disk is brought into memory by a thread.
"""

from __future__ import annotations

import asyncio
import mmap
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.types import Message, Receive, Scope, Send

from echonode.core.errors import StorageUnavailable

SHORT = 1 << 20
WINDOW = 8 << 20
_LONG = 4 * WINDOW
_SAMPLE = 1 << 19
Headers = list[tuple[bytes, bytes]]
Span = tuple[int, int]
Piece = bytes | Span
"""Bytes, or offset and length of a piece of a file."""


@dataclass(frozen=True, slots=True)
class FilePieces:
    """Pieces in the order of sending; spans are of the one file `path`."""

    path: Path
    pieces: Sequence[Piece]

    @property
    def length(self) -> int:
        """Bytes altogether."""
        return sum(len(piece) if isinstance(piece, bytes) else piece[1] for piece in self.pieces)


async def start(send: Send, status: int, headers: Headers) -> None:
    """Status line and headers."""
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def empty(send: Send, status: int, headers: Headers) -> None:
    """An answer without a body: 304, or what HEAD asks for."""
    await start(send, status, headers)
    await send({"type": "http.response.body", "body": b""})


async def send_bytes(send: Send, status: int, headers: Headers, content: bytes) -> None:
    """A whole answer from memory."""
    await start(send, status, [*headers, (b"content-length", b"%d" % len(content))])
    await send({"type": "http.response.body", "body": content})


async def send_files(
    scope: Scope, receive: Receive, send: Send, *, status: int, headers: Headers, files: Sequence[FilePieces]
) -> None:
    """A whole answer with its Content-Length, from files that are opened one after another.

    Raises:
        StorageUnavailable: the first file is not there or shorter than it should be; later ones break the answer off.
    """
    total = sum(each.length for each in files)
    headers = [*headers, (b"content-length", b"%d" % total)]
    if scope["method"] == "HEAD":
        await empty(send, status, headers)
        return
    if total <= SHORT and len(files) == 1:
        await _send_short(send, status, headers, files[0], total)
        return
    gone = Hangup(receive) if total > _LONG else None
    try:
        started = False
        for each in files:
            descriptor = _open(each)
            try:
                if not started:
                    await start(send, status, headers)
                    started = True
                for piece in each.pieces:
                    await send_piece(send, descriptor, piece, gone)
            finally:
                os.close(descriptor)
            if gone is not None and gone.is_so:
                return
        await send({"type": "http.response.body", "body": b""})
    finally:
        if gone is not None:
            await gone.end()


async def _send_short(send: Send, status: int, headers: Headers, each: FilePieces, total: int) -> None:
    """A short body in one message: every message passes through all that stands between here and the socket."""
    content = bytearray(total)
    view, position = memoryview(content), 0
    try:
        descriptor = os.open(each.path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise StorageUnavailable(f"a stored file cannot be opened: {error.strerror}") from error
    try:
        for piece in each.pieces:
            if isinstance(piece, bytes):
                end = position + len(piece)
                content[position:end] = piece
            else:
                end = position + piece[1]
                if os.preadv(descriptor, (view[position:end],), piece[0]) != piece[1]:
                    raise StorageUnavailable("a stored file is shorter than it was")
            position = end
    finally:
        os.close(descriptor)
    await start(send, status, headers)
    await send({"type": "http.response.body", "body": content})


async def send_piece(send: Send, descriptor: int, piece: Piece, gone: Hangup | None = None) -> None:
    """One piece of a body that has begun.

    Raises:
        StorageUnavailable: the file ends before the piece does.
    """
    if isinstance(piece, bytes):
        await send(_part(piece))
        return
    offset, length = piece
    if length <= SHORT:
        content = os.pread(descriptor, length, offset)
        if len(content) != length:
            raise StorageUnavailable("a stored file is shorter than it was")
        await send(_part(content))
        return
    end = offset + length
    while offset < end:
        if gone is not None and gone.is_so:
            return
        upto = min(offset + WINDOW, end)
        if _is_cached(descriptor, offset, upto):
            window = _mapped(descriptor, offset, upto - offset)
        else:
            window = await run_in_threadpool(_mapped, descriptor, offset, upto - offset, read=True)
        await send(_part(window))
        offset = upto


def _is_cached(descriptor: int, begin: int, end: int) -> bool:
    """Whether the file lies in memory there, by a few samples: then nothing waits for a disk, and no thread is needed."""
    byte = bytearray(1)
    try:
        for position in range(begin, end, _SAMPLE):
            os.preadv(descriptor, (byte,), position, os.RWF_NOWAIT)
    except OSError:  # it would block, or the file system cannot tell
        return False
    return True


def _mapped(descriptor: int, offset: int, length: int, *, read: bool = False) -> memoryview:
    """`length` bytes of a file that does not change, not copied; with `read` they are in memory when this returns."""
    begin = offset - offset % mmap.ALLOCATIONGRANULARITY
    window = mmap.mmap(
        descriptor,
        offset - begin + length,
        flags=mmap.MAP_SHARED | (mmap.MAP_POPULATE if read else 0),
        prot=mmap.PROT_READ,
        offset=begin,
    )
    return memoryview(window)[offset - begin :]


class Hangup:
    """Whether the client has hung up, told by a task that waits for what it sends. Call `end` when the answer is out."""

    def __init__(self, receive: Receive) -> None:
        self._task = asyncio.create_task(self._wait(receive))

    @staticmethod
    async def _wait(receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    @property
    def is_so(self) -> bool:
        """Whether nobody is there any more."""
        return self._task.done()

    async def end(self) -> None:
        """Stop watching."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task


def _open(each: FilePieces) -> int:
    try:
        descriptor = os.open(each.path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise StorageUnavailable(f"a stored file cannot be opened: {error.strerror}") from error
    furthest = max((sum(piece) for piece in each.pieces if not isinstance(piece, bytes)), default=0)
    if os.fstat(descriptor).st_size < furthest:
        os.close(descriptor)
        raise StorageUnavailable("a stored file is shorter than it was")
    return descriptor


def _part(content: bytes | memoryview) -> Message:
    return {"type": "http.response.body", "body": content, "more_body": True}
