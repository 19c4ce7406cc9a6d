"""Who may come in, from where, and what the person in the next room is told otherwise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echonode.core.peers import Peer, PeersFile, Right
from echonode.core.settings import NodeSettings
from echonode.dimse.admission import Admission, Rejection, admit, printable
from echonode.dimse.pdu import AssociateRequest

SCANNER = Peer(name="us1", ae_title="US1", addresses=("10.0.0.0/8", "2001:db8::/32"), rights=(Right.STORE,))
ANYWHERE = Peer(name="pacs", ae_title="PACS", rights=(Right.QUERY, Right.RETRIEVE))


def decide(calling: str, address: str, peers: PeersFile, called: str = "ECHONODE") -> Admission | Rejection:
    request = AssociateRequest(called_ae=called, calling_ae=calling, contexts=())
    return admit(request, address=address, settings=NodeSettings(), peers=peers)


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "2001:db8::1"])
def test_a_scanner_is_let_in_from_its_network(address: str) -> None:
    decision = decide("US1", address, PeersFile(peer=(SCANNER, ANYWHERE)))
    assert decision == Admission(rights=(Right.STORE,), peer="us1")


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db9::1", "no address"])
@pytest.mark.parametrize("allow_unknown", [True, False])
def test_its_title_alone_does_not_open_the_door(address: str, allow_unknown: bool) -> None:
    decision = decide("US1", address, PeersFile(allow_unknown=allow_unknown, peer=(SCANNER,)))
    assert isinstance(decision, Rejection)
    assert decision.reason == 3
    assert f'"{address}"' in decision.advice


def test_a_peer_without_addresses_comes_from_anywhere_with_its_own_rights() -> None:
    decision = decide("PACS", "198.51.100.7", PeersFile(peer=(SCANNER, ANYWHERE)))
    assert decision == Admission(rights=(Right.QUERY, Right.RETRIEVE), peer="pacs")


def test_a_stranger_is_told_what_to_write_into_peers_toml() -> None:
    decision = decide("NEW", "198.51.100.7", PeersFile(peer=(SCANNER,)))
    assert isinstance(decision, Rejection)
    assert 'ae_title = "NEW"' in decision.advice
    assert "198.51.100.7" in decision.advice


def test_a_stranger_gets_the_rights_of_strangers_where_they_are_welcome() -> None:
    peers = PeersFile(allow_unknown=True, unknown_rights=(Right.QUERY,))
    assert decide("NEW", "198.51.100.7", peers) == Admission(rights=(Right.QUERY,))


def test_a_call_for_somebody_else_is_refused_first() -> None:
    decision = decide("US1", "10.0.0.1", PeersFile(peer=(SCANNER,)), called="PACS")
    assert isinstance(decision, Rejection)
    assert decision.reason == 7


@given(st.text(), st.integers(1, 100))
def test_printable_text_is_one_short_harmless_piece(text: str, limit: int) -> None:
    shown = printable(text, limit=limit)
    assert len(shown) <= limit + 3
    assert all(" " <= char <= "~" for char in shown)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"])
def test_the_node_itself_may_store_what_it_has_marked_though_no_file_names_it(address: str) -> None:
    assert decide("ECHONODE", address, PeersFile()) == Admission(rights=(Right.STORE,), marked_only=True)


@pytest.mark.parametrize("address", ["10.1.2.3", "2001:db8::1", "0.0.0.0"])
def test_nobody_elsewhere_is_let_in_under_the_node_s_own_title(address: str) -> None:
    assert isinstance(decide("ECHONODE", address, PeersFile()), Rejection)


def test_the_node_s_own_title_keeps_the_rights_that_peers_toml_gives_it() -> None:
    listed = Peer(name="self", ae_title="ECHONODE", rights=(Right.STORE, Right.QUERY))
    decision = decide("ECHONODE", "127.0.0.1", PeersFile(peer=(listed,)))
    assert decision == Admission(rights=(Right.STORE, Right.QUERY), peer="self")
