"""Opening the database: engines, pragmas, transactions that are on disk when they end, and migrations."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from echonode.archive.bare import Bare, json_text
from echonode.archive.schema import REVISION
from echonode.core.errors import ConfigurationError, StorageUnavailable

BUSY_SECONDS = 30.0
_POLL_SECONDS = 0.0005
_CHECKPOINT_PAGES = 4000
_MIGRATIONS = Path(__file__).parent / "migrations"


class Database:
    """A writing and a reading engine on one database; on SQLite WAL with synchronous=FULL.

    A writing transaction takes the write lock at its beginning (BEGIN IMMEDIATE), so that what it reads cannot change
    before it writes.
    """

    def __init__(self, url: str) -> None:
        try:
            self.url: URL = make_url(url)
        except ArgumentError as error:
            raise ConfigurationError(f"storage.database_url: {error}") from error
        self.sqlite = self.url.get_backend_name() == "sqlite"
        if self.sqlite and not self.url.database:
            raise ConfigurationError("storage.database_url: an SQLite database needs a file")
        self._writing = self._engine(read_only=False)
        self._reading = self._engine(read_only=True)
        # What SQLAlchemy raises, and what the driver does under a bare statement.
        self._failures: tuple[type[Exception], ...] = (DBAPIError, self._writing.dialect.loaded_dbapi.Error)
        self._readers = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._opening = threading.Lock()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A writing transaction: durable when the block ends, undone when it raises.

        Raises:
            StorageUnavailable: the database did not take it.
        """
        try:
            with self._writing.begin() as connection:
                yield connection
        except self._failures as error:
            raise StorageUnavailable(f"the database did not take the write: {_cause(error)}") from error

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A consistent view for reading; it waits for no writer and no writer waits for it."""
        try:
            with self._reading.connect() as connection:
                yield connection
        except self._failures as error:
            raise StorageUnavailable(f"the database cannot be read: {_cause(error)}") from error

    def look_up(self, statement: Bare, values: Mapping[str, Any]) -> Sequence[Any] | None:
        """The first row of a reading statement that stands alone, or None; the quickest way to one.

        Raises:
            StorageUnavailable: the database cannot be read.
        """
        return next(iter(self.look_up_all(statement, values)), None)

    def look_up_all(self, statement: Bare, values: Mapping[str, Any]) -> list[Sequence[Any]]:
        """Every row of a reading statement that stands alone: one consistent view, and no transaction around it.

        Raises:
            StorageUnavailable: the database cannot be read.
        """
        if not self.sqlite:
            with self.reading() as connection:
                return list(statement.run(connection, values).fetchall())
        sql, parameters = statement.bind(self._reading.dialect, values)
        try:
            return self._own_reader().execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise StorageUnavailable(f"the database cannot be read: {error}") from error

    def _own_reader(self) -> sqlite3.Connection:
        """This thread's connection for single statements; a pool's checking out and in costs more than they do."""
        reader: sqlite3.Connection | None = getattr(self._readers, "connection", None)
        if reader is None:
            path = Path(self.url.database or "").resolve().as_uri()
            reader = sqlite3.connect(f"{path}?mode=ro", uri=True, timeout=BUSY_SECONDS, check_same_thread=False)
            _prepare_reading(reader, None)
            self._readers.connection = reader
            with self._opening:
                self._opened.append(reader)
        return reader

    def migrate(self) -> None:
        """Bring the schema to this version's revision; nothing happens when it is there already."""
        if self.revision() == REVISION:
            return
        from alembic import command  # late: it costs 0.2 s that only a migration needs
        from alembic.config import Config

        if self.sqlite and self.url.database:
            Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
        configuration = Config()
        configuration.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
        with self.transaction() as connection:
            configuration.attributes["connection"] = connection
            command.upgrade(configuration, "head")

    def check(self) -> None:
        """Refuse a schema of another revision.

        Raises:
            ConfigurationError: the database is empty, older or newer than this version of echonode.
        """
        found = self.revision()
        if found != REVISION:
            state = "has no tables yet" if found is None else f"is at revision {found}"
            raise ConfigurationError(
                f"{self.url.render_as_string(hide_password=True)}: the database {state}, this version needs {REVISION}"
            )

    def revision(self) -> str | None:
        """The revision that the schema stands at; None for an empty or missing database."""
        if self.sqlite and not Path(self.url.database or "").exists():
            return None
        with self.reading() as connection:
            if not sqlalchemy.inspect(connection).has_table("alembic_version"):
                return None
            found = connection.execute(sqlalchemy.text("SELECT version_num FROM alembic_version")).scalar()
        return str(found) if found is not None else None

    def close(self) -> None:
        """Close every connection; idempotent."""
        self._writing.dispose()
        self._reading.dispose()
        with self._opening:
            for reader in self._opened:
                reader.close()
            self._opened.clear()
            self._readers = threading.local()

    def _engine(self, *, read_only: bool) -> Engine:
        try:
            engine = sqlalchemy.create_engine(
                self.url,
                pool_size=8,
                max_overflow=-1,
                connect_args={"timeout": BUSY_SECONDS} if self.sqlite else {},
                pool_pre_ping=not self.sqlite,
                json_serializer=json_text,
                json_deserializer=orjson.loads,
            )
        except (SQLAlchemyError, ImportError) as error:
            raise ConfigurationError(f"storage.database_url: {error}") from error
        if self.sqlite:
            event.listen(engine, "connect", _prepare_reading if read_only else _prepare_writing)
            event.listen(engine, "begin", _begin_deferred if read_only else _begin_immediate)
        return engine


def _cause(error: Exception) -> object:
    return error.orig if isinstance(error, DBAPIError) else error


def _prepare_writing(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # sqlite3 would otherwise begin transactions by itself, and too late
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"wal_autocheckpoint={_CHECKPOINT_PAGES}",
        "cache_size=-32768",
        "busy_timeout=0",  # see _begin_immediate
    ):
        connection.execute(f"PRAGMA {pragma}")


def _prepare_reading(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    for pragma in ("query_only=ON", "cache_size=-32768", "mmap_size=1073741824"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediate(connection: Connection) -> None:
    """Take the write lock, polling: SQLite's own waiting sleeps longer each time and starves one of two writers."""
    database: Any = connection.connection.dbapi_connection
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            database.execute("BEGIN IMMEDIATE")
            return
        except sqlite3.OperationalError as error:
            busy = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > deadline:
                raise StorageUnavailable(f"the database did not take the write: {error}") from error
        time.sleep(_POLL_SECONDS)


def _begin_deferred(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")
