"""One runner process as seen from the executor: start it, give it batches, kill it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from echonode.core.cores import threads_of
from echonode.core.errors import RunFailed
from echonode.core.ports import RunRequest
from echonode.core.results import RunOutcome
from echonode.core.settings import ExecutionSection, LimitsSection
from echonode.execution.slots import Slot
from echonode.execution.spool import read_results
from echonode.execution.wire import LineReader, encode, request_as_json

GOODBYE_SECONDS = 5.0

Answer = RunOutcome | RunFailed


class RunnerLost(Exception):
    """The process ended or was killed in the middle of a batch; `str(error)` says how."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunnerPlan:
    """What a runner process is started with; `runner` is the task's "module:callable"."""

    runner: str
    slot: Slot
    settings: ExecutionSection
    limits: LimitsSection


class RunnerProcess:
    """A started process; `load` comes before the first `run`."""

    def __init__(self, plan: RunnerPlan) -> None:
        self._plan, self._timeout = plan, plan.settings.timeout_seconds
        self._process = subprocess.Popen(
            (sys.executable, "-P", "-m", "echonode.execution.child", str(os.getpid())),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | threads_of(plan.slot.threads),
            bufsize=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._reader = LineReader(self._stdout.fileno())

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def load(self, first: RunRequest) -> None:
        """Load the model of `first`.

        Raises:
            RunFailed: it could not be loaded, with the reason.
            RunnerLost: the process ended while it loaded, or took longer than a run may.
        """
        plan = self._plan
        order = {
            "runner": plan.runner,
            "request": request_as_json(first),
            "device": plan.slot.device,
            "threads": plan.slot.threads,
            "limits": plan.limits.model_dump(mode="json"),
            "memory_bytes": plan.settings.memory_bytes if plan.slot.device == "cpu" else 0,
        }
        try:
            self._send(order)
            answer = self._receive(time.monotonic() + self._timeout)
        except RunnerLost:
            self.kill()
            raise
        if answer["event"] != "ready":
            self.kill()
            raise RunFailed(f"the model cannot be loaded: {answer['message']}", transient=answer["transient"])

    def run(self, requests: Sequence[RunRequest], progress: Callable[[int, int], None]) -> dict[str, Answer]:
        """What became of each run, by run id.

        Raises:
            RunnerLost: the process ended, or the batch took longer than its runs may; it is not alive any more.
        """
        answers: dict[str, Answer] = {}
        deadline = time.monotonic() + self._timeout * len(requests)
        spools = {request.run_id: request.spool for request in requests}
        try:
            self._send({"runs": [request_as_json(request) for request in requests]})
            while True:
                message = self._receive(deadline)
                match message["event"]:
                    case "progress":
                        progress(message["done"], message["total"])
                    case "done":
                        answers[message["run_id"]] = self._outcome(message, spools)
                    case "failed":
                        answers[message["run_id"]] = RunFailed(message["message"], transient=message["transient"])
                    case _:
                        return answers
        except RunnerLost:
            self.kill()
            if answers.keys() == spools.keys():  # it said everything and ended: out of memory
                return answers
            raise

    def alive(self) -> bool:
        """Whether it can take another batch."""
        return self._process.poll() is None

    def close(self) -> None:
        """Let it end by itself, then see to it that it has."""
        with contextlib.suppress(OSError):
            self._stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=GOODBYE_SECONDS)
        self.kill()

    def interrupt(self) -> None:
        """Kill it from another thread: the thread that waits for its answer hears RunnerLost."""
        self._process.kill()

    def kill(self) -> None:
        """End it at once; idempotent."""
        self._process.kill()
        self._process.wait()
        self._reader.close()
        for stream in (self._stdin, self._stdout):
            with contextlib.suppress(OSError):
                stream.close()

    def _outcome(self, message: Mapping[str, Any], spools: Mapping[str, Any]) -> Answer:
        try:
            results = read_results(spools[message["run_id"]])
        except RunFailed as error:
            return error
        return RunOutcome(
            results=results,
            seconds=message["seconds"],
            device=self._plan.slot.device,
            details={"package_digest": message["package_digest"]},
        )

    def _send(self, message: Mapping[str, Any]) -> None:
        line = memoryview(encode(message))
        try:
            while line:
                line = line[os.write(self._stdin.fileno(), line) :]
        except (BrokenPipeError, ValueError) as error:
            raise RunnerLost(self._how_it_ended()) from error

    def _receive(self, deadline: float) -> dict[str, Any]:
        try:
            return self._reader.read(deadline - time.monotonic())
        except TimeoutError as error:
            raise RunnerLost(f"killed: it took longer than {self._timeout:g} s a run") from error
        except (EOFError, OSError, ValueError) as error:
            raise RunnerLost(self._how_it_ended()) from error

    def _how_it_ended(self) -> str:
        try:
            code = self._process.wait(timeout=GOODBYE_SECONDS)
        except subprocess.TimeoutExpired:
            return "the runner process closed its pipe"
        if code == -signal.SIGKILL:
            return "the runner process was killed (signal 9; perhaps out of memory)"
        if code < 0:
            return f"the runner process crashed (signal {-code})"
        return f"the runner process ended (exit {code})"
