"""An executor in the calling process: for offline commands, where one loop goes in and one comes out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from echonode.core.errors import RunFailed
from echonode.core.package import Package
from echonode.core.ports import RunRequest
from echonode.core.results import RunOutcome
from echonode.core.settings import LimitsSection
from echonode.core.task import Announced, RefusedTask, Runner, TaskSpec
from echonode.execution.batch import failure_of, load_package, load_runner, run_batch


class InlineExecutor:
    """An Executor (core.ports) without processes: `submit` runs and returns a finished future.

    A crash here is a crash of the caller; the node uses execution/local.
    """

    def __init__(
        self,
        *,
        tasks: Mapping[str, TaskSpec],
        limits: LimitsSection,
        device: str = "cpu",
        threads: int = 1,
        refused: Sequence[RefusedTask] = (),
    ) -> None:
        self._tasks, self._limits = Announced(tasks=dict(tasks), refused=tuple(refused)), limits
        self._device, self._threads = device, threads
        self._loaded: dict[tuple[str, Path], tuple[Package, Runner]] = {}
        self._closed = False

    def submit(self, request: RunRequest, *, progress: Callable[[int, int], None] | None = None) -> Future[RunOutcome]:
        """Run now; the future is done when it is returned."""
        future: Future[RunOutcome] = Future()
        started = time.monotonic()
        try:
            package, runner = self._runner(request)
            (results,) = run_batch(runner, [request], limits=self._limits, progress=progress or _nobody)
        except Exception as error:  # noqa: BLE001  the edge of a run: the future carries it
            future.set_exception(failure_of(error))
            return future
        future.set_result(
            RunOutcome(
                results=results,
                seconds=time.monotonic() - started,
                device=self._device,
                details={"package_digest": package.digest},
            )
        )
        return future

    def capacity(self, package: Path) -> int:
        """One: a run is over when `submit` returns."""
        return 0 if self._closed else 1

    def health(self) -> Mapping[str, Any]:
        """The models that are loaded."""
        return {"slots": [{"slot": self._device, "threads": self._threads}],
                "models": {folder.name: {} for _task, folder in self._loaded}}  # fmt: skip

    def shutdown(self) -> None:
        """Forget the loaded models and take no further runs; idempotent."""
        self._closed = True
        self._loaded.clear()

    def _runner(self, request: RunRequest) -> tuple[Package, Runner]:
        if self._closed:
            raise RunFailed("the executor is shut down")
        task = self._tasks.tasks.get(request.task)
        if task is None:
            raise RunFailed(self._tasks.why_not(request.task), transient=False)
        key = (request.task, request.package)
        if key not in self._loaded:
            package = load_package(request.package)
            runner = load_runner(task.runner, package, device=self._device, threads=self._threads)
            self._loaded[key] = (package, runner)
        return self._loaded[key]


def _nobody(_done: int, _total: int) -> None:
    """Nobody wants to know."""
