"""`echonode self-check`: ask the live node to check itself now, and what it found before."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from echonode.cli.opened import opened_archive
from echonode.cli.options import ConfigOption, JsonOption, whoami
from echonode.cli.screen import Column, complain, console, quiet_logs, say, show_rows
from echonode.core.errors import NotFound, RunFailed

if TYPE_CHECKING:
    from echonode.archive.archive import Archive
    from echonode.archive.self_checks import Check
    from echonode.core.configuration import Configuration

LOOK_SECONDS = 0.5
MARGIN_SECONDS = 120.0

app = typer.Typer(
    name="self-check",
    help="A simulated study through the live node, and its answers beside the truth.",
    invoke_without_command=True,
)


@app.callback()
def self_check_command(
    context: typer.Context,
    now: Annotated[bool, typer.Option("--now", help="Check now, and wait for the outcome.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """When the node checks itself and what the last check said; with --now a check. Exit code 1 when it failed."""
    if context.invoked_subcommand is not None:
        return
    quiet_logs()
    with opened_archive(config, writing=now) as (configuration, archive):
        if now:
            check = _checked(configuration, archive)
        else:
            settings = configuration.node.self_check
            if not as_json:
                say(f"every night at {settings.at}" if settings.enabled else "no check by itself: [self_check] enabled")
            latest = archive.self_checks.latest()
            if latest is None:
                if as_json:
                    sys.stdout.write("null\n")
                else:
                    say("no check has been made yet; --now makes one")
                return
            check = archive.self_checks.get(latest.id)
    _show(check, as_json=as_json)
    if check.ok is False:
        raise typer.Exit(1)


@app.command("list")
def list_command(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Checks, the newest first.")] = 10,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Checks and every answer: when, which model, what it measured, what is true, how far off it may be."""
    quiet_logs()
    with opened_archive(config) as (_configuration, archive):
        checks = archive.self_checks.list(limit=limit)
    if as_json:
        sys.stdout.write(json.dumps([asdict(check) for check in checks], indent=1) + "\n")
        return
    if not checks:
        say("no check has been made yet; echonode self-check --now makes one")
    for check in checks:
        _show(check, as_json=False)


def _checked(configuration: Configuration, archive: Archive) -> Check:
    """Ask, and wait until the worker has ended it.

    Raises:
        NotFound: no worker of this node runs.
        RunFailed: it did not end in time.
    """
    from echonode.archive.self_checks import CheckState
    from echonode.archive.vitals import read_vitals

    if not read_vitals(configuration.root).of("worker"):
        raise NotFound("no node runs with this configuration: it is the live node that checks itself; echonode serve")
    check_id = archive.self_checks.ask(by=whoami())
    assert check_id is not None  # it is an occasion of its own
    deadline = time.monotonic() + configuration.node.self_check.timeout_seconds + MARGIN_SECONDS
    with console(stderr=True).status("the node checks itself"):
        while (check := archive.self_checks.get(check_id)).state is not CheckState.ENDED:
            if time.monotonic() > deadline:
                raise RunFailed(f"the check {check_id} has not ended; echonode self-check list tells when it has")
            time.sleep(LOOK_SECONDS)
    return check


def _show(check: Check, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(asdict(check), indent=1) + "\n")
        return
    word = {True: "passed", False: "FAILED", None: str(check.state)}[check.ok]
    when = datetime.fromtimestamp(check.ended_at or check.asked_at).astimezone().isoformat(" ", timespec="seconds")
    line = f"{when}  {word}  asked by {check.asked_by}: {check.says or 'not begun yet'}"
    (complain if check.ok is False else say)(line)
    if check.answers:
        columns = (
            Column("task", "task"),
            Column("model", "model"),
            Column("what", "what"),
            Column("measured", _number("measured"), right=True),
            Column("truth", _number("truth"), right=True),
            Column("limit", _number("limit"), right=True),
            Column("unit", "unit"),
            Column("ok", lambda row: "yes" if row["ok"] else "NO"),
            Column("", "says"),
        )
        show_rows([asdict(answer) for answer in check.answers], columns)


def _number(name: str) -> Any:
    def text(row: Mapping[str, Any]) -> str:
        value = row[name]
        return "" if value is None else f"{value:.4g}"

    return text
