"""Delivery by STOW-RS to a real node, and to servers that misbehave: one honest outcome an object."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.data import get_testdata_file

from echonode.core.configuration import Configuration, load_configuration
from echonode.core.peers import Peer, PeersFile
from echonode.core.ports import Outgoing, SendOutcome
from echonode.core.tokens import new_secret, sha256_of
from echonode.dicom.part10 import part10_head
from echonode.dimse.user import stored_file
from echonode.node import open_blobs, open_sender
from tests.support.dimse import EXPLICIT_LE, US, small_object
from tests.support.web import WebProcess

Send = Callable[..., list[SendOutcome]]


@pytest.fixture
def objects(tmp_path: Path) -> list[Outgoing]:
    found = []
    for number in range(3):
        sop, data = small_object(number)
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(part10_head(sop_class_uid=US, sop_instance_uid=sop, transfer_syntax_uid=EXPLICIT_LE) + data)
        found.append(stored_file(path))
    return found


@pytest.fixture
def jpeg() -> Outgoing:
    path = get_testdata_file("examples_ybr_color.dcm")
    assert path is not None
    return stored_file(Path(str(path)))


@pytest.fixture
def send(tmp_path: Path) -> Iterator[Send]:
    """Sends to a peer at an address, through what the composition root makes."""
    senders: list[Any] = []

    def run(url: str, objects: list[Outgoing], **values: Any) -> list[SendOutcome]:
        folder = tmp_path / "ae_config"
        folder.mkdir(exist_ok=True)
        (folder / "node.toml").write_text("[web]\nstall_seconds = 1\n")
        peer = Peer.model_validate({"name": "pacs", "ae_title": "PACS", "dicomweb": url, **values})
        configuration: Configuration = replace(load_configuration(folder), peers=PeersFile(peer=(peer,)))
        open_blobs(configuration)
        senders.append(open_sender(configuration))
        return list(senders[-1].send("pacs", objects))

    yield run
    for sender in senders:
        sender.close()


class ScriptedServer:
    """An HTTP server that keeps what it is sent and answers as told."""

    def __init__(self, answers: list[tuple[int, Mapping[str, Any] | bytes]]) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        peer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                peer.requests.append((self.path, dict(self.headers), body))
                status, content = answers[min(len(peer.requests), len(answers)) - 1]
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                if 300 <= status < 400:
                    self.send_header("Location", "http://127.0.0.1:9/elsewhere")
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/dicom-web"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def scripted() -> Iterator[Callable[..., ScriptedServer]]:
    made: list[ScriptedServer] = []

    def make(*answers: tuple[int, Mapping[str, Any] | bytes]) -> ScriptedServer:
        made.append(ScriptedServer(list(answers)))
        return made[-1]

    yield make
    for peer in made:
        peer.close()


def failed(uid: str, reason: int | None) -> dict[str, Any]:
    item: dict[str, Any] = {"00081155": {"vr": "UI", "Value": [uid]}}
    if reason is not None:
        item["00081197"] = {"vr": "US", "Value": [reason]}
    return {"00081198": {"vr": "SQ", "Value": [item]}}


def test_objects_arrive_byte_for_byte_in_a_node_and_once_more_does_no_harm(
    web: WebProcess, send: Send, objects: list[Outgoing], jpeg: Outgoing
) -> None:
    for _ in range(2):
        outcomes = send(f"http://127.0.0.1:{web.port}/dicom-web", [*objects, jpeg])
        assert [outcome.sop_instance_uid for outcome in outcomes] == [
            item.sop_instance_uid for item in [*objects, jpeg]
        ]
        assert [outcome.detail for outcome in outcomes if not outcome.ok] == []
    with web.archive() as archive:
        for item in [*objects, jpeg]:
            stored = archive.index.instance(item.sop_instance_uid)
            assert stored is not None
            assert (
                Path(stored.path).read_bytes()[stored.dataset_offset :] == item.path.read_bytes()[item.dataset_offset :]
            )


def test_a_node_that_wants_a_token_gets_it_from_a_file_and_no_other_node_does(
    start_web: Callable[..., WebProcess], send: Send, objects: list[Outgoing], tmp_path: Path
) -> None:
    secret = new_secret()
    web = start_web(tokens=f'[[token]]\nname = "node"\nsha256 = "{sha256_of(secret)}"\nrights = ["store"]\n')
    url = f"http://127.0.0.1:{web.port}/dicom-web"
    (refused, *_) = send(url, objects)
    assert (refused.ok, refused.transient) == (False, True)
    assert "401" in refused.detail
    (missing, *_) = send(url, objects, token_file="pacs.token")
    assert "the token cannot be read" in missing.detail
    (tmp_path / "ae_config" / "pacs.token").write_text(f"{secret}\n")
    assert all(outcome.ok for outcome in send(url, objects, token_file="pacs.token"))


@pytest.mark.parametrize(
    ("status", "reason", "dicom_status", "transient"),
    [
        (409, 0xA700, 0xA700, True),
        (409, 0x0110, 0x0110, True),
        (409, 0x0122, 0x0122, False),
        (202, 0xC000, 0xC000, False),
        (200, None, None, True),
    ],
)
def test_what_the_peer_says_of_an_object_counts_whatever_the_http_code(
    scripted: Callable[..., ScriptedServer],
    send: Send,
    objects: list[Outgoing],
    status: int,
    reason: int | None,
    dicom_status: int | None,
    transient: bool,
) -> None:
    peer = scripted((status, failed(objects[0].sop_instance_uid, reason)))
    (outcome,) = send(peer.url, objects[:1])
    assert (outcome.ok, outcome.dicom_status, outcome.transient) == (False, dicom_status, transient)


@pytest.mark.parametrize(
    ("status", "content", "transient"),
    [
        (503, b"busy", True),
        (401, b"who are you", True),
        (400, b"<script>\x1b[31m", False),
        (302, b"", False),
        (202, b"no JSON", False),
        (204, b"", False),
    ],
)  # fmt: skip
def test_an_answer_that_is_no_yes_is_not_taken_for_one(
    scripted: Callable[..., ScriptedServer],
    send: Send,
    objects: list[Outgoing],
    status: int,
    content: bytes,
    transient: bool,
) -> None:
    peer = scripted((status, content))
    (outcome,) = send(peer.url, objects[:1])
    assert (outcome.ok, outcome.transient) == (False, transient)
    assert str(status) in outcome.detail
    assert outcome.detail.isprintable()
    assert len(peer.requests) == 1, "a redirect is not followed: it could lead the token anywhere"


@pytest.mark.parametrize("first", [(415, b""), (409, "C122")])
def test_a_peer_that_does_not_take_jpeg_gets_the_pixels_uncompressed(
    scripted: Callable[..., ScriptedServer], send: Send, jpeg: Outgoing, first: tuple[int, Any]
) -> None:
    refusal = first if first[0] == 415 else (409, failed(jpeg.sop_instance_uid, 0xC122))
    peer = scripted(refusal, (200, {}))
    (outcome,) = send(peer.url, [jpeg])
    assert outcome.ok
    part = peer.requests[1][2].partition(b"\r\n\r\n")[2].rpartition(b"\r\n--")[0]
    arrived = pydicom.dcmread(BytesIO(part))
    assert str(arrived.file_meta.TransferSyntaxUID) == EXPLICIT_LE
    assert str(arrived.SOPInstanceUID) == jpeg.sop_instance_uid


def test_a_peer_that_is_away_gives_every_object_another_chance(
    send: Send, objects: list[Outgoing], free_port: Callable[[], int]
) -> None:
    outcomes = send(f"http://127.0.0.1:{free_port()}", objects)
    assert [(outcome.ok, outcome.transient) for outcome in outcomes] == [(False, True)] * 3
    assert "cannot be reached" in outcomes[0].detail


@pytest.mark.parametrize("url", ["ftp://x", "http://", "javascript:alert(1)", "http://x/?a=b", "http://x y/"])
def test_an_address_that_is_none_stops_the_start(url: str) -> None:
    with pytest.raises(ValueError, match="dicomweb"):
        Peer.model_validate({"name": "pacs", "ae_title": "PACS", "dicomweb": url})
