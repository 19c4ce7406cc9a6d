"""Segmentation of the left heart. Importing this imports no torch."""

from __future__ import annotations

from echonode.core.task import TaskSpec

TASK = TaskSpec(
    name="segmentation",
    title="Segmentation of the left heart",
    runner="echonode.tasks.segmentation.runner:open_runner",
    importers={"camus-unet": "echonode.tasks.segmentation.upstream:import_camus_unet"},
    recipes={"segmentation": "echonode.tasks.segmentation.train:main"},
    evaluations={"segmentation": "echonode.tasks.segmentation.evaluate:evaluate"},
    parity="echonode.tasks.segmentation.parity:check",
    combine="echonode.tasks.segmentation.combine:combine",
    tools={
        "read": "echonode.tasks.common.reading:read",
        "tree": "echonode.tasks.segmentation.tree:write_tree",
        "tree-order": "echonode.tasks.segmentation.tree:Order",
        "collect": "echonode.tasks.segmentation.tree:collect",
        "pictures": "echonode.tasks.segmentation.pictures:read_pictures",
        "biplane": "echonode.tasks.segmentation.ventricle:biplane",
    },
    level="instance",
)
