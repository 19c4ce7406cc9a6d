"""Statements compiled once a dialect and handed to the driver as they are: the hot paths' way past SQLAlchemy.

Nothing converts their parameters and results: JSON goes in as text, and is read through `CAST(... AS TEXT)`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson
from sqlalchemy import BigInteger, ColumnElement, Table, any_, bindparam, func, literal_column, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.sql import ClauseElement


class Bare:
    """One statement with named parameters, for each dialect that it has met as SQL text and order of parameters."""

    def __init__(self, make: Any) -> None:
        """`make` is the statement, or a callable that gives it for the name of a dialect."""
        self._make = make
        self._prepared: dict[str, tuple[str, tuple[tuple[str, Any], ...], bool]] = {}

    def bind(self, dialect: Dialect, values: Mapping[str, Any]) -> tuple[str, Any]:
        """The SQL text and the driver's parameters for `values`; a parameter that is not given has its default.

        Raises:
            KeyError: a parameter without a default is missing.
        """
        prepared = self._prepared.get(dialect.name)
        if prepared is None:
            prepared = self._prepared[dialect.name] = self._prepare(dialect)
        sql, names, positional = prepared
        if not positional:
            return sql, {name: values[name] if default is _REQUIRED else default for name, default in names}
        parameters = [values[name] if default is _REQUIRED else default for name, default in names]
        return sql, tuple([orjson.dumps(each).decode() if type(each) is list else each for each in parameters])

    def run(self, connection: Connection, values: Mapping[str, Any]) -> Any:
        """The driver's cursor after running the statement in the transaction of `connection`."""
        sql, parameters = self.bind(connection.dialect, values)
        cursor = connection.connection.cursor()
        cursor.execute(sql, parameters)
        return cursor

    def _prepare(self, dialect: Dialect) -> tuple[str, tuple[tuple[str, Any], ...], bool]:
        statement: ClauseElement = self._make(dialect.name) if callable(self._make) else self._make
        compiled: Any = statement.compile(dialect=dialect)
        binds = compiled.binds
        order = list(compiled.positiontup) if compiled.positional else list(binds)
        names = tuple((name, _REQUIRED if binds[name].required else binds[name].effective_value) for name in order)
        return str(compiled), names, bool(compiled.positional)


def json_text(value: Any) -> str:
    """`value` as JSON for a column; what orjson does not take (whole numbers beyond 64 bits) the slow way."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return json.dumps(value)


def insert(table: Table, *, or_nothing: bool = False) -> Bare:
    """Adds one row; `or_nothing` where a unique column says that it is there already: the cursor's rowcount tells."""

    def make(dialect: str) -> ClauseElement:
        module: Any = sqlite if dialect == "sqlite" else postgresql
        statement = module.insert(table)
        if or_nothing:
            statement = statement.on_conflict_do_nothing()
        columns = [column for column in table.c if not (column.primary_key and column.autoincrement is True)]
        statement = statement.values({column.name: bindparam(column.name, required=True) for column in columns})
        made: ClauseElement = (
            statement.inline() if "id" not in table.c or dialect == "sqlite" else statement.returning(table.c.id)
        )
        return made

    return Bare(make)


def among(column: ColumnElement[int], dialect: str, name: str = "ids") -> ColumnElement[bool]:
    """`column` is one of the whole numbers that the parameter `name` lists: one statement, however many they are."""
    if dialect == "sqlite":  # a list becomes JSON text, see `Bare.bind`
        listed: Any = func.json_each(bindparam(name, required=True))
        return column.in_(select(literal_column("value")).select_from(listed))
    return column == any_(bindparam(name, type_=ARRAY(BigInteger), required=True))


_REQUIRED = object()
