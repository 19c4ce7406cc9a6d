"""`echonode run TASK`: models on files, without a node."""

from __future__ import annotations

import typer

from echonode.cli import cmr, ejection_fraction, mmode, segmentation, slow_motion, synthesis, view

app = typer.Typer(name="run", help="Models on files, without a node.", no_args_is_help=True)
app.command("slow-motion")(slow_motion.slow_motion_command)
app.command("ejection-fraction")(ejection_fraction.ejection_fraction_command)
app.command("cmr")(cmr.cmr_command)
app.command("mmode")(mmode.mmode_command)
app.command("segmentation")(segmentation.segmentation_command)
app.command("synthesis")(synthesis.synthesis_command)
app.command("view")(view.view_command)
