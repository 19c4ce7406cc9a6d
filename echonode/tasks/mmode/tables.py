"""The layouts of CSV: the two that the authors' command writes (`stats`, a line a file, and `all`, a line a beat), and `tidy`.

Lines are appended. The authors quote text with `|`; `tidy` is plain CSV with one line a beat, its units in the heading.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from echonode.core.errors import BadInput

QUANTITIES: Final = ("diastole", "systole", "heartrate")
STATS: Final = (
    "file",
    *(f"{statistic}_{name}" for statistic in ("median", "avg", "max", "min") for name in QUANTITIES),
)
ALL: Final = ("file", "lvid;d", "lvid;d time", "lvid;s", "lvid;s time", "heart rate", "heart rate time")
TIDY: Final = (
    "file", "preparation", "species", "level", "timing", "beat", "time_s", "systole_time_s", "lvid_d_mm", "lvid_s_mm",
    "ivs_d_mm", "lvpw_d_mm", "lv_mass_g", "relative_wall_thickness", "fractional_shortening_percent", "edv", "esv",
    "volume_unit", "ejection_fraction_percent", "heart_rate_bpm", "good", "complete",
)  # fmt: skip
LAYOUTS: Final[Mapping[str, Sequence[str]]] = {"stats": STATS, "all": ALL, "tidy": TIDY}
QUOTES: Final = {"tidy": '"'}

Row = Sequence[str | float | None]


def rows_of(details: Mapping[str, Any], *, name: str, layout: str) -> list[Row]:
    """The lines of one file, from what `Examination.as_dict` says of it.

    `all` pairs the values of one beat; in the published preparation they are paired by their place in three lists, as
    the authors did, and the shortest list says how many there are.
    """
    if layout == "stats":
        spreads = [details["statistics"][quantity] for quantity in ("lvid_d_mm", "lvid_s_mm", "heart_rate_bpm")]
        return [(name, *(spread[statistic] for statistic in ("median", "mean", "max", "min") for spread in spreads))]
    if layout == "tidy":
        return [[line.get(column) for column in TIDY] for line in _tidy(details, name=name)]
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


def _tidy(details: Mapping[str, Any], *, name: str) -> list[dict[str, Any]]:
    """A line a beat; in the published preparation, which knows none, from one end-diastole to the next by their times."""
    unit = "uL" if details["species"] == "mouse" else "mL"
    shared = {
        "file": name, "volume_unit": unit,
        **{key: details[key] for key in ("preparation", "species", "level", "timing")},
    }  # fmt: skip
    if details["preparation"] == "published":
        beats = _by_time(details)
    else:
        beats = [
            {
                **beat, "time_s": beat["seconds"], "systole_time_s": beat["lvid_s_seconds"],
                "edv": beat[f"edv_{unit}"], "esv": beat[f"esv_{unit}"],
            }
            for beat in details["beats"]
        ]  # fmt: skip
    return [{**shared, **beat, "beat": number} for number, beat in enumerate(beats, start=1)]


def _by_time(details: Mapping[str, Any]) -> list[dict[str, Any]]:
    unit = "uL" if details["species"] == "mouse" else "mL"
    rates = {one["column"]: one["value"] for one in details["heart_rate"]}
    found = []
    for first, second in pairwise(details["end_diastole"]):
        inside = [one for one in details["end_systole"] if first["seconds"] < one["seconds"] < second["seconds"]]
        if not inside:
            continue
        smallest = min(inside, key=lambda one: float(one["value"]))
        large, small, end, rest = (
            float(value) for value in (
                first["value"], smallest["value"], first[f"volume_{unit}"], smallest[f"volume_{unit}"],
            )
        )  # fmt: skip
        found.append({
            "time_s": first["seconds"], "systole_time_s": smallest["seconds"], "lvid_d_mm": large, "lvid_s_mm": small,
            "edv": end, "esv": rest, "heart_rate_bpm": rates.get(first["column"]),
            "fractional_shortening_percent": 100 * (large - small) / large if large > 0 else None,
            "ejection_fraction_percent": 100 * (end - rest) / end if end > 0 else None,
            "good": first["good"] and smallest["good"], "complete": True,
        })  # fmt: skip
    return found


def append(path: Path, details: Mapping[str, Any], *, name: str, layout: str) -> None:
    """Add the lines of one file to a table; its heading is written when the table is new.

    Raises:
        BadInput: the file has another heading, or cannot be written.
    """
    heading, quote = LAYOUTS[layout], QUOTES.get(layout, "|")
    try:
        fresh = not path.exists() or path.stat().st_size == 0
        if not fresh:
            with path.open(newline="", encoding="utf-8") as file:
                found = next(csv.reader(file, quotechar=quote), [])
            if tuple(found) != tuple(heading):
                raise BadInput(f"{path}: is no table of layout {layout}; choose another file")
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, quotechar=quote, quoting=csv.QUOTE_MINIMAL, lineterminator="\n")
            if fresh:
                writer.writerow(heading)
            writer.writerows(rows_of(details, name=name, layout=layout))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path}: cannot be written as a table: {error}") from error
