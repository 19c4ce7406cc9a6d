"""`echonode reprocess`: history by another model; the difference first, and only then, when somebody says so, new results."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from echonode.cli.agreement import show_comparison
from echonode.cli.opened import opened_archive
from echonode.cli.options import ConfigOption, JsonOption, whoami
from echonode.cli.screen import Column, complain, say, show_json, show_rows
from echonode.core.errors import BadInput, NotFound
from echonode.core.text import one_line

if TYPE_CHECKING:
    from echonode.flow.reprocess import Asked, Chosen, Difference, Waiting

POLL_SECONDS = 0.5


def reprocess_command(
    model: Annotated[str, typer.Option(metavar="NAME", help="The model package that reads history again.")],
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who says so.")],
    query: Annotated[
        str | None,
        typer.Option(
            metavar="KEY=VALUE&...", help="Objects by DICOM keyword: StudyDate=20260101-20260331&StageName=REST*."
        ),
    ] = None,
    study: Annotated[str | None, typer.Option(metavar="STUDY", help="Study Instance UID or accession number.")] = None,
    route: Annotated[
        str | None, typer.Option(metavar="NAME", help="The route whose conditions, parameters and results are meant.")
    ] = None,
    publish: Annotated[
        bool, typer.Option("--publish", help="Let what the model says count: results are made, reports are revised.")
    ] = False,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="Take back what was asked for and has not begun; nothing else.")
    ] = False,
    why: Annotated[str, typer.Option(metavar="TEXT", help="Why; it stays in the audit trail.")] = "",
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the runs have ended.")] = True,
    yes: Annotated[bool, typer.Option("--yes", help="Also where more than 10,000 objects fit.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run stored objects again by another model, when nobody waits for anything else, and show what would change.

    Nothing counts and nothing is delivered until the same is asked for with --publish.
    """
    from echonode.archive.vitals import read_vitals
    from echonode.flow import reprocess as history
    from echonode.flow.lines import Lines
    from echonode.node import open_catalogue

    if publish and cancel:
        raise BadInput("--publish and --cancel cannot both be meant")
    asked_for = " ".join(
        filter(None, (f"query {query}" if query is not None else f"study {study}", why and f"({why})"))
    )
    who = f"{by} ({whoami()})"
    with opened_archive(config, writing=True) as (configuration, archive):
        lines = Lines(archive, open_catalogue(configuration))
        chosen = history.choose_objects(
            archive, lines, configuration.routes, model=model, query=query, study=study, route=route
        )
        if not chosen.objects:
            reasons = "; ".join(f"{count} objects: {reason}" for reason, count in chosen.left_out.items())
            raise NotFound(f"no stored object fits{f' ({reasons})' if reasons else ''}")
        if cancel:
            count = history.cancel(archive, chosen, configuration.node, by=who, asked=asked_for)
            say(f"{count} runs that had not begun are canceled")
            return
        history.bounded(chosen, yes=yes)
        if publish:
            asked = history.publish(archive, lines, chosen, configuration.node, by=who, asked=asked_for)
        else:
            asked = history.look(archive, chosen, configuration.node, by=who, asked=asked_for)
        if not as_json:
            _say_asked(chosen, asked, publish=publish)
        ended = True
        if asked.ids:
            if not read_vitals(configuration.root).of("worker"):
                complain("no node is running on this machine now: the runs wait for one")
            ended = wait and _waited(history.Waiting(archive, asked.ids))
        found = None if publish else history.difference(archive, chosen, configuration.node)
    if as_json:
        show_json(_document(chosen, asked, found))
    elif found is not None:
        _say_difference(found, chosen)
    elif ended:
        say("the new readings count; reports of these studies are made anew")


def _waited(waiting: Waiting) -> bool:
    """Whether all have ended; Ctrl-C ends the waiting and not the runs."""
    from echonode.cli.loaded import progress_bar

    try:
        with progress_bar("history") as tell:
            while (done := waiting.done()) < waiting.total:
                tell(done, waiting.total)
                time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        complain(f"{waiting.done()} of {waiting.total} runs have ended; the others go on without this command")
        return False
    return True


def _document(chosen: Chosen, asked: Asked, found: Difference | None) -> dict[str, Any]:
    return {
        "model": chosen.package.name,
        "version": chosen.package.version,
        "digest": chosen.package.digest,
        "objects": len(chosen.objects),
        "studies": chosen.studies,
        "left_out": dict(chosen.left_out),
        "asked": list(asked.ids),
        "difference": None if found is None else found.as_dict(),
    }


def _say_asked(chosen: Chosen, asked: Asked, *, publish: bool) -> None:
    package = chosen.package
    say(f"{len(chosen.objects)} objects of {chosen.studies} studies fit, for {package.name} {package.version}")
    for reason, count in chosen.left_out.items():
        say(f"{count} objects are left out: {reason}")
    done = "stand with it already" if publish else "it has read already"
    kind = "whose results count" if publish else "that only look"
    say(f"{len(asked.ids)} runs {kind} are asked for, {asked.known} objects {done}")


def _say_difference(found: Difference, chosen: Chosen) -> None:
    name = chosen.package.name
    if found.standing:
        say(f"{found.standing} objects stand with {name} already and are not compared")
    if found.fresh:
        say(f"{found.fresh} objects were read where nothing stands by that route")
    if found.comparison.seen_a or found.comparison.seen_b:
        show_comparison(found.comparison)
    rows = [
        {
            "study": each.study_uid,
            "title": f"{each.title} [{each.unit}]" if each.unit else each.title,
            "stands": f"{each.stands:.1f}",
            "new": f"{each.new:.1f}",
            "by": f"{each.by:+.1f}",
        }
        for each in found.changes
    ]
    if rows:
        say("largest changes of a study:")
        columns = (
            Column("quantity", "title"),
            Column("stands", "stands", right=True),
            Column("new", "new", right=True),
            Column("change", "by", right=True),
            Column("study", "study"),
        )
        show_rows(rows, columns)
    if found.failed:
        say(f"{found.failed} objects could not be run; `echonode work list --state canceled` says why")
    waits = found.missing - found.failed
    if waits:
        say(f"{waits} objects are not read yet; the same command shows the difference later and asks for nothing twice")
    elif found.read > found.standing:
        say(f"nothing counts yet: the same command with --publish lets the readings of {one_line(name)} count")
