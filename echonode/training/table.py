"""A table of results: for a terminal, for JSON and for a model card."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Cell = str | int | float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Named columns, rows of text and numbers, and a line of words on what was measured.

    Raises:
        ValueError: a row has another number of cells than there are columns.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    words: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"a row of {len(row)} cells in a table of {len(self.columns)} columns")

    def as_rows(self) -> list[dict[str, Cell]]:
        """Each row as a mapping; a number that is none becomes None, so that it can be written as JSON."""
        return [
            {column: None if isinstance(cell, float) and not math.isfinite(cell) else cell
             for column, cell in zip(self.columns, row, strict=True)}
            for row in self.rows
        ]  # fmt: skip

    def markdown(self) -> list[str]:
        """The lines of a Markdown table, the words above it; numbers to the right, with four digits that count."""
        numeric = [
            bool(self.rows) and all(isinstance(row[place], int | float | None) for row in self.rows)
            for place in range(len(self.columns))
        ]
        lines = [self.words, ""] if self.words else []
        lines.append(_line(self.columns))
        lines.append(_line(["--:" if right else ":--" for right in numeric]))
        return lines + [_line([shown(cell) for cell in row]) for row in self.rows]


def shown(cell: Any) -> str:
    """A cell for people: four digits that count, nothing for none."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    if isinstance(cell, float):
        return f"{cell:.4g}" if abs(cell) < 10_000 else f"{cell:.0f}"
    return str(cell)


def _line(cells: Any) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def tables_as_json(tables: Mapping[str, Table]) -> dict[str, Any]:
    """Tables by title as plain values."""
    return {title: {"words": table.words, "rows": table.as_rows()} for title, table in tables.items()}
