"""The queue before a decoder process."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

T = TypeVar("T")


class Turns:
    """Runs jobs one after another in a thread, as they came.

    A decoder does one job at a time. Requests that wait for it must not sit in the threads that searches, metadata and
    the health check share: a hundred frames to be transcoded would make the node look dead.
    """

    @cached_property
    def _limiter(self) -> CapacityLimiter:
        return CapacityLimiter(1)

    async def take(self, job: Callable[[], T]) -> T:
        """What `job` returns, or raises, when its turn has come."""
        return await to_thread.run_sync(job, limiter=self._limiter)
