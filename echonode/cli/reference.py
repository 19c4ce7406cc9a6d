"""`echonode reference`: the pages that are written by the code they describe; `make docs` puts them in their place."""

from __future__ import annotations

import typer

app = typer.Typer(name="reference", help="Write the generated pages to standard output.", hidden=True)


@app.command("settings")
def settings_command() -> None:
    """docs/settings.md: every key of every file."""
    from echonode.cli.pages import settings_page

    typer.echo(settings_page(), nl=False)


@app.command("node-toml")
def node_toml_command() -> None:
    """ae_config/node.toml: every key with its default and its meaning."""
    from echonode.cli.pages import node_toml

    typer.echo(node_toml(), nl=False)


@app.command("conformance")
def conformance_command() -> None:
    """docs/conformance.md: the DICOM conformance statement."""
    from echonode.cli.conformance import conformance_page

    typer.echo(conformance_page(), nl=False)
