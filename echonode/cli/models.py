"""`echonode models`: the model packages of this node."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from echonode.cli import agreement, model_life, parity
from echonode.cli.options import ConfigOption, JsonOption, NodeOption, configuration_of, existing
from echonode.cli.screen import Column, complain, moment, say, show_facts, show_json, show_rows
from echonode.core.errors import BadInput, EchonodeError, PackageInvalid

if TYPE_CHECKING:
    from echonode.registry.catalogue import Catalogue

app = typer.Typer(
    name="models", help="Model packages: list, show, register, promote, rollback, import.", no_args_is_help=True
)
app.command("parity")(parity.parity_command)
app.command("agreement")(agreement.agreement_command)
app.command("register")(model_life.register_command)
app.command("promote")(model_life.promote_command)
app.command("rollback")(model_life.rollback_command)
app.command("retire")(model_life.retire_command)
app.command("remove")(model_life.remove_command)
ModelName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the package.")]


@app.command("list")
def list_command(config: ConfigOption = None, node: NodeOption = None, as_json: JsonOption = False) -> None:
    """Every package: how it stands, in which line and since when, what it is for, and whether its files are sound."""
    from echonode.cli.opened import opened_console

    with opened_console(config, node, silent=True) as console:
        rows = console.models()
    columns = (
        Column("model", "name"),
        Column("version", "version"),
        Column("task", "task"),
        Column("state", "state"),
        Column("line", "line"),
        Column("since", lambda row: moment(row["since"])),
        Column("trained on", "trained_on"),
        Column("files", "files"),
    )
    show_rows(rows, columns, as_json=as_json, empty="no model packages")


@app.command("show")
def show_command(
    name: ModelName, config: ConfigOption = None, node: NodeOption = None, as_json: JsonOption = False
) -> None:
    """The manifest of one package, its digest, how it stands, its contract tests and its history."""
    from echonode.cli.opened import opened_console

    with opened_console(config, node, silent=True) as console:
        content = console.model(name)
    if as_json:
        show_json(content)
        return
    history = content.pop("history")
    show_facts([*_flat(content), ("card", "" if node or "folder" not in content else _card(Path(content["folder"])))])
    if history:
        model_life.show_history(history)


@app.command("verify")
def verify_command(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME|PATH]...", help="All when none is given.")] = None,
    config: ConfigOption = None,
) -> None:
    """Check manifest, digests and tensors of packages; exit code 2 when one is not sound."""
    from echonode.registry.verify import verify

    catalogue = catalogue_of(config)
    wrong = 0
    for name in names or catalogue.names():
        try:
            package = verify(Path(name)) if "/" in name else catalogue.get(name)
        except EchonodeError as error:
            wrong += 1
            complain(f"{name}: {error}")
        else:
            say(f"{name} {package.version}: sound, {len(package.weights)} weights files, digest {package.digest[:16]}")
    if wrong:
        raise typer.Exit(PackageInvalid.exit_code)


@app.command("import")
def import_command(
    kind: Annotated[str, typer.Argument(help="Layout of the checkpoint: superslomo, coreecho; a wrong one names all.")],
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="The published checkpoint file; of an ensemble all of its files."),
    ],
    name: Annotated[str, typer.Option(help="Name of the new package: lower-case letters, digits, dashes.")],
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option",
            "-o",
            metavar="KEY=VALUE",
            help="licence, title, version, trained_on, intended_use, preparation, evaluated, or the layout's.",
        ),
    ] = None,
    into: Annotated[Path | None, typer.Option(help="Folder of packages; the one of node.toml when not given.")] = None,
    config: ConfigOption = None,
) -> None:
    """Make a model package from a published checkpoint; nothing in the file is executed."""
    from echonode.registry.importing import import_checkpoint

    options: dict[str, str] = {}
    for text in option or ():
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise BadInput(f"--option {text!r} is not of the form KEY=VALUE")
        options[key] = value
    folder = into or configuration_of(config).imported_models
    first, *further = (existing(file) for file in files)
    package = import_checkpoint(kind, first, name=name, into=folder, options=options, further=further)
    say(f"{package.name} {package.version} is in {package.folder}, digest {package.digest[:16]}")
    say(f'a route of routes.toml uses it with: task = "{package.task}", model = "{package.name}"')


def catalogue_of(config: Path | None) -> Catalogue:
    """The packages under the configured folders."""
    from echonode.registry.catalogue import Catalogue

    return Catalogue(configuration_of(config).model_paths)


def _flat(content: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for key, value in content.items():
        if isinstance(value, dict):
            pairs += _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for number, item in enumerate(value, start=1):
                pairs += _flat(item, f"{prefix}{key}.{number}.")
        else:
            pairs.append((f"{prefix}{key}", ", ".join(map(str, value)) if isinstance(value, list) else value))
    return pairs


def _card(folder: Path) -> str:
    card = folder / "MODEL_CARD.md"
    return str(card) if card.is_file() else ""
