"""`echonode study report|process-now|correct`, `review`, `results`: the report of a study and a person's last word on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from echonode.cli.opened import opened_console
from echonode.cli.options import ConfigOption, JsonOption, NodeOption, whoami
from echonode.cli.screen import Column, moment, recently, say, show_json, show_rows
from echonode.core.errors import BadInput
from echonode.core.text import one_line

results_app = typer.Typer(name="results", help="What was made of a study: list, withdraw.", no_args_is_help=True)
StudyArgument = Annotated[str, typer.Argument(metavar="STUDY", help="Study Instance UID or accession number.")]
ByOption = Annotated[str, typer.Option("--by", metavar="NAME", help="Who says so.")]


def report_command(
    study: StudyArgument, config: ConfigOption = None, node: NodeOption = None, as_json: JsonOption = False
) -> None:
    """The report of a study that stands, what was added to it, or why there is none yet."""
    with opened_console(config, node) as console:
        found = console.report(study)
    if as_json:
        show_json(found)
        return
    for line in found["lines"]:
        say(one_line(line))
    if found["current"] is None:
        say(f"study {found['study_uid']} has no report that stands")
    elif len(found["reports"]) > 1:
        say("")
        _earlier(found)
    if found["waits_for"]:
        say(one_line(found["waits_for"]))


def process_now_command(
    study: StudyArgument, config: ConfigOption = None, node: NodeOption = None, as_json: JsonOption = False
) -> None:
    """Let a study count as complete now: its report is made as soon as its runs have ended."""
    with opened_console(config, node, writing=True) as console:
        told = console.process_now(study, by=whoami())
    if as_json:
        show_json(told)
        return
    runs = told["open_runs"]
    waits = f" when {runs} run{'s have' if runs > 1 else ' has'} ended" if runs else " at once by a running node"
    say(f"study {told['study_uid']} counts as complete; its report is made{waits}")


def correct_command(
    study: StudyArgument,
    by: ByOption,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; it stays in the audit trail.")],
    patient_id: Annotated[str | None, typer.Option(metavar="ID", help="The right Patient ID.")] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="As DICOM writes it: Echo^Ada.")] = None,
    birth_date: Annotated[str | None, typer.Option(metavar="YYYYMMDD", help="The right birth date.")] = None,
    sex: Annotated[str | None, typer.Option(metavar="M|F|O", help="The right sex.")] = None,
    issuer: Annotated[str | None, typer.Option(metavar="TEXT", help="Issuer of the Patient ID.")] = None,
    config: ConfigOption = None,
    node: NodeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say who the patient of a study really is: what was made of it is withdrawn and made anew under that name."""
    given = {"patient_id": patient_id, "name": name, "birth_date": birth_date, "sex": sex, "issuer": issuer}
    changes = {word: text for word, text in given.items() if text is not None}
    if not changes:
        raise BadInput("nothing to correct: give --patient-id, --name, --birth-date, --sex or --issuer")
    with opened_console(config, node, writing=True) as console:
        told = console.correct(study, changes=changes, name=by, reason=reason, by=whoami())
    if as_json:
        show_json(told)
        return
    say(f"study {told['study_uid']} belongs to Patient ID {one_line(told['patient_id'])!r} now")
    say(f"{told['withdrawn']} results withdrawn, {told['runs']} runs asked for again, revision {told['revision']}")


def review_command(
    study: StudyArgument,
    by: ByOption,
    accepted: Annotated[bool, typer.Option("--accept", help="The report is right as it is.")] = False,
    rejected: Annotated[
        str | None, typer.Option("--reject", metavar="REASON", help="The report is wrong; it is withdrawn.")
    ] = None,
    values: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="EF=45", help="A value of one's own; may be given more than once."),
    ] = None,
    comment: Annotated[str, typer.Option(metavar="TEXT", help="What to say with it.")] = "",
    config: ConfigOption = None,
    node: NodeOption = None,
    as_json: JsonOption = False,
) -> None:
    """A person's last word on the report of a study: accept it, set values, or reject it."""
    from echonode.flow.review import values_of

    if sum((accepted, rejected is not None, bool(values))) != 1 and not (accepted and values):
        raise BadInput("one of --accept, --reject REASON and --set EF=45 is needed")
    with opened_console(config, node, writing=True) as console:
        told = console.review(
            study, name=by, by=whoami(), rejected=rejected, values=values_of(values or []), comment=comment
        )
    if as_json:
        show_json(told)
    elif told["verdict"] == "rejected":
        say(f"the report of study {told['study_uid']} is rejected and withdrawn")
        _say_taken(told)
    elif told["new"]:
        say(f"the verified report of study {told['study_uid']} is being written [{told['work_id'][:8]}]")
    else:
        say(f"that was said before [{told['work_id'][:8]}]")


@results_app.command("list")
def list_command(
    study: StudyArgument, config: ConfigOption = None, node: NodeOption = None, as_json: JsonOption = False
) -> None:
    """Everything that was made of a study, how it stands, and where it went."""
    with opened_console(config, node) as console:
        rows = console.results(study)
    columns = (
        Column("result", "sop_instance_uid"),
        Column("kind", "kind"),
        Column("model", "model"),
        Column("made", lambda row: recently(row["made_at"])),
        Column("state", lambda row: f"{row['state']}: {row['reason']}" if row["reason"] else row["state"]),
        Column("deliveries", _deliveries),
    )
    show_rows(rows, columns, as_json=as_json, empty="nothing was made of this study")


@results_app.command("withdraw")
def withdraw_command(
    target: Annotated[
        str,
        typer.Argument(metavar="UID|STUDY", help="SOP Instance UID of a result, or a study for all of its results."),
    ],
    by: ByOption,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; who had received it is told so.")],
    config: ConfigOption = None,
    node: NodeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a result back: it is hidden, not delivered any more, and rejected where it had arrived."""
    with opened_console(config, node, writing=True) as console:
        told = console.withdraw(target, reason=reason, name=by, by=whoami())
    if as_json:
        show_json(told)
        return
    _say_taken(told)


def _say_taken(told: Mapping[str, Any]) -> None:
    count, before = len(told["withdrawn"]), told["before"]
    say(f"{count} result{'' if count == 1 else 's'} withdrawn" + (f", {before} had been before" if before else ""))
    if told["deliveries_canceled"]:
        canceled = told["deliveries_canceled"]
        say(f"{canceled} deliver{'y' if canceled == 1 else 'ies'} canceled")
    if told["note_to"]:
        say(f"a rejection note goes to {', '.join(told['note_to'])}")


def _earlier(found: Mapping[str, Any]) -> None:
    columns = (
        Column("report", "sop_instance_uid"),
        Column("made", lambda row: moment(row["at"])),
        Column("state", "state"),
        Column("by", "by"),
        Column("status", "status"),
    )
    show_rows(found["reports"], columns)


def _deliveries(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{each['destination']} {each['state'].lower()}" for each in row["deliveries"])
