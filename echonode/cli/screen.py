"""What commands print: tables for people, JSON for programs. Text from elsewhere is made harmless on the way."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from echonode.core.text import one_line, span

if TYPE_CHECKING:
    from rich.console import Console

WIDE = 250
"""Columns where no terminal says how wide it is: a file or a pipe gets whole lines."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its heading, and the key of a row or a function that gives its text."""

    title: str
    value: str | Callable[[Mapping[str, Any]], Any]
    right: bool = False

    def text(self, row: Mapping[str, Any]) -> str:
        """The cell of `row`, in one line."""
        value = row.get(self.value, "") if isinstance(self.value, str) else self.value(row)
        return "" if value is None else one_line(str(value))


def console(*, stderr: bool = False) -> Console:
    """Where tables go: as wide as the terminal, wide where there is none."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else WIDE, highlight=False)


def show_rows(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[Column],
    *,
    as_json: bool = False,
    empty: str = "nothing",
    title: str | None = None,
) -> None:
    """Print `rows` as a table, or all their keys as JSON; `empty` is said when there are none."""
    if as_json:
        show_json(list(rows))
        return
    if not rows:
        say(empty)
        return
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    for column in columns:
        table.add_column(column.title, justify="right" if column.right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(column.text(row)) for column in columns))
    console().print(table)


def show_facts(pairs: Sequence[tuple[str, Any]]) -> None:
    """Print names and values, one a line; empty values are left out."""
    kept = [(name, one_line(str(value))) for name, value in pairs if value not in (None, "", (), [], {})]
    width = max((len(name) for name, _ in kept), default=0)
    for name, value in kept:
        say(f"{name:<{width}}  {value}")


def show_json(value: Any) -> None:
    """Print `value` as JSON."""
    sys.stdout.write(json.dumps(value, indent=2, default=str, ensure_ascii=False) + "\n")


def say(text: str) -> None:
    """Print one line."""
    sys.stdout.write(text + "\n")


def complain(text: str) -> None:
    """Print one line on standard error."""
    sys.stderr.write(f"echonode: {one_line(text)}\n")


def quiet_logs() -> None:
    """Keep the log of a command to errors, on standard error: what it has to say it prints itself."""
    import logging

    from echonode.core.settings import LogSection
    from echonode.logs import configure_logging

    configure_logging(LogSection(level="error", format="console"))
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)


def moment(seconds: float | None) -> str:
    """A time since the epoch as local date and time; empty for none."""
    return "" if not seconds else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def recently(seconds: float | None) -> str:
    """As `moment`, without the date when it was today."""
    text = moment(seconds)
    return text[11:] if text[:10] == time.strftime("%Y-%m-%d") else text


def amount(size: int | float) -> str:
    """A number of bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def duration(seconds: float) -> str:
    """A time span for people: 85 ms, 4.2 s, 3 min 20 s."""
    return span(seconds)
