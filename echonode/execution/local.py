"""The executor of one machine: warm runner processes, one a model and device slot."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from echonode.core.errors import RunFailed
from echonode.core.ports import RunRequest
from echonode.core.results import RunOutcome
from echonode.core.settings import ExecutionSection, LimitsSection
from echonode.core.task import Announced, RefusedTask, TaskSpec
from echonode.execution.batching import Closed
from echonode.execution.lane import Lane, Pending
from echonode.execution.process import RunnerPlan
from echonode.execution.slots import Slot, slots_of


class LocalExecutor:
    """An Executor (core.ports) of local processes; nothing is started before the first run of a model.

    `tasks` maps a task's name to its TaskSpec, `refused` are those that are installed and cannot be used; `slots` are
    found by `slots_of` when not given.

    Raises:
        ConfigurationError: the settings name a device that does not exist.
    """

    def __init__(
        self,
        *,
        tasks: Mapping[str, TaskSpec],
        settings: ExecutionSection,
        limits: LimitsSection,
        slots: tuple[Slot, ...] | None = None,
        refused: Sequence[RefusedTask] = (),
    ) -> None:
        self._tasks = Announced(tasks=dict(tasks), refused=tuple(refused))
        self._settings, self._limits = settings, limits
        self._slots = slots or slots_of(settings)
        self._devices = [threading.Lock() for _ in self._slots]
        self._lanes: dict[tuple[str, Path], Lane] = {}
        self._lock = threading.Lock()
        self._closed = False

    def submit(self, request: RunRequest, *, progress: Callable[[int, int], None] | None = None) -> Future[RunOutcome]:
        """Queue one run. The future fails with RunFailed (crash, time-out, out of memory), and never hangs."""
        future: Future[RunOutcome] = Future()
        try:
            self._lane(request).submit(Pending(request, future, progress))
        except Closed:
            future.set_exception(RunFailed("the node is stopping"))
        except RunFailed as error:
            future.set_exception(error)
        return future

    def capacity(self, package: Path) -> int:
        """How many more runs of that model are worth claiming now: a batch a slot, and one more in waiting."""
        with self._lock:
            lanes = [lane for (_task, folder), lane in self._lanes.items() if folder == package]
            if self._closed:
                return 0
        return min((lane.capacity() for lane in lanes), default=2 * self._settings.batch_size * len(self._slots))

    def health(self) -> Mapping[str, Any]:
        """State of each runner by model, and the device slots."""
        with self._lock:
            lanes = dict(self._lanes)
        return {
            "slots": [{"slot": slot.name, "threads": slot.threads} for slot in self._slots],
            "models": {folder.name: lane.health() for (_task, folder), lane in lanes.items()},
        }

    def shutdown(self) -> None:
        """End every runner process; runs without an answer fail with RunFailed; idempotent."""
        with self._lock:
            self._closed = True
            lanes = list(self._lanes.values())
        for lane in lanes:
            lane.shutdown()

    def _lane(self, request: RunRequest) -> Lane:
        task = self._tasks.tasks.get(request.task)
        if task is None:
            raise RunFailed(self._tasks.why_not(request.task), transient=False)
        with self._lock:
            if self._closed:
                raise Closed
            key = (request.task, request.package)
            if key not in self._lanes:
                plans = [
                    RunnerPlan(runner=task.runner, slot=slot, settings=self._settings, limits=self._limits)
                    for slot in self._slots
                ]
                self._lanes[key] = Lane(request.package, plans, self._devices, label=request.package.name)
            return self._lanes[key]
