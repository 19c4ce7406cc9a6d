"""A model package tried out on this machine before it is registered: its contract tests, in a runner process of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from echonode.cli.model_probes import probes_for
from echonode.core.package import Package
from echonode.core.ports import Executor
from echonode.core.settings import ExecutionSection, LimitsSection
from echonode.core.task import announced_tasks
from echonode.execution.local import LocalExecutor
from echonode.registry.contract_tests import RUN_SECONDS, Check, contract_tests

ADDRESS_BYTES = 32 << 30
"""Address space of the runner: much more than it may really take, since libraries reserve what they never touch."""


def try_out(package: Package, *, limits: LimitsSection, clips: Iterable[Path] = (), threads: int = 0) -> list[Check]:
    """Every contract test of the package, on the CPU; nothing of it stays.

    Raises:
        BadInput: a clip cannot be read.
    """
    known = announced_tasks()
    settings = ExecutionSection(
        devices=("cpu",), threads=threads, timeout_seconds=RUN_SECONDS, memory_bytes=ADDRESS_BYTES
    )
    with tempfile.TemporaryDirectory(prefix="echonode-trial-") as scratch:
        probes, spool = Path(scratch) / "probes", Path(scratch) / "spool"
        probes.mkdir()
        spool.mkdir()
        executor = LocalExecutor(tasks=known.tasks, refused=known.refused, settings=settings, limits=limits)
        try:
            return contract_tests(
                package,
                probes_for(package, probes, clips=clips),
                executor=executor,
                spool=spool,
                peak_bytes=lambda: peak_bytes(executor),
            )
        finally:
            executor.shutdown()


def peak_bytes(executor: Executor) -> int | None:
    """The most memory that a runner of the executor has taken so far, where this system tells."""
    found: list[int] = []
    for lane in executor.health()["models"].values():
        for slot in lane["slots"]:
            with suppress(OSError, ValueError, TypeError):
                text = Path(f"/proc/{slot['pid']}/status").read_text()
                lines = (line.split() for line in text.splitlines())
                found += [int(words[1]) << 10 for words in lines if words and words[0] == "VmHWM:"]
    return max(found, default=None)
