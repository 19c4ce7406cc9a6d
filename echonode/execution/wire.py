"""The pipe between an executor and a runner process: one JSON object a line, both ways. Nothing is ever unpickled.

To the process: `load` once, then `run` for each batch. From it: `ready` or `refused` after loading; for each batch
`progress`, one `done` or `failed` a run, then `end`.
"""

from __future__ import annotations

import json
import os
import selectors
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from echonode.core.ports import RunRequest

CHUNK_BYTES = 1 << 16


def encode(message: Mapping[str, Any]) -> bytes:
    """One line."""
    return json.dumps(message, separators=(",", ":"), default=str).encode() + b"\n"


def request_as_json(request: RunRequest) -> dict[str, Any]:
    """A run request as plain JSON values."""
    return {
        "run_id": request.run_id,
        "task": request.task,
        "package": str(request.package),
        "source": str(request.source),
        "spool": str(request.spool),
        "parameters": dict(request.parameters),
        "facts": dict(request.facts),
        "correlation_id": request.correlation_id,
    }


def request_of_json(values: Mapping[str, Any]) -> RunRequest:
    """The inverse of `request_as_json`."""
    paths = {name: Path(values[name]) for name in ("package", "source", "spool")}
    return RunRequest(**(dict(values) | paths))


class LineReader:
    """Messages from a file descriptor, each waited for with a deadline."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._pending = bytearray()
        self._selector = selectors.DefaultSelector()
        self._selector.register(descriptor, selectors.EVENT_READ)

    def read(self, timeout: float | None) -> dict[str, Any]:
        """The next message.

        Raises:
            TimeoutError: no complete message came within `timeout` seconds.
            EOFError: the other end is gone.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while (end := self._pending.find(b"\n")) < 0:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not self._selector.select(left):
                raise TimeoutError
            chunk = os.read(self._descriptor, CHUNK_BYTES)
            if not chunk:
                raise EOFError
            self._pending += chunk
        line = bytes(self._pending[:end])
        del self._pending[: end + 1]
        message: dict[str, Any] = json.loads(line)
        return message

    def close(self) -> None:
        """Stop watching; the descriptor stays open."""
        self._selector.close()
