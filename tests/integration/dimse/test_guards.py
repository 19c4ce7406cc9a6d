"""What hostile or careless peers try before they are known, and that a scanner still gets through."""

from __future__ import annotations

import gc
import resource
import socket
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from echonode.core.peers import Peer, PeersFile, Right
from echonode.dimse.acceptor import listen
from tests.integration.dimse.conftest import Node, StartNode
from tests.support.dimse import EXPLICIT_LE, IMPLICIT_LE, US, VERIFICATION, RawPeer, pdu, small_object
from tests.support.waiting import wait_until

BOTH = [(VERIFICATION, [IMPLICIT_LE]), (US, [EXPLICIT_LE])]


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_a_pdu_header_of_one_gigabyte_costs_no_memory(node: Node) -> None:
    before = resident_bytes()
    with node.peer() as peer:
        try:
            peer.send(b"\x01\0\x40\0\0\0")
            for _ in range(200):
                peer.send(bytes(1 << 20))
        except OSError:
            pass  # closed on us, as it should be
        assert peer.closed()
    assert resident_bytes() - before < 32 << 20
    with node.peer() as scanner:
        assert scanner.associate(BOTH) == 2


def test_sixty_idle_sockets_do_not_lock_a_scanner_out(node: Node) -> None:
    silent = [socket.create_connection(("127.0.0.1", node.port)) for _ in range(60)]
    try:
        threads = threading.active_count()
        with node.peer() as scanner:
            assert scanner.associate(BOTH) == 2
            sop, data = small_object(1)
            assert scanner.store(3, US, sop, data) == 0
        assert threads < 30, "a silent socket costs no thread"
    finally:
        for sock in silent:
            sock.close()


def test_a_silent_socket_is_closed_soon(start_node: StartNode) -> None:
    node = start_node(greeting_seconds=0.3)
    with node.peer() as silent, node.peer() as slow:
        slow.send(pdu(1, bytes(500))[:20])
        assert silent.closed()
        assert slow.closed()


@pytest.mark.parametrize(
    "first",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\0" + bytes(50),
        pdu(4, bytes(12)),
        pdu(1, bytes(10)),
        pdu(5, bytes(4)),
    ],
    ids=["http", "tls", "data", "cut off", "release"],
)
def test_what_is_no_association_request_is_closed_and_noted(node: Node, first: bytes) -> None:
    with node.peer() as peer:
        peer.send(first)
        assert peer.closed()
    wait_until(lambda: any(row.what == "association" for row in node.archive.refusals.list()), "the refusal is written")


def test_a_caller_that_peers_toml_does_not_name_is_told_and_noted(start_node: StartNode) -> None:
    node = start_node(peers=PeersFile())
    with node.peer() as peer:
        peer.send(b"")
        assert peer.associate(BOTH, calling="NEWSCANNER") == 3
    wait_until(lambda: node.archive.refusals.list() != [], "the refusal is written")
    [row] = node.archive.refusals.list()
    assert row.calling_ae == "NEWSCANNER"
    assert row.address == "127.0.0.1"
    assert 'ae_title = "NEWSCANNER"' in row.advice


def test_a_known_title_from_another_address_is_refused(start_node: StartNode) -> None:
    peers = PeersFile(
        allow_unknown=True,
        peer=(Peer(name="us1", ae_title="SCANNER", addresses=("192.0.2.0/24",), rights=(Right.STORE,)),),
    )
    node = start_node(peers=peers)
    with node.peer() as peer:
        assert peer.associate(BOTH, calling="SCANNER") == 3
    with node.peer() as peer:
        assert peer.associate(BOTH, calling="OTHER") == 2


def test_another_called_title_is_refused_unless_allowed(start_node: StartNode) -> None:
    node = start_node()
    with node.peer() as peer:
        peer.send(pdu(1, b""))
    with node.peer() as peer:
        assert peer.associate(BOTH, called="SOMEBODY") == 3
    relaxed = start_node(require_called_ae=False)
    with relaxed.peer() as peer:
        assert peer.associate(BOTH, called="SOMEBODY") == 2


def test_more_associations_than_allowed_are_refused_for_now_and_come_back(start_node: StartNode) -> None:
    node = start_node(max_associations=2)
    with node.peer() as first, node.peer() as second:
        assert first.associate(BOTH) == 2
        assert second.associate(BOTH) == 2
        with node.peer() as third:
            third.send(pdu(1, _body()))
            kind, body = third.read()
            assert kind == 3
            assert tuple(body[1:]) == (2, 3, 2), "rejected transient: a scanner tries again"
        first.release()
        second.release()

    def admitted() -> bool:
        with node.peer() as again:
            return again.associate(BOTH) == 2

    wait_until(admitted, "admitted again")


def _body() -> bytes:
    from tests.support.dimse import associate_body

    return associate_body(BOTH)


def test_one_host_cannot_take_every_association(start_node: StartNode) -> None:
    node = start_node(max_per_host=3)
    with ExitStack() as stack:
        answers = [stack.enter_context(node.peer()).associate(BOTH) for _ in range(4)]
    assert answers == [2, 2, 2, 3]


def test_titles_with_control_characters_never_reach_a_log_line_or_the_table(start_node: StartNode) -> None:
    node = start_node(peers=PeersFile())
    with node.peer() as peer:
        assert peer.associate(BOTH, calling="A\r\nB\x1b[31m../") == 3
    wait_until(lambda: node.archive.refusals.list() != [], "the refusal is written")
    [row] = node.archive.refusals.list()
    assert all(" " <= char <= "~" for char in row.calling_ae + row.reason + row.advice)


@pytest.mark.slow
def test_many_associations_leave_memory_and_threads_flat(node: Node) -> None:
    def round_of(count: int) -> None:
        for index in range(count):
            with RawPeer(node.port) as peer:
                if index % 3 == 0:
                    peer.send(b"\x01\0\x40\0\0\0")
                    continue
                assert peer.associate(BOTH) == 2
                assert peer.echo(1) == 0
                if index % 3 == 1:
                    peer.release()

    def settled() -> bool:
        return threading.active_count() <= threads + 2

    threads = threading.active_count()
    round_of(1500)
    wait_until(settled, "threads end")
    gc.collect()
    before = resident_bytes()
    round_of(3000)
    wait_until(settled, "threads end")
    gc.collect()
    assert resident_bytes() - before < 12 << 20, "4 KiB an association"


QUERYING = [*BOTH, ("1.2.840.10008.5.1.4.1.2.2.1", [IMPLICIT_LE])]


def test_many_query_associations_leave_memory_and_threads_flat(node: Node) -> None:
    def round_of(count: int) -> None:
        for index in range(count):
            with RawPeer(node.port) as peer:
                assert peer.associate(QUERYING) == 2
                assert peer.echo(1) == 0
                if index % 2:
                    peer.release()

    def settled() -> bool:
        return threading.active_count() <= threads + 2

    threads = threading.active_count()
    round_of(50)
    wait_until(settled, "threads end")
    before = resident_bytes()
    round_of(250)
    wait_until(settled, "threads end")
    assert resident_bytes() - before < 8 << 20


def test_stopping_ends_an_idle_query_association(start_node: StartNode) -> None:
    node = start_node()
    with node.peer() as peer:
        assert peer.associate(QUERYING) == 2
        assert peer.echo(1) == 0
        node.stop.set()
        assert peer.read()[0] == 7
    node.thread.join(timeout=15)
    assert not node.thread.is_alive()


def test_several_acceptors_share_one_port(node: Node) -> None:
    """A node on four cores runs several acceptor processes behind one port."""
    with listen(node.configuration) as second, listen(node.configuration) as third:
        assert second.getsockname() == third.getsockname() == ("127.0.0.1", node.port)
