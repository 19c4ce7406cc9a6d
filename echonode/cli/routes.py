"""`echonode routes explain`: for one object, which routes match, condition by condition."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from echonode.cli.options import ConfigOption, JsonOption, NodeOption, configuration_of, existing
from echonode.cli.screen import Column, say, show_json, show_rows
from echonode.core.errors import BadInput, UnreadableObject
from echonode.core.identity import is_uid

if TYPE_CHECKING:
    from echonode.core.facts import Facts
    from echonode.core.views import ViewsFile

app = typer.Typer(name="routes", help="Which objects go to which models, and why.", no_args_is_help=True)


@app.command("list")
def list_command(config: ConfigOption = None, node: NodeOption = None, as_json: JsonOption = False) -> None:
    """Every route of routes.toml."""
    from echonode.cli.opened import opened_console

    with opened_console(config, node, silent=True) as console:
        rows = console.routes()
    columns = (
        Column("route", "name"),
        Column("task", "task"),
        Column("model", "model"),
        Column(
            "when", lambda row: ", ".join(f"{key} {_plain(value)}" for key, value in row["when"].items()) or "always"
        ),
        Column(
            "parameters", lambda row: ", ".join(f"{key} {_plain(value)}" for key, value in row["parameters"].items())
        ),
        Column("results go to", lambda row: ", ".join(row["deliver_to"]) or "stay here"),
        Column("on", lambda row: "yes" if row["enabled"] else "no"),
    )
    show_rows(rows, columns, as_json=as_json, empty="routes.toml has no route")


@app.command("explain")
def explain_command(
    what: Annotated[
        str, typer.Argument(metavar="FILE|UID", help="A DICOM file, or the SOP Instance UID of a stored one.")
    ],
    calling_ae: Annotated[str, typer.Option("--from", metavar="AET", help="AE title of the sender, for a file.")] = "",
    config: ConfigOption = None,
    node: NodeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Which routes would take this object, and which condition holds the others back."""
    found = _explained(what, calling_ae, config, node)
    if as_json:
        show_json(found)
        return
    if not found["routes"]:
        say("routes.toml has no route")
    columns = (
        Column("", lambda row: "yes" if row["holds"] else "NO"),
        Column("condition", "name"),
        Column("asks for", "expected"),
        Column("the object has", "actual"),
    )
    for item in found["routes"]:
        waits = f", after {item['after']}" if item["matches"] and item.get("after") else ""
        say(f"{item['route']} ({item['model']}): {'MATCHES' if item['matches'] else 'does not match'}{waits}")
        show_rows(item["conditions"], columns)


def facts_of_file(path: Path, *, calling_ae: str = "", views: ViewsFile | None = None) -> Facts:
    """The facts of a Part 10 file, read up to its pixels; `views` is views.toml.

    Raises:
        UnreadableObject: it is no DICOM file, or a damaged one.
    """
    import pydicom
    from pydicom.errors import InvalidDicomError

    from echonode.dicom.facts import facts_of

    try:
        header = pydicom.dcmread(path, stop_before_pixels=True)
        syntax = str(header.file_meta.TransferSyntaxUID)
    except InvalidDicomError as error:
        raise UnreadableObject(f"{path}: is no DICOM file") from error
    except (OSError, EOFError, ValueError, AttributeError, KeyError, RecursionError) as error:
        raise UnreadableObject(f"{path}: cannot be read as DICOM: {error}") from error
    return facts_of(header, transfer_syntax_uid=syntax, calling_ae=calling_ae, views=views)


def _explained(what: str, calling_ae: str, config: Path | None, node: str | None) -> dict[str, Any]:
    """A stored object is asked of the node that has it; a file is read here."""
    if is_uid(what) and not Path(what).exists():
        from echonode.cli.opened import opened_console

        with opened_console(config, node) as console:
            return console.explain(what)
    from echonode.flow.route import explain

    if node:
        raise BadInput(f"{what!r}: --node explains objects that the node has, by SOP Instance UID")
    configuration = configuration_of(config)
    facts = facts_of_file(existing(Path(what)), calling_ae=calling_ae, views=configuration.views)
    return {"facts": facts.as_dict(), "routes": [asdict(each) for each in explain(facts, configuration.routes)]}


def _plain(value: object) -> str:
    return "|".join(map(str, value)) if isinstance(value, list) else str(value)
