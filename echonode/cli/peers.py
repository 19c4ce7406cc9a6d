"""`echonode peers`: who is configured, whether they answer, and what they take."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from echonode.cli.called import calling
from echonode.cli.options import ConfigOption, FromOption, JsonOption, NodeOption, configuration_of
from echonode.cli.screen import Column, complain, duration, say, show_rows
from echonode.core.errors import BadInput, DeliveryFailed

if TYPE_CHECKING:
    from echonode.core.configuration import Configuration

app = typer.Typer(name="peers", help="Scanners, PACS and workstations of peers.toml.", no_args_is_help=True)
_STORAGE = "1.2.840.10008.5.1.4.1.1."
ASKED = {
    "Ultrasound multi-frame": (_STORAGE + "3.1", ("explicit", "implicit", "jpeg", "rle", "jpeg-ls", "j2k", "h264")),
    "Ultrasound image": (_STORAGE + "6.1", ("explicit", "implicit", "jpeg", "rle")),
    "Secondary capture, multi-frame": (_STORAGE + "7.4", ("explicit", "implicit", "jpeg")),
    "Comprehensive SR": (_STORAGE + "88.33", ("explicit", "implicit")),
    "Comprehensive 3D SR": (_STORAGE + "88.34", ("explicit", "implicit")),
    "Segmentation": (_STORAGE + "66.4", ("explicit", "implicit")),
    "Encapsulated PDF": (_STORAGE + "104.1", ("explicit", "implicit")),
}
SYNTAXES = {
    "explicit": "1.2.840.10008.1.2.1",
    "implicit": "1.2.840.10008.1.2",
    "jpeg": "1.2.840.10008.1.2.4.50",
    "rle": "1.2.840.10008.1.2.5",
    "jpeg-ls": "1.2.840.10008.1.2.4.80",
    "j2k": "1.2.840.10008.1.2.4.90",
    "h264": "1.2.840.10008.1.2.4.102",
}


@app.command("list")
def list_command(config: ConfigOption = None, node: NodeOption = None, as_json: JsonOption = False) -> None:
    """The peers of peers.toml and what they may do."""
    from echonode.cli.opened import opened_console

    with opened_console(config, node, silent=True) as console:
        peers = console.peers()
    rows = peers["peer"]
    columns = (
        Column("peer", "name"),
        Column("AE title", "ae_title"),
        Column("listens at", _where),
        Column("calls from", lambda row: ", ".join(row["addresses"]) or "anywhere"),
        Column("rights", lambda row: ", ".join(row["rights"]) or "echo only"),
    )
    show_rows(rows, columns, as_json=as_json, empty="peers.toml names no peer")
    if peers["allow_unknown"] and not as_json:
        say(f"unknown callers are accepted with the rights: {', '.join(peers['unknown_rights'])}")


@app.command("check")
def check_command(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME|AET@HOST:PORT]...", help="Every peer with a host when none is given."),
    ] = None,
    title: FromOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Whether peers answer C-ECHO, and which of our objects they take; exit code 1 when one does not answer."""
    if not names:
        names = [peer.name for peer in configuration_of(config).peers.peer if peer.host]
        if not names:
            raise BadInput("peers.toml names no peer with host and port; AET@HOST:PORT checks any")
    rows = [_check(name, title, config) for name in names]
    columns = (
        Column("peer", "peer"),
        Column("C-ECHO", "echo"),
        Column("what we send", "object"),
        Column("taken as", "taken"),
    )
    flat = [
        {"peer": row["peer"], "echo": row["echo"], "object": kind, "taken": ", ".join(taken) or "NOT TAKEN"}
        if number == 0
        else {"peer": "", "echo": "", "object": kind, "taken": ", ".join(taken) or "NOT TAKEN"}
        for row in rows
        for number, (kind, taken) in enumerate(row["accepted"].items() or [("", ["-"])])
    ]
    show_rows(rows if as_json else flat, columns, as_json=as_json)
    for row in rows:
        if row["error"]:
            complain(row["error"])
    if any(row["error"] for row in rows):
        raise typer.Exit(1)


def _where(row: Mapping[str, Any]) -> str:
    """Where a peer takes objects; with `dicomweb` results go there."""
    addresses = [f"{row['host']}:{row['port']}"] if row["host"] else []
    return ", ".join([*addresses, *([row["dicomweb"]] if row["dicomweb"] else [])]) or "only calls"


def _check(name: str, title: str | None, config: Path | None) -> dict[str, Any]:
    from echonode.dimse import user

    row: dict[str, Any] = {"peer": name, "echo": "no answer", "seconds": None, "accepted": {}, "error": ""}
    with calling(name, title, config) as (configuration, peer):
        try:
            seconds = user.echo(configuration, peer)
            row |= {"echo": duration(seconds), "seconds": round(seconds, 4)}
            row["accepted"] = _accepted(configuration, peer)
        except DeliveryFailed as error:
            row["error"] = str(error)
    return row


def _accepted(configuration: Configuration, name: str) -> dict[str, list[str]]:
    """What the peer answers to one proposed context for each class and transfer syntax that we may send."""
    from echonode.dimse.guarded import application_entity
    from echonode.dimse.sending import associate, context_of

    peer, node = configuration.peers.named(name), configuration.node
    if peer is None:
        return {}
    contexts = [context_of(uid, SYNTAXES[syntax]) for uid, syntaxes in ASKED.values() for syntax in syntaxes]
    with associate(
        application_entity(peer.called_as or node.node.ae_title, timeout_seconds=node.dimse.stall_seconds),
        host=peer.host,
        port=int(peer.port or 0),
        called_ae=peer.ae_title,
        contexts=contexts,
        max_pdu=node.dimse.max_pdu_bytes,
        stall_seconds=node.dimse.stall_seconds,
    ) as association:
        taken = {
            (str(context.abstract_syntax), str(context.transfer_syntax[0])) for context in association.accepted_contexts
        }
    return {
        kind: [syntax for syntax in syntaxes if (uid, SYNTAXES[syntax]) in taken]
        for kind, (uid, syntaxes) in ASKED.items()
    }
