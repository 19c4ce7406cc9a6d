"""What the ejection fraction can be learned from: simulated cohorts, EchoNet-Dynamic, folders with a CSV of EF."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from echonode.core.errors import BadInput
from echonode.tasks.ejection_fraction.loops import VIDEOS, Form, Origin, kept
from echonode.training.dataset import Candidate, DatasetManifest, Item, split_named

EF, NAME, SPLIT, PATIENT = "EF", "FileName", "Split", "PatientID"
FILE_LIST, TRACINGS, VIDEO_FOLDER = "FileList.csv", "VolumeTracings.csv", "Videos"
NAMES: Final = ("filename", "file", "path", "name", "video")
VALUES: Final = ("ef", "ef_percent", "ejection_fraction", "lvef", "label")
PATIENTS: Final = ("patientid", "patient", "patient_id", "subject")
LEAST_TRACED: Final = 2


def layout(path: Path) -> Iterator[Candidate]:
    """EchoNet-Dynamic (its folder or FileList.csv), or a folder (or its CSV) that names files and their EF in percent.

    Raises:
        BadInput: no such list, a column that is missing, a file that is not there, or an EF that is no percentage.
    """
    found = _list_of(path)
    rows = _rows(found)
    if found.name == FILE_LIST:
        yield from _dynamic(found, rows)
    else:
        yield from _listed(found, rows)


def ef_of(item: Item) -> float | None:
    """The ejection fraction that the list gives; None for a simulated heart, which knows its own."""
    value = item.labels.get("ef")
    return None if value is None else float(value)


def origin_of(data: DatasetManifest, item: Item) -> Origin:
    """Where the loop of an item comes from."""
    if item.phantom is not None:
        return Origin(phantom=item.phantom)
    return Origin(file=data.paths(item)[0], sha256=item.files[0].sha256)


def kept_loops(
    data: DatasetManifest, items: Sequence[Item], form: Form, *, folder: Path, workers: int,
    told: Callable[[int, int], None] | None = None,
) -> tuple[list[tuple[Item, Path]], dict[str, str]]:  # fmt: skip
    """The items that have a loop in the cache, each with its file, and why the others have none, by key.

    Raises:
        BadInput: not one of them has.
    """
    places = kept([origin_of(data, item) for item in items], form, folder=folder, workers=workers, told=told)
    there = [(item, place) for item, place in zip(items, places, strict=True) if isinstance(place, Path)]
    left_out = {item.key: place for item, place in zip(items, places, strict=True) if isinstance(place, str)}
    if items and not there:
        raise BadInput(f"not one loop can be used; {next(iter(left_out.values()))}")
    return there, left_out


def _dynamic(found: Path, rows: Sequence[Mapping[str, str]]) -> Iterator[Candidate]:
    """EchoNet-Dynamic: a video with fewer than two traced frames is left out, as the authors of CoReEcho do."""
    tracings = found.with_name(TRACINGS)
    traced: Counter[str] = Counter()
    if tracings.is_file():
        frames = {(Path(row[NAME]).stem, row["Frame"]) for row in _rows(tracings)}
        traced = Counter(name for name, _ in frames)
    for row in rows:
        name = _text(row, NAME, found)
        file = next(
            (place for place in (found.parent / VIDEO_FOLDER / name, found.parent / VIDEO_FOLDER / f"{name}.avi")
             if place.is_file()), None,
        )  # fmt: skip
        stem = Path(name).stem
        if traced and traced[stem] < LEAST_TRACED:
            continue
        if file is None:
            raise BadInput(f"{found.parent / VIDEO_FOLDER / name}: is in {found.name}, but there is no such video")
        yield Candidate(
            key=stem, patient=stem, files=(file,), labels={"ef": _percent(_text(row, EF, found), found)},
            split=split_named(row[SPLIT]) if row.get(SPLIT) else None,
        )  # fmt: skip


def _listed(found: Path, rows: Sequence[Mapping[str, str]]) -> Iterator[Candidate]:
    for row in rows:
        lower = {str(key).strip().lower(): (value or "").strip() for key, value in row.items()}
        name = next((lower[key] for key in NAMES if lower.get(key)), None)
        value = next((lower[key] for key in VALUES if lower.get(key)), None)
        if name is None or value is None:
            raise BadInput(f"{found}: a column {NAMES[0]} and a column {VALUES[0]} are expected in every row")
        file = next(
            (place for place in (found.parent / name, *(found.parent / f"{name}{suffix}" for suffix in (*VIDEOS, ".dcm")))
             if place.is_file()), None,
        )  # fmt: skip
        if file is None:
            raise BadInput(f"{found.parent / name}: is in {found.name}, but there is no such file")
        yield Candidate(
            key=name, patient=next((lower[key] for key in PATIENTS if lower.get(key)), Path(name).stem), files=(file,),
            labels={"ef": _percent(value, found)}, split=split_named(lower["split"]) if lower.get("split") else None,
        )  # fmt: skip


def _list_of(path: Path) -> Path:
    if path.is_file():
        return path
    if (path / FILE_LIST).is_file():
        return path / FILE_LIST
    lists = sorted(path.glob("*.csv"))
    if len(lists) != 1:
        raise BadInput(
            f"{path}: {FILE_LIST}, or one CSV file with file names and EF, is expected; {len(lists)} are there"
        )
    return lists[0]


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path}: cannot be read as a CSV file: {error}") from error


def _text(row: Mapping[str, str], name: str, found: Path) -> str:
    if not row.get(name):
        raise BadInput(f"{found}: a column {name} is expected in every row")
    return row[name].strip()


def _percent(text: str, found: Path) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value <= 100:
        raise BadInput(f"{found}: EF {text!r}: a percentage is expected")
    return value
