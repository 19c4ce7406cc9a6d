"""The archive of one process: the database and everything that is kept in it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

from sqlalchemy.engine import Connection

from echonode.archive.activity import Activity
from echonode.archive.audit import Audit
from echonode.archive.blobs import LocalBlobs
from echonode.archive.committer import Committer
from echonode.archive.conflicts import Conflicts
from echonode.archive.contents import Composer, Contents
from echonode.archive.database import Database
from echonode.archive.gauges import Gauges, read_gauges
from echonode.archive.hidden import Hidden
from echonode.archive.index import Index
from echonode.archive.models import Models
from echonode.archive.pauses import Pauses
from echonode.archive.quarantine import QuarantineShelf
from echonode.archive.readings import Readings
from echonode.archive.refusals import Refusals
from echonode.archive.reports import Reports
from echonode.archive.self_checks import SelfChecks
from echonode.archive.studies import Studies
from echonode.archive.withdrawals import Withdrawals
from echonode.archive.workitems import WorkStore
from echonode.core.errors import ConfigurationError
from echonode.core.ports import BlobStore, Clock

T = TypeVar("T")


class Archive:
    """One per process; open it after a fork, not before. Every method is safe to call from many threads."""

    def __init__(self, database: Database, blobs: BlobStore, *, clock: Clock, composer: Composer | None = None) -> None:
        self._database = database
        self._committer = Committer(database)
        self.clock = clock
        self.blobs = blobs
        self.index = Index(database, blobs)
        self.contents = Contents(database, blobs, composer=composer)
        self.work = WorkStore(database, clock=clock)
        self.audit = Audit(database, clock=clock)
        self.refusals = Refusals(database, clock=clock)
        self.quarantine = QuarantineShelf(database, clock=clock)
        self.studies = Studies(database, clock=clock)
        self.conflicts = Conflicts(database, self.work, self.audit, self.studies, clock=clock)
        self.readings = Readings(database, clock=clock)
        self.models = Models(database, self.audit, clock=clock)
        self.reports = Reports(database)
        self.withdrawals = Withdrawals(database)
        self.pauses = Pauses(database, self.audit, clock=clock)
        self.activity = Activity(database, clock=clock)
        self.hidden = Hidden(database, blobs)
        self.self_checks = SelfChecks(database, clock=clock)

    @classmethod
    def open(
        cls,
        url: str,
        *,
        clock: Clock = time.time,
        migrate: bool = False,
        blobs: BlobStore | None = None,
        composer: Composer | None = None,
    ) -> Archive:
        """The archive at that SQLAlchemy URL; its tables are made or brought up to date with `migrate`.

        `blobs` is where the objects lie; by default the folder of the SQLite file. `composer` makes the contents of
        objects that an older version stored.

        Raises:
            ConfigurationError: a wrong URL, or a database of another revision.
            StorageUnavailable: the database cannot be reached.
        """
        database = Database(url)
        if blobs is None:
            if not database.sqlite:
                raise ConfigurationError("storage.root: a database other than SQLite needs the folder of the objects")
            blobs = LocalBlobs(Path(database.url.database or "").parent)
        try:
            if migrate:
                database.migrate()
            database.check()
        except BaseException:
            database.close()
            raise
        return cls(database, blobs, clock=clock, composer=composer)

    def transaction(self) -> AbstractContextManager[Connection]:
        """A writing transaction of its own, durable when the block ends, undone when it raises.

        Raises:
            StorageUnavailable: the database did not take it.
        """
        return self._database.transaction()

    def write(self, job: Callable[[Connection], T]) -> T:
        """The result of `job`, run in a transaction that threads writing at the same time share.

        Raises:
            StorageUnavailable: the database did not take it; nothing was written.
        """
        return self._committer.write(job)

    def reading(self) -> AbstractContextManager[Connection]:
        """A consistent view for reading."""
        return self._database.reading()

    def check(self) -> None:
        """Nothing, when the database answers and is of this version's revision.

        Raises:
            ConfigurationError: it is gone, or of another revision.
            StorageUnavailable: it cannot be read.
        """
        self._database.check()

    def gauges(self) -> Gauges:
        """How much waits, now.

        Raises:
            StorageUnavailable: the database cannot be read.
        """
        return read_gauges(self._database, clock=self.clock)

    def close(self) -> None:
        """Close every connection; idempotent."""
        self._database.close()
