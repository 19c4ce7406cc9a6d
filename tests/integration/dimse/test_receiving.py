"""The receive path against scripted peers: what a scanner may send, and what it is told."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from echonode.core.settings import MiB
from tests.integration.dimse.conftest import Node, StartNode
from tests.support.dimse import (
    EXPLICIT_LE,
    IMPLICIT_LE,
    US,
    US_MULTIFRAME,
    VERIFICATION,
    command_set,
    echo_command,
    element,
    item,
    pdu,
    pdv,
    small_object,
    store_command,
    us,
)
from tests.support.waiting import wait_until

STORE = [(US, [EXPLICIT_LE])]
BOTH = [(VERIFICATION, [IMPLICIT_LE]), *STORE]
RETIRED = ("1.2.840.10008.5.1.4.1.1.3", "1.2.840.10008.5.1.4.1.1.6")


def refusals(node: Node) -> str:
    return "\n".join(f"{row.what} {row.reason} {row.advice}" for row in node.archive.refusals.list())


def test_a_stored_object_is_indexed_and_kept_byte_for_byte_before_success(node: Node) -> None:
    sop, data = small_object(1)
    with node.peer() as peer:
        assert peer.associate(BOTH) == 2
        assert peer.echo(1) == 0
        assert peer.store(3, US, sop, data) == 0
        stored = node.archive.index.instance(sop)
        assert stored is not None
        assert stored.sha256 == hashlib.sha256(data).hexdigest()
        content = Path(stored.path).read_bytes()
        assert content[stored.dataset_offset :] == data
        assert content[128:132] == b"DICM"
        assert peer.release() == 6
        assert peer.closed()
    assert node.parts() == []


@pytest.mark.parametrize("step", [1, 7, 100, 60000])
def test_pdv_fragments_of_any_size_make_the_same_object(node: Node, step: int) -> None:
    sop, data = small_object(step)
    with node.peer() as peer:
        peer.associate(STORE)
        assert peer.store(1, US, sop, data, step=step) == 0
    stored = node.archive.index.instance(sop)
    assert stored is not None
    assert stored.sha256 == hashlib.sha256(data).hexdigest()


def test_command_and_data_in_one_pdu_and_in_pieces_of_the_wire(node: Node) -> None:
    """Senders pack PDVs as they like, and the network cuts bytes anywhere."""
    sop, data = small_object(2)
    command = store_command(US, sop)
    body = pdv(1, 1, command[:10]) + pdv(1, 3, command[10:]) + pdv(1, 0, data[:5]) + pdv(1, 2, data[5:])
    with node.peer() as peer:
        peer.associate(STORE)
        whole = pdu(4, body)
        for offset in range(0, len(whole), 37):
            peer.send(whole[offset : offset + 37])
        assert peer.status() == 0


@pytest.mark.parametrize("sop_class", RETIRED)
def test_retired_ultrasound_classes_are_stored(node: Node, sop_class: str) -> None:
    """GE, Philips and Siemens scanners still send them."""
    sop, data = small_object(3, sop_class=sop_class)
    with node.peer() as peer:
        peer.associate([(sop_class, [EXPLICIT_LE])])
        assert peer.store(1, sop_class, sop, data) == 0
    assert node.archive.index.instance(sop) is not None


def test_a_store_without_affected_sop_instance_uid_is_refused_and_the_association_lives(node: Node) -> None:
    sop, data = small_object(4)
    with node.peer() as peer:
        peer.associate(STORE)
        assert peer.store(1, US, None, data) == 0x0117
        assert peer.store(1, US, sop, data) == 0
    wait_until(lambda: "without Affected SOP Instance UID" in refusals(node), "the refusal is written")
    assert node.parts() == []


def test_an_unknown_class_is_answered_0122_after_its_data_set_and_the_association_lives(node: Node) -> None:
    sop, data = small_object(5)
    with node.peer() as peer:
        peer.associate(STORE)
        assert peer.store(1, "1.2.840.10008.5.1.4.1.1.481.1", sop, data * 1000) == 0x0122
        assert peer.store(1, US, sop, data) == 0
    wait_until(lambda: "1.2.840.10008.5.1.4.1.1.481.1" in refusals(node), "the refusal is written")


def test_contexts_get_the_result_of_their_own(start_node: StartNode) -> None:
    node = start_node(private_classes=("1.2.3.4.5",))
    with node.peer() as peer:
        peer.associate(
            [
                (US_MULTIFRAME, ["1.2.840.10008.1.2.4.50", EXPLICIT_LE]),
                ("1.2.840.10008.5.1.4.1.1.2", [EXPLICIT_LE]),
                (US, ["1.2.3.999"]),
                (US, ["1.2.840.10008.1.2.1.99"]),
                ("1.2.3.4.5", [IMPLICIT_LE]),
            ]
        )
        assert peer.results[1] == (0, "1.2.840.10008.1.2.4.50"), "what the scanner prefers is kept compressed"
        assert [peer.results[index][0] for index in (3, 5, 7, 9)] == [3, 4, 4, 0], "deflate is off by default"


def test_a_cut_off_data_set_leaves_nothing_but_a_note(node: Node) -> None:
    sop, data = small_object(6)
    with node.peer() as peer:
        peer.associate(STORE)
        peer.send(pdu(4, pdv(1, 3, store_command(US, sop))) + pdu(4, pdv(1, 0, data)))
    wait_until(lambda: "cut off" in refusals(node), "the refusal is written")
    assert node.parts() == []
    assert node.archive.index.instance(sop) is None


def test_an_abort_in_the_middle_leaves_nothing(node: Node) -> None:
    sop, data = small_object(7)
    with node.peer() as peer:
        peer.associate(STORE)
        peer.send(pdu(4, pdv(1, 3, store_command(US, sop)) + pdv(1, 0, data)) + pdu(7, bytes(4)))
        assert peer.closed()
    wait_until(lambda: "cut off" in refusals(node), "the refusal is written")
    assert node.parts() == []


def test_an_object_larger_than_allowed_is_dropped_and_the_association_lives(start_node: StartNode) -> None:
    node = start_node(max_object_bytes=MiB)
    sop, data = small_object(8, pixels=bytes(2 * MiB))
    small, small_data = small_object(9)
    with node.peer() as peer:
        peer.associate(STORE)
        assert peer.store(1, US, sop, data) == 0xA700
        assert peer.store(1, US, small, small_data) == 0
    assert node.parts() == []


def test_too_little_disk_is_a700_before_anything_is_written(start_node: StartNode) -> None:
    node = start_node(refuse_below_bytes=1 << 60)
    sop, data = small_object(10)
    with node.peer() as peer:
        peer.associate(STORE)
        assert peer.store(1, US, sop, data) == 0xA700
        assert peer.store(1, US, sop, data) == 0xA700
    assert node.parts() == []


def test_a_node_that_fails_inside_tells_the_sender_and_lives(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = start_node()
    sop, data = small_object(14)

    def broken(*_: object) -> None:
        raise RuntimeError("a fault of ours")

    with node.peer() as peer:
        peer.associate(STORE)
        with monkeypatch.context() as patch:
            patch.setattr("echonode.flow.ingest.Ingest._accept", broken)
            assert peer.store(1, US, sop, data) == 0x0110
        assert peer.store(1, US, sop, data) == 0
    assert node.parts() == []


def test_command_and_data_set_that_disagree_are_a900(node: Node) -> None:
    _, data = small_object(11)
    with node.peer() as peer:
        peer.associate(STORE)
        assert peer.store(1, US, "1.2.3.4", data) == 0xA900


@pytest.mark.parametrize("uid", ["../../../evil", "/etc/cron.d/x", "1.2.3\0/../x", "1." * 2000, "%2e%2e%2fx"])
def test_a_traversal_uid_is_quarantined_and_names_no_file(node: Node, uid: str) -> None:
    _, data = small_object(12, uid=uid if len(uid) < 1000 else "1.2.3")
    before = {path for path in node.root.parent.rglob("*") if "data" not in path.relative_to(node.root.parent).parts}
    with node.peer() as peer:
        peer.associate(STORE)
        assert peer.store(1, US, uid, data) in (0xC000, 0xA900)
        good, good_data = small_object(13)
        assert peer.store(1, US, good, good_data) == 0
    after = {path for path in node.root.parent.rglob("*") if "data" not in path.relative_to(node.root.parent).parts}
    assert after == before
    assert not [path for path in node.root.rglob("*") if "evil" in path.name or "cron" in str(path)]
    assert len(node.archive.quarantine.list()) == 1


def test_without_the_right_to_store_the_context_is_rejected(start_node: StartNode) -> None:
    from echonode.core.peers import PeersFile, Right

    node = start_node(peers=PeersFile(allow_unknown=True, unknown_rights=(Right.QUERY,)))
    with node.peer() as peer:
        assert peer.associate(BOTH) == 2
        assert peer.results[1][0] == 0
        assert peer.results[3][0] == 1
    wait_until(lambda: "add store" in refusals(node), "the refusal is written")


BAD = {
    "a data set without a command": pdu(4, pdv(3, 2, b"abc")),
    "a context that was not accepted": pdu(4, pdv(99, 3, echo_command())),
    "a message that changes its context": pdu(4, pdv(1, 1, echo_command()[:8]) + pdv(3, 3, echo_command()[8:])),
    "a command in the middle of a data set": pdu(4, pdv(3, 3, store_command(US, "1.2")) + pdv(3, 3, echo_command())),
    "a command set of garbage": pdu(4, pdv(1, 3, b"\xff" * 40)),
    "a command set that lies about a length": pdu(4, pdv(1, 3, b"\0\0\0\1\xff\xff\xff\x7f")),
    "an empty command set": pdu(4, pdv(1, 3, b"")),
    "a command set without a field": pdu(4, pdv(1, 3, command_set(element(0x0800, us(0x0101))))),
    "a command set without end": b"".join(pdu(4, pdv(1, 1, bytes(60000))) for _ in range(3)),
    "a PDV that is longer than its PDU": pdu(4, b"\xff\xff\xff\xff\1\3"),
    "a PDV without a header": pdu(4, b"\0\0\0\1\1"),
    "a cut off PDV": pdu(4, b"\0\0"),
    "a response to nothing": pdu(4, pdv(1, 3, command_set(element(0x0100, us(0x8001)), element(0x0120, us(1)),
                                                           element(0x0800, us(0x0101)), element(0x0900, us(0))))),
    "a second association request": pdu(1, bytes(100)),
    "an association accept": pdu(2, bytes(100)),
    "a PDU type that does not exist": pdu(0x42, bytes(4)),
    "a PDU that claims 1 GiB": b"\x04\0\x40\0\0\0" + bytes(1000),
    "a release of 1 GiB": b"\x05\0\x40\0\0\0" + bytes(1000),
    "a release in the middle of a message": pdu(4, pdv(3, 3, store_command(US, "1.2"))) + pdu(5, bytes(4)),
}  # fmt: skip


QUERY = ("1.2.840.10008.5.1.4.1.2.2.1", [IMPLICIT_LE])


@pytest.mark.parametrize("extra", [[], [QUERY]], ids=["receive path", "query path"])
@pytest.mark.parametrize("name", BAD)
def test_a_peer_that_breaks_the_protocol_is_aborted_and_nobody_else(
    node: Node, name: str, extra: list[tuple[str, list[str]]]
) -> None:
    with node.peer() as other, node.peer() as peer:
        assert other.associate(BOTH) == 2
        assert peer.associate([*BOTH, *extra]) == 2
        peer.send(BAD[name])
        kind, _ = peer.read()
        assert kind == 7
        assert peer.closed()
        sop, data = small_object(20)
        assert other.store(3, US, sop, data) == 0
    wait_until(lambda: "protocol violation" in refusals(node), "the refusal is written")
    assert node.parts() == []


def test_operations_that_are_not_served_here_are_answered_not_aborted(node: Node) -> None:
    find = command_set(
        element(0x0002, US.encode()), element(0x0100, us(0x0020)), element(0x0110, us(5)), element(0x0800, us(0))
    )
    cancel = command_set(element(0x0100, us(0x0FFF)), element(0x0120, us(5)), element(0x0800, us(0x0101)))
    with node.peer() as peer:
        peer.associate(BOTH)
        peer.send(pdu(4, pdv(3, 3, find)) + pdu(4, pdv(3, 2, b"identifier")))
        assert peer.status() == 0x0211
        peer.send(pdu(4, pdv(1, 3, cancel)))
        assert peer.echo(1) == 0


def test_role_selection_extended_negotiation_and_unknown_items_are_skipped(node: Node) -> None:
    uid = US.encode()
    role = item(0x54, len(uid).to_bytes(2, "big") + uid + b"\1\0")
    extended = item(0x56, len(uid).to_bytes(2, "big") + uid + b"\1\1\1")
    asynchronous = item(0x53, b"\0\0\0\0")
    identity = item(0x58, b"\1\0\0\4user\0\0")
    with node.peer() as peer:
        assert peer.associate(STORE, extra=role + extended + asynchronous + identity + item(0x7F, b"??")) == 2
        sop, data = small_object(30)
        assert peer.store(1, US, sop, data) == 0


def test_an_association_that_falls_silent_is_aborted(start_node: StartNode) -> None:
    node = start_node(idle_seconds=0.3)
    with node.peer() as peer:
        peer.associate(BOTH)
        assert peer.read()[0] == 7


def test_a_pdu_that_drips_is_cut_off(start_node: StartNode) -> None:
    """A byte now and then must not hold an association for ever."""
    node = start_node(stall_seconds=0.6, idle_seconds=60)
    with node.peer() as peer:
        peer.associate(BOTH)
        peer.sock.settimeout(0.1)
        peer.send(b"\x04\0\0\0\xff\0")
        answered = False
        for _ in range(100):
            try:
                answered = peer.sock.recv(1) == b"\x07"
                break
            except TimeoutError:
                peer.send(b"\0")
        assert answered


def test_stopping_finishes_the_object_in_the_middle(start_node: StartNode) -> None:
    """A restart of the node must not cost a scanner the loop that it is sending."""
    node = start_node()
    sop, data = small_object(40)
    with node.peer() as peer, node.peer() as idle:
        idle.associate(BOTH)
        peer.associate(STORE)
        peer.send(pdu(4, pdv(1, 3, store_command(US, sop)) + pdv(1, 0, data[:100])))
        wait_until(lambda: node.parts() != [], "the part file")
        node.stop.set()
        assert idle.read()[0] == 7
        peer.send(pdu(4, pdv(1, 2, data[100:])))
        assert peer.status() == 0
    node.thread.join(timeout=15)
    assert not node.thread.is_alive()
    assert node.archive.index.instance(sop) is not None
