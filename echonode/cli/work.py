"""`echonode work`, `pause`, `resume`: what the node does, did and will do, and how to stop or repeat it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from echonode.cli.options import ConfigOption, JsonOption, NodeOption, whoami
from echonode.cli.screen import Column, moment, recently, say, show_facts, show_json, show_rows

SHORT = 8


class Kind(StrEnum):
    """Kinds of workitems."""

    RUN = "run"
    DELIVER = "deliver"
    REPORT = "report"
    TRAIN = "train"


class State(StrEnum):
    """States as people type them."""

    SCHEDULED = "scheduled"
    IN_PROGRESS = "in-progress"
    COMPLETED = "completed"
    CANCELED = "canceled"


class Pausable(StrEnum):
    """What can be paused."""

    ROUTE = "route"
    MODEL = "model"
    DESTINATION = "destination"


WorkId = Annotated[str, typer.Argument(metavar="ID", help="Id of a workitem, or its first characters.")]
Name = Annotated[str, typer.Argument(help="Its name in routes.toml.")]

app = typer.Typer(name="work", help="Runs, deliveries and trainings: list, show, retry, cancel.", no_args_is_help=True)


@app.command("list")
def list_command(
    config: ConfigOption = None,
    node: NodeOption = None,
    kind: Annotated[Kind | None, typer.Option(help="Only runs, deliveries, reports or trainings.")] = None,
    state: Annotated[State | None, typer.Option(help="Only items in this state.")] = None,
    study: Annotated[str | None, typer.Option(metavar="UID", help="Study UID or accession number.")] = None,
    queue: Annotated[str | None, typer.Option(metavar="NAME", help="A model's or a destination's name.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many, at most.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """The newest workitems, with the reason of each that failed or waits."""
    from echonode.cli.opened import opened_console

    with opened_console(config, node) as console:
        rows = console.work(kind=kind or "", state=state or "", study=study or "", queue=queue or "", limit=limit)
    columns = (
        Column("id", lambda row: row["id"][:SHORT]),
        Column("kind", "kind"),
        Column("queue", "queue"),
        Column("route", "route"),
        Column("state", "state"),
        Column("try", lambda row: f"{row['attempts']}/{row['max_attempts']}", right=True),
        Column("changed", lambda row: recently(row["updated_at"])),
        Column("says", "says"),
    )
    show_rows(rows, columns, as_json=as_json, empty="no workitems")


@app.command("show")
def show_command(
    work_id: WorkId, config: ConfigOption = None, node: NodeOption = None, as_json: JsonOption = False
) -> None:
    """Everything that is known of one workitem."""
    from echonode.cli.opened import opened_console

    with opened_console(config, node) as console:
        row = console.work_item(work_id)
    if as_json:
        show_json(row)
        return
    show_facts(
        [
            ("id", row["id"]),
            ("kind", row["kind"]),
            ("queue", row["queue"]),
            ("route", row["route"]),
            ("state", row["state"]),
            ("says", row["says"]),
            ("attempts", f"{row['attempts']} of {row['max_attempts']}"),
            ("priority", row["priority"]),
            ("created", moment(row["created_at"])),
            ("changed", moment(row["updated_at"])),
            ("not before", moment(row["not_before"])),
            ("worker", row["lease_owner"]),
            ("lease until", moment(row["lease_until"])),
            ("study", row["study_uid"]),
            ("series", row["series_uid"]),
            ("object", row["sop_instance_uid"]),
            ("correlation id", row["correlation_id"]),
            *((f"asked: {key}", value) for key, value in row["payload"].items()),
            *((f"outcome: {key}", value) for key, value in row["outcome"].items()),
        ]
    )


@app.command("retry")
def retry_command(work_id: WorkId, config: ConfigOption = None, node: NodeOption = None) -> None:
    """Offer an item that has ended again, with all its attempts."""
    from echonode.cli.opened import opened_console

    with opened_console(config, node, writing=True) as console:
        row = console.retry(work_id, by=whoami())
    say(f"{row['id'][:SHORT]} is {row['state']} again")


@app.command("cancel")
def cancel_command(
    work_id: WorkId,
    config: ConfigOption = None,
    node: NodeOption = None,
    reason: Annotated[str, typer.Option(help="Why; it stays with the item.")] = "canceled by hand",
) -> None:
    """Cancel an item that has not ended."""
    from echonode.cli.opened import opened_console

    with opened_console(config, node, writing=True) as console:
        row = console.cancel(work_id, by=whoami(), reason=reason)
    say(f"{row['id'][:SHORT]} is {row['state']}")


def pause_command(
    what: Annotated[Pausable, typer.Argument(help="route, model or destination.")],
    name: Name,
    config: ConfigOption = None,
    node: NodeOption = None,
    reason: Annotated[str, typer.Option(help="Why; `echonode work list` shows it.")] = "paused by hand",
) -> None:
    """Hold back the work of a route, a model or a destination; what runs now is finished."""
    from echonode.cli.opened import opened_console

    with opened_console(config, node, writing=True) as console:
        console.pause(what.value, name, by=whoami(), reason=reason)
    say(f"{what} {name} is paused; echonode resume {what} {name} lets it go on")


def resume_command(
    what: Annotated[Pausable, typer.Argument(help="route, model or destination.")],
    name: Name,
    config: ConfigOption = None,
    node: NodeOption = None,
) -> None:
    """Let the work of a paused route, model or destination go on."""
    from echonode.cli.opened import opened_console

    with opened_console(config, node, writing=True) as console:
        console.resume(what.value, name, by=whoami())
    say(f"{what} {name} goes on")
