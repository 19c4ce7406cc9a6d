"""INSERT ... ON CONFLICT DO NOTHING for both databases."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import Insert, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection


@cache
def _statement(dialect: str, table: Table) -> Insert:
    if dialect == "sqlite":
        return sqlite.insert(table).on_conflict_do_nothing().returning(table.c.id)
    return postgresql.insert(table).on_conflict_do_nothing().returning(table.c.id)


def insert_new(connection: Connection, table: Table, values: Mapping[str, Any]) -> int | None:
    """The id of the new row, or None when a unique column says that it is there already."""
    statement = _statement(connection.dialect.name, table)
    found = connection.execute(statement, values).scalar()
    return None if found is None else int(found)
