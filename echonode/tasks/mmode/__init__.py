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
    parity="echonode.tasks.mmode.parity:check",
    tools={
        "read": "echonode.tasks.mmode.offline:read",
        "join": "echonode.tasks.mmode.offline:joined",
        "table": "echonode.tasks.mmode.tables:append",
    },
    level="instance",
)
