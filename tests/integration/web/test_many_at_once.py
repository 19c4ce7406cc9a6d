"""What one client asks for must not take the node from the others: no thread, no disk, no memory without an end."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pydicom.dataset import Dataset

from echonode.archive.blobs import LocalBlobs
from echonode.core.errors import OutOfStorage
from echonode.dicom.part10 import part10_head
from echonode.web.composed import Composed
from tests.integration.web.conftest import StartWeb
from tests.support.dimse import US
from tests.support.door import EXPLICIT, encoded, picture
from tests.support.stow import STUDIES, failures, multipart, stored_uids
from tests.support.waiting import wait_until
from tests.support.web import WebProcess

MIB = 1 << 20
JSON = "application/dicom+json"
INSTANCE = f"{STUDIES}/1.2.3/series/1.2.3.1/instances"


def store(web: WebProcess, dataset: Dataset) -> None:
    answer = web.call("POST", STUDIES, body=encoded(dataset), headers={"Content-Type": "application/dicom"})
    assert answer.status == 200, answer.body


def noise(uid: str, *, side: int, frames: int = 1) -> Dataset:
    pixels = np.random.default_rng(0).integers(0, 256, frames * side * side, dtype=np.uint8).tobytes()
    return picture(uid, Rows=side, Columns=side, NumberOfFrames=frames, PixelData=pixels)


def model(uid: str) -> dict[str, object]:
    values = {"00080016": US, "00080018": uid, "0020000D": "1.2.3", "0020000E": "1.2.3.1"}
    return {
        **{tag: {"vr": "UI", "Value": [value]} for tag, value in values.items()},
        "00100020": {"vr": "LO", "Value": ["P1"]},
        "00420011": {"vr": "OB", "BulkDataURI": "bulk"},
    }


@pytest.fixture
def small_bodies(start_web: StartWeb) -> WebProcess:
    return start_web(web=f"max_body_bytes = {4 * MIB}")


def test_a_hundred_frames_to_be_transcoded_hold_up_nobody_else(web: WebProcess) -> None:
    """More of them than the process has threads for everything that waits for a disk or the database."""
    store(web, noise("1.2.3.4", side=1024))
    answered: list[int] = []

    def ask() -> None:
        accept = {"Accept": 'multipart/related; type="image/jls"'}
        answered.append(web.call("GET", f"{INSTANCE}/1.2.3.4/frames/1", headers=accept).status)

    asking = [threading.Thread(target=ask) for _ in range(100)]
    for each in asking:
        each.start()
    wait_until(lambda: len(answered) > 0, "the first is answered")
    began, before = time.monotonic(), len(answered)
    assert "checks" in web.call("GET", "/health/ready").json
    seconds, since = time.monotonic() - began, len(answered) - before
    assert before < 50, "the others were answered too soon for this test to say anything"
    assert since < 20, f"the health check waited for {since} other requests ({seconds:.2f} s)"
    for each in asking:
        each.join()
    assert answered == [200] * 100


def test_a_frame_is_asked_for_once(web: WebProcess) -> None:
    """Ten thousand times the same small frame, decoded, would fill a disk."""
    store(web, noise("1.2.3.4", side=4, frames=2))
    assert web.call("GET", f"{INSTANCE}/1.2.3.4/frames/2,1").status == 200
    for accept in ('multipart/related; type="image/jpeg"', "*/*"):
        answer = web.call("GET", f"{INSTANCE}/1.2.3.4/frames/1,2,1", headers={"Accept": accept})
        assert (answer.status, answer.json["error"]) == (400, "a frame is asked for twice")


def test_a_small_loop_is_not_blown_up_to_a_film_that_eats_the_memory(web: WebProcess) -> None:
    loop = noise("1.2.3.4", side=16, frames=30)
    loop.FrameTime = "30"
    store(web, loop)
    for kind in ("video/mp4", "image/gif"):
        for viewport, status in (("64,64", 200), ("8192,8192", 413), ("4096,4096", 413), ("8192,8192,0,0,1,1", 413)):
            path = f"{INSTANCE}/1.2.3.4/rendered?viewport={viewport}"
            assert web.call("GET", path, headers={"Accept": kind}).status == status, viewport
    still = web.call("GET", f"{INSTANCE}/1.2.3.4/rendered?viewport=4096,4096", headers={"Accept": "image/jpeg"})
    assert still.status == 200
    assert web.peak() < 600 * MIB


def test_one_part_named_by_many_objects_is_not_written_without_end(small_bodies: WebProcess) -> None:
    models = json.dumps([model(f"1.2.3.{number}") for number in range(10, 30)]).encode()
    bulk = {"Content-Type": "application/octet-stream", "Content-Location": "bulk"}
    body, headers = multipart(({"Content-Type": JSON}, models), (bulk, bytes(MIB)), kind=JSON)
    answer = small_bodies.call("POST", STUDIES, body=body, headers=headers)
    assert answer.status == 202
    assert len(stored_uids(answer)) == 3
    assert len(failures(answer)) == 17
    assert small_bodies.files("parts") == []


def test_bulk_of_unknown_length_stops_where_the_disk_is_full(tmp_path: Path) -> None:
    """A chunked body says no length before, and bulk is no object yet: nobody else asks whether there is room."""
    asked: list[int] = []

    def precheck() -> None:
        asked.append(1)
        if len(asked) == 2:
            raise OutOfStorage("full")

    services = SimpleNamespace(blobs=LocalBlobs(tmp_path), ingest=SimpleNamespace(precheck=precheck))
    composed = Composed(SimpleNamespace(services=services), kind=JSON)  # type: ignore[arg-type]
    sinks = [composed.open_part({"content-type": "application/octet-stream"}) for _ in range(3)]
    piece = memoryview(bytes(8 * MIB))
    for number in range(15):  # 64 MiB are looked at together, whichever parts they belong to
        sinks[number % 3].write(piece)
    with pytest.raises(OutOfStorage):
        sinks[0].write(piece)
    for sink in sinks:
        sink.discard()
    assert not any(path.is_file() and path.stat().st_size for path in tmp_path.rglob("*"))


def test_a_client_that_goes_away_in_the_middle_is_no_fault_of_ours(web: WebProcess) -> None:
    body, headers = multipart(encoded(noise("1.2.3.4", side=1024)))
    request = f"POST {STUDIES} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {headers['Content-Type']}\r\n"
    with web.raw() as sock:
        sock.sendall(f"{request}Content-Length: {len(body)}\r\n\r\n".encode() + body[: MIB // 2])
        wait_until(lambda: len(web.files("parts")) == 1, "the object has begun")
    wait_until(lambda: '"method":"POST"' in web.log.read_text(), "the request is over")
    log = [json.loads(line) for line in web.log.read_text().splitlines()]
    assert [line["event"] for line in log if line["level"] == "error"] == []
    assert web.files("parts") == []


def test_everything_of_many_objects_is_told_in_flat_memory(web: WebProcess) -> None:
    """As Python objects it would be twenty times as much as on the wire."""
    objects = []
    for number in range(300):
        dataset = picture(f"1.2.3.{number + 10}")
        block = dataset.private_block(0x0011, "ACME", create=True)
        for element in range(250):
            block.add_new(element, "LO", f"a value of element {element} of object {number}".ljust(64, "."))
        objects.append(
            part10_head(sop_class_uid="", sop_instance_uid="", transfer_syntax_uid=EXPLICIT) + encoded(dataset)
        )
    for begin in range(0, 300, 100):
        body, headers = multipart(*objects[begin : begin + 100])
        assert web.call("POST", STUDIES, body=body, headers=headers).status == 200
    web.call("GET", f"{STUDIES}/1.2.3/instances?includefield=all&limit=100")
    before = web.peak()
    answer = web.call("GET", f"{STUDIES}/1.2.3/instances?includefield=all")
    uids = [each["00080018"]["Value"][0] for each in answer.json]
    assert sorted(uids) == sorted(f"1.2.3.{number + 10}" for number in range(300))
    assert (answer.headers["x-total-count"], "001110FA" in answer.json[-1], "00111001" in answer.json[-1]) == (
        "300",
        False,
        True,
    )
    accept = {"Accept": 'multipart/related; type="application/dicom+xml"'}
    parts = web.call("GET", f"{STUDIES}/1.2.3/instances?includefield=all", headers=accept)
    boundary = parts.headers["content-type"].partition("boundary=")[2].encode()
    assert parts.body.count(b"--" + boundary + b"\r\n") == 300
    assert parts.body.endswith(b"--" + boundary + b"--\r\n")
    again = web.call("GET", f"{STUDIES}/1.2.3/instances", headers=accept)
    assert boundary not in again.headers["content-type"].encode(), "who stores an object must not know the boundary"
    assert web.peak() - before < 40 * MIB
