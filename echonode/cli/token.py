"""`echonode token`: who may use the web edge."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from echonode.cli.options import ConfigOption, JsonOption, configuration_of
from echonode.cli.screen import Column, complain, say, show_rows
from echonode.core.errors import BadInput, NotFound

if TYPE_CHECKING:
    from echonode.core.tokens import Token

app = typer.Typer(name="token", help="Bearer tokens of the web edge, in tokens.toml.", no_args_is_help=True)
RIGHTS = ("query", "retrieve", "store", "admin")
HEAD = """\
# tokens.toml: who may use the web edge. Written by `echonode token create` and `echonode token remove`.
# A token itself is not kept, only its SHA-256; a change counts within a second, without a restart.
"""


@app.command("create")
def create_command(
    name: Annotated[str, typer.Argument(help="Who will hold it: letters, digits, dots, - and _.")],
    right: Annotated[
        list[str] | None,
        typer.Option("--right", metavar="|".join(RIGHTS), help="What it may do; give it once a right."),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Make a token and print it, once: it cannot be shown again."""
    from pydantic import ValidationError

    from echonode.core.tokens import Token, TokenRight, new_secret, sha256_of

    configuration = configuration_of(config)
    wanted = list(dict.fromkeys(right or []))
    unknown = [word for word in wanted if word not in RIGHTS]
    if unknown or not wanted:
        said = f"{unknown[0]!r} is no right" if unknown else "a token needs a right"
        raise BadInput(f"{said}; --right takes {', '.join(RIGHTS)}")
    if any(token.name == name for token in configuration.tokens.token):
        raise BadInput(f"there is a token {name!r} already; `echonode token remove {name}` takes it away")
    secret = new_secret()
    try:
        token = Token(name=name, sha256=sha256_of(secret), rights=tuple(TokenRight(word) for word in wanted))
    except ValidationError:
        raise BadInput(f"{name!r} is no name for a token: 1 to 64 letters, digits, dots, - and _") from None
    _write(configuration.folder, (*configuration.tokens.token, token))
    say(secret)
    complain(f"this is the token of {name}; it is shown this once. Clients send it as: Authorization: Bearer TOKEN")


@app.command("list")
def list_command(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Who holds a token, and what it may do."""
    rows = [
        {"name": token.name, "rights": [str(right) for right in token.rights]}
        for token in configuration_of(config).tokens.token
    ]
    columns = (Column("token", "name"), Column("rights", lambda row: ", ".join(row["rights"])))
    show_rows(rows, columns, as_json=as_json, empty="there is no token: the web edge answers this machine alone")


@app.command("remove")
def remove_command(
    name: Annotated[str, typer.Argument(help="As `echonode token list` shows it.")], config: ConfigOption = None
) -> None:
    """Take a token away; a running node refuses it within a second."""
    configuration = configuration_of(config)
    kept = tuple(token for token in configuration.tokens.token if token.name != name)
    if len(kept) == len(configuration.tokens.token):
        raise NotFound(f"there is no token {name!r}")
    _write(configuration.folder, kept)
    say(f"{name} is no longer let in")


def _write(folder: Path, tokens: tuple[Token, ...]) -> None:
    """Replace tokens.toml at once and durably, with the owner and the mode of node.toml."""
    from echonode.core.configuration import NODE_FILE, TOKENS_FILE

    text = HEAD
    for token in tokens:
        rights = ", ".join(f'"{right}"' for right in token.rights)
        text += f'\n[[token]]\nname = "{token.name}"\nsha256 = "{token.sha256}"\nrights = [{rights}]\n'
    like = (folder / NODE_FILE).stat()
    handle, path = tempfile.mkstemp(dir=folder, prefix=f".{TOKENS_FILE}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            os.fchmod(file.fileno(), like.st_mode & 0o644)
            if os.geteuid() == 0:
                os.fchown(file.fileno(), like.st_uid, like.st_gid)
            file.flush()
            os.fsync(file.fileno())
        Path(path).replace(folder / TOKENS_FILE)
    except BaseException:
        Path(path).unlink(missing_ok=True)
        raise
