"""What M-mode recipes learn from: simulated sweeps, img/mask windows, and an expert's spans of good and bad time."""

from __future__ import annotations

import csv
import hashlib
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from echonode.core.errors import BadInput
from echonode.core.results import Ineligible
from echonode.core.settings import LimitsSection
from echonode.dicom.pixels import read_clip
from echonode.phantom.cohort import SweepPlan
from echonode.tasks.mmode.case import Case
from echonode.tasks.mmode.compact import LEVELS
from echonode.tasks.mmode.grid import gridded
from echonode.tasks.mmode.prepare import Strip, strip_of
from echonode.tasks.mmode.sample import FORMAT, TRAINED_ROWS, UNKNOWN, Sample
from echonode.training.dataset import Candidate, DatasetManifest, Item, Split
from echonode.training.sources import study_of

PICTURES: Final = (".png", ".npy", ".tif", ".tiff", ".bmp")
HEADING: Final = ("Recording", "Good-Start", "Good-End", "Bad-Start", "Bad-End")
MARGIN: Final = 4  # columns of the grid; an end-systole nearer to an end of the strip is not known
SMALLER: Final = (0.5, 0.65)  # of the planned size: simulated sweeps to learn from
KEPT: Final = "sample"


@dataclass(frozen=True, kw_only=True, slots=True)
class Cache:
    """Where samples are kept once they are made, and how many processes make them."""

    folder: Path
    processes: int = 2


def mask_layout(path: Path) -> Iterator[Candidate]:
    """Windows of a folder img/ with their masks of the cavity in a folder mask/, each under the same name.

    RECORDING_12.png and RECORDING_13.png are of one patient: windows of one recording never come to both sides of a
    split, as a split by window would bring them.

    Raises:
        BadInput: no such folders, or a window without its mask.
    """
    images, masks = path / "img", path / "mask"
    if not (images.is_dir() and masks.is_dir()):
        raise BadInput(f"{path}: folders img and mask are expected")
    for image in sorted(images.iterdir()):
        if image.suffix.lower() not in PICTURES:
            continue
        mask = next(
            (masks / f"{image.stem}{suffix}" for suffix in PICTURES if (masks / f"{image.stem}{suffix}").is_file()),
            None,
        )
        if mask is None:
            raise BadInput(f"{image}: has no mask of that name beside it")
        yield Candidate(key=image.stem, patient=_recording(image.stem), files=(image, mask), labels={"kind": "mask"})


def quality_layout(path: Path) -> Iterator[Candidate]:
    """An expert's CSV of spans beside its recordings, or folders good and bad of windows (below npys or pngs, or above).

    Raises:
        BadInput: neither, a recording that is not there, or a span that is none.
    """
    if path.is_file():
        yield from _spans(path)
        return
    found = False
    for label in ("good", "bad"):
        for folder in (
            path / label,
            path / "npys" / label,
            path / label / "npys",
            path / "pngs" / label,
            path / label / "pngs",
        ):
            if not folder.is_dir():
                continue
            for file in sorted(each for each in folder.iterdir() if each.suffix.lower() in PICTURES):
                found = True
                key = f"{label}/{file.stem}"
                yield Candidate(
                    key=key,
                    patient=_recording(file.stem),
                    files=(file,),
                    labels={"kind": "window", "good": label == "good"},
                )
            if any(each.suffix.lower() in PICTURES for each in folder.iterdir()):
                break
    if not found:
        tables = sorted(path.glob("*.csv"))
        if not tables:
            raise BadInput(f"{path}: folders good and bad, or a CSV of {', '.join(HEADING)}, are expected")
        for table in tables:
            yield from _spans(table)


def samples(
    data: DatasetManifest, split: Split, cache: Cache, *, levels: Sequence[str] = LEVELS, whole: bool = False,
    quiet: bool = False,
) -> list[Path]:  # fmt: skip
    """The files of all samples of a split, made where the cache does not have them yet; three a simulated study.

    `whole` simulates sweeps in their planned size, as a scanner writes them, which takes four times as long.
    """
    wanted: list[tuple[Path, Item, str, bool]] = []
    cache.folder.mkdir(parents=True, exist_ok=True)
    for item in data.by_split()[split]:
        for level in levels if item.phantom is not None else ("",):
            name = hashlib.sha256(f"{FORMAT}|{item.key}|{level}|{whole}|{_digests(item)}".encode()).hexdigest()[:24]
            wanted.append((cache.folder / f"{KEPT}-{name}.npz", item, level, whole))
    missing = [each for each in wanted if not each[0].is_file()]
    make = partial(_make, roots=data.roots)
    if missing:
        for done, _ in enumerate(_mapped(make, missing, processes=cache.processes), start=1):
            if not quiet and (done % 50 == 0 or done == len(missing)):
                _tell(f"{split}: {done} of {len(missing)} strips made")
    there = [path for path, *_ in wanted if path.is_file()]
    if not there:
        raise BadInput(f"data set {data.name}: no strip of {split} could be used")
    return there


def cases(
    data: DatasetManifest, split: Split, cache: Cache, *, levels: Sequence[str] = LEVELS, whole: bool = True,
    quiet: bool = False,
) -> list[Path]:  # fmt: skip
    """The files of the simulated sweeps of a split as a scanner sends them, made where the cache lacks them.

    `whole`: in their planned size; else at half of it, for quick tests.
    """
    cache.folder.mkdir(parents=True, exist_ok=True)
    wanted = []
    for item in data.by_split()[split]:
        for level in levels if item.phantom is not None else ():
            name = hashlib.sha256(f"{FORMAT}|{item.key}|{level}|{whole}".encode()).hexdigest()[:24]
            wanted.append((cache.folder / f"case-{name}.npz", item, level, whole))
    missing = [each for each in wanted if not each[0].is_file()]
    for done, _ in enumerate(_mapped(_make_case, missing, processes=cache.processes), start=1):
        if not quiet and (done % 50 == 0 or done == len(missing)):
            _tell(f"{split}: {done} of {len(missing)} sweeps made")
    return [path for path, *_ in wanted if path.is_file()]


def simulated_sample(case: Case) -> Sample:
    """What a simulated sweep teaches: read as a runner reads it, its truth put on the grid.

    Raises:
        BadInput: the runner would refuse the picture.
    """
    strip = strip_of(case.clip, preparation="clinical")
    if isinstance(strip, Ineligible):
        raise BadInput(f"{case.key}: {strip.reason}")
    found = _gridded(strip)
    length = found.picture.shape[1]
    where = (np.arange(length) + 0.5) * found.stretch - 0.5
    known = np.asarray(case.walls, np.float64)
    source = np.arange(known.shape[1])
    shrink = strip.calibration.millimetres / found.millimetres
    walls = np.stack([(np.interp(where, source, row) + 0.5) * shrink - 0.5 for row in known]).astype(np.float32)
    diastoles = np.array([wave / found.seconds - 0.5 for wave in case.r_waves_s], np.float32)
    return Sample(
        key=case.key, patient=case.patient, picture=found.picture, walls=walls, diastoles=diastoles,
        systoles=end_systoles(walls[2] - walls[1], diastoles), level=LEVELS.index(case.level),
        good=np.ones(length, np.int8),
    )  # fmt: skip


def end_systoles(lvid: NDArray[np.floating], diastoles: NDArray[np.floating]) -> NDArray[np.float32] | None:
    """Columns where the diameter is smallest between two R waves, or before the first and after the last; None without."""
    if not np.isfinite(lvid).all():
        return None
    length = len(lvid)
    ends = [0, *(round(float(column)) for column in diastoles if 0 <= column < length), length]
    found = []
    for start, stop in itertools.pairwise(ends):
        if stop - start < 2 * MARGIN:
            continue
        at = start + int(np.argmin(lvid[start:stop]))
        if MARGIN <= at < length - MARGIN and start + MARGIN <= at < stop - MARGIN:
            found.append(at)
    return np.array(found, np.float32)


def plan_of(item: Item, level: str) -> SweepPlan | None:
    """The plan of a simulated study's sweep at a level; None where its protocol has none."""
    if item.phantom is None:
        return None
    return next((plan for plan in study_of(item.phantom).sweeps if plan.level.value == level), None)


def _make(wanted: tuple[Path, Item, str, bool], *, roots: Sequence[str]) -> None:
    """Make one sample's file; nothing where the protocol has no such sweep."""
    cv2.setNumThreads(1)
    path, item, level, whole = wanted
    if item.phantom is not None:
        plan = plan_of(item, level)
        if plan is None:
            return
        share = 1.0 if whole else SMALLER[plan.seed % len(SMALLER)]
        rows, columns = (round(share * side) for side in (plan.machine.rows, plan.machine.columns))
        swept = plan.sweep(rows=rows, columns=columns)
        case = Case.of(swept, key=f"{item.key}/{level}", patient=item.patient, quality=plan.quality)
        simulated_sample(case).save(path)
        return
    files = [Path(roots[file.root]) / file.path for file in item.files]
    kind = item.labels.get("kind")
    makers = {"mask": _from_mask, "window": _from_window, "spans": _from_spans}
    if kind not in makers:
        raise BadInput(f"item {item.key}: is of another recipe's data set")
    makers[kind](item, files).save(path)


def _make_case(wanted: tuple[Path, Item, str, bool]) -> None:
    cv2.setNumThreads(1)
    path, item, level, whole = wanted
    plan = plan_of(item, level)
    if plan is None:
        return
    share = 1.0 if whole else 0.5
    rows, columns = (round(share * side) for side in (plan.machine.rows, plan.machine.columns))
    swept = plan.sweep(rows=rows, columns=columns)
    Case.of(swept, key=f"{item.key}/{level}", patient=item.patient, quality=plan.quality).save(path)


def _from_mask(item: Item, files: Sequence[Path]) -> Sample:
    """A window has no scale: it is taken to be 160 rows, and only the cavity's two borders are known."""
    picture, mask = _picture(files[0]), _picture(files[1]) > 0
    if picture.shape != mask.shape:
        raise BadInput(f"{files[1]}: is {mask.shape}, its window {picture.shape}")
    height, length = picture.shape
    columns = max(32, round(length * TRAINED_ROWS / height))
    small = cv2.resize(picture, (columns, TRAINED_ROWS), interpolation=cv2.INTER_AREA)
    wide = cv2.resize(mask.astype(np.uint8), (columns, height), interpolation=cv2.INTER_NEAREST) > 0
    walls = np.full((4, columns), np.nan, np.float32)
    for column in np.flatnonzero(wide.any(axis=0)):
        rows = np.flatnonzero(wide[:, column])
        walls[1, column] = rows[0] * TRAINED_ROWS / height - 0.5
        walls[2, column] = (rows[-1] + 1) * TRAINED_ROWS / height - 0.5
    return Sample(
        key=item.key,
        patient=item.patient,
        picture=np.asarray(small, np.uint8),
        walls=walls,
        good=np.ones(columns, np.int8),
        level=0,
    )


def _from_window(item: Item, files: Sequence[Path]) -> Sample:
    picture = _picture(files[0])
    height, length = picture.shape
    columns = max(32, round(length * TRAINED_ROWS / height))
    small = cv2.resize(picture, (columns, TRAINED_ROWS), interpolation=cv2.INTER_AREA)
    return _judged(item, np.asarray(small, np.uint8), np.full(columns, int(bool(item.labels["good"])), np.int8))


def _from_spans(item: Item, files: Sequence[Path]) -> Sample:
    strip = strip_of(read_clip(files[0], limits=LimitsSection()), preparation="clinical")
    if isinstance(strip, Ineligible):
        raise BadInput(f"{files[0]}: {strip.reason}")
    found = _gridded(strip)
    good = np.full(found.picture.shape[1], UNKNOWN, np.int8)
    for label, value in (("good", 1), ("bad", 0)):
        for start, end in item.labels[label]:
            good[max(0, round(start / found.seconds)) : max(0, round(end / found.seconds))] = value
    return _judged(item, found.picture, good)


def _judged(item: Item, picture: NDArray[np.uint8], good: NDArray[np.int8]) -> Sample:
    nothing = np.full((4, picture.shape[1]), np.nan, np.float32)
    return Sample(key=item.key, patient=item.patient, picture=picture, walls=nothing, good=good)


def _spans(table: Path) -> Iterator[Candidate]:
    """The lines of an expert's CSV; several spans stand in one cell, parted by spaces, in seconds from the beginning."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{table}: cannot be read as a table: {error}") from error
    if not rows or not set(HEADING) <= set(rows[0]):
        raise BadInput(f"{table}: columns {', '.join(HEADING)} are expected")
    for row in rows:
        name = (row["Recording"] or "").strip()
        recording = next(
            (one for one in (table.parent / name, table.parent / f"{name}.dcm") if name and one.is_file()), None
        )
        if recording is None:
            raise BadInput(f"{table}: recording {name[:80]!r} is not beside it")
        labels: dict[str, Any] = {
            "kind": "spans", "good": _pairs(row, "Good", table, name), "bad": _pairs(row, "Bad", table, name),
        }  # fmt: skip
        yield Candidate(key=name, patient=_recording(Path(name).stem), files=(recording,), labels=labels)


def _pairs(row: Mapping[str, str | None], kind: str, table: Path, name: str) -> list[list[float]]:
    try:
        starts, ends = ([float(text) for text in (row[f"{kind}-{which}"] or "").split()] for which in ("Start", "End"))
    except ValueError as error:
        raise BadInput(f"{table}: {name}: {kind} spans: {error}") from error
    if len(starts) != len(ends) or any(not 0 <= start < end for start, end in zip(starts, ends, strict=False)):
        raise BadInput(f"{table}: {name}: {kind} spans need as many starts as ends, each before its end, in seconds")
    return [list(pair) for pair in zip(starts, ends, strict=True)]


def _gridded(strip: Strip) -> Any:
    calibration = strip.calibration
    try:
        return gridded(strip.grey, millimetres=calibration.millimetres, seconds=calibration.seconds)
    except ValueError as error:
        raise BadInput(str(error)) from error


def _picture(path: Path) -> NDArray[np.uint8]:
    if path.suffix.lower() == ".npy":
        found = np.load(path, allow_pickle=False)
        found = found.mean(axis=2) if found.ndim == 3 else found
        scale = 255.0 if found.max(initial=0) <= 1 else 1.0
        return np.asarray(np.clip(np.rint(found * scale), 0, 255), np.uint8)
    read = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if read is None:
        raise BadInput(f"{path}: is no picture that can be read")
    return np.asarray(read, np.uint8)


def _recording(stem: str) -> str:
    return re.sub(r"[_-][0-9]+$", "", stem)


def _digests(item: Item) -> str:
    return ",".join(file.sha256 for file in item.files)


def _mapped(make: Any, wanted: Sequence[Any], *, processes: int) -> Iterable[None]:
    if processes < 2 or len(wanted) < 8:
        for each in wanted:
            yield make(each)
        return
    with ProcessPoolExecutor(max_workers=processes, mp_context=get_context("spawn")) as pool:
        yield from pool.map(make, wanted, chunksize=4)


def _tell(line: str) -> None:
    import sys

    sys.stderr.write(line + "\n")
    sys.stderr.flush()
