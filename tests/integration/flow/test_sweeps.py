"""Sweeps: what a kill left behind is put in order, and a sweep that fails is only tried again."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable

import pytest

from echonode.core.states import WorkState
from echonode.core.work import WorkKind
from echonode.sweeps import DAY, Sweep, schedule, sweeps, watch_disk
from tests.support.bench import Bench
from tests.support.loops import loop_dataset
from tests.support.waiting import wait_until


def table(bench: Bench) -> dict[str, Sweep]:
    strays = lambda: bench.runs.refuse_strays() + bench.delivery.refuse_strays()  # noqa: E731
    return {sweep.name: sweep for sweep in sweeps(bench.archive, bench.blobs, bench.settings, strays=strays)}


def test_every_sweep_may_run_twice_and_on_nothing(bench: Bench) -> None:
    """The schedule is in memory: after a restart everything runs again."""
    for _ in range(2):
        assert [sweep.run() for sweep in table(bench).values()] == [0] * 8


def test_a_lease_that_lapsed_is_offered_again(bench: Bench) -> None:
    """A worker on a machine that was switched off."""
    bench.receive(loop_dataset())
    bench.archive.work.claim(kind=WorkKind.RUN, owner="gone", lease_seconds=60)
    assert table(bench)["lapsed leases"].run() == 0
    bench.clock.now += 61
    assert table(bench)["lapsed leases"].run() == 1
    assert bench.items(WorkKind.RUN)[0].state is WorkState.SCHEDULED


def test_objects_without_a_row_go_and_all_others_stay(bench: Bench) -> None:
    """A kill between the file and its row leaves a file; removing a file that has a row would be a loss."""
    bench.receive(loop_dataset(seed=1))
    bench.receive(loop_dataset(seed=2))
    kept = [stored.path for stored in bench.archive.index.instances()]
    part = bench.blobs.new_part()
    part.write_bytes(b"nobody's")
    orphan = bench.blobs.adopt(part, sha256="0" * 64)
    assert table(bench)["objects without a row"].run() == 0
    long_ago = time.time() - DAY - 60
    for path in [orphan, *kept]:
        os.utime(path, (long_ago, long_ago))
    assert table(bench)["objects without a row"].run() == 1
    assert not orphan.exists()
    assert all(os.path.exists(path) for path in kept)  # noqa: PTH110


def test_little_room_is_said(opened: Callable[..., Bench], caplog: pytest.LogCaptureFixture) -> None:
    """A disk that fills up must be seen before it is full."""
    bench = opened(storage={"warn_below_bytes": 1 << 60, "refuse_below_bytes": 0})
    with caplog.at_level(logging.WARNING):
        assert watch_disk(bench.blobs, bench.settings) == 1
    assert "little room on disk" in caplog.text


def test_a_sweep_that_fails_is_tried_again_and_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """A database that is away for a minute must not end the sweeps for good."""
    tried, others = threading.Semaphore(0), threading.Semaphore(0)

    def fail() -> int:
        tried.release()
        raise RuntimeError("away")

    def work() -> int:
        others.release()
        return 1

    scheduler = schedule(
        [Sweep(name="bad", every_seconds=0.05, run=fail), Sweep(name="good", every_seconds=0.05, run=work)]
    )
    try:
        for _ in range(3):
            assert tried.acquire(timeout=30)
            assert others.acquire(timeout=30)
    finally:
        scheduler.shutdown()
    wait_until(lambda: "a sweep failed; it is tried again" in caplog.text, "the failure in the log")
