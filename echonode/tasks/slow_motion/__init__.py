"""Slow motion: frames between the acquired frames of a cine. Importing this imports no torch."""

from __future__ import annotations

from echonode.core.task import TaskSpec

TASK = TaskSpec(
    name="slow_motion",
    title="Slow motion",
    runner="echonode.tasks.slow_motion.runner:open_runner",
    importers={"superslomo": "echonode.tasks.slow_motion.upstream:import_superslomo"},
    recipes={"slow-motion": "echonode.tasks.slow_motion.train:main"},
    evaluations={"slow-motion": "echonode.tasks.slow_motion.evaluate.evaluation:evaluate"},
    parity="echonode.tasks.slow_motion.parity:check",
    tools={
        "prepare": "echonode.tasks.slow_motion.dataset:prepare",
        "preparation": "echonode.tasks.slow_motion.dataset:Preparation",
    },
)
