"""Transcoding in a process of its own: a decoder that crashes, hangs or eats memory harms no edge."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from echonode.core.cores import threads_of
from echonode.core.errors import BudgetExceeded, EchonodeError, NotFound, Undecodable
from echonode.core.ports import BlobStore
from echonode.core.settings import LimitsSection

_JOBS_PER_PROCESS = 200
_SECONDS = 300.0
_REFUSALS: dict[str, type[EchonodeError]] = {kind.__name__: kind for kind in (BudgetExceeded, NotFound)}


class Decoder:
    """One decoder process, made on first use, ended by `close` or with this object; jobs wait for each other."""

    def __init__(self, *, limits: LimitsSection, blobs: BlobStore, seconds: float = _SECONDS) -> None:
        self._limits = limits
        self._blobs = blobs
        self._seconds = seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._finalizer: weakref.finalize[..., Any] | None = None
        self._jobs = 0

    @contextlib.contextmanager
    def transcoded(self, source: Path, transfer_syntax_uid: str) -> Iterator[Path]:
        """A file with the data set of `source` (Part 10) in that transfer syntax; it is gone afterwards.

        Raises:
            BudgetExceeded: more pixels than the limits allow, judged before any is decoded.
            Undecodable: broken, of an unknown syntax, or the decoder died or took too long.
        """
        target = self._blobs.new_part()
        try:
            self._run(source, target, transfer_syntax_uid, None)
            yield target
        finally:
            target.unlink(missing_ok=True)

    def object(self, source: Path, transfer_syntax_uid: str) -> BinaryIO:
        """As `transcoded`, as an open file without a name: it is gone when it is closed."""
        return self._nameless(source, transfer_syntax_uid, None)[0]

    def frames(self, source: Path, transfer_syntax_uid: str, frames: Sequence[int]) -> tuple[BinaryIO, list[int]]:
        """Frames of `source`, counted from 0, one after another in a file without a name, and the length of each.

        Raises:
            NotFound: a frame that the object does not have.
            BudgetExceeded, Undecodable: as `transcoded`.
        """
        return self._nameless(source, transfer_syntax_uid, frames)

    def _nameless(self, source: Path, syntax: str, frames: Sequence[int] | None) -> tuple[BinaryIO, list[int]]:
        target = self._blobs.new_part()
        try:
            lengths = self._run(source, target, syntax, frames)
            return target.open("rb"), lengths
        finally:
            target.unlink(missing_ok=True)

    def _run(self, source: Path, target: Path, syntax: str, frames: Sequence[int] | None) -> list[int]:
        job: dict[str, Any] = {"source": str(source), "target": str(target), "transfer_syntax_uid": syntax}
        if frames is not None:
            job["frames"] = list(frames)
        with self._lock:
            answer = self._ask(json.dumps(job).encode() + b"\n")
        if answer.get("ok"):
            lengths: list[int] = answer.get("lengths", [])
            return lengths
        detail = str(answer.get("detail", "no reason given"))
        raise _REFUSALS.get(str(answer.get("kind")), Undecodable)(detail)

    def _ask(self, line: bytes) -> dict[str, Any]:
        process = self._started()
        assert process.stdin is not None
        self._jobs += 1
        try:
            process.stdin.write(line)
            process.stdin.flush()
            answer = self._read_line(process)
        except (OSError, ValueError) as error:  # TimeoutError among them
            # Whatever it says later must never be taken for the answer to somebody else's job.
            self._end()
            reason = "took too long" if isinstance(error, TimeoutError) else "ended without an answer"
            return {"ok": False, "detail": f"the decoder {reason}"}
        if self._jobs >= _JOBS_PER_PROCESS:
            self._end()
        return answer

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "echonode.flow.decoder_process", self._limits.model_dump_json()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=os.environ | threads_of(1),
            )
            self._finalizer = weakref.finalize(self, _end_process, self._process)
            self._jobs = 0
        return self._process

    def _read_line(self, process: subprocess.Popen[bytes]) -> dict[str, Any]:
        assert process.stdout is not None
        deadline = time.monotonic() + self._seconds
        data = b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not data.endswith(b"\n"):
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise TimeoutError
                chunk = os.read(process.stdout.fileno(), 65536)
                if not chunk:
                    raise BrokenPipeError
                data += chunk
        answer: dict[str, Any] = json.loads(data)
        return answer

    def _end(self) -> None:
        self._process = None
        if self._finalizer is not None:
            self._finalizer()

    def close(self) -> None:
        """End the decoder process; the next job starts another."""
        with self._lock:
            self._end()


def _end_process(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
    process.wait()
