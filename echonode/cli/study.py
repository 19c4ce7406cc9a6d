"""`echonode study`, `request`, `conflicts`, `refused`: what is here, what became of it, and what was not let in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from echonode.cli.opened import opened_archive
from echonode.cli.options import ConfigOption, JsonOption, whoami
from echonode.cli.screen import Column, amount, moment, recently, say, show_json, show_rows
from echonode.core.errors import BadInput
from echonode.core.text import one_line

if TYPE_CHECKING:
    from echonode.archive.refusals import Refusal
    from echonode.flow.story import ObjectStory, StudyStory

app = typer.Typer(name="study", help="Stored studies: list, and the whole story of one.", no_args_is_help=True)
conflicts_app = typer.Typer(name="conflicts", help="Studies that name two patients: list, resolve.")
NEW_PEER = "add to peers.toml:"
STUDY_KEYS = ("StudyInstanceUID", "StudyDate", "AccessionNumber", "StudyDescription", "PatientID", "PatientName")
StudyArgument = Annotated[str, typer.Argument(metavar="STUDY", help="Study Instance UID or accession number.")]


@app.command("list")
def list_command(
    config: ConfigOption = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, at most.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """The studies that are stored here."""
    from echonode.core.query import Level, QueryRequest, Universal

    counted = ("NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances")
    keys = {name: Universal() for name in (*STUDY_KEYS, *counted)}
    with opened_archive(config) as (_, archive):
        matches = list(archive.index.find(QueryRequest(level=Level.STUDY, keys=keys, limit=limit)))
    rows = [_named(match.attributes) | dict(match.counts) for match in matches]
    columns = (
        Column("study", "StudyInstanceUID"),
        Column("date", "StudyDate"),
        Column("accession", "AccessionNumber"),
        Column("patient id", "PatientID"),
        Column("series", "NumberOfStudyRelatedSeries", right=True),
        Column("objects", "NumberOfStudyRelatedInstances", right=True),
        Column("description", "StudyDescription"),
    )
    show_rows(rows, columns, as_json=as_json, empty="no studies")


@app.command("show")
def show_command(study: StudyArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """What came in, what the rules said, what ran or why not, what was made, and where it went."""
    from echonode.flow.story import story

    with opened_archive(config) as (configuration, archive):
        found = story(archive, study, configuration.routes)
    if as_json:
        show_json(found.as_dict())
        return
    _tell(found)


def request_command(
    task: Annotated[str, typer.Argument(help="Task: slow_motion.")],
    target: Annotated[str, typer.Argument(help="SOP Instance UID, Study Instance UID or accession number.")],
    model: Annotated[str | None, typer.Option(help="Model package; the first route's when not given.")] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", metavar="KEY=VALUE", help="A parameter of the task: factor=8."),
    ] = None,
    deliver_to: Annotated[
        list[str] | None,
        typer.Option("--deliver-to", metavar="NAME", help="A destination; the route's when not given."),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a model on a stored object or study, whatever the routes say."""
    from echonode.cli.models import catalogue_of
    from echonode.flow.request import request

    parameters = dict(_pair(text) for text in parameter or ())
    with opened_archive(config, writing=True) as (configuration, archive):
        made = request(
            archive,
            catalogue_of(config),
            configuration.routes,
            configuration.node,
            task=task,
            target=target,
            model=model,
            parameters=parameters,
            deliver_to=deliver_to,
            who=whoami(),
        )
    rows = [
        {"id": each.item.id, "object": each.sop_instance_uid, "state": str(each.item.state), "new": each.new}
        for each in made
    ]
    columns = (
        Column("id", lambda row: row["id"][:8]),
        Column("object", "object"),
        Column("state", "state"),
        Column("", lambda row: "asked for" if row["new"] else "was asked before"),
    )
    show_rows(rows, columns, as_json=as_json)


@conflicts_app.callback(invoke_without_command=True)
def conflicts_command(context: typer.Context, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Studies whose objects name two patients; their work waits until somebody says whose they are."""
    if context.invoked_subcommand is not None:
        return
    with opened_archive(config) as (_, archive):
        found = archive.conflicts.list()
    if as_json:
        show_json([asdict(conflict) for conflict in found])
        return
    if not found:
        say("no study names two patients")
    columns = (
        Column("identity", lambda row: row["digest"][:12]),
        Column("patient id", "patient_id"),
        Column("name", "name"),
        Column("birth date", "birth_date"),
        Column("from", "calling_ae"),
        Column("first seen", lambda row: moment(row["first_seen_at"])),
    )
    for conflict in found:
        say(f"study {conflict.study_uid}")
        show_rows([asdict(claim) for claim in conflict.claims], columns)
    if found:
        say("echonode conflicts resolve STUDY --keep PATIENT-ID lets the work of a study go on")


@conflicts_app.command("resolve")
def resolve_command(
    study: StudyArgument,
    keep: Annotated[str, typer.Option(metavar="PATIENT-ID", help="The Patient ID, or an identity of the list.")],
    config: ConfigOption = None,
) -> None:
    """Say whose the study is; stored bytes stay as they were received."""
    with opened_archive(config, writing=True) as (_, archive):
        study_uid = archive.index.resolve_study(study)
        claims = [
            claim
            for conflict in archive.conflicts.list()
            if conflict.study_uid == study_uid
            for claim in conflict.claims
        ]
        named = [claim.digest for claim in claims if len(keep) >= 8 and claim.digest.startswith(keep)]
        kept = archive.conflicts.resolve(study_uid, keep=named[0] if len(named) == 1 else keep, by=whoami())
    say(f"study {study_uid} belongs to Patient ID {one_line(kept.patient_id)!r}; its work goes on")


def refused_command(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Who was refused, why, and what to change so that it is accepted."""
    with opened_archive(config) as (_, archive):
        found = archive.refusals.list()
    rows = [asdict(refusal) for refusal in found]
    columns = (
        Column("last", lambda row: recently(row["last_seen"])),
        Column("times", "count", right=True),
        Column("caller", lambda row: f"{row['calling_ae']} {row['address']}".strip()),
        Column("what", "what"),
        Column("why", "reason"),
    )
    show_rows(rows, columns, as_json=as_json, empty="nobody was refused")
    if as_json:
        return
    for advice in dict.fromkeys(_advice(refusal) for refusal in found if refusal.advice):
        say(advice)
        say("")


def _advice(refusal: Refusal) -> str:
    """What to change, in words, or as lines that can be pasted into peers.toml."""
    if not refusal.advice.startswith(NEW_PEER):
        return f"-> {one_line(refusal.advice)}"
    title = json.dumps(one_line(refusal.calling_ae), ensure_ascii=False)
    return (
        f"-> to let {one_line(refusal.calling_ae)} in, add to peers.toml and start the node again:\n\n"
        f"[[peer]]\nname = {title.lower()}\nae_title = {title}\n"
        f'addresses = [{json.dumps(one_line(refusal.address))}]\nrights = ["store"]'
    )


def _tell(found: StudyStory) -> None:
    say(f"study {found.study_uid}: {len(found.objects)} objects from elsewhere, {len(found.derived)} made here")
    if found.held:
        say(f"  HELD: {one_line(found.held)}; see echonode conflicts")
    for each in found.objects:
        _tell_object(each)
    for stored in found.derived:
        say(f"made  {stored.sop_instance_uid}  {amount(stored.size)}")
    for reason in found.quarantined:
        say(f"in quarantine: {one_line(reason)}")


def _tell_object(each: ObjectStory) -> None:
    from echonode.flow.story import says

    facts = each.facts
    what = (
        f"{facts.modality} {facts.mode}, {facts.frames} frames {facts.columns}x{facts.rows}"
        if facts.has_pixels
        else facts.modality
    )
    versions = f", {each.versions} further versions" if each.versions else ""
    say("")
    say(f"came in  {each.stored.sop_instance_uid}")
    say(f"  {moment(each.received_at)}  from {one_line(facts.calling_ae) or 'unknown'}  {one_line(what)}{versions}")
    for route in each.routes:
        say(f"  route {route.route}: {'matches' if route.matches else one_line(route.reason)}")
    for run in each.runs:
        say(f"  {run.item.queue} [{run.item.id[:8]}]: {one_line(run.says)}")
        if run.result_uid:
            say(f"    -> {run.result_uid}")
        for delivery in run.deliveries:
            say(f"    {delivery.queue} [{delivery.id[:8]}]: {one_line(says(delivery))}")


def _named(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """DICOM JSON as keyword -> text."""
    from pydicom.datadict import tag_for_keyword

    row: dict[str, Any] = {}
    for keyword in STUDY_KEYS:
        values = attributes.get(f"{tag_for_keyword(keyword):08X}", {}).get("Value", [])
        first = values[0] if values else ""
        row[keyword] = first.get("Alphabetic", "") if isinstance(first, dict) else str(first)
    return row


def _pair(text: str) -> tuple[str, Any]:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise BadInput(f"--parameter {text!r} is not of the form KEY=VALUE")
    for kind in (int, float):
        try:
            return key, kind(value)
        except ValueError:
            continue
    return key, {"true": True, "false": False}.get(value, value)
