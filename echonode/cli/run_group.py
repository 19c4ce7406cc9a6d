"""`echonode run TASK`: models on files, without a node."""

from __future__ import annotations

import typer

from echonode.cli import slow_motion

app = typer.Typer(name="run", help="Models on files, without a node.", no_args_is_help=True)
app.command("slow-motion")(slow_motion.slow_motion_command)
