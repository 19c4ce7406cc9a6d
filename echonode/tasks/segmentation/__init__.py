"""Segmentation of the left heart. Importing this imports no torch."""

from __future__ import annotations

from echonode.core.task import TaskSpec

TASK = TaskSpec(
    name="segmentation",
    title="Segmentation of the left heart",
    runner="echonode.tasks.segmentation.runner:open_runner",
    importers={"camus-unet": "echonode.tasks.segmentation.upstream:import_camus_unet"},
    parity="echonode.tasks.segmentation.parity:check",
    tools={"read": "echonode.tasks.common.reading:read"},
    level="instance",
)
