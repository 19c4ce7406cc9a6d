"""INSERT ... ON CONFLICT DO NOTHING for both databases."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import Insert, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection


@cache
def _statement(dialect: str, table: Table, *, returning: bool) -> Insert:
    if dialect == "sqlite":
        statement: Any = sqlite.insert(table).on_conflict_do_nothing()
    else:
        statement = postgresql.insert(table).on_conflict_do_nothing()
    made: Insert = statement.returning(table.c.id) if returning else statement.inline()
    return made


def insert_new(connection: Connection, table: Table, values: Mapping[str, Any]) -> int | None:
    """The id of the new row, or None when a unique column says that it is there already."""
    found = connection.execute(_statement(connection.dialect.name, table, returning=True), values).scalar()
    return None if found is None else int(found)


def is_inserted(connection: Connection, table: Table, values: Mapping[str, Any]) -> bool:
    """As `insert_new`, where the id does not matter: whether there is a new row."""
    return connection.execute(_statement(connection.dialect.name, table, returning=False), values).rowcount == 1
