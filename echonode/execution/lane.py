"""One model on this machine: its queue, and one thread for each device slot that keeps a warm runner process."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from echonode.core.errors import RunFailed
from echonode.core.ports import RunRequest
from echonode.core.results import RunOutcome
from echonode.execution.batching import BatchQueue, Closed
from echonode.execution.process import RunnerLost, RunnerPlan, RunnerProcess

LOG = logging.getLogger(__name__)
BACKOFF_SECONDS, BACKOFF_LONGEST_SECONDS = 0.5, 30.0


@dataclass(frozen=True, slots=True, eq=False)
class Pending:
    """A run that was asked for, and the future that its asker holds."""

    request: RunRequest
    future: Future[RunOutcome]
    progress: Callable[[int, int], None] | None


@dataclass(slots=True)
class SlotState:
    """What one slot of a lane is doing; written by its thread alone, read by `health`."""

    name: str
    doing: str = "idle"
    pid: int | None = None
    runs: int = 0
    failures: int = 0
    last_failure: str = ""


@dataclass(slots=True, eq=False)
class SlotWorker:
    """Takes batches from the queue and runs them in its process; one thread for as long as the executor lives.

    The thread that starts a process must outlive it: the kernel ends the process with that thread.
    """

    plan: RunnerPlan
    queue: BatchQueue[Pending]
    device: threading.Lock
    """Held while computing, so that models that share a slot take turns."""
    closing: threading.Event
    state: SlotState
    _process: RunnerProcess | None = None
    _stamp: object = None
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def serve(self) -> None:
        """Until the queue closes."""
        settings = self.plan.settings
        try:
            while True:
                batch = self.queue.take(
                    limit=settings.batch_size,
                    wait=settings.batch_wait_seconds,
                    timeout=settings.idle_seconds if self._process else None,
                )
                running = [run for run in batch if run.future.set_running_or_notify_cancel()]
                if not batch:
                    self._close("idle")
                if running:
                    with self.device:
                        self._work(running)
        except Closed:
            self._close("closed")

    def end(self) -> None:
        """Kill the process from another thread: the batch in it fails and `serve` returns."""
        with self._guard:
            if self._process is not None:
                self._process.interrupt()

    def _work(self, batch: Sequence[Pending]) -> None:
        """Run a batch; when it fails as a whole, each run alone, so that one bad loop fails nobody else's."""
        answers = self._attempt(batch)
        for run in batch:
            answer = answers[run.request.run_id]
            if isinstance(answer, RunFailed) and len(batch) > 1 and not self.closing.is_set():
                answer = self._attempt([run])[run.request.run_id]
            self.state.runs += 1
            if isinstance(answer, RunFailed):
                run.future.set_exception(answer)
            else:
                run.future.set_result(answer)
        self.state.doing = "idle"

    def _attempt(self, batch: Sequence[Pending]) -> dict[str, RunOutcome | RunFailed]:
        ids = [run.request.run_id for run in batch]
        self.state.doing = f"running {len(batch)}"
        try:
            process = self._ready(batch[0].request)
            answers = process.run([run.request for run in batch], _Told(batch))
        except RunnerLost as error:
            self._lost(str(error))
            return {run_id: RunFailed(str(error)) for run_id in ids}
        except RunFailed as error:
            self._lost(str(error))
            return dict.fromkeys(ids, error)
        except Exception as error:  # the edge of a batch: the futures must never hang
            LOG.exception("a batch could not be run", extra={"slot": self.state.name})
            self._lost(f"{type(error).__name__}: {error}")
            return {run_id: RunFailed(f"{type(error).__name__}: {error}") for run_id in ids}
        if process.alive():
            self.state.failures = 0
        else:
            self._lost("the runner process ended after running out of memory")
        return {run_id: answers.get(run_id) or RunFailed("the runner gave no answer") for run_id in ids}

    def _ready(self, first: RunRequest) -> RunnerProcess:
        """The warm process, or a new one: after a crash with a pause that doubles, and when the package changed."""
        stamp = _stamp(first.package)
        if self._process is not None and (stamp != self._stamp or not self._process.alive()):
            self._close("restarting")
        if self._process is None:
            if self.state.failures:
                self.state.doing = "waiting to restart"
                pause = BACKOFF_SECONDS * 2 ** (self.state.failures - 1)
                self.closing.wait(min(BACKOFF_LONGEST_SECONDS, pause))
            if self.closing.is_set():
                raise RunFailed("the node is stopping")
            self.state.doing = "loading"
            process = RunnerProcess(self.plan)
            with self._guard:
                self._process, self._stamp, self.state.pid = process, stamp, process.pid
            process.load(first)
            LOG.info("runner is ready", extra={"slot": self.state.name, "pid": process.pid})
            self.state.doing = "running"
        return self._process

    def _lost(self, reason: str) -> None:
        self._close("lost")
        self.state.failures += 1
        self.state.last_failure = reason
        if not self.closing.is_set():
            LOG.warning("runner failed", extra={"slot": self.state.name, "reason": reason})

    def _close(self, doing: str) -> None:
        with self._guard:
            process, self._process, self.state.pid, self.state.doing = self._process, None, None, doing
        if process is not None:
            process.close()


class Lane:
    """One model: its queue and its slots."""

    def __init__(
        self, package: Path, plans: Sequence[RunnerPlan], devices: Sequence[threading.Lock], *, label: str
    ) -> None:
        self.package = package
        self._settings = plans[0].settings
        self._queue: BatchQueue[Pending] = BatchQueue()
        self._closing = threading.Event()
        self._open = 0
        self._open_lock = threading.Lock()
        self._workers = [
            SlotWorker(
                plan=plan,
                queue=self._queue,
                device=device,
                closing=self._closing,
                state=SlotState(name=f"{label}@{plan.slot.name}"),
            )
            for plan, device in zip(plans, devices, strict=True)
        ]
        self._threads = [
            threading.Thread(target=worker.serve, name=f"runner {worker.state.name}", daemon=True)
            for worker in self._workers
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, pending: Pending) -> None:
        """Queue one run.

        Raises:
            Closed: `shutdown` was called.
        """
        with self._open_lock:
            self._open += 1
        pending.future.add_done_callback(self._answered)
        self._queue.put(pending)

    def capacity(self) -> int:
        """One batch a slot that works, and one waiting for it; a slot that cannot start its runner counts for none."""
        room = sum(2 * self._settings.batch_size for worker in self._workers if not worker.state.failures)
        least = 0 if room else 1  # a failing model is tried with one run at a time
        return max(0, max(room, least) - self._open)

    def health(self) -> Mapping[str, Any]:
        """State of each slot."""
        return {
            "waiting": len(self._queue),
            "slots": [
                {
                    "slot": state.name,
                    "doing": state.doing,
                    "pid": state.pid,
                    "runs": state.runs,
                    "failures": state.failures,
                    "last_failure": state.last_failure,
                }
                for state in (replace(worker.state) for worker in self._workers)
            ],
        }

    def shutdown(self) -> None:
        """Kill every process and fail every run that has no answer; idempotent."""
        self._closing.set()
        for pending in self._queue.close():
            if pending.future.set_running_or_notify_cancel():
                pending.future.set_exception(RunFailed("the node is stopping"))
        deadline = time.monotonic() + 10
        for worker, thread in zip(self._workers, self._threads, strict=True):
            while thread.is_alive() and time.monotonic() < deadline:
                worker.end()
                thread.join(timeout=0.1)

    def _answered(self, _future: Future[RunOutcome]) -> None:
        with self._open_lock:
            self._open -= 1


class _Told:
    """Passes the progress of a batch to everyone who asked for a run in it."""

    def __init__(self, batch: Sequence[Pending]) -> None:
        self._listeners = [run.progress for run in batch if run.progress is not None]

    def __call__(self, done: int, total: int) -> None:
        for listener in self._listeners:
            with contextlib.suppress(Exception):
                listener(done, total)


def _stamp(package: Path) -> object:
    try:
        return tuple(sorted((path.name, path.stat().st_mtime_ns, path.stat().st_size) for path in package.iterdir()))
    except OSError:
        return None
