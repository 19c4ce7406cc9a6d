"""Group commit: threads that write at the same time share one transaction, and so one sync of the disk."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy.engine import Connection

from echonode.archive.database import Database

T = TypeVar("T")
_LARGEST_BATCH = 64


@dataclass(slots=True)
class _Job:
    run: Callable[[Connection], Any]
    done: bool = False
    result: Any = None
    error: BaseException | None = field(default=None)


class Committer:
    """One a process. The first thread that comes leads: it runs every job that is waiting, then commits once.

    When one of them raises, nothing of the batch is kept and each job runs again in a transaction of its own: a job
    may run twice, so all that it does must be in the database. Nobody returns before the commit is on disk.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[_Job] = []
        self._waiting_lock = threading.Lock()
        self._leading = threading.Lock()

    def write(self, run: Callable[[Connection], T]) -> T:
        """The result of `run`, once what it wrote would survive a power cut.

        Raises:
            StorageUnavailable: the database did not take it; nothing was written.
        """
        job = _Job(run=run)
        with self._waiting_lock:
            self._waiting.append(job)
        with self._leading:
            if not job.done:
                with self._waiting_lock:
                    batch, self._waiting = self._waiting[:_LARGEST_BATCH], self._waiting[_LARGEST_BATCH:]
                    if job not in batch:
                        self._waiting.remove(job)
                        batch.append(job)
                self._commit(batch)
        if job.error is not None:
            raise job.error
        result: T = job.result
        return result

    def _commit(self, batch: list[_Job]) -> None:
        try:
            self._together(batch)
        except BaseException as error:  # noqa: BLE001  handed to the thread that brought the job
            if len(batch) == 1:
                batch[0].error = error
            else:  # one of them spoilt it: each has to stand on its own
                for job in batch:
                    self._commit([job])
        finally:
            for job in batch:
                job.done = True

    def _together(self, batch: list[_Job]) -> None:
        with self._database.transaction() as connection:
            for job in batch:
                job.result = job.run(connection)
