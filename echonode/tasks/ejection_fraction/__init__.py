"""Ejection fraction. Importing this imports no torch."""

from __future__ import annotations

from echonode.core.task import TaskSpec

TASK = TaskSpec(
    name="ejection_fraction",
    title="Ejection fraction",
    runner="echonode.tasks.ejection_fraction.runner:open_runner",
    importers={
        "coreecho": "echonode.tasks.ejection_fraction.upstream:import_coreecho",
        "echonet-dynamic": "echonode.tasks.ejection_fraction.upstream:import_echonet_dynamic",
    },
    recipes={"ejection-fraction": "echonode.tasks.ejection_fraction.train:main"},
    evaluations={"ejection-fraction": "echonode.tasks.ejection_fraction.evaluate:evaluate"},
    parity="echonode.tasks.ejection_fraction.parity:check",
    tools={
        "read": "echonode.tasks.common.reading:read",
        "metrics": "echonode.tasks.ejection_fraction.metrics:evaluation",
        "starts": "echonode.tasks.ejection_fraction.start_indexes:read_start_indexes",
    },
    level="instance",
)
