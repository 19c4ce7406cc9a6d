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

    Each job has its own savepoint: one that raises undoes only itself. Nobody returns before the commit is on disk.
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
            with self._database.transaction() as connection:
                if len(batch) == 1:
                    batch[0].result = batch[0].run(connection)
                else:
                    for job in batch:
                        self._run(job, connection)
        except BaseException as error:  # noqa: BLE001  handed to every thread that waits for this commit
            for job in batch:
                job.error = job.error or error
        finally:
            for job in batch:
                job.done = True

    @staticmethod
    def _run(job: _Job, connection: Connection) -> None:
        try:
            with connection.begin_nested():
                job.result = job.run(connection)
        except Exception as error:  # it belongs to the thread that brought the job
            if not connection.in_transaction() or connection.invalidated:
                raise
            job.error = error
