"""Conditional and range requests (RFC 9110 13 and 14) on answers that are known by an entity tag."""

from __future__ import annotations

import re

from starlette.types import Scope, Send

from echonode.web.body import Headers, empty

_TAG = re.compile(r'(?:W/)?("[^"]*")')
_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})")


def header(scope: Scope, name: bytes) -> str:
    """The first header of that name (in lower case), empty when there is none."""
    for key, value in scope["headers"]:
        if key == name:
            text: str = value.decode("latin-1")
            return text
    return ""


def etag_of(*parts: str) -> str:
    """A strong entity tag; `parts` are digests and names of our own, never values of an object."""
    return f'"{"-".join(parts)}"'


def is_current(scope: Scope, etag: str) -> bool:
    """Whether If-None-Match names the tag, so that the client has what it would be sent."""
    told = header(scope, b"if-none-match")
    if not told:
        return False
    return told.strip() == "*" or etag in _TAG.findall(told)


async def not_modified(send: Send, headers: Headers) -> None:
    """304 with the headers that a cache needs."""
    kept = (b"etag", b"cache-control", b"vary", b"content-location")
    await empty(send, 304, [(name, value) for name, value in headers if name in kept])


def byte_range(scope: Scope, etag: str, total: int) -> tuple[int, int] | bool | None:
    """Offset and length that the Range header asks for; None for the whole, False when there is no such range.

    Several ranges, and a range on another version than If-Range names, are answered with the whole.
    """
    text = header(scope, b"range").replace(" ", "")
    if not text or scope["method"] != "GET":
        return None
    only_if = header(scope, b"if-range")
    if only_if and only_if.strip() != etag:
        return None
    found = _RANGE.fullmatch(text)
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        length = min(int(found[2]), total)
        return (total - length, length) if length else False
    begin, last = int(found[1]), int(found[2]) if found[2] else total - 1
    if found[2] and last < begin:
        return None
    return (begin, min(last, total - 1) - begin + 1) if begin < total else False
