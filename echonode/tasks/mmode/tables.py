"""The two layouts of CSV that the authors' command writes: `stats`, a line a file, and `all`, a line a beat.

Lines are appended; text is quoted with `|`.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from echonode.core.errors import BadInput
from echonode.tasks.mmode.examination import Examination, Instant

QUANTITIES: Final = ("diastole", "systole", "heartrate")
STATS: Final = (
    "file",
    *(f"{statistic}_{name}" for statistic in ("median", "avg", "max", "min") for name in QUANTITIES),
)
ALL: Final = ("file", "lvid;d", "lvid;d time", "lvid;s", "lvid;s time", "heart rate", "heart rate time")
LAYOUTS: Final[Mapping[str, Sequence[str]]] = {"stats": STATS, "all": ALL}

Row = Sequence[str | float]


def rows_of(examination: Examination, *, name: str, layout: str) -> list[Row]:
    """The lines of one file.

    `all` pairs the values of one beat; in the published preparation they are paired by their place in three lists, as
    the authors did, and the shortest list says how many there are.
    """
    if layout == "stats":
        spreads = [examination.spread(some) for some in _series(examination)]
        return [
            (
                name,
                *(spread.median for spread in spreads),
                *(spread.mean for spread in spreads),
                *(spread.largest for spread in spreads),
                *(spread.smallest for spread in spreads),
            )
        ]
    if examination.preparation == "published":
        good = [[one for one in some if one.good] for some in _series(examination)]
        return [(name, *_pairs(found)) for found in zip(*good, strict=False)]
    return [(name, *_pairs((beat.diastole, beat.systole, beat.rate))) for beat in examination.good_beats]


def append(path: Path, rows: Sequence[Row], *, layout: str) -> None:
    """Add lines to a table; its heading is written when the file is new.

    Raises:
        BadInput: the file has another heading, or cannot be written.
    """
    heading = LAYOUTS[layout]
    try:
        fresh = not path.exists() or path.stat().st_size == 0
        if not fresh:
            with path.open(newline="", encoding="utf-8") as file:
                found = next(csv.reader(file, quotechar="|"), [])
            if tuple(found) != tuple(heading):
                raise BadInput(f"{path}: is no table of layout {layout}; choose another file")
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, quotechar="|", quoting=csv.QUOTE_MINIMAL, lineterminator="\n")
            if fresh:
                writer.writerow(heading)
            writer.writerows(rows)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path}: cannot be written as a table: {error}") from error


def _series(examination: Examination) -> tuple[Sequence[Instant], ...]:
    return examination.diastoles, examination.systoles, examination.rates


def _pairs(instants: Sequence[Instant | None]) -> list[str | float]:
    found: list[str | float] = []
    for one in instants:
        found += ["", ""] if one is None else [one.value, one.seconds]
    return found
