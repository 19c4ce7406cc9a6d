"""A multipart/related body (RFC 2046, RFC 2387) read as it comes: each part's bytes go straight to a sink."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from echonode.core.errors import BadInput, TooLarge

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MOST_PARTS = 20_000
MOST_PART_HEADERS, LONGEST_PART_HEADER = 16, 4096
PartHeaders = dict[str, str]
"""A part's headers, names in lower case."""


class Sink(Protocol):
    """Takes the bytes of one part."""

    def write(self, piece: memoryview) -> None:
        """The next bytes; the memory belongs to the caller."""
        ...

    def complete(self) -> None:
        """The part has ended as it should."""
        ...

    def discard(self) -> None:
        """The body ended inside the part."""
        ...


class PartsReader:
    """Feeds the parts of one body to the sinks that `open_part` makes of their headers."""

    def __init__(self, boundary: bytes, open_part: Callable[[PartHeaders], Sink]) -> None:
        self._open_part = open_part
        self._sink: Sink | None = None
        self._headers: PartHeaders = {}
        self._name, self._value = bytearray(), bytearray()
        self.count = 0
        self.ended = False
        """Whether the closing boundary has been seen."""
        callbacks: MultipartCallbacks = {
            "on_part_begin": self._begin,
            "on_header_field": self._field,
            "on_header_value": self._content,
            "on_header_end": self._header,
            "on_headers_finished": self._open,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._finish,
        }
        try:
            self._parser = MultipartParser(
                boundary, callbacks, max_header_count=MOST_PART_HEADERS, max_header_size=LONGEST_PART_HEADER
            )
        except FormParserError:
            raise BadInput("the boundary of the multipart body is longer than RFC 2046 allows") from None

    def feed(self, data: bytes) -> None:
        """The next bytes of the body.

        Raises:
            BadInput: this is no multipart body of that boundary.
            TooLarge: more than MOST_PARTS parts.
        """
        try:
            self._parser.write(data)
        except FormParserError:
            raise BadInput("the body is no multipart body of the boundary that Content-Type names") from None

    def close(self) -> None:
        """Give up the part that is under way, if one is."""
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.discard()

    def _begin(self) -> None:
        self.count += 1
        if self.count > MOST_PARTS:
            raise TooLarge(f"more than {MOST_PARTS} parts in one request")
        self._headers = {}

    def _field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _content(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header(self) -> None:
        name = self._name.decode("latin-1").lower()
        self._headers.setdefault(name, self._value.decode("latin-1").strip())
        self._name.clear()
        self._value.clear()

    def _open(self) -> None:
        self._sink = self._open_part(self._headers)

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._sink is not None:
            self._sink.write(memoryview(data)[start:end])

    def _end(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.complete()

    def _finish(self) -> None:
        self.ended = True


def media_type(value: str) -> tuple[str, dict[str, str]]:
    """A Content-Type: its media type in lower case, and its parameters."""
    kind, options = parse_options_header(value)
    return kind.decode("latin-1"), {key.decode("latin-1"): text.decode("latin-1") for key, text in options.items()}
