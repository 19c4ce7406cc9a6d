"""`echonode run TASK`: models on files, without a node."""

from __future__ import annotations

import typer

from echonode.cli import cmr, ejection_fraction, mmode, run_report, segmentation, slow_motion, synthesis, view
from echonode.cli.guard import guarded
from echonode.cli.json_file import JsonCommand, json_to_file

app = typer.Typer(name="run", help="Models on files, without a node.", no_args_is_help=True)
app.command("slow-motion")(guarded(slow_motion.slow_motion_command))
app.command("ejection-fraction", cls=JsonCommand)(json_to_file(guarded(ejection_fraction.ejection_fraction_command)))
app.command("cmr", cls=JsonCommand)(json_to_file(guarded(cmr.cmr_command)))
app.command("mmode", cls=JsonCommand)(json_to_file(guarded(mmode.mmode_command)))
app.command("segmentation", cls=JsonCommand)(json_to_file(guarded(segmentation.segmentation_command)))
app.command("synthesis", cls=JsonCommand)(json_to_file(guarded(synthesis.synthesis_command)))
app.command("view", cls=JsonCommand)(json_to_file(guarded(view.view_command)))
app.command("report")(guarded(run_report.report_command))
