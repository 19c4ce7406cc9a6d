"""The order of syncs: what is acknowledged would survive a power cut, not only a killed process."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, text

from echonode.archive.archive import Archive
from echonode.archive.bare import Bare
from echonode.archive.blobs import LocalBlobs
from echonode.archive.schema import PAUSE
from echonode.core.errors import ConfigurationError, StorageUnavailable


@pytest.fixture
def archive(tmp_path: Path) -> Any:
    made = Archive.open(f"sqlite:///{tmp_path / 'echonode.sqlite3'}", migrate=True)
    yield made
    made.close()


def test_bytes_are_synced_before_they_get_their_name_and_the_name_before_we_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    for name in ("fdatasync", "link", "fsync"):
        real = getattr(os, name)

        def noted(*values: Any, _real: Any = real, _name: str = name, **more: Any) -> Any:
            done.append(_name)
            return _real(*values, **more)

        monkeypatch.setattr(os, name, noted)
    blobs = LocalBlobs(tmp_path)
    part = blobs.new_part()
    assert len(list((tmp_path / "objects").iterdir())) == 256
    assert done == ["fsync", "fsync"], "another process may have made the folders, and not synced them yet"
    done.clear()
    part.write_bytes(b"an echo")
    blobs.adopt(part, sha256="0" * 64)
    assert done == ["fdatasync", "link", "fsync"]


def test_sqlite_writes_through_to_the_disk(archive: Archive) -> None:
    with archive.transaction() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2, "FULL: a commit is on disk"
        assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1


def test_a_transaction_that_raises_leaves_nothing(archive: Archive) -> None:
    def broken() -> None:
        with archive.transaction() as connection:
            connection.execute(insert(PAUSE), pause("x"))
            raise KeyError

    with pytest.raises(KeyError):
        broken()
    assert archive.pauses.list() == []


def test_threads_share_a_commit_and_one_that_fails_undoes_only_itself(archive: Archive) -> None:
    errors: list[BaseException] = []
    start = threading.Barrier(8)

    def job(number: int) -> None:
        def write(connection: Any) -> None:
            connection.execute(insert(PAUSE), pause(f"n{number}"))
            if number % 2:
                raise KeyError(number)

        start.wait()
        try:
            archive.write(write)
        except KeyError as error:
            errors.append(error)

    threads = [threading.Thread(target=job, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {each.name for each in archive.pauses.list()} == {"n0", "n2", "n4", "n6"}
    assert len(errors) == 4


def test_a_database_that_refuses_writes_says_so_in_our_words(archive: Archive) -> None:
    def broken(connection: Any) -> None:
        connection.execute(text("INSERT INTO nowhere VALUES (1)"))

    with pytest.raises(StorageUnavailable, match="nowhere"):
        archive.write(broken)
    with pytest.raises(StorageUnavailable), archive.transaction() as connection:
        broken(connection)


def test_a_database_of_another_revision_is_not_opened(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'echonode.sqlite3'}"
    with pytest.raises(ConfigurationError, match="no tables"):
        Archive.open(url)
    archive = Archive.open(url, migrate=True)
    with archive.transaction() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    archive.close()
    with pytest.raises(ConfigurationError, match="9999"):
        Archive.open(url)


@pytest.mark.parametrize("url", ["nonsense", "sqlite://", "nothing://here/x"])
def test_a_wrong_url_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError):
        Archive.open(url)


def pause(name: str) -> dict[str, Any]:
    return {"kind": "route", "name": name, "by": "", "reason": "", "at": 0.0}


def test_what_the_driver_says_under_a_bare_statement_is_a_reason_to_try_again(archive: Archive) -> None:
    """A disk that is full must answer A700H on the quick path too, and not end the association."""
    with pytest.raises(StorageUnavailable), archive.transaction() as connection:
        Bare(text("INSERT INTO nowhere VALUES (1)")).run(connection, {})
