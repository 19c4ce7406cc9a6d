"""`echonode models register|promote|rollback|retire|remove`: what a person decides about model packages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from echonode.cli.options import ConfigOption, JsonOption, NodeOption, existing, whoami
from echonode.cli.screen import Column, moment, quiet_logs, say, show_json, show_rows
from echonode.core.errors import BadInput, PackageInvalid

if TYPE_CHECKING:
    from echonode.core.configuration import Configuration
    from echonode.core.package import Package
    from echonode.flow.console import Console

ByOption = Annotated[str, typer.Option("--by", metavar="NAME", help="Who decides this, for the audit trail.")]
WhyOption = Annotated[str, typer.Option("--why", metavar="TEXT", help="Why, for the audit trail.")]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of the package.")]
LineArgument = Annotated[str, typer.Argument(metavar="LINE", help="What routes.toml calls the model.")]
CHECK_COLUMNS = (Column("check", "name"), Column("", lambda row: "ok" if row["ok"] else "NO"), Column("found", "says"))


def register_command(
    package: Annotated[str, typer.Argument(metavar="PATH|NAME", help="Folder of a package, or the name of one.")],
    by: ByOption,
    why: WhyOption,
    clip: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A DICOM file that the model takes, beside the simulated ones; not kept."),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Verify a package, run its contract tests, and make it a candidate; one that fails is not registered."""
    from echonode.cli.opened import opened_archive
    from echonode.flow.model_life import ModelLife
    from echonode.node import open_catalogue
    from echonode.registry.contract_tests import checks_as_json, hold
    from echonode.registry.installing import settle, staged

    quiet_logs()
    who, clips = _who(by, why), [existing(path) for path in clip or ()]
    with opened_archive(config, writing=True) as (configuration, archive):
        catalogue = open_catalogue(configuration)
        life = ModelLife(archive, catalogue, configuration.routes, own=configuration.imported_models)
        folder = _folder(package, configuration)
        into = configuration.imported_models
        if folder is None:
            found = catalogue.get(package)
            checks = _tried(found, configuration, clips)
            hold(found, checks)
            row = life.register(found, checks=checks_as_json(checks), shipped=True, by=who, why=why)
        else:
            with staged(folder, into=into) as copy:
                if copy.name in catalogue.names():
                    raise BadInput(f"there is a model {copy.name!r} already; give yours another name")
                checks = _tried(copy, configuration, clips)
                hold(copy, checks)
                row = life.register(copy, checks=checks_as_json(checks), shipped=False, by=who, why=why)
                settle(copy, into=into)
    if as_json:
        show_json(row)
        return
    show_rows([{"name": name, **said} for name, said in row["checks"].items()], CHECK_COLUMNS)
    say(told(row))
    if row["state"] == "candidate":
        say(f"it runs nowhere yet: echonode models promote {row['model']} --shadow, or --active")


def promote_command(
    name: NameArgument,
    by: ByOption,
    why: WhyOption,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="It looks at what the active one sees; nothing of it is delivered.")
    ] = False,
    active: Annotated[bool, typer.Option("--active", help="It runs where routes name the line.")] = False,
    line: Annotated[
        str, typer.Option(metavar="LINE", help="What routes call the model; that of its task when not given.")
    ] = "",
    config: ConfigOption = None,
    node: NodeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a registered package look beside the active one (--shadow), or run in its place (--active), from now on."""
    if shadow == active:
        raise BadInput("promote needs one of --shadow and --active")
    _order(
        lambda console: console.promote_model(name, active=active, line=line, name=by, why=why, by=whoami()),
        config=config,
        node=node,
        as_json=as_json,
    )


def rollback_command(
    line: LineArgument,
    by: ByOption,
    why: WhyOption,
    config: ConfigOption = None,
    node: NodeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take the last promotion of a line back: what was active before it is active again."""
    _order(lambda it: it.rollback_model(line, name=by, why=why, by=whoami()), config=config, node=node, as_json=as_json)


def retire_command(
    name: NameArgument,
    by: ByOption,
    why: WhyOption,
    config: ConfigOption = None,
    node: NodeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a package out: it runs and looks no more. A line whose active one it was has none until one is promoted."""
    _order(lambda it: it.retire_model(name, name=by, why=why, by=whoami()), config=config, node=node, as_json=as_json)


def remove_command(
    name: NameArgument,
    by: ByOption,
    why: WhyOption,
    config: ConfigOption = None,
    node: NodeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove the folder of a candidate or a retired package; what happened with it stays on record."""
    _order(lambda it: it.remove_model(name, name=by, why=why, by=whoami()), config=config, node=node, as_json=as_json)


def told(row: dict[str, Any]) -> str:
    """One line for people of what was done."""
    words = f"{row['model']} {row['version']} is {row['state']} in line {row['line']}"
    if row["displaced"]:
        words += f", in the place of {row['displaced']}"
    if row["state"] in ("active", "shadow"):
        routes = ", ".join(row.get("routes", ()))
        words += f"; routes: {routes}" if routes else "; no enabled route names that line"
    return words


def show_history(rows: list[dict[str, Any]]) -> None:
    """What happened to a package, oldest first."""
    columns = (
        Column("when", lambda row: moment(row["at"])),
        Column("what", "event"),
        Column("line", "line"),
        Column("then", "state"),
        Column("by", "by"),
        Column("why", "why"),
    )
    show_rows(rows, columns)


def _order(give: Callable[[Console], dict[str, Any]], *, config: Path | None, node: str | None, as_json: bool) -> None:
    """Give a node an order about a model, and show how that stands then."""
    from echonode.cli.opened import opened_console

    with opened_console(config, node, writing=True) as console:
        row = give(console)
    if as_json:
        show_json(row)
    else:
        say(told(row))


def _who(by: str, why: str) -> str:
    """As the console writes it; asked for before minutes of tests, not after."""
    if not by.strip() or not why.strip():
        raise BadInput("an order about a model needs who gives it (--by) and why (--why)")
    return f"{by} ({whoami()})"


def _folder(text: str, configuration: Configuration) -> Path | None:
    """The folder that is to be copied; None where `text` names a package that lies in a models folder."""
    path = Path(text)
    if path.parent == Path() and not path.is_dir():
        return None
    folder = existing(path).resolve()
    if not folder.is_dir():
        raise BadInput(f"{path}: is no folder; a model package is one")
    if folder.parent in configuration.model_paths:
        raise BadInput(f"{path}: lies in a models folder already; register it by its name: {folder.name}")
    return folder


def _tried(package: Package, configuration: Configuration, clips: list[Path]) -> Any:
    from echonode.cli.model_trial import try_out
    from echonode.core.task import announced_tasks

    known = announced_tasks()
    if package.task not in known.tasks:
        raise PackageInvalid(f"model {package.name}: {known.why_not(package.task)}")
    return try_out(package, limits=configuration.node.limits, clips=clips, threads=configuration.node.execution.threads)
