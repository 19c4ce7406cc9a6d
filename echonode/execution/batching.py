"""A queue that gives out batches: full, or as old as the first run may get."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Closed(Exception):
    """The queue takes and gives nothing any more."""


class BatchQueue(Generic[T]):
    """First in, first out; several takers may wait at once."""

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T) -> None:
        """Add one item.

        Raises:
            Closed: `close` was called.
        """
        with self._changed:
            if self._closed:
                raise Closed
            self._items.append(item)
            self._changed.notify()

    def take(self, *, limit: int, wait: float, timeout: float | None) -> list[T]:
        """Up to `limit` items: at once when there are so many, otherwise `wait` seconds after the first was there.

        Empty when nothing came within `timeout` seconds.

        Raises:
            Closed: `close` was called.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed, timeout=timeout)
            deadline = time.monotonic() + wait
            while self._items and len(self._items) < limit and not self._closed:
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(timeout=left):
                    break
            if self._closed:
                raise Closed
            return [self._items.popleft() for _ in range(min(limit, len(self._items)))]

    def close(self) -> list[T]:
        """Wake every taker with Closed; returns what nobody took."""
        with self._changed:
            self._closed = True
            left = list(self._items)
            self._items.clear()
            self._changed.notify_all()
            return left
