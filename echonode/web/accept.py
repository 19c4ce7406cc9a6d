"""What a client accepts (RFC 9110 12.5.1, PS3.18 8.7): media ranges of the Accept header or the accept parameter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from starlette.types import Scope

ANYTHING = "*/*"
_MULTIPART = "multipart/related"
_ALIASES = {"image/x-jls": "image/jls", "image/x-dicom-rle": "image/dicom-rle", "video/mpeg2": "video/mpeg"}
"""Names from before PS3.18 settled on others."""
_MOST_RANGES = 64
_LONGEST = 8192


@dataclass(frozen=True, kw_only=True, slots=True)
class MediaRange:
    """One range that the client names.

    For `multipart/related; type="..."` the media type is that of the parts. `transfer_syntax` is a UID, `*`, or None
    where the range has no such parameter. `parameters` are all others, names in lower case, without `q`.
    """

    media_type: str
    multipart: bool = False
    transfer_syntax: str | None = None
    q: float = 1.0
    parameters: tuple[tuple[str, str], ...] = ()

    def covers(self, media_type: str) -> bool:
        """Whether the range takes that media type."""
        if self.media_type in (ANYTHING, media_type):
            return True
        return self.media_type.endswith("/*") and media_type.startswith(self.media_type[:-1])

    def parameter(self, name: str) -> str | None:
        """A parameter's value; None where there is none."""
        return next((value for key, value in self.parameters if key == name), None)

    @property
    def takes_one_part(self) -> bool:
        """Whether the range stands for a body without parts; `*/*` takes either form."""
        return not self.multipart

    @property
    def takes_parts(self) -> bool:
        """Whether the range stands for a multipart body."""
        return self.multipart or self.media_type == ANYTHING


@lru_cache(maxsize=512)
def media_ranges(text: str) -> tuple[MediaRange, ...]:
    """The ranges of an Accept value, the most wanted first; an empty value accepts anything.

    What is no media range is passed over: old clients send odd ones beside the one they mean.
    """
    if not text.strip():
        return (MediaRange(media_type=ANYTHING),)
    found = []
    for number, part in enumerate(_split(text[:_LONGEST], ",")):
        if number == _MOST_RANGES:
            break
        media_range = _range(part)
        if media_range is not None and media_range.q > 0:
            found.append(media_range)
    return tuple(sorted(found, key=lambda each: -each.q))


def accepted(scope: Scope) -> tuple[MediaRange, ...]:
    """The ranges of a request. The `accept` query parameter stands above the header (PS3.18 8.3.3.1)."""
    query: bytes = scope["query_string"]
    if b"accept=" in query:
        for pair in query.split(b"&"):
            if pair.startswith(b"accept="):
                return media_ranges(unquote(pair[7:].decode("latin-1")))
    values = [value for name, value in scope["headers"] if name == b"accept"]
    return media_ranges(b",".join(values).decode("latin-1"))


def best(ranges: tuple[MediaRange, ...], fits: Callable[[MediaRange], bool]) -> MediaRange | None:
    """The first range, the most wanted first, that `fits`."""
    return next((each for each in ranges if fits(each)), None)


def _range(text: str) -> MediaRange | None:
    pieces = _split(text, ";")
    media_type = next(pieces, "").strip().lower()
    if media_type == "*":
        media_type = ANYTHING
    if media_type.count("/") != 1:
        return None
    parameters = {}
    for piece in pieces:
        name, _, value = piece.partition("=")
        parameters[name.strip().lower()] = value.strip().strip('"').strip()
    q = _weight(parameters.pop("q", "1"))
    syntax = parameters.pop("transfer-syntax", None)
    multipart = media_type in (_MULTIPART, "multipart/*")
    if multipart:
        media_type = parameters.pop("type", ANYTHING).lower() or ANYTHING
    return MediaRange(
        media_type=_ALIASES.get(media_type, media_type),
        multipart=multipart,
        transfer_syntax=syntax or None,
        q=q,
        parameters=tuple(parameters.items()),
    )


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        return 1.0
    return min(max(weight, 0.0), 1.0) if weight == weight else 1.0


def _split(text: str, separator: str) -> Iterator[str]:
    """Pieces of `text` between separators that stand outside quotes."""
    start, quoted = 0, False
    for position, character in enumerate(text):
        if character == '"':
            quoted = not quoted
        elif character == separator and not quoted:
            yield text[start:position]
            start = position + 1
    yield text[start:]
