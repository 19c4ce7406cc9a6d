"""What findings can be learned from: simulated cohorts, and the manifest CSV of Sahashi et al. beside its videos.

The manifest has `Study_Unique_ID, Video_Unique_ID, frames, LABEL`, and may have `filename`, `split` and `patient`.
LABEL is 0 or 1, or any number when a value is learned; a row without one is left out.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from echonode.core.errors import BadInput
from echonode.tasks.cmr.clips import Loop
from echonode.tasks.cmr.loops import VIDEOS, Form, Origin, kept
from echonode.training.dataset import Candidate, DatasetManifest, Item, split_named

LABEL: Final = "LABEL"
NAMES: Final = ("filename", "file_name", "video_unique_id")
STUDIES: Final = ("study_unique_id", "study")
PATIENTS: Final = ("patient_unique_id", "patientid", "patient")
FOLDERS: Final = (".", "Videos", "videos")
SUFFIXES: Final = ("", *VIDEOS, ".dcm")


def layout(path: Path, *, label: str = LABEL) -> Iterator[Candidate]:
    """The videos that a manifest CSV lists (or the one CSV in a folder), each with its label.

    Without a column of patients a study is a patient: two studies of one person then count as two.

    Raises:
        BadInput: no such list, a column that is missing, a video that is not there, or a label that is no number.
    """
    found = _list_of(path)
    for row in _rows(found):
        name, text = _first(row, NAMES), row.get(label.lower(), "")
        if not name or label.lower() not in row:
            raise BadInput(
                f"{found}: columns {NAMES[-1]} (or {NAMES[0]}) and {label} are expected; there are: {', '.join(row)}"
            )
        if not text:
            continue
        study = _first(row, STUDIES) or Path(name).stem
        yield Candidate(
            key=name, patient=_first(row, PATIENTS) or study, files=(_file(found, name),),
            labels={"label": _number(text, name, found), "study": study},
            split=split_named(row["split"]) if row.get("split") else None,
        )  # fmt: skip


def kept_loops(
    data: DatasetManifest, items: Sequence[Item], form: Form, *, folder: Path, workers: int,
    told: Callable[[int, int], None] | None = None,
) -> tuple[list[tuple[Item, Path]], dict[str, str]]:  # fmt: skip
    """The items that have a loop in the cache, each with its file, and why the others have none, by key.

    Raises:
        BadInput: not one of them has.
    """
    origins = [
        Origin(phantom=item.phantom) if item.phantom is not None
        else Origin(file=data.paths(item)[0], sha256=item.files[0].sha256)
        for item in items
    ]  # fmt: skip
    places = kept(origins, form, folder=folder, workers=workers, told=told)
    there = [(item, place) for item, place in zip(items, places, strict=True) if isinstance(place, Path)]
    left_out = {item.key: place for item, place in zip(items, places, strict=True) if isinstance(place, str)}
    if items and not there:
        raise BadInput(f"not one loop can be used; {next(iter(left_out.values()))}")
    return there, left_out


def target_of(item: Item, loop: Loop, quantity: str) -> float:
    """What is learned of a loop: its label, or of a simulated heart the quantity that was asked for.

    Raises:
        BadInput: nothing is known of that quantity.
    """
    if "label" in item.labels:
        return float(item.labels["label"])
    known = {
        "wall-motion": None if loop.abnormal is None else float(loop.abnormal),
        "ejection-fraction": loop.ef_percent,
        "score-index": loop.score_index,
    }.get(quantity)
    if known is None:
        raise BadInput(f"{item.key}: {quantity} is not known of it")
    return known


def study_of(item: Item) -> str:
    """The study whose loops are looked at together."""
    return str(item.labels.get("study", item.patient))


def _list_of(path: Path) -> Path:
    if path.is_file():
        return path
    lists = sorted(path.glob("*.csv"))
    if len(lists) != 1:
        raise BadInput(f"{path}: one manifest CSV is expected; {len(lists)} are there")
    return lists[0]


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return [
                {str(key).strip().lower(): (value or "").strip() for key, value in row.items() if key is not None}
                for row in csv.DictReader(file)
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path}: cannot be read as a CSV file: {error}") from error


def _first(row: dict[str, str], names: Sequence[str]) -> str:
    return next((row[name] for name in names if row.get(name)), "")


def _file(found: Path, name: str) -> Path:
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise BadInput(f"{found}: {name[:80]!r} is no file name inside its folder")
    for folder in FOLDERS:
        for suffix in SUFFIXES:
            place = found.parent / folder / f"{name}{suffix}"
            if place.is_file():
                return place
    raise BadInput(f"{found.parent / name}: is in {found.name}, but there is no such video")


def _number(text: str, name: str, found: Path) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BadInput(f"{found}: {name}: the label {text[:40]!r} is no number")
    return value
