"""Objects that come as metadata (DICOM JSON or XML) with their bulk beside it: kept in files until all is there."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from echonode.core.errors import BudgetExceeded, TooLarge, UnreadableObject
from echonode.dicom.file_meta import FileMeta
from echonode.dicom.json_dataset import PIXEL_DATA, Bulk, encoded_pieces
from echonode.dicom.storage import EXPLICIT_LE
from echonode.dicom.xml_dataset import model_of_xml
from echonode.web.arrival import CANNOT_UNDERSTAND, CHECK_EVERY_BYTES, Arrival, Arrivals, Outcome
from echonode.web.parts import PartHeaders, media_type

JSON, XML = "application/dicom+json", "application/dicom+xml"
MOST_VALUES = 1_000_000
"""Values, elements and items of one document: each costs a Python object, however short it is."""
_COPY = 1 << 20
_PIXELS = f"{PIXEL_DATA:08X}"
_SYNTAX = "1.2.840.10008.1.2."
_BY_MEDIA_TYPE = {
    "image/jls": _SYNTAX + "4.80",
    "image/jp2": _SYNTAX + "4.90",
    "image/jpx": _SYNTAX + "4.92",
    "image/jphc": _SYNTAX + "4.201",
    "image/dicom-rle": _SYNTAX + "5",
    "video/mpeg2": _SYNTAX + "4.100",
    "video/mpeg": _SYNTAX + "4.100",
    "video/mp4": _SYNTAX + "4.102",
    "video/h265": _SYNTAX + "4.107",
}
"""Media types of compressed pixel data and the syntax that each means when it names none (PS3.18 table 8.7.3-5)."""
_BY_FRAME_MARKER = {0xC0: "4.50", 0xC1: "4.51", 0xC3: "4.70"}


@dataclass(frozen=True, kw_only=True, slots=True)
class BulkPart:
    """One part that is no metadata, on disk."""

    path: Path
    size: int
    location: str
    media_type: str
    transfer_syntax_uid: str


class Composed:
    """The parts of one request, and the objects that are made of them at its end."""

    def __init__(self, arrivals: Arrivals, *, kind: str) -> None:
        self._arrivals = arrivals
        self._kind = kind
        self._documents: list[bytes] = []
        self._document_bytes = 0
        self._bulk: dict[str, list[BulkPart]] = {}
        self._made_bytes, self._unchecked_bytes = 0, 0

    def open_part(self, headers: PartHeaders) -> _DocumentSink | _BulkSink:
        """Where a part's bytes go: metadata is read at the end, bulk goes to disk."""
        kind, options = media_type(headers.get("content-type", ""))
        if kind == self._kind or (not kind and not self._documents):
            return _DocumentSink(self)
        return _BulkSink(self, headers.get("content-location", ""), kind, options.get("transfer-syntax", ""))

    def take(self, size: int) -> None:
        """Account for metadata that arrives.

        Raises:
            TooLarge: the documents of the request are longer than web.max_document_bytes.
        """
        self._document_bytes += size
        most = self._arrivals.services.web.max_document_bytes
        if self._document_bytes > most:
            raise TooLarge(f"the metadata is longer than web.max_document_bytes = {most}")

    def check_room(self, size: int) -> None:
        """Account for bulk that arrives.

        Raises:
            OutOfStorage: the disk has too little room left.
        """
        self._unchecked_bytes += size
        if self._unchecked_bytes >= CHECK_EVERY_BYTES:
            self._unchecked_bytes = 0
            self._arrivals.services.ingest.precheck()

    def keep_document(self, content: bytes) -> None:
        """One whole metadata part."""
        self._documents.append(content)

    def keep_bulk(self, part: BulkPart) -> None:
        """One whole part of bulk."""
        self._bulk.setdefault(part.location, []).append(part)

    def new_file(self) -> tuple[Path, BinaryIO]:
        """A fresh file on the store's file system."""
        path = self._arrivals.services.blobs.new_part()
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        return path, os.fdopen(handle, "wb", buffering=0)

    def complete(self) -> None:
        """Make every object that the metadata describes, and hand each to the door."""
        for document in self._documents:
            try:
                models = self._models(document)
            except (UnreadableObject, BudgetExceeded) as error:
                outcome = Outcome(status=CANNOT_UNDERSTAND, detail=str(error))
                self._arrivals.refuse(self._arrivals.place(), outcome, advice="the sender's metadata has to be mended")
                continue
            for model in models:
                self._store(model)

    def close(self) -> None:
        """Remove what lay on disk."""
        for part in (part for parts in self._bulk.values() for part in parts):
            with contextlib.suppress(OSError):
                part.path.unlink(missing_ok=True)
        self._bulk.clear()

    def _models(self, document: bytes) -> list[dict[str, Any]]:
        if self._kind == XML:
            nesting = self._arrivals.services.limits.nesting
            return [model_of_xml(document, most_elements=MOST_VALUES, nesting=nesting)]
        if sum(map(document.count, (b",", b"[", b"{"))) > MOST_VALUES:
            raise BudgetExceeded(f"the JSON document has more than {MOST_VALUES} values")
        try:
            content = orjson.loads(document)
        except ValueError:  # orjson refuses deep nesting too
            raise UnreadableObject("the metadata is no JSON, or nested too deep") from None
        models = content if isinstance(content, list) else [content]
        if not models or not all(isinstance(model, dict) for model in models):
            raise UnreadableObject("the metadata is no array of DICOM JSON objects")
        return models

    def _store(self, model: dict[str, Any]) -> None:
        parts = self._pixel_parts(model)
        syntax = _transfer_syntax(model, parts)
        meta = FileMeta(
            sop_class_uid=_first(model, "00080016"),
            sop_instance_uid=_first(model, "00080018"),
            transfer_syntax_uid=syntax,
            end=0,
        )
        arrival = Arrival(self._arrivals, meta=meta, place=self._arrivals.place())
        encapsulated = bool(parts) and syntax != EXPLICIT_LE
        nesting = self._arrivals.services.limits.nesting
        try:
            gathered = bytearray()
            for piece in encoded_pieces(model, self._find, encapsulated=encapsulated, nesting=nesting):
                gathered += piece
                self._count(len(piece))
                if len(gathered) >= _COPY:
                    arrival.write(bytes(gathered))
                    gathered.clear()
            arrival.write(bytes(gathered))
        except (UnreadableObject, BudgetExceeded) as error:
            arrival.fail(error)
            return
        self._arrivals.finish(arrival.complete)

    def _count(self, size: int) -> None:
        """Account for what is made: any number of objects may name one part as their bulk."""
        self._made_bytes += size
        most = self._arrivals.services.web.max_body_bytes
        if self._made_bytes > most:
            raise BudgetExceeded(f"the objects of the request are longer together than web.max_body_bytes = {most}")

    def _pixel_parts(self, model: Mapping[str, Any]) -> Sequence[BulkPart]:
        element = model.get(_PIXELS)
        uri = element.get("BulkDataURI") if isinstance(element, dict) else None
        return self._bulk.get(uri, ()) if isinstance(uri, str) else ()

    def _find(self, uri: str) -> list[Bulk]:
        parts = self._bulk.get(uri)
        if not parts:  # it is never fetched from anywhere
            raise UnreadableObject("a BulkDataURI names no part of this request")
        return [Bulk(size=part.size, pieces=_Reading(part.path)) for part in parts]


class _DocumentSink:
    def __init__(self, composed: Composed) -> None:
        self._composed = composed
        self._content = io.BytesIO()

    def write(self, piece: memoryview) -> None:
        self._composed.take(len(piece))
        self._content.write(piece)

    def complete(self) -> None:
        self._composed.keep_document(self._content.getvalue())

    def discard(self) -> None:
        self._content = io.BytesIO()


class _BulkSink:
    def __init__(self, composed: Composed, location: str, kind: str, syntax: str) -> None:
        self._composed = composed
        self._location, self._kind, self._syntax = location, kind, syntax
        self._path, self._file = composed.new_file()
        self._size = 0

    def write(self, piece: memoryview) -> None:
        self._size += len(piece)
        self._composed.check_room(len(piece))
        while len(piece):
            piece = piece[self._file.write(piece) :]

    def complete(self) -> None:
        self._file.close()
        self._composed.keep_bulk(
            BulkPart(
                path=self._path,
                size=self._size,
                location=self._location,
                media_type=self._kind,
                transfer_syntax_uid=self._syntax,
            )
        )

    def discard(self) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)


class _Reading:
    """The bytes of a file in pieces, as often as they are asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self) -> Iterator[bytes]:
        with self._path.open("rb", buffering=0) as file:
            while piece := file.read(_COPY):
                yield piece


def _first(model: Mapping[str, Any], tag: str) -> str:
    element = model.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values[0] if isinstance(values, list) and values and isinstance(values[0], str) else ""


def _transfer_syntax(model: Mapping[str, Any], parts: Sequence[BulkPart]) -> str:
    """Of the pixel data's part: as its Content-Type names it, else the metadata, else what its media type means."""
    if not parts:
        return EXPLICIT_LE
    part = parts[0]
    if part.transfer_syntax_uid:
        return part.transfer_syntax_uid
    if part.media_type in ("", "application/octet-stream"):
        return EXPLICIT_LE
    named = _first(model, "00020010") or _first(model, "00083002")
    if named:
        return named
    if part.media_type == "image/jpeg":
        return _jpeg_syntax(part.path)
    return _BY_MEDIA_TYPE.get(part.media_type, EXPLICIT_LE)


def _jpeg_syntax(path: Path) -> str:
    """By the process that the first frame header names (ITU-T T.81 table B.1); baseline where none is found."""
    with path.open("rb") as file:
        head = file.read(1 << 16)
    position = 2
    while position + 4 <= len(head) and head[position] == 0xFF:
        marker = head[position + 1]
        if marker in _BY_FRAME_MARKER:
            return _SYNTAX + _BY_FRAME_MARKER[marker]
        position += 2 + int.from_bytes(head[position + 2 : position + 4])
    return _SYNTAX + "4.50"
