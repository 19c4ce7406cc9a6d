"""`echonode objects` and `echonode view set`: which views the stored objects show, and a person's word on one."""

from __future__ import annotations

from typing import Annotated

import typer

from echonode.cli.opened import opened_console
from echonode.cli.options import ConfigOption, JsonOption, NodeOption, whoami
from echonode.cli.screen import Column, say, show_json, show_rows

app = typer.Typer(name="view", help="The view of a stored object: correct it.", no_args_is_help=True)


@app.callback()
def view_group() -> None:
    """The view of a stored object."""


@app.command("set")
def set_command(
    instance: Annotated[str, typer.Argument(metavar="INSTANCE", help="SOP Instance UID of a stored object.")],
    view: Annotated[str, typer.Argument(metavar="VIEW", help="PLAX, PSAX, PSAX-PM, A4C, A2C, A3C, ..., or unknown.")],
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who says so, for the audit trail.")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why.")] = "",
    config: ConfigOption = None,
    node: NodeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say which view an object shows; what depends on it is planned anew, and no classifier changes it any more."""
    with opened_console(config, node, writing=True) as console:
        found = console.set_view(instance, view, by=whoami(), name=by, reason=reason)
    if as_json:
        show_json(found)
        return
    view_was, view_is = found["before"] or "unknown", found["view"] or "unknown"
    say(f"{found['sop_instance_uid']}: {view_is}, was {view_was}")
    for what in ("planned", "canceled"):
        if count := len(found[what]):
            say(f"{count} run{'s' if count > 1 else ''} {what}")
    if found["retired"]:
        say(f"what {', '.join(found['retired'])} said counts no more")


def objects_command(
    study: Annotated[str, typer.Option(metavar="STUDY", help="Study Instance UID or accession number.")] = "",
    view: Annotated[str, typer.Option(metavar="VIEW", help="PLAX, PSAX (PSAX-MV too), A4C, ..., unknown.")] = "",
    mode: Annotated[str, typer.Option(metavar="MODE", help="2d, 2d-colour, m-mode, pw, cw, tdi, 3d.")] = "",
    confidence_min: Annotated[
        float | None, typer.Option("--confidence-min", min=0, max=1, help="Confidence of the view, at least.")
    ] = None,
    quality_min: Annotated[
        float | None, typer.Option("--quality-min", min=0, max=1, help="Image quality, at least.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, at most.")] = 1000,
    config: ConfigOption = None,
    node: NodeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stored objects by view, mode, confidence and quality."""
    with opened_console(config, node) as console:
        rows = console.objects(
            study=study, view=view, mode=mode, confidence_min=confidence_min, quality_min=quality_min, limit=limit
        )
    columns = (
        Column("object", "sop_instance_uid"),
        Column("mode", "mode"),
        Column("view", lambda row: row["view"] or ""),
        Column(
            "confidence",
            lambda row: "" if row["view_confidence"] is None else f"{row['view_confidence']:.2f}",
            right=True,
        ),
        Column("quality", lambda row: "" if row["quality"] is None else f"{row['quality']:.2f}", right=True),
        Column("stage", lambda row: row["stage"] or ""),
        Column("told by", "view_source"),
        Column("why", "view_reason"),
    )
    show_rows(rows, columns, as_json=as_json, empty="no object fits")
