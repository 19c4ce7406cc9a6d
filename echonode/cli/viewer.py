"""`echonode viewer`: a page that shows studies in the browser."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from echonode.cli.options import ConfigOption, configuration_of, existing
from echonode.cli.screen import say

app = typer.Typer(name="viewer", help="A viewer's page for the browser.", no_args_is_help=True)
FOLDER = "viewer"


@app.command("install")
def install_command(
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FILE.tgz|DIR",
            help="A package that is here already; npm gets one when this is not given.",
            show_default=False,
        ),
    ] = None,
    version: Annotated[
        str | None, typer.Option("--version", help="Which one npm is to get.", show_default=False)
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Put OHIF's prebuilt page into the data folder. No setting is changed: what to write where is printed."""
    from echonode.cli.viewer_package import PACKAGE, VERSION, fetch, install, relative

    configuration = configuration_of(config)
    target = configuration.root / FOLDER
    with tempfile.TemporaryDirectory(prefix="echonode-") as scratch:
        package = existing(source) if source is not None else fetch(Path(scratch), version=version or VERSION)
        installed = install(package, target)
    say(f"{PACKAGE} {installed} lies in {target}" if installed else f"the page lies in {target}")
    web, name = configuration.node.web, relative(target, configuration.folder)
    if web.viewer and (configuration.folder / web.viewer).resolve() == target:
        say("web.viewer names it already; restart the node")
    else:
        say(f'put viewer = "{name}" below [web] in {configuration.folder / "node.toml"}, and restart the node')
    host = f"[{web.host}]" if ":" in web.host else web.host
    say(f"then open {web.public_url.rstrip('/') or f'http://{host}:{web.port}'}/viewer/")
