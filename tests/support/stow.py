"""STOW-RS requests made of bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from echonode.dicom.part10 import part10_head
from tests.support.dimse import EXPLICIT_LE, US, small_object
from tests.support.web import Answer, WebProcess

STUDIES = "/dicom-web/studies"
BOUNDARY = "a-boundary.of_ours"


def part10(number: int, *, syntax: str = EXPLICIT_LE, sop_class: str = US, **values: object) -> bytes:
    """A small object as a Part 10 file."""
    sop, data = small_object(number, sop_class=sop_class, **values)  # type: ignore[arg-type]
    return part10_head(sop_class_uid=sop_class, sop_instance_uid=sop, transfer_syntax_uid=syntax) + data


def multipart(
    *parts: bytes | tuple[Mapping[str, str], bytes], kind: str = "application/dicom", boundary: str = BOUNDARY
) -> tuple[bytes, dict[str, str]]:
    """(body, headers) of a multipart/related request; a part may bring headers of its own."""
    body = b""
    for part in parts:
        headers, content = ({"Content-Type": kind}, part) if isinstance(part, bytes) else part
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        body += f"--{boundary}\r\n{lines}\r\n".encode() + content + b"\r\n"
    body += f"--{boundary}--\r\n".encode()
    return body, {"Content-Type": f'multipart/related; type="{kind}"; boundary="{boundary}"'}


def stow(web: WebProcess, *files: bytes, path: str = STUDIES) -> Answer:
    """Store Part 10 files in one request."""
    body, headers = multipart(*files)
    return web.call("POST", path, body=body, headers=headers)


def stored_uids(answer: Answer) -> list[str]:
    """SOP Instance UIDs under Referenced SOP Sequence."""
    return [item["00081155"]["Value"][0] for item in answer.json.get("00081199", {}).get("Value", [])]


def failures(answer: Answer) -> list[int]:
    """Failure Reasons, those of unnamed instances last."""
    items: Sequence[Mapping[str, Mapping[str, Sequence[int]]]] = [
        *answer.json.get("00081198", {}).get("Value", []),
        *answer.json.get("0008119A", {}).get("Value", []),
    ]
    return [item["00081197"]["Value"][0] for item in items]
