"""The `echonode` command: its groups, and the one place where errors become a line and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Annotated

import typer

from echonode import __version__
from echonode.cli import (
    data,
    demo,
    evaluate,
    models,
    network,
    objects,
    peers,
    quarantine,
    reference,
    reports,
    reprocess,
    routes,
    run_group,
    self_check,
    serve,
    simulate,
    study,
    token,
    train,
    viewer,
    work,
)
from echonode.cli.screen import complain
from echonode.core.cores import wait_briefly
from echonode.core.errors import EchonodeError

FAULT = 70
"""Exit code of a fault in echonode itself (sysexits EX_SOFTWARE)."""

app = typer.Typer(
    name="echonode",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Research use only. A command's own help: echonode COMMAND --help",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"echonode {__version__}")
        raise typer.Exit


@app.callback()
def echonode(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A DICOM node for the echo lab: stores every study, runs models on it, returns slow motion into the same study."""


app.command("serve")(serve.serve_command)
app.command("demo")(demo.demo_command)
app.command("simulate")(simulate.simulate_command)
app.command("send")(network.send_command)
app.command("query")(network.query_command)
app.command("retrieve")(network.retrieve_command)
app.add_typer(peers.app)
app.add_typer(token.app)
app.add_typer(run_group.app)
app.add_typer(routes.app)
app.command("request")(study.request_command)
app.add_typer(study.app)
app.command("objects")(objects.objects_command)
app.add_typer(objects.app)
app.command("review")(reports.review_command)
app.add_typer(reports.results_app)
app.add_typer(study.conflicts_app)
app.add_typer(work.app)
app.command("pause")(work.pause_command)
app.command("resume")(work.resume_command)
app.add_typer(quarantine.app)
app.command("refused")(study.refused_command)
app.add_typer(models.app)
app.command("reprocess")(reprocess.reprocess_command)
app.add_typer(self_check.app)
app.add_typer(data.app)
app.command("train")(train.train_command)
app.command("evaluate")(evaluate.evaluate_command)
app.add_typer(viewer.app)
app.add_typer(reference.app)


def run() -> None:
    """Entry point of the console script: exits 0, 1 (did not work), 2 (bad input), 70 (a fault) or 130 (Ctrl-C)."""
    wait_briefly(os.environ)
    sys.exit(execute(sys.argv[1:]))


def execute(arguments: list[str]) -> int:
    """The exit code of one command line; every error that was foreseen is one line on standard error."""
    try:
        result = app(args=arguments, prog_name="echonode", standalone_mode=False)
    except typer.TyperException as error:
        if message := error.format_message().rstrip(".").replace("Value error, ", ""):
            complain(f"{message}; --help shows what there is")
        return 2
    except EchonodeError as error:
        complain(str(error))
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        complain(f"{error.filename or 'the system'}: {error.strerror or error}")
        return 1
    except Exception as error:  # noqa: BLE001  the edge of a command
        complain(f"a fault of echonode itself: {type(error).__name__}: {error}; ECHONODE_DEBUG=1 shows where")
        if os.environ.get("ECHONODE_DEBUG"):
            traceback.print_exc()
        return FAULT
    return result if isinstance(result, int) else 0
