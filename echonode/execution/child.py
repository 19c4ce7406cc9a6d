"""A runner process: `python -m echonode.execution.child`. Loads one model, runs batches, ends with its parent.

Standard input and output are the wire; whatever a library prints goes to standard error, into the node's log.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import queue
import resource
import signal
import sys
import threading
import time
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from echonode.core.errors import RunFailed
from echonode.core.lifeline import end_with_parent
from echonode.core.package import Package
from echonode.core.ports import RunRequest
from echonode.core.settings import LimitsSection
from echonode.core.task import Runner
from echonode.execution.batch import failure_of, load_package, load_runner, ran_out_of_memory, run_batch
from echonode.execution.spool import write_results
from echonode.execution.wire import LineReader, encode, request_of_json

PROGRESS_SECONDS = 0.2
OUT_OF_MEMORY_EXIT = 86


def main(arguments: list[str]) -> int:
    """Serve one executor until its end of the pipe closes."""
    if arguments == ["--count-cuda"]:
        cuda = import_module("torch").cuda
        sys.stdout.write(f"{cuda.device_count() if cuda.is_available() else 0}\n")
        return 0
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the supervisor
    end_with_parent(int(arguments[0]))  # elsewhere than on Linux the closed pipe does it
    inbox, outbox = os.dup(0), os.dup(1)
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    return RunnerSide(inbox, outbox).serve()


class RunnerSide:
    """This end of the wire: one runner, batch after batch."""

    def __init__(self, inbox: int, outbox: int) -> None:
        self._outbox = outbox
        self._messages: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._listen, args=(LineReader(inbox),), daemon=True).start()

    def serve(self) -> int:
        """Load, then run until the process ends; returns only when loading failed or memory ran out."""
        order = self._messages.get()
        limits = LimitsSection.model_validate(order["limits"])
        try:
            if order["memory_bytes"]:
                resource.setrlimit(resource.RLIMIT_AS, (order["memory_bytes"], order["memory_bytes"]))
            package = load_package(request_of_json(order["request"]).package)
            runner = load_runner(order["runner"], package, device=order["device"], threads=order["threads"])
        except Exception as error:  # noqa: BLE001  the edge of the process: told to the parent
            self._say({"event": "refused", **_failure(failure_of(error))})
            return 1
        self._say({"event": "ready", "pid": os.getpid(), "device": order["device"]})
        while True:
            requests = [request_of_json(values) for values in self._messages.get()["runs"]]
            if not self._run(runner, package, requests, limits):
                return OUT_OF_MEMORY_EXIT

    def _run(self, runner: Runner, package: Package, requests: list[RunRequest], limits: LimitsSection) -> bool:
        started = time.monotonic()
        try:
            results = run_batch(runner, requests, limits=limits, progress=_Throttled(self._say))
            for request, result in zip(requests, results, strict=True):
                request.spool.mkdir(parents=True, exist_ok=True)
                write_results(request.spool, result)
                self._say(
                    {
                        "event": "done",
                        "run_id": request.run_id,
                        "seconds": round((time.monotonic() - started) / len(requests), 4),
                        "package_digest": package.digest,
                    }
                )
        except Exception as error:  # noqa: BLE001  the edge of a run: told to the parent
            failure = _failure(failure_of(error))
            for request in requests:
                self._say({"event": "failed", "run_id": request.run_id, **failure})
            if ran_out_of_memory(error):
                return False
        self._say({"event": "end"})
        return True

    def _say(self, message: Mapping[str, Any]) -> None:
        line = encode(message)
        try:
            while line:
                line = line[os.write(self._outbox, line) :]
        except BrokenPipeError:
            os._exit(0)

    def _listen(self, reader: LineReader) -> None:
        with contextlib.suppress(EOFError):
            while True:
                self._messages.put(reader.read(None))
        os._exit(0)


class _Throttled:
    """Progress that is told a few times a second, and at the end."""

    def __init__(self, say: Any) -> None:
        self._say, self._last = say, 0.0

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if done >= total or now - self._last >= PROGRESS_SECONDS:
            self._last = now
            self._say({"event": "progress", "done": done, "total": total})


def _failure(error: RunFailed) -> dict[str, Any]:
    return {"message": str(error), "transient": error.transient}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
