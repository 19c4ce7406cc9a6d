"""Supervising: children that die come back, ones that cannot start do not burn the machine, all end together."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from echonode.supervisor import Role, Supervisor
from tests.support.waiting import process_is_alive, wait_until

CHILD = """
import os, sys, threading
from echonode.supervisor import child_of_supervisor, say_ready
stop = child_of_supervisor()
with open(sys.argv[1], "a") as file:
    file.write(f"{os.getpid()}\\n")
say_ready()
print("x" * 200000, flush=True)
stop.wait()
"""
STUBBORN = """
import os, signal, sys, threading
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open(sys.argv[1], "a").write(f"{os.getpid()}\\n")
os.write(1, b"ready\\n")
threading.Event().wait()
"""
BROKEN = "import sys; open(sys.argv[1], 'a').write('tried\\n'); sys.exit(3)"


@contextlib.contextmanager
def supervised(*roles: Role, drain_seconds: float = 20.0) -> Iterator[threading.Event]:
    """A running supervisor; gives the event that it sets when every child is ready."""
    stop, ready = threading.Event(), threading.Event()
    supervisor = Supervisor(roles, ready=ready.set, drain_seconds=drain_seconds)
    # PR_SET_PDEATHSIG follows the thread that starts a child: this one lives as long as the children.
    thread = threading.Thread(target=supervisor.run, args=(stop,))
    thread.start()
    try:
        yield ready
    finally:
        stop.set()
        thread.join()


def role(name: str, code: str, mark: Path) -> Role:
    return Role(name=name, command=(sys.executable, "-c", code, str(mark)))


def lines(mark: Path) -> list[str]:
    return mark.read_text().splitlines() if mark.exists() else []


def test_a_killed_child_comes_back_and_all_end_at_the_end(tmp_path: Path) -> None:
    """The node mends itself, and leaves nothing behind."""
    marks = [tmp_path / "a", tmp_path / "b"]
    with supervised(*(role(mark.name, CHILD, mark) for mark in marks)) as ready:
        assert ready.wait(30)
        first = int(lines(marks[0])[0])
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: len(lines(marks[0])) == 2, "the child to be started again")
        assert len(lines(marks[1])) == 1
    assert not any(process_is_alive(int(pid)) for mark in marks for pid in lines(mark))


def test_a_child_that_cannot_start_is_tried_with_growing_pauses(tmp_path: Path) -> None:
    """A broken configuration must not take a whole core, and ready is never said."""
    mark = tmp_path / "a"
    with supervised(role("broken", BROKEN, mark)) as ready:
        wait_until(lambda: len(lines(mark)) >= 3, "three tries")
        assert not ready.is_set()
    assert len(lines(mark)) < 10


def test_a_child_that_does_not_end_is_killed(tmp_path: Path) -> None:
    """Stopping the node ends, whatever a library does with signals."""
    mark = tmp_path / "a"
    with supervised(role("stubborn", STUBBORN, mark), drain_seconds=0.3) as ready:
        assert ready.wait(30)
    assert not process_is_alive(int(lines(mark)[0]))
