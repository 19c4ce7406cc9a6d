"""`echonode study`, `request`, `conflicts`, `refused`: what is here, what became of it, and what was not let in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from echonode.cli import reports
from echonode.cli.opened import opened_console
from echonode.cli.options import ConfigOption, JsonOption, NodeOption, whoami
from echonode.cli.screen import Column, amount, moment, recently, say, show_json, show_rows
from echonode.core.errors import BadInput
from echonode.core.text import one_line

app = typer.Typer(
    name="study",
    help="Stored studies: list, the whole story of one, its report, its patient put right.",
    no_args_is_help=True,
)
app.command("report")(reports.report_command)
app.command("process-now")(reports.process_now_command)
app.command("correct")(reports.correct_command)
conflicts_app = typer.Typer(name="conflicts", help="Studies that name two patients: list, resolve.")
NEW_PEER = "add to peers.toml:"
StudyArgument = Annotated[str, typer.Argument(metavar="STUDY", help="Study Instance UID or accession number.")]


@app.command("list")
def list_command(
    config: ConfigOption = None,
    node: NodeOption = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, at most.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """The studies that are stored here."""
    with opened_console(config, node) as console:
        rows = console.studies(limit=limit)
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
def show_command(
    study: StudyArgument, config: ConfigOption = None, node: NodeOption = None, as_json: JsonOption = False
) -> None:
    """What came in, what the rules said, what ran or why not, what was made, and where it went."""
    with opened_console(config, node) as console:
        found = console.study(study)
        made = [] if as_json else console.results(study)
    if as_json:
        show_json(found)
        return
    _tell(found, {str(row["sop_instance_uid"]): row for row in made})


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
    node: NodeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a model on a stored object or study, whatever the routes say."""
    parameters = dict(_pair(text) for text in parameter or ())
    with opened_console(config, node, writing=True) as console:
        rows = console.request(
            task=task, target=target, model=model, parameters=parameters, deliver_to=deliver_to, by=whoami()
        )
    columns = (
        Column("id", lambda row: row["id"][:8]),
        Column("object", "object"),
        Column("state", "state"),
        Column("", lambda row: "asked for" if row["new"] else "was asked before"),
    )
    show_rows(rows, columns, as_json=as_json)


@conflicts_app.callback(invoke_without_command=True)
def conflicts_command(
    context: typer.Context, config: ConfigOption = None, node: NodeOption = None, as_json: JsonOption = False
) -> None:
    """Studies whose objects name two patients; their work waits until somebody says whose they are."""
    if context.invoked_subcommand is not None:
        return
    with opened_console(config, node) as console:
        found = console.conflicts()
    if as_json:
        show_json(found)
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
        say(f"study {conflict['study_uid']}")
        show_rows(conflict["claims"], columns)
    if found:
        say("echonode conflicts resolve STUDY --keep PATIENT-ID lets the work of a study go on")


@conflicts_app.command("resolve")
def resolve_command(
    study: StudyArgument,
    keep: Annotated[str, typer.Option(metavar="PATIENT-ID", help="The Patient ID, or an identity of the list.")],
    config: ConfigOption = None,
    node: NodeOption = None,
) -> None:
    """Say whose the study is; stored bytes stay as they were received."""
    with opened_console(config, node, writing=True) as console:
        kept = console.resolve(study, keep=keep, by=whoami())
    say(f"study {kept['study_uid']} belongs to Patient ID {one_line(kept['patient_id'])!r}; its work goes on")


def refused_command(config: ConfigOption = None, node: NodeOption = None, as_json: JsonOption = False) -> None:
    """Who was refused, why, and what to change so that it is accepted."""
    with opened_console(config, node) as console:
        rows = console.refusals()
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
    for advice in dict.fromkeys(_advice(row) for row in rows if row["advice"]):
        say(advice)
        say("")


def _advice(refusal: Mapping[str, Any]) -> str:
    """What to change, in words, or as lines that can be pasted into peers.toml."""
    if not refusal["advice"].startswith(NEW_PEER):
        return f"-> {one_line(refusal['advice'])}"
    caller = one_line(refusal["calling_ae"])
    title = json.dumps(caller, ensure_ascii=False)
    return (
        f"-> to let {caller} in, add to peers.toml and start the node again:\n\n"
        f"[[peer]]\nname = {title.lower()}\nae_title = {title}\n"
        f'addresses = [{json.dumps(one_line(refusal["address"]))}]\nrights = ["store"]'
    )


def _tell(found: Mapping[str, Any], made: Mapping[str, Mapping[str, Any]]) -> None:
    objects, derived = found["objects"], found["derived"]
    say(f"study {found['study_uid']}: {_counted(len(objects), 'object')} from elsewhere, {len(derived)} made here")
    if found["held"]:
        say(f"  HELD: {one_line(found['held'])}; see echonode conflicts")
    for each in objects:
        _tell_object(each)
    if derived:
        say("")
    for stored in derived:
        row = made.get(stored["sop_instance_uid"], {})
        what = "  ".join(text for text in (row.get("kind"), row.get("model"), amount(stored["size"])) if text)
        standing = row.get("state") or "current"
        say(f"made  {stored['sop_instance_uid']}  {one_line(what)}{'' if standing == 'current' else f'  {standing}'}")
    for report in found["reports"]:
        by = f" by {one_line(report['by'])}" if report["by"] else ""
        say(f"report  {report['sop_instance_uid']}  {report['state']}{by}, {report['status']}")
        for delivery in report["deliveries"]:
            kind = one_line(str(delivery["payload"].get("kind") or "result"))
            say(f"    {kind} to {delivery['queue']} [{delivery['id'][:8]}]: {one_line(delivery['says'])}")
    for reason in found["quarantined"]:
        say(f"in quarantine: {one_line(reason)}")


def _tell_object(each: Mapping[str, Any]) -> None:
    facts = each["facts"]
    what = (
        f"{facts['modality']} {facts['mode']}, {_counted(facts['frames'], 'frame')} {facts['columns']}x{facts['rows']}"
        if facts["has_pixels"]
        else facts["modality"]
    )
    versions = f", {each['versions']} further versions" if each["versions"] else ""
    say("")
    say(f"came in  {each['stored']['sop_instance_uid']}")
    sender = one_line(facts["calling_ae"]) or "unknown"
    say(f"  {moment(each['received_at'])}  from {sender}  {one_line(what)}{versions}")
    if facts["has_pixels"]:
        say(f"  mode {facts['mode']}: {one_line(facts['mode_reason'])}")
        sure = "" if facts["view_confidence"] is None else f" (confidence {facts['view_confidence']:.2f})"
        say(f"  view {facts['view'] or 'unknown'}{sure}: {one_line(facts['view_reason'])}")
    known = [f" ({reason})" for reason in (facts["mode_reason"], facts["view_reason"]) if reason]
    for route in each["routes"]:
        reason = route["reason"]
        for words in known:  # they stand above, once for all routes
            reason = reason.replace(words, "")
        say(f"  route {route['route']}: {'matches' if route['matches'] else one_line(reason)}")
    for run in each["runs"]:
        say(f"  {run['item']['queue']} [{run['item']['id'][:8]}]: {one_line(run['says'])}")
        if run["result_uid"]:
            say(f"    -> {run['result_uid']}")
        for delivery in run["deliveries"]:
            say(f"    {delivery['queue']} [{delivery['id'][:8]}]: {one_line(delivery['says'])}")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


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
