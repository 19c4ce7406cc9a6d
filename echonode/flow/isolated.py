"""A short-lived process with limits on memory and time: what it does with hostile bytes harms nobody else.

Run as `python -m echonode.flow.isolated`: one JSON request on standard input, one JSON answer on standard output.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from echonode.core.cores import threads_of
from echonode.core.settings import LimitsSection

SECONDS = 60
"""Wall clock and CPU time that a process has."""
_MEMORY = 3 << 30
_DECODED_COPIES = 8


class IsolatedFailed(Exception):
    """The process crashed, took too long or needed too much memory."""


def run_isolated(request: Mapping[str, Any], *, limits: LimitsSection) -> dict[str, Any]:
    """The answer to one request.

    Raises:
        IsolatedFailed: there is none, with the reason.
    """
    memory = _MEMORY + _DECODED_COPIES * limits.frame_bytes
    content = json.dumps({**request, "limits": limits.model_dump(), "memory": memory})
    try:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "echonode.flow.isolated"],
            input=content,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env=os.environ | threads_of(1),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise IsolatedFailed(f"it took longer than {SECONDS} s") from None
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise IsolatedFailed(f"the process ended with {done.returncode}: {last[:200]}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def main() -> None:
    """Answer one request, under the limits that it brings."""
    request = json.loads(sys.stdin.read())
    resource.setrlimit(resource.RLIMIT_AS, (request["memory"], request["memory"]))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    largest = request.get("most", 0)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    from echonode.dicom import sameness  # after the limits hold

    first = Path(request["first"])
    if request["what"] == "inflate":
        target = Path(request["target"])
        answer: dict[str, Any] = {
            "written": sameness.inflate(first, target, offset=request["offset"], most=request["most"])
        }
    else:
        second = Path(request["second"])
        if request["what"] == "pixels":
            limits = LimitsSection.model_validate(request["limits"])
            same, detail = sameness.compare_pixels(first, second, limits=limits)
        else:
            same, detail = sameness.compare_datasets(first, second)
        answer = {"same": same, "detail": detail}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
