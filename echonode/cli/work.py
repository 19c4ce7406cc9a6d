"""`echonode work`, `pause`, `resume`: what the node does, did and will do, and how to stop or repeat it."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from echonode.cli.options import ConfigOption, JsonOption, whoami
from echonode.cli.screen import Column, duration, moment, recently, say, show_facts, show_json, show_rows
from echonode.core.errors import NotFound
from echonode.core.states import WorkState

if TYPE_CHECKING:
    from echonode.archive.archive import Archive
    from echonode.core.configuration import Configuration
    from echonode.core.work import WorkItem

SHORT = 8
NEWEST = 100_000
"""How many items are looked through for a shortened id."""


class Kind(StrEnum):
    """Kinds of workitems."""

    RUN = "run"
    DELIVER = "deliver"


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

app = typer.Typer(name="work", help="Runs and deliveries: list, show, retry, cancel.", no_args_is_help=True)


@app.command("list")
def list_command(
    config: ConfigOption = None,
    kind: Annotated[Kind | None, typer.Option(help="Only runs, or only deliveries.")] = None,
    state: Annotated[State | None, typer.Option(help="Only items in this state.")] = None,
    study: Annotated[str | None, typer.Option(metavar="UID", help="Study UID or accession number.")] = None,
    queue: Annotated[str | None, typer.Option(metavar="NAME", help="A model's or a destination's name.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many, at most.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """The newest workitems, with the reason of each that failed or waits."""
    from echonode.cli.opened import opened_archive
    from echonode.core.work import WorkKind

    with opened_archive(config) as (_, archive):
        items = archive.work.list(
            kind=WorkKind(kind) if kind else None,
            state=WorkState(state.upper().replace("-", " ")) if state else None,
            study_uid=archive.index.resolve_study(study) if study else None,
            queue=queue,
            limit=limit,
        )
        paused = {(pause.kind, pause.name) for pause in archive.pauses.list()}
    said = {item.id: _says(item, paused) for item in items}
    columns = (
        Column("id", lambda row: row["id"][:SHORT]),
        Column("kind", "kind"),
        Column("queue", "queue"),
        Column("route", "route"),
        Column("state", "state"),
        Column("try", lambda row: f"{row['attempts']}/{row['max_attempts']}", right=True),
        Column("changed", lambda row: recently(row["updated_at"])),
        Column("says", lambda row: said[row["id"]]),
    )
    show_rows([_row(item) for item in items], columns, as_json=as_json, empty="no workitems")


@app.command("show")
def show_command(work_id: WorkId, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Everything that is known of one workitem."""
    from echonode.cli.opened import opened_archive

    with opened_archive(config) as (_, archive):
        item = find_item(archive, work_id)
        row = _row(item)
        paused = {(pause.kind, pause.name) for pause in archive.pauses.list()}
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
            ("says", _says(item, paused)),
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
def retry_command(work_id: WorkId, config: ConfigOption = None) -> None:
    """Offer an item that has ended again, with all its attempts."""
    from echonode.cli.opened import opened_archive

    with opened_archive(config, writing=True) as (_, archive):
        item = archive.work.retry(find_item(archive, work_id).id)
        _audit(archive, item, "retried")
    say(f"{item.id[:SHORT]} is {item.state} again")


@app.command("cancel")
def cancel_command(
    work_id: WorkId,
    config: ConfigOption = None,
    reason: Annotated[str, typer.Option(help="Why; it stays with the item.")] = "canceled by hand",
) -> None:
    """Cancel an item that has not ended."""
    from echonode.cli.opened import opened_archive

    with opened_archive(config, writing=True) as (_, archive):
        item = archive.work.cancel(find_item(archive, work_id).id, reason=reason)
        _audit(archive, item, "canceled", reason=reason)
    say(f"{item.id[:SHORT]} is {item.state}")


def pause_command(
    what: Annotated[Pausable, typer.Argument(help="route, model or destination.")],
    name: Name,
    config: ConfigOption = None,
    reason: Annotated[str, typer.Option(help="Why; `echonode work list` shows it.")] = "paused by hand",
) -> None:
    """Hold back the work of a route, a model or a destination; what runs now is finished."""
    from echonode.cli.opened import opened_archive

    with opened_archive(config, writing=True) as (configuration, archive):
        _known(configuration, what, name)
        archive.pauses.pause(what.value, name, by=whoami(), reason=reason)
    say(f"{what} {name} is paused; echonode resume {what} {name} lets it go on")


def resume_command(
    what: Annotated[Pausable, typer.Argument(help="route, model or destination.")],
    name: Name,
    config: ConfigOption = None,
) -> None:
    """Let the work of a paused route, model or destination go on."""
    from echonode.cli.opened import opened_archive

    with opened_archive(config, writing=True) as (_, archive):
        archive.pauses.resume(what.value, name, by=whoami())
    say(f"{what} {name} goes on")


def find_item(archive: Archive, text: str) -> WorkItem:
    """The workitem whose id is, or begins with, `text`.

    Raises:
        NotFound: none or several.
    """
    if len(text) == 32:
        return archive.work.get(text)
    found = [item for item in archive.work.list(limit=NEWEST) if text and item.id.startswith(text.lower())]
    if len(found) != 1:
        raise NotFound(f"no workitem {text!r}" if not found else f"{len(found)} workitems begin with {text!r}")
    return found[0]


def _row(item: WorkItem) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(item) | {"kind": str(item.kind), "state": str(item.state)}


def _says(item: WorkItem, paused: set[tuple[str, str]]) -> str:
    """What became of an item, or why it waits, in words."""
    from echonode.flow.story import says

    if item.state is WorkState.SCHEDULED and not item.held:
        queue = ("model" if item.kind.value == "run" else "destination", item.queue)
        for kind, name in (queue, ("route", item.route)):
            if (kind, name) in paused:
                return f"{kind} {name} is paused"
        wait = item.not_before - time.time()
        if wait > 1:
            return f"next try in {duration(wait)}" + (f": {item.reason}" if item.reason else "")
    return says(item)


def _known(configuration: Configuration, what: Pausable, name: str) -> None:
    """Refuse a name that nothing has: a typing error must not look like a pause."""
    if what is Pausable.ROUTE:
        names = {route.name for route in configuration.routes.route}
    elif what is Pausable.DESTINATION:
        names = {destination.name for destination in configuration.routes.destination}
    else:
        from echonode.registry.catalogue import Catalogue

        names = set(Catalogue(configuration.model_paths).names()) | {r.model for r in configuration.routes.route}
    if name not in names:
        raise NotFound(f"there is no {what} {name!r}; there are: {', '.join(sorted(names)) or 'none'}")


def _audit(archive: Archive, item: WorkItem, event: str, **details: str) -> None:
    with archive.transaction() as connection:
        archive.audit.write(
            connection,
            event=event,
            correlation_id=item.correlation_id,
            study_uid=item.study_uid,
            sop_instance_uid=item.sop_instance_uid,
            who=whoami(),
            details={"workitem": item.id, **details},
        )
