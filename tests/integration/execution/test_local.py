"""Runner processes that crash, hang, eat memory and are killed: the node must not notice more than a failed run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from echonode.core.errors import RunFailed
from echonode.core.ports import RunRequest
from echonode.core.settings import ExecutionSection, LimitsSection
from echonode.execution.local import LocalExecutor
from tests.support.loops import write_loop
from tests.support.runners import TASKS, UNLOADABLE, write_package
from tests.support.waiting import process_is_alive, wait_until

PATIENCE = 60.0
Opened = Callable[..., LocalExecutor]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch, checkout: Path) -> Iterator[Opened]:
    monkeypatch.setenv("PYTHONPATH", str(checkout))
    executors: list[LocalExecutor] = []

    def build(*, tasks=TASKS, **settings: object) -> LocalExecutor:
        section = ExecutionSection.model_validate({"devices": ["cpu"], "threads": 1, **settings})
        executors.append(LocalExecutor(tasks=tasks, settings=section, limits=LimitsSection()))
        return executors[-1]

    yield build
    for executor in executors:
        executor.shutdown()


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., RunRequest]:
    package = write_package(tmp_path / "models")
    source = tmp_path / "loop.dcm"
    write_loop(source, frames=4, size=32)

    def build(**parameters: object) -> RunRequest:
        run_id = uuid4().hex
        spool = tmp_path / "spool" / run_id
        spool.mkdir(parents=True)
        return RunRequest(
            run_id=run_id, task="sample", package=package, source=source, spool=spool, parameters=parameters
        )

    return build


def pids(mark: Path) -> list[int]:
    return [int(line.split()[0]) for line in mark.read_text().splitlines()]


def test_the_process_stays_warm_between_runs(opened: Opened, ask, tmp_path: Path) -> None:
    """Loading a model for each loop would cost more than running it."""
    mark = tmp_path / "mark"
    executor = opened()
    for _ in range(3):
        executor.submit(ask(mark=str(mark))).result(PATIENCE)
    assert len(set(pids(mark))) == 1
    assert pids(mark)[0] != os.getpid()


@pytest.mark.parametrize(
    ("do", "message"), [("crash", "crashed"), ("out of memory", "out of memory: no room for the tensors")]
)
def test_after_a_crash_the_next_run_has_a_new_process(
    opened: Opened, ask, tmp_path: Path, do: str, message: str
) -> None:
    """One bad loop must not end slow motion for the day."""
    mark = tmp_path / "mark"
    executor = opened()
    with pytest.raises(RunFailed, match=message) as failure:
        executor.submit(ask(do=do, mark=str(mark))).result(PATIENCE)
    assert failure.value.transient
    executor.submit(ask(mark=str(mark))).result(PATIENCE)
    assert len(set(pids(mark))) == 2


def test_a_run_that_hangs_is_killed(opened: Opened, ask, tmp_path: Path) -> None:
    """A kernel that never returns must not block the queue behind it."""
    mark = tmp_path / "mark"
    executor = opened(timeout_seconds=5.0)
    hanging = executor.submit(ask(do="hang", mark=str(mark)))
    with pytest.raises(RunFailed, match="took longer than 5 s"):
        hanging.result(PATIENCE)
    assert not process_is_alive(pids(mark)[0])


def test_memory_is_limited(opened: Opened, ask) -> None:
    """A model that takes all memory would take the listener with it."""
    executor = opened(memory_bytes=8 << 30)
    with pytest.raises(RunFailed, match="out of memory"):
        executor.submit(ask(do="eat")).result(PATIENCE)


def test_a_killed_process_fails_its_run_alone(opened: Opened, ask, tmp_path: Path) -> None:
    """The kernel's out-of-memory killer picks the runner: the run is tried again, nothing else happens."""
    mark = tmp_path / "mark"
    executor = opened()
    hanging = executor.submit(ask(do="hang", mark=str(mark)))
    wait_until(mark.exists, "the run to start")
    os.kill(wait_until(lambda: pids(mark), "a pid")[0], signal.SIGKILL)
    with pytest.raises(RunFailed, match="signal 9"):
        hanging.result(PATIENCE)
    assert executor.submit(ask()).result(PATIENCE).results


def test_runs_share_a_batch_and_one_bad_run_fails_nobody_else(opened: Opened, ask, tmp_path: Path) -> None:
    """A batch is a matter of speed; a neighbour's bad loop must not cost a good one its attempts."""
    mark = tmp_path / "mark"
    executor = opened(batch_size=3, batch_wait_seconds=5.0)
    good = [executor.submit(ask(mark=str(mark))) for _ in range(2)]
    bad = executor.submit(ask(do="crash"))
    with pytest.raises(RunFailed, match="crashed"):
        bad.result(PATIENCE)
    assert [len(future.result(PATIENCE).results) for future in good] == [1, 1]
    assert mark.read_text().splitlines()[0].split()[1] == "3"


def test_a_batch_does_not_wait_for_ever(opened: Opened, ask) -> None:
    """The last loop of the evening comes alone."""
    assert opened(batch_size=64, batch_wait_seconds=0.05).submit(ask()).result(PATIENCE).results


def test_threads_are_set_before_libraries_load(opened: Opened, ask, tmp_path: Path) -> None:
    """Two runners with all cores each are slower than one."""
    mark = tmp_path / "mark"
    opened(threads=1).submit(ask(mark=str(mark))).result(PATIENCE)
    assert mark.read_text().split()[2] == "1"


def test_what_a_model_prints_does_not_become_an_answer(opened: Opened, ask) -> None:
    """A library's progress bar on standard output must not break the wire."""
    assert opened().submit(ask(do="print")).result(PATIENCE).results


def test_an_idle_process_ends(opened: Opened, ask, tmp_path: Path) -> None:
    """A model that nobody uses must give its memory back."""
    mark = tmp_path / "mark"
    opened(idle_seconds=0.2).submit(ask(mark=str(mark))).result(PATIENCE)
    wait_until(lambda: not process_is_alive(pids(mark)[0]), "the idle process to end")


def test_a_changed_package_gets_a_new_process(opened: Opened, ask, tmp_path: Path) -> None:
    """A result that names the new model but was made by the old one would be a lie."""
    mark = tmp_path / "mark"
    executor = opened()
    before = executor.submit(ask(mark=str(mark))).result(PATIENCE)
    manifest = tmp_path / "models" / "probe" / "manifest.toml"
    manifest.write_text(manifest.read_text().replace('version = "1"', 'version = "2"'))
    after = executor.submit(ask(mark=str(mark))).result(PATIENCE)
    assert before.details["package_digest"] != after.details["package_digest"]
    assert len(set(pids(mark))) == 2


def test_a_model_that_cannot_be_loaded_says_why(opened: Opened, ask) -> None:
    """`the run failed` alone helps nobody."""
    with pytest.raises(RunFailed, match="cannot be loaded: RuntimeError: the weights do not fit the network"):
        opened(tasks={"sample": UNLOADABLE}).submit(ask()).result(PATIENCE)


def test_shutdown_ends_what_runs_and_what_waits(opened: Opened, ask, tmp_path: Path) -> None:
    """A node that is stopped must not leave processes or callers that wait for ever."""
    mark = tmp_path / "mark"
    executor = opened()
    futures = [executor.submit(ask(do="hang", mark=str(mark))) for _ in range(3)]
    wait_until(lambda: mark.exists() and pids(mark), "the run to start")
    executor.shutdown()
    for future in futures:
        with pytest.raises(RunFailed):
            future.result(PATIENCE)
    assert not process_is_alive(pids(mark)[0])


ORPHAN = """
import sys
from pathlib import Path
from echonode.core.ports import RunRequest
from echonode.core.settings import ExecutionSection, LimitsSection
from echonode.execution.local import LocalExecutor
from tests.support.runners import TASKS
package, source, spool, mark = map(Path, sys.argv[1:])
executor = LocalExecutor(tasks=TASKS, settings=ExecutionSection(devices=("cpu",)), limits=LimitsSection())
executor.submit(RunRequest(run_id="1", task="sample", package=package, source=source, spool=spool,
                           parameters={"do": "hang", "mark": str(mark)}))
assert "torch" not in sys.modules
sys.stdin.read()
"""


def test_a_runner_ends_with_its_parent(ask, tmp_path: Path, checkout: Path) -> None:
    """A worker that is killed must not leave a runner that keeps the GPU."""
    mark, request = tmp_path / "mark", ask()
    command = [sys.executable, "-c", ORPHAN, *map(str, (request.package, request.source, request.spool, mark))]
    with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(checkout)}, stdin=subprocess.PIPE) as parent:
        try:
            wait_until(lambda: mark.exists() and pids(mark), "the run to start")
        finally:
            parent.kill()
    wait_until(lambda: not process_is_alive(pids(mark)[0]), "the runner to end")
