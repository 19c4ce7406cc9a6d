"""How bright the myocardium is on a loop. Importing this imports no torch: every process of a node does it."""

from __future__ import annotations

from echonode.core.task import TaskSpec

TASK = TaskSpec(
    name="gain",
    title="Brightness of the myocardium",
    runner="echo_gain.runner:open_runner",
    recipes={"gain": "echo_gain.train:main"},
    evaluations={"gain": "echo_gain.evaluation:evaluate"},
    combine="echo_gain.combine:combine",
)
