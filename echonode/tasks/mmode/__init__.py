"""M-mode measurements. Importing this imports no torch."""

from __future__ import annotations

from echonode.core.task import TaskSpec

TASK = TaskSpec(
    name="mmode",
    title="M-mode measurements",
    runner="echonode.tasks.mmode.runner:open_runner",
    importers={
        "cardionet": "echonode.tasks.mmode.upstream:import_cardionet",
        "quicknat": "echonode.tasks.mmode.upstream:import_quicknat",
    },
    recipes={
        "mmode-boundaries": "echonode.tasks.mmode.train_boundaries:main",
        "mmode-quality": "echonode.tasks.mmode.train_quality:main",
        "mmode-level": "echonode.tasks.mmode.train_level:main",
    },
    evaluations={
        "mmode-boundaries": "echonode.tasks.mmode.evaluation:evaluate",
        "mmode-quality": "echonode.tasks.mmode.evaluation:evaluate",
        "mmode-level": "echonode.tasks.mmode.evaluation:evaluate",
    },
    parity="echonode.tasks.mmode.parity:check",
    tools={
        "read": "echonode.tasks.mmode.offline:read",
        "join": "echonode.tasks.mmode.offline:joined",
        "table": "echonode.tasks.mmode.tables:append",
    },
    level="instance",
)
