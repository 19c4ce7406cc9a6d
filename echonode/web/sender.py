"""The Sender port over STOW-RS (PS3.18 10.5), and the choice between it and C-STORE for each peer."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import structlog

from echonode.core.configuration import Configuration
from echonode.core.errors import BadInput, DeliveryFailed, EchonodeError
from echonode.core.identity import new_id
from echonode.core.peers import Peer
from echonode.core.ports import BlobStore, Outgoing, Sender, SendOutcome
from echonode.core.text import one_line
from echonode.dicom.part10 import part10_head
from echonode.dicom.storage import EXPLICIT_LE
from echonode.flow.decoding import Decoder
from echonode.web.user import Answer, Caller

log = structlog.get_logger(__name__)
PIECE_BYTES = 1 << 20
LONGEST_TOKEN_FILE = 8192
FAILED, REFERENCED, UID, REASON = "00081198", "00081199", "00081155", "00081197"
TRY_AGAIN = frozenset({401, 403, 404, 408, 425, 429, 500, 502, 503, 504, 507})
"""Answers that another day may change: the server is busy, full or away, or somebody has to correct an address or token."""
SYNTAX_NOT_TAKEN = 0xC122
"""Failure reason of PS3.18 I.2.2 after which the object is offered once more, uncompressed; 415 means the same."""


class StowSender:
    """Sends to the peers of peers.toml that have `dicomweb`: one request an object, one outcome an object.

    Stored bytes go as they are; when the peer says that it does not take them, they are decoded once for it.
    """

    def __init__(self, configuration: Configuration, *, blobs: BlobStore) -> None:
        self._configuration = configuration
        self._decoder = Decoder(limits=configuration.node.limits, blobs=blobs)

    def send(self, peer: str, objects: Sequence[Outgoing]) -> Iterable[SendOutcome]:
        """One outcome an object, in order, as they come; see core.ports.Sender."""
        known = self._configuration.peers.named(peer)
        if known is None or not known.dicomweb:
            for item in objects:
                yield _outcome(item, detail=f"peers.toml has no dicomweb for {peer!r}")
            return
        done = 0
        try:
            with contextlib.closing(self._caller(known)) as caller:
                for item in objects:
                    outcome = self._send(caller, item)
                    done += 1
                    yield outcome
        except (DeliveryFailed, BadInput) as failure:
            transient = failure.transient if isinstance(failure, DeliveryFailed) else True
            log.warning("not delivered", peer=peer, reason=str(failure), transient=transient)
            for item in objects[done:]:
                yield _outcome(item, detail=str(failure), transient=transient)

    def close(self) -> None:
        """End the decoder process; idempotent."""
        self._decoder.close()

    def _caller(self, peer: Peer) -> Caller:
        authorization = ""
        if peer.token_file is not None:
            authorization = _authorization(self._configuration.folder / peer.token_file)
        return Caller(
            peer.dicomweb, authorization=authorization, timeout_seconds=self._configuration.node.web.stall_seconds
        )

    def _send(self, caller: Caller, item: Outgoing) -> SendOutcome:
        try:
            outcome = _posted(caller, item, b"", item.path)
            if outcome.dicom_status != SYNTAX_NOT_TAKEN or item.transfer_syntax_uid == EXPLICIT_LE:
                return outcome
            head = part10_head(
                sop_class_uid=item.sop_class_uid,
                sop_instance_uid=item.sop_instance_uid,
                transfer_syntax_uid=EXPLICIT_LE,
            )
            with self._decoder.transcoded(item.path, EXPLICIT_LE) as decoded:
                return _posted(caller, item, head, decoded)
        except DeliveryFailed:
            raise
        except EchonodeError as error:
            return _outcome(item, detail=str(error))
        except OSError as error:
            return _outcome(item, detail=f"the stored object cannot be read: {error.strerror}", transient=True)


class ClosableSender(Sender, Protocol):
    """A Sender that holds something."""

    def close(self) -> None:
        """Let go of it; idempotent."""
        ...


class PeerSender:
    """Sends to each peer in the way that peers.toml says: STOW-RS where it has `dicomweb`, C-STORE elsewhere."""

    def __init__(self, configuration: Configuration, *, dimse: ClosableSender, stow: ClosableSender) -> None:
        self._configuration, self._dimse, self._stow = configuration, dimse, stow

    def send(self, peer: str, objects: Sequence[Outgoing]) -> Iterable[SendOutcome]:
        """As core.ports.Sender."""
        known = self._configuration.peers.named(peer)
        return (self._stow if known is not None and known.dicomweb else self._dimse).send(peer, objects)

    def close(self) -> None:
        """Close both; idempotent."""
        self._dimse.close()
        self._stow.close()


def _posted(caller: Caller, item: Outgoing, head: bytes, path: Path) -> SendOutcome:
    """One STOW-RS request with one part: `head`, then the file as it is."""
    boundary = new_id()
    opening = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode("ascii") + head
    closing = f"\r\n--{boundary}--\r\n".encode("ascii")
    with path.open("rb") as file:
        length = len(opening) + path.stat().st_size + len(closing)
        answer = caller.call(
            "POST",
            "/studies",
            body=_body(opening, file, closing),
            headers={
                "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
                "Content-Length": str(length),
                "Accept": "application/dicom+json",
            },
        )
    return _judged(item, answer)


def _body(opening: bytes, file: BinaryIO, closing: bytes) -> Iterator[bytes]:
    yield opening
    while piece := file.read(PIECE_BYTES):
        yield piece
    yield closing


def _judged(item: Outgoing, answer: Answer) -> SendOutcome:
    """What the store instances response (PS3.18 table 10.5.3-1, annex I.2) says of the one object."""
    content = _dicom_json(answer.body)
    failure = _of_object(content.get(FAILED), item.sop_instance_uid)
    if failure is not None:
        status = _number(failure.get(REASON))
        detail = "the peer did not store it"
        transient = status is None or status & 0xFF00 == 0xA700 or status == 0x0110
        return _outcome(item, status=status, detail=detail, transient=transient)
    if answer.status in (200, 202) and (
        answer.status == 200 or _of_object(content.get(REFERENCED), item.sop_instance_uid) is not None
    ):
        return _outcome(item, ok=True, status=0, detail="")
    said = one_line(answer.body[:200].decode("utf-8", "replace")) if answer.status >= 400 else ""
    detail = f"the peer answered {answer.status}{f': {said}' if said else ''}"
    status = SYNTAX_NOT_TAKEN if answer.status == 415 else None
    return _outcome(item, status=status, detail=detail, transient=answer.status in TRY_AGAIN)


def _dicom_json(body: bytes) -> Mapping[str, Any]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    if isinstance(content, list) and len(content) == 1:
        content = content[0]
    return content if isinstance(content, dict) else {}


def _of_object(sequence: Any, uid: str) -> Mapping[str, Any] | None:
    """The item of a sequence that names the object."""
    items = sequence.get("Value", ()) if isinstance(sequence, dict) else ()
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and _first(item.get(UID)) == uid:
            return item
    return None


def _first(element: Any) -> Any:
    values = element.get("Value") if isinstance(element, dict) else None
    return values[0] if isinstance(values, list) and values else None


def _number(element: Any) -> int | None:
    value = _first(element)
    return value if isinstance(value, int) else None


def _authorization(path: Path) -> str:
    """The header's value: the file's one line as it is when it names its scheme ("Basic ..."), else as a bearer token.

    Raises:
        DeliveryFailed: the file cannot be read, or holds something else than one line.
    """
    try:
        with path.open("rb") as file:
            text = file.read(LONGEST_TOKEN_FILE).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise DeliveryFailed(f"{path}: the token cannot be read: {error}") from error
    if not text or not text.isprintable():
        raise DeliveryFailed(f"{path}: one line with the token is expected")
    return text if " " in text else f"Bearer {text}"


def _outcome(
    item: Outgoing, *, ok: bool = False, status: int | None = None, detail: str, transient: bool = False
) -> SendOutcome:
    return SendOutcome(
        sop_instance_uid=item.sop_instance_uid, ok=ok, dicom_status=status, detail=detail, transient=transient
    )
