"""Migrations end at the schema that the code uses, and lead back."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import inspect
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from echonode.archive.archive import Archive
from echonode.archive.database import Database
from echonode.archive.schema import METADATA
from tests.support.door import DoorBench, picture


def test_the_migrated_database_is_the_schema(tmp_path: Path) -> None:
    archive = Archive.open(f"sqlite:///{tmp_path / 'echonode.sqlite3'}", migrate=True)
    with archive.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    archive.close()


def test_migrating_twice_changes_nothing(tmp_path: Path) -> None:
    door = DoorBench(tmp_path)
    door.send(picture())
    door.archive.close()
    door = DoorBench(tmp_path)
    assert door.archive.index.totals()["instances"] == 1
    door.archive.close()


def test_the_way_back_leaves_no_table(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'echonode.sqlite3'}")
    database.migrate()
    configuration = Config()
    migrations = Path(__file__).resolve().parents[3] / "echonode" / "archive" / "migrations"
    configuration.set_main_option("script_location", str(migrations))
    with database.transaction() as connection:
        configuration.attributes["connection"] = connection
        command.downgrade(configuration, "base")
    with database.reading() as connection:
        assert inspect(connection).get_table_names() == ["alembic_version"]
    database.close()


def test_every_table_can_be_written_for_postgresql() -> None:
    dialect = postgresql.dialect()
    for table in METADATA.sorted_tables:
        assert "CREATE TABLE" in str(CreateTable(table).compile(dialect=dialect))
        for index in table.indexes:
            assert "CREATE INDEX" in str(CreateIndex(index).compile(dialect=dialect))
