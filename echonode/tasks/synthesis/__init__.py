"""Synthetic echo images. Importing this imports no torch."""

from __future__ import annotations

from echonode.core.task import TaskSpec

TASK = TaskSpec(
    name="synthesis",
    title="Synthetic echo images",
    runner="echonode.tasks.synthesis.runner:open_runner",
    importers={"sdm": "echonode.tasks.synthesis.upstream:import_sdm"},
    recipes={"synthesis": "echonode.tasks.synthesis.train:main"},
    evaluations={"synthesis": "echonode.tasks.synthesis.evaluation:evaluate"},
    parity="echonode.tasks.synthesis.parity:check",
    tools={"sample": "echonode.tasks.synthesis.offline:sampled_files"},
    level="instance",
)
