"""Large answers over a real socket: whole, in flat memory, and dropped when nobody listens any more."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from echonode.core.received import Origin, ReceivedObject
from echonode.dicom.part10 import part10_head
from echonode.node import open_archive, open_blobs, open_ingest
from tests.support.door import EXPLICIT, encoded, picture
from tests.support.waiting import wait_until
from tests.support.web import WebProcess

FRAMES, ROWS = 60, 1024
STUDY = "/dicom-web/studies/1.2.3"
INSTANCE = f"{STUDY}/series/1.2.3.1/instances/1.2.3.4"
ACCEPT = {"Accept": "application/dicom; transfer-syntax=*"}


def large() -> Dataset:
    """60 MiB that no cache of a test can hold twice by accident."""
    pixels = np.random.default_rng(0).integers(0, 256, FRAMES * ROWS * ROWS, dtype=np.uint8).tobytes()
    return picture(Rows=ROWS, Columns=ROWS, NumberOfFrames=FRAMES, PixelData=pixels)


def stored(process: WebProcess, dataset: Dataset) -> bytes:
    """Put an object in through the door; its bytes."""
    archive, blobs = open_archive(process.configuration, migrate=True), open_blobs(process.configuration)
    content = encoded(dataset)
    head = part10_head(sop_class_uid="", sop_instance_uid="", transfer_syntax_uid=EXPLICIT)
    part = blobs.new_part()
    part.write_bytes(head + content)
    receipt = open_ingest(process.configuration, archive).accept(
        ReceivedObject(
            part=part, dataset_offset=len(head), size=len(content), sha256=hashlib.sha256(content).hexdigest(),
            sop_class_uid="", sop_instance_uid="", transfer_syntax_uid=EXPLICIT, origin=Origin.IMPORT,
        )
    )  # fmt: skip
    archive.close()
    assert receipt.accepted
    return head + content


@pytest.fixture
def node(web: WebProcess) -> tuple[WebProcess, bytes]:
    return web, stored(web, large())


def test_a_large_object_arrives_whole_and_memory_stays_flat(node: tuple[WebProcess, bytes]) -> None:
    web, content = node
    web.call("GET", f"{INSTANCE}/frames/1")
    before = web.memory()
    answers: list[bytes] = []

    def ask() -> None:
        answers.append(web.call("GET", INSTANCE, headers=ACCEPT).body)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(answer == content for answer in answers)
    assert web.memory() - before < 32 << 20
    ranged = web.call("GET", INSTANCE, headers={**ACCEPT, "Range": "bytes=5000001-25000000"})
    assert (ranged.status, ranged.body) == (206, content[5000001:25000001])


def test_frames_larger_than_a_message_arrive_whole(node: tuple[WebProcess, bytes]) -> None:
    web, content = node
    pixels = content[-FRAMES * ROWS * ROWS :]
    numbers = range(1, 21)
    answer = web.call("GET", f"{INSTANCE}/frames/{','.join(map(str, numbers))}")
    boundary = answer.headers["content-type"].partition("boundary=")[2].encode()
    bodies = [part.partition(b"\r\n\r\n")[2][:-2] for part in answer.body.split(b"--" + boundary)[1:-1]]
    assert bodies == [pixels[(number - 1) * ROWS * ROWS : number * ROWS * ROWS] for number in numbers]


def test_a_client_that_hangs_up_costs_nothing_more(node: tuple[WebProcess, bytes]) -> None:
    """Otherwise closed browser tabs keep reading whole studies."""
    web, _ = node
    assert web.process is not None
    open_files = Path(f"/proc/{web.process.pid}/fd")
    web.call("GET", f"{INSTANCE}/frames/1")
    objects = str(web.folder / "data" / "objects")

    def held() -> int:
        count = 0
        for link in open_files.iterdir():
            try:
                count += str(link.readlink()).startswith(objects)
            except OSError:
                continue  # closed while we look
        return count

    with web.raw() as sock:
        sock.sendall(f"GET {STUDY} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert sock.recv(1000).startswith(b"HTTP/1.1 200")
        wait_until(lambda: held() >= 1, "the file is being sent", seconds=10)
    wait_until(lambda: held() == 0, "the file is closed again")
    assert web.call("GET", f"{INSTANCE}/frames/2").status == 200
