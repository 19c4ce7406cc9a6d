"""The queue in front of a model: full batches at once, and nobody waits for company that does not come."""

from __future__ import annotations

import threading
import time

import pytest

from echonode.execution.batching import BatchQueue, Closed


def test_a_full_batch_is_given_at_once_in_order() -> None:
    """Waiting for the age of a batch that is full would only cost time."""
    queue: BatchQueue[int] = BatchQueue()
    for number in range(5):
        queue.put(number)
    started = time.monotonic()
    assert queue.take(limit=3, wait=30, timeout=30) == [0, 1, 2]
    assert time.monotonic() - started < 5
    assert queue.take(limit=3, wait=0, timeout=0) == [3, 4]


def test_nothing_comes_within_the_time() -> None:
    """An idle runner must learn that it is idle."""
    assert BatchQueue[int]().take(limit=1, wait=0, timeout=0.01) == []


def test_closing_wakes_who_waits_and_returns_what_is_left() -> None:
    """A run that nobody takes any more must still get its answer."""
    queue: BatchQueue[int] = BatchQueue()
    ended = threading.Event()

    def take() -> None:
        with pytest.raises(Closed):
            queue.take(limit=2, wait=60, timeout=None)
        ended.set()

    thread = threading.Thread(target=take)
    thread.start()
    queue.put(7)
    assert queue.close() == [7]
    assert ended.wait(30)
    thread.join()
    with pytest.raises(Closed):
        queue.put(8)
