"""How processes that calculate share the cores of a machine: environment variables that numeric libraries read once."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Final

THREADS: Final = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")
TURNS: Final = ("GOMP_SPINCOUNT", "5000")


def threads_of(count: int) -> dict[str, str]:
    """The variables that give a process `count` threads in each of its numeric libraries."""
    return dict.fromkeys(THREADS, str(count))


def wait_briefly(environment: MutableMapping[str, str]) -> None:
    """Have threads that wait for their neighbours give up the core after microseconds instead of milliseconds.

    What is set already stays. The library's own milliseconds are right for a process that has the machine to itself; of
    two with two threads each, on two cores, each keeps the other's threads from working (libgomp, GOMP_SPINCOUNT). To be
    called before anything that calculates is imported; processes that are started later have it from this one.
    """
    environment.setdefault(*TURNS)
