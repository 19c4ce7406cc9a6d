"""How a training process of the node begins: out of everybody's way, and bound to the worker that started it.

`python -m echonode.training_process PARENT LOCK PRIORITY WORD...` becomes `python -m echonode WORD...` under the same process id.
What is set here outlives that: the lowest priority there is, the first place in line when memory runs out, the end of
the worker's as its own end, and the lock that one training at a time holds.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
from pathlib import Path

from echonode.core.lifeline import end_with_parent

YIELDING, ORDINARY = "yielding", "ordinary"
LOWEST_PRIORITY = 19
OUT_OF_MEMORY_SCORE = 800
"""Of 1000 that the kernel adds to: a training is lost before a runner, a runner before the database."""


def main(arguments: list[str]) -> None:
    """Step back, take the lock, and become the command."""
    parent, lock, priority, words = int(arguments[0]), Path(arguments[1]), arguments[2], arguments[3:]
    end_with_parent(parent)
    if priority != ORDINARY:
        step_back()
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)  # the training of a killed worker may have a moment to live
    os.set_inheritable(descriptor, True)
    command = [sys.executable, "-P", "-m", "echonode", *words]
    os.execv(command[0], command)  # noqa: S606  no shell is wanted


def step_back() -> None:
    """Run when nobody else wants the processor, as far as this system knows such a thing."""
    with contextlib.suppress(OSError):
        os.nice(LOWEST_PRIORITY)
    with contextlib.suppress(OSError, AttributeError):  # Linux: below every nice value (sched(7), SCHED_IDLE)
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(f"{OUT_OF_MEMORY_SCORE}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
