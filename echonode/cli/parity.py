"""`echonode models parity`: do our networks give the authors' numbers?"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from echonode.cli.options import JsonOption
from echonode.cli.screen import Column, complain, console, duration, quiet_logs, say, show_json, show_rows
from echonode.core.errors import BadInput, EchonodeError

if TYPE_CHECKING:
    from echonode.core.parity import ParityRow

DEFAULT_SET = Path("../shared/parity")


def parity_command(
    folder: Annotated[
        Path,
        typer.Argument(metavar="[DIR]", help="Folder of vectors with a set.json.", show_default=str(DEFAULT_SET)),
    ] = DEFAULT_SET,
    whole: Annotated[bool, typer.Option("--all", help="The heavy cases too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Hold every network against numbers of its authors' own code; exit code 1 when one is too far off."""
    from echonode.core.task import installed_tasks

    quiet_logs()
    if not (folder / "set.json").is_file():
        raise BadInput(f"{folder}: no parity vectors here: a folder with a set.json was expected")
    start = time.monotonic()
    rows: list[ParityRow] = []
    broken: list[str] = []
    with _told() as tell:
        for name, spec in installed_tasks().items():
            if spec.parity is None:
                continue
            try:
                for row in _rows(spec.parity, folder, whole):
                    rows.append(row)
                    tell(f"{row.network}: {row.quantity}")
            except EchonodeError as error:
                broken.append(f"{name}: {error}")
    _show(rows, as_json=as_json)
    for line in broken:
        complain(line)
    failed = [row for row in rows if not row.passed]
    if not as_json:
        say(f"{len(rows) - len(failed)} of {len(rows)} quantities pass, in {duration(time.monotonic() - start)}")
    if failed or broken or not rows:
        raise typer.Exit(1)


def _rows(reference: str, folder: Path, whole: bool) -> Iterator[ParityRow]:
    """The rows of one task; what a damaged set provokes in it is told as an error of the set.

    Raises:
        BadInput: the set lacks an array or an entry, or one is of another kind than expected.
    """
    from echonode.core.task import resolve

    check = resolve(reference)
    try:
        yield from check(folder, whole)
    except (KeyError, IndexError, ValueError, TypeError, RuntimeError) as error:
        raise BadInput(f"{folder}: the set cannot be read: {type(error).__name__}: {error}") from error


def _show(rows: Sequence[ParityRow], *, as_json: bool) -> None:
    plain = [
        {
            "network": row.network, "quantity": row.quantity,
            "difference": row.difference if math.isfinite(row.difference) else None,
            "tolerance": row.tolerance, "note": row.note, "passed": row.passed,
        }
        for row in rows
    ]  # fmt: skip
    if as_json:
        show_json({"quantities": plain, "networks": _largest(rows)})
        return
    columns = (
        Column("network", "network"),
        Column("quantity", "quantity"),
        Column("max difference", lambda row: _number(row["difference"]), right=True),
        Column("tolerance", lambda row: _number(row["tolerance"]), right=True),
        Column("pass", lambda row: "yes" if row["passed"] else "NO"),
        Column("note", "note"),
    )
    show_rows(plain, columns, empty="no vectors for any installed task")
    summary = (
        Column("network", "network"),
        Column("quantities", "quantities", right=True),
        Column("nearest to its tolerance", "quantity"),
        Column("max difference", lambda row: _number(row["difference"]), right=True),
        Column("tolerance", lambda row: _number(row["tolerance"]), right=True),
        Column("pass", lambda row: "yes" if row["passed"] else "NO"),
    )
    if rows:
        show_rows(_largest(rows), summary)


def _largest(rows: Sequence[ParityRow]) -> list[dict[str, Any]]:
    """For each network the quantity that came nearest to its tolerance, or went furthest past it."""
    networks: dict[str, list[ParityRow]] = {}
    for row in rows:
        networks.setdefault(row.network, []).append(row)
    found = []
    for network, own in networks.items():
        worst = max(own, key=_share)
        found.append(
            {
                "network": network, "quantities": len(own), "quantity": worst.quantity,
                "difference": worst.difference if math.isfinite(worst.difference) else None,
                "tolerance": worst.tolerance, "passed": all(row.passed for row in own),
            }
        )  # fmt: skip
    return found


def _share(row: ParityRow) -> float:
    """How much of its tolerance a difference takes; an exact quantity takes none or all."""
    if not math.isfinite(row.difference):
        return math.inf
    if row.tolerance > 0:
        return row.difference / row.tolerance
    return math.inf if row.difference > 0 else 0.0


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3g}"


@contextmanager
def _told() -> Iterator[Any]:
    """Says what is being compared on a terminal, and nothing elsewhere."""
    screen = console(stderr=True)
    if not screen.is_terminal:
        yield lambda _: None
        return
    from rich.text import Text

    with screen.status("comparing") as status:
        yield lambda text: status.update(Text(text))
