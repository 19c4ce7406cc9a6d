"""`echonode quarantine`: objects that were not taken, why, and once more through the door."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from echonode.cli.opened import opened_console
from echonode.cli.options import ConfigOption, JsonOption, NodeOption, whoami
from echonode.cli.screen import Column, amount, moment, say, show_rows
from echonode.core.text import one_line

app = typer.Typer(name="quarantine", help="Objects that were not taken: list, resubmit.", no_args_is_help=True)


@app.command("list")
def list_command(
    config: ConfigOption = None,
    node: NodeOption = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, at most.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """What lies in quarantine, the latest first, each with its reason."""
    with opened_console(config, node) as console:
        rows = console.quarantine(limit=limit)
    columns = (
        Column("number", "id", right=True),
        Column("last seen", lambda row: moment(row["last_seen_at"])),
        Column("times", "count", right=True),
        Column("from", _sender),
        Column("size", lambda row: amount(row["size"]), right=True),
        Column("status", lambda row: f"{row['dicom_status']:04X}H"),
        Column("why", "reason"),
    )
    show_rows(rows, columns, as_json=as_json, empty="nothing is in quarantine")


@app.command("resubmit")
def resubmit_command(
    numbers: Annotated[list[int], typer.Argument(metavar="NUMBER...", help="Numbers of the list.")],
    config: ConfigOption = None,
    node: NodeOption = None,
) -> None:
    """Send objects through the door once more, after what was wrong has been put right; exit code 1 when one stays."""
    staying = 0
    with opened_console(config, node, writing=True) as console:
        for number in numbers:
            row = console.resubmit(number, by=whoami())
            staying += not row["accepted"]
            detail = f", {one_line(row['detail'])}" if row["detail"] else ""
            say(f"{number}: {row['verdict']}{detail}")
    if staying:
        raise typer.Exit(1)


def _sender(row: Mapping[str, Any]) -> str:
    return f"{row['calling_ae'] or row['origin']} {row['peer_address']}".strip()
