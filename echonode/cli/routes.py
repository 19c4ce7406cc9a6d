"""`echonode routes explain`: for one object, which routes match, condition by condition."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from echonode.cli.options import ConfigOption, JsonOption, configuration_of, existing
from echonode.cli.screen import Column, say, show_json, show_rows
from echonode.core.errors import UnreadableObject
from echonode.core.identity import is_uid

if TYPE_CHECKING:
    from echonode.core.facts import Facts

app = typer.Typer(name="routes", help="Which objects go to which models, and why.", no_args_is_help=True)


@app.command("list")
def list_command(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Every route of routes.toml."""
    configuration = configuration_of(config)
    rows = [route.model_dump(mode="json", exclude_none=True) for route in configuration.routes.route]
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
    as_json: JsonOption = False,
) -> None:
    """Which routes would take this object, and which condition holds the others back."""
    from echonode.flow.route import explain

    configuration = configuration_of(config)
    facts = _facts(what, calling_ae, config)
    explanations = explain(facts, configuration.routes)
    if as_json:
        show_json({"facts": facts.as_dict(), "routes": [asdict(item) for item in explanations]})
        return
    if not explanations:
        say("routes.toml has no route")
    columns = (
        Column("", lambda row: "yes" if row["holds"] else "NO"),
        Column("condition", "name"),
        Column("asks for", "expected"),
        Column("the object has", "actual"),
    )
    for item in explanations:
        say(f"{item.route} ({item.model}): {'MATCHES' if item.matches else 'does not match'}")
        show_rows([asdict(condition) for condition in item.conditions], columns)


def facts_of_file(path: Path, *, calling_ae: str = "") -> Facts:
    """The facts of a Part 10 file, read up to its pixels.

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
    return facts_of(header, transfer_syntax_uid=syntax, calling_ae=calling_ae)


def _facts(what: str, calling_ae: str, config: Path | None) -> Facts:
    if is_uid(what) and not Path(what).exists():
        from echonode.cli.opened import opened_archive
        from echonode.core.errors import NotFound

        with opened_archive(config) as (_, archive):
            facts = archive.index.facts(what)
        if facts is None:
            raise NotFound(f"no stored object has the SOP Instance UID {what}")
        return facts
    return facts_of_file(existing(Path(what)), calling_ae=calling_ae)


def _plain(value: object) -> str:
    return "|".join(map(str, value)) if isinstance(value, list) else str(value)
