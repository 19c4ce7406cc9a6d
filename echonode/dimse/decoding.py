"""Transcoding in a process of its own: a decoder that crashes, hangs or eats memory harms no association."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from echonode.core.errors import BudgetExceeded, Undecodable
from echonode.core.ports import BlobStore
from echonode.core.settings import LimitsSection

_JOBS_PER_PROCESS = 200
_SECONDS = 300.0


class Decoder:
    """One decoder process, made on first use, ended by `close`; jobs wait for each other."""

    def __init__(self, *, limits: LimitsSection, blobs: BlobStore, seconds: float = _SECONDS) -> None:
        self._limits = limits
        self._blobs = blobs
        self._seconds = seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._jobs = 0

    @contextlib.contextmanager
    def transcoded(self, source: Path, transfer_syntax_uid: str) -> Iterator[Path]:
        """A file with the data set of `source` (Part 10) in that uncompressed syntax; it is gone afterwards.

        Raises:
            BudgetExceeded: more pixels than the limits allow, judged before any is decoded.
            Undecodable: broken, of an unknown syntax, or the decoder died or took too long.
        """
        target = self._blobs.new_part()
        try:
            self._run(source, target, transfer_syntax_uid)
            yield target
        finally:
            target.unlink(missing_ok=True)

    def _run(self, source: Path, target: Path, transfer_syntax_uid: str) -> None:
        job = {"source": str(source), "target": str(target), "transfer_syntax_uid": transfer_syntax_uid}
        with self._lock:
            answer = self._ask(json.dumps(job).encode() + b"\n")
        if answer.get("ok"):
            return
        detail = str(answer.get("detail", "no reason given"))
        if answer.get("kind") == BudgetExceeded.__name__:
            raise BudgetExceeded(detail)
        raise Undecodable(detail)

    def _ask(self, line: bytes) -> dict[str, object]:
        process = self._started()
        assert process.stdin is not None
        self._jobs += 1
        try:
            process.stdin.write(line)
            process.stdin.flush()
            answer = self._read_line(process)
        except (OSError, TimeoutError) as error:
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
                [sys.executable, "-m", "echonode.dimse.decoder_process", self._limits.model_dump_json()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
            self._jobs = 0
        return self._process

    def _read_line(self, process: subprocess.Popen[bytes]) -> dict[str, object]:
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
        answer: dict[str, object] = json.loads(data)
        return answer

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        process.wait()

    def close(self) -> None:
        """End the decoder process; the next job starts another."""
        with self._lock:
            self._end()
