"""`--json` prints, `--json FILE.json` writes: what a command says as JSON, into a file that is whole or not there."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer
from typer.core import TyperCommand

from echonode.cli.screen import say
from echonode.cli.written import whole
from echonode.core.errors import BadInput

FLAG, OPTION = "--json", "--json-file"
ENDINGS = (".json", ".jsonl")
_PARAMETER = "json_file"
_Asked = Annotated[
    Path | None,
    typer.Option(OPTION, metavar="FILE", help="Write JSON there instead; --json FILE.json says the same."),
]


class JsonCommand(TyperCommand):
    """A command whose --json takes the name of a file, where what follows is one.

    No input of these commands ends in .json, so that `--json loop.dcm` stays what it was.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As for every command, with the file under its own option."""
        return super().parse_args(ctx, with_file(args))


def with_file(arguments: list[str]) -> list[str]:
    """`--json FILE.json` and `--json=FILE` as `--json --json-file FILE`."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    found: list[str] = []
    taken = False
    for place, argument in enumerate(arguments):
        if taken:
            taken = False
            continue
        following = arguments[place + 1] if place + 1 < end else ""
        if place < end and argument == FLAG and following.lower().endswith(ENDINGS) and not following.startswith("-"):
            found += [FLAG, OPTION, following]
            taken = True
        elif place < end and argument.startswith(f"{FLAG}="):
            found += [FLAG, OPTION, argument.removeprefix(f"{FLAG}=")]
        else:
            found.append(argument)
    return found


def json_to_file(command: Callable[..., Any]) -> Callable[..., Any]:
    """`command` with the option --json-file: what it prints with --json goes there, also when it refuses something."""

    @functools.wraps(command)
    def run(*arguments: Any, **named: Any) -> Any:
        file: Path | None = named.pop(_PARAMETER, None)
        if file is None:
            return command(*arguments, **named)
        if not file.absolute().parent.is_dir():
            raise BadInput(f"{file}: there is no such folder")
        refused: typer.Exit | None = None
        with whole(file) as part, part.open("w", encoding="utf-8") as stream, contextlib.redirect_stdout(stream):
            try:
                command(*arguments, **{**named, "as_json": True})
            except typer.Exit as error:
                refused = error
        say(f"values in {file}")
        if refused is not None:
            raise refused
        return None

    signature = inspect.signature(command)
    hints = get_type_hints(command, include_extras=True)
    own = inspect.Parameter(_PARAMETER, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_Asked)
    known = [each.replace(annotation=hints.get(each.name, each.annotation)) for each in signature.parameters.values()]
    del run.__wrapped__  # else the signature of the inner one is asked for
    run.__signature__ = signature.replace(parameters=[*known, own])  # type: ignore[attr-defined]
    run.__annotations__ = {**hints, _PARAMETER: _Asked}
    return run
