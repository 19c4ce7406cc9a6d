"""Whether a caller may open an association, and what it may do: peers.toml, applied."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from echonode.core.peers import PeersFile, Right
from echonode.core.settings import NodeSettings
from echonode.dimse.pdu import AssociateRequest

CALLED_AE_NOT_RECOGNISED = 7
CALLING_AE_NOT_RECOGNISED = 3
LOOPBACK = ("127.0.0.0/8", "::1/128")


@dataclass(frozen=True, kw_only=True, slots=True)
class Admission:
    """The caller may come in."""

    rights: tuple[Right, ...]
    peer: str = ""
    marked_only: bool = False
    """It is this machine, under the node's own AE title: it may store what carries the node's marker, nothing else."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejection:
    """The caller may not: an A-ASSOCIATE-RJ (PS3.8 9.3.4), and words for the person who set the scanner up."""

    result: int
    source: int
    reason: int
    detail: str
    advice: str


def printable(text: str, *, limit: int = 64) -> str:
    """`text` from a peer as one harmless piece of a log line: ASCII, no control characters, at most `limit` long."""
    kept = "".join(char if " " <= char <= "~" and char != "\\" else "?" for char in text[:limit])
    return kept if len(text) <= limit else kept + "..."


def _within(address: str, networks: Sequence[str]) -> bool:
    try:
        caller = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(caller, "ipv4_mapped", None)
    caller = mapped or caller
    for text in networks:
        try:
            network = ipaddress.ip_network(text, strict=False)
        except ValueError:
            continue  # a host name: addresses are compared, names are not looked up for a caller's sake
        if caller.version == network.version and caller in network:
            return True
    return False


def admit(
    request: AssociateRequest, *, address: str, settings: NodeSettings, peers: PeersFile
) -> Admission | Rejection:
    """The decision on one A-ASSOCIATE-RQ that came from `address`.

    A title that peers.toml binds to addresses is refused from any other, also when unknown callers are welcome. The node
    itself, which sends a simulated study now and then, need not stand in peers.toml.
    """
    decision = _decide(request, address=address, settings=settings, peers=peers)
    itself = request.calling_ae == settings.node.ae_title and request.called_ae == settings.node.ae_title
    if not itself or not _within(address, (*LOOPBACK, settings.node.host)):
        return decision
    rights = decision.rights if isinstance(decision, Admission) else ()
    if Right.STORE in rights:
        return decision
    return Admission(rights=(*rights, Right.STORE), marked_only=True)


def _decide(
    request: AssociateRequest, *, address: str, settings: NodeSettings, peers: PeersFile
) -> Admission | Rejection:
    title = printable(request.calling_ae, limit=16)
    if settings.dimse.require_called_ae and request.called_ae != settings.node.ae_title:
        return Rejection(
            result=1,
            source=1,
            reason=CALLED_AE_NOT_RECOGNISED,
            detail=f"called AE title {printable(request.called_ae, limit=16)!r}, ours is {settings.node.ae_title!r}",
            advice=f"set the called AE title to {settings.node.ae_title} on the caller, or [dimse] "
            "require_called_ae = false in node.toml",
        )
    named = [peer for peer in peers.peer if peer.ae_title.strip() == request.calling_ae]
    for peer in named:
        if not peer.addresses or _within(address, peer.addresses):
            return Admission(rights=peer.rights, peer=peer.name)
    if named:
        return Rejection(
            result=1,
            source=1,
            reason=CALLING_AE_NOT_RECOGNISED,
            detail=f"AE title {title!r} is known, but not from {address}",
            advice=f'if this is the same device, add "{address}" to addresses of [[peer]] '
            f'"{named[0].name}" in peers.toml',
        )
    if peers.allow_unknown:
        return Admission(rights=peers.unknown_rights)
    return Rejection(
        result=1,
        source=1,
        reason=CALLING_AE_NOT_RECOGNISED,
        detail=f"no [[peer]] has the AE title {title!r}",
        advice=f'add to peers.toml: [[peer]] name = "{title.lower() or "scanner"}", ae_title = "{title}", '
        f'addresses = ["{address}"], rights = ["store"]',
    )
