"""C-CANCEL, and peers whose answers try to write where they must not."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from pydicom import Dataset

from echonode.core.peers import Peer, PeersFile
from echonode.core.query import Level
from echonode.dimse import user
from echonode.dimse.guarded import GuardedSocket
from echonode.dimse.pdu import ContextAnswer, ContextResult, Roles, associate_accept, parse_associate_request
from tests.integration.dimse.conftest import Node
from tests.integration.dimse.test_query_retrieve import data_set, send_small
from tests.support.dimse import (
    EXPLICIT_LE,
    IMPLICIT_LE,
    US,
    RawPeer,
    command_set,
    element,
    item,
    pdu,
    pdv,
    small_object,
    store_command,
    us,
)
from tests.support.waiting import wait_until

FIND, GET = "1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.5.1.4.1.2.2.3"
IMPLICIT_ELEMENT = struct.Struct("<HHI")


def identifier(level: str) -> bytes:
    values = [(0x0008, 0x0052, level.encode()), (0x0020, 0x000D, b"1.2.3.9\0")]
    if level == "IMAGE":
        values += [(0x0020, 0x000E, b"1.2.3.9.1\0")]
        values[:] = [values[0], (0x0008, 0x0018, b""), *values[1:]]
        values.sort()
    padded = [(group, tag, value + b" " * (len(value) % 2)) for group, tag, value in values]
    return b"".join(IMPLICIT_ELEMENT.pack(group, tag, len(value)) + value for group, tag, value in padded)


def request(field: int, abstract: str) -> bytes:
    return command_set(
        element(0x0002, abstract.encode()),
        element(0x0100, us(field)),
        element(0x0110, us(5)),
        element(0x0700, us(0)),
        element(0x0800, us(0)),
    )


CANCEL = command_set(element(0x0100, us(0x0FFF)), element(0x0120, us(5)), element(0x0800, us(0x0101)))


def elements_of(command: bytes) -> dict[int, bytes]:
    found, offset = {}, 0
    while offset < len(command):
        _, tag, length = IMPLICIT_ELEMENT.unpack_from(command, offset)
        found[tag] = command[offset + 8 : offset + 8 + length]
        offset += 8 + length
    return found


def messages(peer: RawPeer, *, field: int) -> list[dict[int, bytes]]:
    """Responses of `field` up to the final one; C-STOREs on the way are answered with success."""
    responses, command, storing = [], b"", None
    while True:
        kind, body = peer.read()
        assert kind == 4, kind
        offset = 0
        while offset < len(body):
            length, context_id, control = struct.unpack_from(">IBB", body, offset)
            data = body[offset + 6 : offset + 4 + length]
            offset += 4 + length
            if control & 1:
                command += data
                if control & 2:
                    found, command = elements_of(command), b""
                    number = int.from_bytes(found[0x0100], "little")
                    storing = found if number == 1 else None
                    if number == field | 0x8000:
                        responses.append(found)
                        if int.from_bytes(found[0x0900], "little") not in (0xFF00, 0xFF01):
                            return responses
            elif control & 2 and storing is not None:
                answer = command_set(
                    element(0x0100, us(0x8001)),
                    element(0x0120, storing[0x0110]),
                    element(0x0800, us(0x0101)),
                    element(0x0900, us(0)),
                )
                peer.send(pdu(4, pdv(context_id, 3, answer)))
                storing = None


def test_a_find_is_cancelled(node: Node) -> None:
    send_small(node, 40)
    with node.peer() as peer:
        assert peer.associate([(FIND, [IMPLICIT_LE])]) == 2
        peer.send(pdu(4, pdv(1, 3, request(0x0020, FIND)) + pdv(1, 2, identifier("IMAGE"))) + pdu(4, pdv(1, 3, CANCEL)))
        responses = messages(peer, field=0x0020)
        assert int.from_bytes(responses[-1][0x0900], "little") == 0xFE00
        assert len(responses) < 41
        peer.send(pdu(4, pdv(1, 3, request(0x0020, FIND)) + pdv(1, 2, identifier("IMAGE"))))
        responses = messages(peer, field=0x0020)
        assert int.from_bytes(responses[-1][0x0900], "little") == 0
        assert len(responses) == 41, "a cancel is for one request"


def test_a_get_is_cancelled_with_its_counts(node: Node) -> None:
    send_small(node, 12)
    role = item(0x54, struct.pack(">H", len(US)) + US.encode() + b"\0\1")
    with node.peer() as peer:
        assert peer.associate([(GET, [IMPLICIT_LE]), (US, [EXPLICIT_LE])], extra=role) == 2
        peer.send(pdu(4, pdv(1, 3, request(0x0010, GET)) + pdv(1, 2, identifier("STUDY"))) + pdu(4, pdv(1, 3, CANCEL)))
        final = messages(peer, field=0x0010)[-1]
        assert int.from_bytes(final[0x0900], "little") == 0xFE00
        remaining, completed = (int.from_bytes(final[tag], "little") for tag in (0x1020, 0x1021))
        assert remaining + completed == 12
        assert remaining > 0


EVIL = ["../../../evil", "/etc/cron.d/evil", "1.2.3", "", "evil\0.dcm", "1." * 30]


@pytest.mark.parametrize("uid", EVIL)
def test_a_pacs_cannot_choose_where_a_get_writes(node: Node, tmp_path: Path, uid: str) -> None:
    """A hostile PACS names its objects for files of ours; what is there already is never overwritten either."""
    folder = tmp_path / "got"
    folder.mkdir()
    (folder / "1.2.3.dcm").write_bytes(b"mine")
    _, data = small_object(1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=hostile_pacs, args=(listener, uid, data))
        thread.start()
        peer = Peer(name="pacs", ae_title="PACS", host="127.0.0.1", port=listener.getsockname()[1])
        client = replace(node.configuration, peers=PeersFile(peer=(peer,)))
        outcome = user.get(client, "pacs", level=Level.STUDY, keys={"StudyInstanceUID": "1.2.3.9"}, into=folder)
        thread.join(timeout=20)
        assert not thread.is_alive()
    assert (folder / "1.2.3.dcm").read_bytes() == b"mine"
    [written] = outcome.files
    assert written.parent == folder
    assert data_set(written) == data
    assert not list(tmp_path.rglob("*evil*"))
    assert not [path for path in folder.iterdir() if path.name.endswith(".part")]


def hostile_pacs(listener: socket.socket, uid: str, data: bytes) -> None:
    connection, _ = listener.accept()
    peer = RawPeer.__new__(RawPeer)
    peer.sock = connection
    connection.settimeout(20)
    with connection:
        _, body = peer.read()
        asked = parse_associate_request(body)
        answers = [
            ContextAnswer(
                id=context.id,
                abstract_syntax=context.abstract_syntax,
                result=ContextResult.ACCEPTED,
                transfer_syntax=context.transfer_syntaxes[0],
                roles=Roles(scu=False, scp=True) if context.abstract_syntax in asked.roles else None,
            )
            for context in asked.contexts
        ]
        peer.send(associate_accept(body, answers, max_pdu=65536))
        storage = next(answer.id for answer in answers if answer.abstract_syntax == US)
        got = b""
        while b"STUDY" not in got:
            got += peer.read()[1]
        peer.send(pdu(4, pdv(storage, 3, store_command(US, uid)) + pdv(storage, 2, data)))
        peer.read()
        final = command_set(
            element(0x0002, GET.encode()), element(0x0100, us(0x8010)), element(0x0120, us(1)),
            element(0x0800, us(0x0101)), element(0x0900, us(0)), element(0x1021, us(1)),
        )  # fmt: skip
        peer.send(pdu(4, pdv(answers[0].id, 3, final)))
        peer.read()
        peer.send(pdu(6, bytes(4)))


def test_requests_that_nobody_waits_for_do_not_pile_up(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """A workstation that asks on and on during one long query must not fill the memory of the acceptor."""
    began, ended = threading.Event(), threading.Event()

    def long(*_: object, **__: object) -> Iterator[Dataset]:
        began.set()
        assert ended.wait(30)
        return iter(())

    monkeypatch.setattr("echonode.dimse.finding.find", long)
    question = pdu(4, pdv(1, 3, request(0x0020, FIND)) + pdv(1, 2, identifier("IMAGE")))
    with node.peer() as peer:
        assert peer.associate([(FIND, [IMPLICIT_LE])]) == 2
        peer.send(question)
        assert began.wait(30)
        with contextlib.suppress(OSError):  # cut off already
            peer.send(200 * question)
        try:
            assert peer.closed()
        finally:
            ended.set()
    wait_until(
        lambda: any("more requests at once" in row.reason for row in node.archive.refusals.list()),
        "it is written down",
    )


def test_an_idle_workstation_costs_next_to_nothing(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty workstations that keep associations open must not take the CPU that the scanners need."""
    looks = 0
    ready = cast(property, GuardedSocket.ready)

    def counted(sock: GuardedSocket) -> bool:
        nonlocal looks
        looks += 1
        return bool(ready.__get__(sock))

    monkeypatch.setattr(GuardedSocket, "ready", property(counted))

    def seconds_for(count: int) -> float:
        began, wanted = time.monotonic(), looks + count
        wait_until(lambda: looks >= wanted, "the reader looks")
        return time.monotonic() - began

    with node.peer() as peer:
        assert peer.associate([(FIND, [IMPLICIT_LE])]) == 2
        wait_until(lambda: seconds_for(50) > 0.4, "the reader rests between its looks")
        peer.send(pdu(4, pdv(1, 3, request(0x0020, FIND)) + pdv(1, 2, identifier("IMAGE"))))
        assert int.from_bytes(messages(peer, field=0x0020)[-1][0x0900], "little") == 0, "and wakes up when asked"
