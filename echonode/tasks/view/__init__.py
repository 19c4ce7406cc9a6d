"""Which standard view a loop shows. Importing this imports no torch."""

from __future__ import annotations

from echonode.core.task import TaskSpec

TASK = TaskSpec(
    name="view",
    title="View of the heart",
    runner="echonode.tasks.view.runner:open_runner",
    recipes={"view": "echonode.tasks.view.train:main"},
    evaluations={"view": "echonode.tasks.view.evaluation:evaluate"},
    tools={"read": "echonode.tasks.common.reading:read"},
    level="instance",
)
