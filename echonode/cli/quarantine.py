"""`echonode quarantine`: objects that were not taken, why, and once more through the door."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer

from echonode.cli.opened import opened_archive
from echonode.cli.options import ConfigOption, JsonOption, whoami
from echonode.cli.screen import Column, amount, moment, say, show_rows
from echonode.core.text import one_line

app = typer.Typer(name="quarantine", help="Objects that were not taken: list, resubmit.", no_args_is_help=True)


@app.command("list")
def list_command(
    config: ConfigOption = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, at most.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """What lies in quarantine, the latest first, each with its reason."""
    with opened_archive(config) as (_, archive):
        rows = [asdict(item) for item in archive.quarantine.list(limit=limit)]
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
) -> None:
    """Send objects through the door once more, after what was wrong has been put right; exit code 1 when one stays."""
    from echonode.flow.quarantine import resubmit
    from echonode.node import open_blobs, open_ingest

    staying = 0
    with opened_archive(config, writing=True) as (configuration, archive):
        for number in numbers:
            archive.quarantine.get(number)
        for number in numbers:
            receipt = resubmit(
                number,
                archive=archive,
                blobs=open_blobs(configuration),
                ingest=open_ingest(configuration, archive),
                by=whoami(),
            )
            staying += not receipt.accepted
            say(f"{number}: {receipt.verdict}{f', {one_line(receipt.detail)}' if receipt.detail else ''}")
    if staying:
        raise typer.Exit(1)


def _sender(row: Mapping[str, Any]) -> str:
    return f"{row['calling_ae'] or row['origin']} {row['peer_address']}".strip()
