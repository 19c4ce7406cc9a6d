"""Child processes that are started, watched, started again when they die, and ended together."""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from echonode.core.lifeline import end_with_parent

LOG = logging.getLogger(__name__)
READY = b"ready\n"
WATCH_SECONDS = 0.2
BACKOFF_SECONDS, BACKOFF_LONGEST_SECONDS = 0.2, 5.0
SETTLED_SECONDS = 10.0
"""A child that lived this long is started again at once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Role:
    """One child: its name, its command, and the descriptors it inherits. It writes `ready` when it works."""

    name: str
    command: Sequence[str]
    descriptors: tuple[int, ...] = ()


@dataclass(slots=True)
class _Child:
    role: Role
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    failures: int = 0
    not_before: float = 0.0
    ready: bool = False
    words: bytearray = field(default_factory=bytearray)


class Supervisor:
    """Keeps `roles` running until `stop`. Children hold the other end of a pipe: they end when this process does.

    `ready` is called once, when every child has said that it works.
    """

    def __init__(
        self,
        roles: Sequence[Role],
        *,
        ready: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
        drain_seconds: float = 20.0,
    ) -> None:
        self._children = [_Child(role) for role in roles]
        self._ready, self._clock, self._drain_seconds = ready, clock, drain_seconds
        self._selector = selectors.DefaultSelector()
        self._announced = False

    def run(self, stop: threading.Event) -> None:
        """Start, watch and restart until `stop`; then end the children in the order of `roles`."""
        try:
            while not stop.is_set():
                self._start_due()
                self._listen()
                if not self._announced and all(child.ready for child in self._children):
                    self._announced = True
                    self._ready()
        finally:
            self._end()

    def _start_due(self) -> None:
        now = self._clock()
        for child in self._children:
            if child.process is None and now >= child.not_before:
                child.process = subprocess.Popen(
                    child.role.command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    pass_fds=child.role.descriptors,
                    bufsize=0,
                )
                child.started_at, child.ready = now, False
                child.words.clear()
                self._selector.register(_stdout(child), selectors.EVENT_READ, child)
                LOG.info("started", extra={"child": child.role.name, "pid": child.process.pid})

    def _listen(self) -> None:
        for key, _events in self._selector.select(WATCH_SECONDS) if self._selector.get_map() else self._rest():
            child: _Child = key.data
            words = os.read(key.fd, 4096)
            if not words:
                self._ended(child)
            elif not child.ready:  # what it prints later is of no interest
                child.words += words
                child.ready = READY in child.words
                del child.words[: -len(READY)]

    def _rest(self) -> list[Any]:
        time.sleep(WATCH_SECONDS)
        return []

    def _ended(self, child: _Child) -> None:
        assert child.process is not None
        self._selector.unregister(_stdout(child))
        code = _reaped(child.process)
        lived = self._clock() - child.started_at
        child.failures = 0 if lived >= SETTLED_SECONDS else child.failures + 1
        pause = min(BACKOFF_LONGEST_SECONDS, BACKOFF_SECONDS * 2 ** (child.failures - 1)) if child.failures else 0.0
        child.not_before = self._clock() + pause
        LOG.warning(
            "a process ended and is started again",
            extra={"child": child.role.name, "pid": child.process.pid, "exit": code, "pause_seconds": pause},
        )
        child.process = None

    def _end(self) -> None:
        deadline = self._clock() + self._drain_seconds
        for child in self._children:
            if child.process is not None:
                with contextlib.suppress(ProcessLookupError):
                    child.process.send_signal(signal.SIGTERM)
        for child in self._children:
            if child.process is not None:
                try:
                    child.process.wait(timeout=max(0.1, deadline - self._clock()))
                except subprocess.TimeoutExpired:
                    LOG.warning("killed: it did not end in time", extra={"child": child.role.name})
                _reaped(child.process)
                child.process = None
        self._selector.close()


def child_of_supervisor() -> threading.Event:
    """For a child's first line: an event that SIGTERM sets; the process ends at once when the supervisor dies."""
    end_with_parent()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the supervisor decides
    threading.Thread(target=_end_with_supervisor, name="lifeline", daemon=True).start()
    return stop


def say_ready() -> None:
    """Tell the supervisor that this child works now."""
    os.write(1, READY)


def this_python(module: str, *arguments: str) -> tuple[str, ...]:
    """The command that runs `module` with this interpreter; the current folder is not searched for modules."""
    return (sys.executable, "-P", "-m", module, *arguments)


def _end_with_supervisor() -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 1024):
            pass
    os._exit(1)


def _stdout(child: _Child) -> Any:
    assert child.process is not None
    return child.process.stdout


def _reaped(process: subprocess.Popen[bytes]) -> int:
    process.kill()
    code = process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
    return code
