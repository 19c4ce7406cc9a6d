"""The two layouts of CSV that the authors' command writes: `stats`, a line a file, and `all`, a line a beat.

Lines are appended; text is quoted with `|`.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from echonode.core.errors import BadInput

QUANTITIES: Final = ("diastole", "systole", "heartrate")
STATS: Final = (
    "file",
    *(f"{statistic}_{name}" for statistic in ("median", "avg", "max", "min") for name in QUANTITIES),
)
ALL: Final = ("file", "lvid;d", "lvid;d time", "lvid;s", "lvid;s time", "heart rate", "heart rate time")
LAYOUTS: Final[Mapping[str, Sequence[str]]] = {"stats": STATS, "all": ALL}

Row = Sequence[str | float]


def rows_of(details: Mapping[str, Any], *, name: str, layout: str) -> list[Row]:
    """The lines of one file, from what `Examination.as_dict` says of it.

    `all` pairs the values of one beat; in the published preparation they are paired by their place in three lists, as
    the authors did, and the shortest list says how many there are.
    """
    if layout == "stats":
        spreads = [details["statistics"][quantity] for quantity in ("lvid_d_mm", "lvid_s_mm", "heart_rate_bpm")]
        return [(name, *(spread[statistic] for statistic in ("median", "mean", "max", "min") for spread in spreads))]
    if details["preparation"] == "published":
        series = [details[key] for key in ("end_diastole", "end_systole", "heart_rate")]
        good = [[(one["value"], one["seconds"]) for one in some if one["good"]] for some in series]
        return [(name, *(value for pair in row for value in pair)) for row in zip(*good, strict=False)]
    return [
        (
            name, beat["lvid_d_mm"], beat["seconds"], beat["lvid_s_mm"], beat["lvid_s_seconds"],
            *(("", "") if beat["heart_rate_bpm"] is None else (beat["heart_rate_bpm"], beat["seconds"])),
        )
        for beat in details["beats"]
        if beat["good"]
    ]  # fmt: skip


def append(path: Path, details: Mapping[str, Any], *, name: str, layout: str) -> None:
    """Add the lines of one file to a table; its heading is written when the table is new.

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
            writer.writerows(rows_of(details, name=name, layout=layout))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path}: cannot be written as a table: {error}") from error
