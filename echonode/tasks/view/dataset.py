"""What views can be learned from: simulated studies, folders named for views, lists, and DICOM files with view codes.

Whatever the source, a sample is a few square pictures of one recording and its class, prepared once as the runner
prepares them and kept in a cache.
"""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from echonode.core.clip import Clip
from echonode.core.errors import BadInput, EchonodeError
from echonode.core.settings import LimitsSection
from echonode.dicom.pixels import open_pixels, read_clip
from echonode.dicom.video import VIDEO_SUFFIXES, read_video
from echonode.tasks.view.classes import CLASSES, class_of
from echonode.tasks.view.prepare import prepared
from echonode.tasks.view.simulated import Recording, Shown, shown
from echonode.training.dataset import Candidate, DatasetManifest, Item, Split, split_named
from echonode.training.sources import study_of

FILES: Final = ("file", "path", "filename", "name")
VIEWS: Final = ("view", "class", "label")
PATIENTS: Final = ("patient", "patientid", "patient_id", "subject")
REAL: Final = "recorded"

Bytes = NDArray[np.uint8]
Tell = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One recording: its item, its place in the item's cache file, its class as a number and where it comes from."""

    item: Item
    path: Path
    place: int
    label: int
    kind: str


def layout(path: Path) -> Iterator[Candidate]:
    """A CSV (file, view, and perhaps patient and split), folders named for views, or DICOM files that code their view.

    In a folder a file's view is the name of the nearest folder that means one; else a DICOM file's header tells it, and
    files of which nobody tells one are left out. Folders train, validation and test are honoured. The patient is what
    the list or the header says, else the file's name up to the first underscore.

    Raises:
        BadInput: a list without the columns, or that names a file that is not there or a view that there is not.
    """
    if path.is_file():
        yield from _listed(path)
        return
    for file in sorted(each for each in path.rglob("*") if each.is_file()):
        dicom = _is_dicom(file)
        if not dicom and file.suffix.lower() not in VIDEO_SUFFIXES:
            continue
        folders = file.relative_to(path).parts[:-1][::-1]
        view = next((found for folder in folders if (found := class_of(folder)) is not None), None)
        coded, patient = _of_header(file) if dicom else (None, "")
        view = view or coded
        if view is not None:
            split = next((found for folder in folders if (found := _split(folder)) is not None), None)
            yield Candidate(
                key=file.relative_to(path).as_posix(), patient=patient or file.stem.partition("_")[0], files=(file,),
                labels={"view": view}, split=split,
            )  # fmt: skip


class Cache:
    """Prepared pictures of a data set on disk, one file an item; what is there is not made again."""

    def __init__(self, folder: Path, data: DatasetManifest, recording: Recording) -> None:
        self.folder, self._data, self._recording = folder, data, recording

    def samples(self, items: Sequence[Item], *, workers: int = 1, tell: Tell | None = None) -> list[Sample]:
        """Every recording of `items`, in order; what is not there yet is made by at most `workers` processes.

        Raises:
            BadInput: nothing in it can be used.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        missing = [item for item in items if not self._path(item).is_file()]
        for done, _ in enumerate(self._made(missing, workers), start=1):
            if tell is not None:
                tell(done, len(missing))
        found = []
        for item in items:
            with np.load(self._path(item), allow_pickle=False) as kept:
                labels, kinds = kept["labels"].tolist(), kept["kinds"].tolist()
            if not labels:
                sys.stderr.write(f"left out: {item.key}: no picture in it, or it cannot be read\n")
            found += [
                Sample(item=item, path=self._path(item), place=place, label=label, kind=kind)
                for place, (label, kind) in enumerate(zip(labels, kinds, strict=True))
            ]
        if items and not found:
            raise BadInput("not one recording of the data set has a picture that can be used")
        return found

    def _made(self, items: Sequence[Item], workers: int) -> Iterator[Path]:
        asked = [(item, self._data.paths(item), self._path(item), self._of(item)) for item in items]
        if workers < 2 or len(items) < 4:
            for each in asked:
                yield write_item(*each)
            return
        context = get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
            for run in as_completed([pool.submit(write_item, *each) for each in asked]):
                yield run.result()

    def _of(self, item: Item) -> Recording:
        """Only what is learned from is varied: the test shows the studies as they are."""
        return replace(self._recording, varied=item.split is Split.TRAIN)

    def _path(self, item: Item) -> Path:
        parts = [item.key, json.dumps(asdict(self._of(item)), sort_keys=True), str(item.labels.get("view"))]
        name = hashlib.sha256("\0".join([*parts, *(file.sha256 for file in item.files)]).encode()).hexdigest()[:24]
        return self.folder / f"{name}.npz"


def pictures_of(samples: Sequence[Sample]) -> list[Bytes]:
    """The pictures (frames, side, side) of each sample, each file read once."""
    found: list[Bytes] = []
    known: tuple[Path, Bytes] | None = None
    for sample in samples:
        if known is None or known[0] != sample.path:
            with np.load(sample.path, allow_pickle=False) as kept:
                known = (sample.path, np.asarray(kept["pictures"], np.uint8))
        found.append(known[1][sample.place])
    return found


def write_item(item: Item, files: Sequence[Path], path: Path, recording: Recording) -> Path:
    """Prepare an item into its cache file, and give it; the file is there when all of it is."""
    made = list(shown(study_of(item.phantom), recording)) if item.phantom is not None else _read(item, files, recording)
    side = recording.side
    pictures = np.stack([each.pictures for each in made]) if made else np.zeros((0, 1, side, side), np.uint8)
    part = path.with_name(f".{path.name}")
    with part.open("wb") as stream:
        np.savez(
            stream, pictures=pictures, labels=np.array([CLASSES.index(each.view) for each in made], np.int64),
            kinds=np.array([each.kind for each in made], "U24"),
        )  # fmt: skip
    part.replace(path)
    return path


def _read(item: Item, files: Sequence[Path], recording: Recording) -> list[Shown]:
    """The recording of a file; none where no picture is in it or it cannot be read."""
    try:
        clip = _clip(files[0])
    except EchonodeError:
        return []
    found = prepared(clip, count=recording.frames, side=recording.side)
    if found is None:
        return []
    repeats = np.resize(np.arange(len(found.pictures)), recording.frames)
    return [Shown(pictures=found.pictures[repeats], view=str(item.labels["view"]), kind=REAL)]


def _clip(file: Path) -> Clip:
    limits = LimitsSection()
    return read_clip(file, limits=limits) if _is_dicom(file) else read_video(file, limits=limits)


def _listed(path: Path) -> Iterator[Candidate]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = [{str(key).strip().lower(): (value or "").strip() for key, value in row.items()}
                    for row in csv.DictReader(stream)]  # fmt: skip
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"--data {path}: cannot be read as a list: {error}") from error
    for number, row in enumerate(rows, start=2):
        name, view = _column(row, FILES, path), _column(row, VIEWS, path)
        file = path.parent / name
        if not file.is_file():
            raise BadInput(f"{path}, line {number}: {name!r} is not there")
        known = class_of(view)
        if known is None:
            raise BadInput(f"{path}, line {number}: view {view!r}: {', '.join(CLASSES)} are expected")
        coded_patient = _of_header(file)[1] if _is_dicom(file) else ""
        patient = next((row[key] for key in PATIENTS if row.get(key)), "") or coded_patient
        yield Candidate(
            key=name, patient=patient or file.stem.partition("_")[0], files=(file,), labels={"view": known},
            split=split_named(row["split"]) if row.get("split") else None,
        )  # fmt: skip


def _column(row: Mapping[str, str], names: Sequence[str], path: Path) -> str:
    for name in names:
        if row.get(name):
            return row[name]
    raise BadInput(f"--data {path}: a column {names[0]!r} (or {', '.join(names[1:])}) is expected in every line")


def _of_header(file: Path) -> tuple[str | None, str]:
    """The class that a DICOM file's header codes, and a name for the patient that says nothing about them."""
    try:
        with open_pixels(file, limits=LimitsSection()) as source:
            facts = source.facts()
    except EchonodeError:
        return None, ""
    owner = facts.patient_id.strip() or facts.study_uid
    view = class_of(facts.view) if facts.view else None
    return view, hashlib.sha256(owner.encode()).hexdigest()[:16] if owner else ""


def _split(folder: str) -> Split | None:
    try:
        return split_named(folder)
    except BadInput:
        return None


def _is_dicom(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM" and file.name.upper() != "DICOMDIR"
    except OSError:
        return False
