"""The Sender port against DCMTK and against peers that misbehave: one honest outcome an object."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from echonode.core.configuration import Configuration
from echonode.core.peers import Peer, PeersFile
from echonode.core.ports import Outgoing
from echonode.core.settings import LimitsSection
from echonode.dicom.part10 import part10_head
from echonode.dimse import user
from echonode.dimse.sender import DimseSender
from tests.integration.dimse.conftest import Node, StartNode
from tests.integration.dimse.test_query_retrieve import Program, data_set, storescp
from tests.support.dimse import EXPLICIT_LE, US, small_object
from tests.support.waiting import wait_until


def write_object(folder: Path, number: int) -> Outgoing:
    sop, data = small_object(number)
    head = part10_head(sop_class_uid=US, sop_instance_uid=sop, transfer_syntax_uid=EXPLICIT_LE)
    path = folder / f"{number}.dcm"
    path.write_bytes(head + data)
    return user.stored_file(path)


def towards(node: Node, port: int, **values: object) -> Configuration:
    peer = Peer.model_validate({"name": "pacs", "ae_title": "STORE", "host": "127.0.0.1", "port": port, **values})
    return replace(node.configuration, peers=PeersFile(peer=(peer,)))


@pytest.fixture
def sender_to(node: Node) -> Iterator[Callable[..., DimseSender]]:
    made: list[DimseSender] = []

    def make(port: int, **values: object) -> DimseSender:
        made.append(DimseSender(towards(node, port, **values), blobs=node.archive.blobs))
        return made[-1]

    yield make
    for sender in made:
        sender.close()


@pytest.fixture
def cine() -> Outgoing:
    path = get_testdata_file("examples_ybr_color.dcm")
    assert path is not None
    return user.stored_file(Path(str(path)))


def test_a_batch_arrives_byte_for_byte_in_order(
    sender_to: Callable[..., DimseSender], program: Program, free_port: Callable[[], int], tmp_path: Path
) -> None:
    objects = [write_object(tmp_path, number) for number in range(5)]
    port = free_port()
    with storescp(program, port, tmp_path / "out") as folder:
        outcomes = list(sender_to(port).send("pacs", objects))
        assert [outcome.sop_instance_uid for outcome in outcomes] == [item.sop_instance_uid for item in objects]
        assert all(outcome.ok and outcome.dicom_status == 0 for outcome in outcomes)
        wait_until(lambda: len(list(folder.iterdir())) == 5, "five files")
        received = sorted(data_set(path) for path in folder.iterdir())
    assert received == sorted(data_set(item.path) for item in objects)


@pytest.mark.parametrize("compressed", [True, False])
def test_a_loop_goes_as_it_is_or_decoded_as_the_peer_wants(
    sender_to: Callable[..., DimseSender],
    program: Program,
    free_port: Callable[[], int],
    tmp_path: Path,
    cine: Outgoing,
    compressed: bool,
) -> None:
    port = free_port()
    with storescp(program, port, tmp_path / "out", "+xa" if compressed else "+x=", "+B") as folder:
        [outcome] = list(sender_to(port).send("pacs", [cine]))
        assert outcome.ok, outcome
        wait_until(lambda: list(folder.iterdir()), "the file")
        [path] = folder.iterdir()
    if compressed:
        assert data_set(path) == data_set(cine.path)
    else:
        decoded, original = dcmread(path), dcmread(cine.path)
        assert decoded.file_meta.TransferSyntaxUID == EXPLICIT_LE
        assert decoded.pixel_array.shape == original.pixel_array.shape


def test_a_peer_that_is_not_there_is_a_transient_failure_for_every_object(
    sender_to: Callable[..., DimseSender], free_port: Callable[[], int], tmp_path: Path
) -> None:
    objects = [write_object(tmp_path, number) for number in range(3)]
    outcomes = list(sender_to(free_port()).send("pacs", objects))
    assert [outcome.ok for outcome in outcomes] == [False] * 3
    assert all(outcome.transient for outcome in outcomes)


def test_a_peer_that_nobody_named_is_a_lasting_failure(
    sender_to: Callable[..., DimseSender], free_port: Callable[[], int], tmp_path: Path
) -> None:
    [outcome] = list(sender_to(free_port()).send("nobody", [write_object(tmp_path, 1)]))
    assert not outcome.ok
    assert not outcome.transient
    assert "nobody" in outcome.detail


def test_a_peer_that_refuses_us_for_good_is_a_lasting_failure(
    start_node: StartNode, sender_to: Callable[..., DimseSender], tmp_path: Path
) -> None:
    other = start_node(peers=PeersFile())
    [outcome] = list(
        sender_to(other.port, ae_title="ECHONODE", called_as="STRANGER").send("pacs", [write_object(tmp_path, 1)])
    )
    assert not outcome.ok
    assert not outcome.transient
    assert "refuses" in outcome.detail


def test_a_status_of_the_peer_reaches_the_outcome(
    start_node: StartNode, sender_to: Callable[..., DimseSender], tmp_path: Path
) -> None:
    full = start_node(refuse_below_bytes=1 << 60)
    [outcome] = list(sender_to(full.port, ae_title="ECHONODE").send("pacs", [write_object(tmp_path, 1)]))
    assert outcome.dicom_status == 0xA700
    assert not outcome.ok
    assert outcome.transient, "a full disk is worth another try"


def test_a_peer_that_dies_in_the_middle_leaves_the_rest_transient(
    sender_to: Callable[..., DimseSender], tmp_path: Path
) -> None:
    objects = [write_object(tmp_path, number) for number in range(3)]
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)

        thread = threading.Thread(target=hang_up)
        thread.start()
        outcomes = list(sender_to(listener.getsockname()[1]).send("pacs", objects))
        thread.join()
    assert [(outcome.ok, outcome.transient) for outcome in outcomes] == [(False, True)] * 3


def test_a_peer_that_answers_with_a_gigabyte_is_cut_off(sender_to: Callable[..., DimseSender], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def lie() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                try:
                    connection.sendall(b"\x02\0\x40\0\0\0" + bytes(1 << 20))
                    while connection.recv(65536):
                        pass
                except OSError:
                    pass

        thread = threading.Thread(target=lie)
        thread.start()
        [outcome] = list(sender_to(listener.getsockname()[1]).send("pacs", [write_object(tmp_path, 1)]))
        thread.join(timeout=20)
        assert not thread.is_alive()
    assert not outcome.ok


def test_an_object_that_cannot_be_decoded_fails_alone(
    node: Node, program: Program, free_port: Callable[[], int], tmp_path: Path, cine: Outgoing
) -> None:
    small = write_object(tmp_path, 1)
    port = free_port()
    tight = node.configuration.node.model_copy(
        update={"limits": LimitsSection(frame_bytes=1 << 20, decoded_bytes=1 << 20)}
    )
    configuration = replace(towards(node, port), node=tight)
    sender = DimseSender(configuration, blobs=node.archive.blobs)
    try:
        with storescp(program, port, tmp_path / "out", "+x=", "+B"):
            refused, sent = list(sender.send("pacs", [cine, small]))
    finally:
        sender.close()
    assert not refused.ok
    assert not refused.transient
    assert "limits." in refused.detail
    assert sent.ok


def test_store_and_echo_of_the_command_line(node: Node, tmp_path: Path) -> None:
    client = towards(node, node.port, ae_title="ECHONODE")
    item = write_object(tmp_path, 7)
    junk = tmp_path / "junk.dcm"
    junk.write_bytes(b"no dicom")
    outcomes = {outcome.path: outcome.ok for outcome in user.store(client, [junk, item.path], to="pacs")}
    assert outcomes == {junk: False, item.path: True}
    assert user.echo(client, "pacs") > 0
    assert node.archive.index.instance(item.sop_instance_uid) is not None
