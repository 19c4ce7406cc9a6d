"""CMR findings predicted from echo. Importing this imports no torch."""

from __future__ import annotations

from echonode.core.task import TaskSpec

TASK = TaskSpec(
    name="cmr",
    title="CMR findings predicted from echo",
    runner="echonode.tasks.cmr.runner:open_runner",
    importers={"cmr-r2plus1d": "echonode.tasks.cmr.upstream:import_cmr"},
    recipes={"cmr": "echonode.tasks.cmr.train:main"},
    evaluations={"cmr": "echonode.tasks.cmr.evaluation:evaluate"},
    parity="echonode.tasks.cmr.parity:check",
    combine="echonode.tasks.cmr.combine:combine",
    tools={
        "read": "echonode.tasks.common.reading:read",
        "metrics": "echonode.tasks.cmr.metrics:evaluation",
    },
    level="instance",
)
