"""What segmentation learns from: simulated studies, CAMUS as .mhd or NIfTI, folders of pictures beside label maps.

Whatever the source, a sample is a square picture and its labels, prepared once and kept in a cache: `clinical`, the
sector with its shape kept, as the runner prepares it; `published`, the whole frame squeezed to a square by nearest pixel.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from echonode.core.clip import Clip, Mode, Region, SpatialFormat
from echonode.core.errors import BadInput
from echonode.phantom.acquire import Acquisition
from echonode.phantom.cohort import LoopPlan
from echonode.phantom.tissue import CAVITY, Label
from echonode.tasks.common.camus import CAMUS_CODES, checked_codes, origin_of, spacings_of
from echonode.tasks.segmentation.pictures import SUFFIXES, files_of, read_pictures
from echonode.tasks.segmentation.prepare import View, clinical_view, published_picture, with_loop
from echonode.training.dataset import Candidate, DatasetManifest, Item, Split, split_named
from echonode.training.sources import study_of

LABEL_FOLDERS: Final = ("annotations", "labels", "masks")
SPLIT_LISTS: Final = ("subgroup_training.txt", "subgroup_validation.txt", "subgroup_testing.txt")
APICAL: Final = ("A4C", "A2C")
CAMUS_VIEWS: Final = {"4CH": "A4C", "2CH": "A2C"}

Bytes = NDArray[np.uint8]
Tell = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """How samples are prepared: what decides the content of the cache.

    `frames` are drawn evenly over one beat of a simulated loop; `scale` is the part of the scanner's raster that loops
    are simulated at (from, to).
    """

    side: int
    preparation: str = "clinical"
    frames: int = 6
    views: tuple[str, ...] = APICAL
    scale: tuple[float, float] = (0.5, 0.9)

    @property
    def finer(self) -> int:
        """How much finer labels are kept than pictures; the published ones are as they are."""
        return 1 if self.preparation == "published" else 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One picture of one item: its place in the item's cache file."""

    item: Item
    path: Path
    place: int


def layout(path: Path) -> Iterator[Candidate]:
    """CAMUS (patientNNNN_4CH_ED and ..._gt, .mhd or NIfTI; its subgroup lists are honoured), or pictures with label maps.

    Pictures lie in `images`, label maps of the same name in `annotations`, `labels` or `masks` beside it, below both
    folders named for splits or none; the patient is the name up to the first underscore. A spacing.json in `path` tells
    the size of their pixels.

    Raises:
        BadInput: it is a file.
    """
    if not path.is_dir():
        raise BadInput(f"--data {path}: a folder of CAMUS, or one of images beside label maps, is expected")
    camus = sorted(file for suffix in SUFFIXES[:3] for file in path.rglob(f"patient*_gt{suffix}"))
    camus = [file for file in camus if "sequence" not in file.name]
    if camus:
        yield from _camus(path, camus)
        return
    for images in sorted(folder for folder in path.rglob("images") if folder.is_dir()):
        for name in LABEL_FOLDERS:
            if (images.parent / name).is_dir():
                yield from _beside(path, images, images.parent / name)
                break


def _camus(root: Path, found: Sequence[Path]) -> Iterator[Candidate]:
    listed: dict[str, Split] = {}
    for name in SPLIT_LISTS:
        for file in root.rglob(name):
            named = split_named(name.removeprefix("subgroup_").removesuffix(".txt"))
            listed |= dict.fromkeys(file.read_text(encoding="utf-8").split(), named)
    for truth in found:
        stem = truth.name.partition("_gt")[0]
        picture = truth.with_name(truth.name.replace("_gt", "", 1))
        patient, _, rest = stem.partition("_")
        view, _, phase = rest.partition("_")
        if view not in CAMUS_VIEWS or phase not in ("ED", "ES") or not picture.is_file():
            continue
        split = listed.get(patient)
        if split is None:
            split = next((split_named(part) for part in truth.parts[::-1] if part in ("training", "testing")), None)
        yield Candidate(
            key=f"camus/{stem}", patient=f"camus/{patient}", files=(*files_of(picture), *files_of(truth)), split=split,
            labels={"view": CAMUS_VIEWS[view], "phase": phase, "picture": picture.name, "truth": truth.name},
        )  # fmt: skip


def _beside(root: Path, images: Path, maps: Path) -> Iterator[Candidate]:
    origin, spacings = origin_of(root), spacings_of(root)
    for picture in sorted(images.rglob("*")):
        if not picture.name.lower().endswith(SUFFIXES) or not picture.is_file():
            continue
        within = picture.relative_to(images)
        truth = maps / within
        if not truth.is_file():
            raise BadInput(f"{picture}: has no label map {within} in {maps.name}")
        split = next((split_named(part) for part in within.parts[:-1] if part in ("training", "validation", "testing")),
                     None)  # fmt: skip
        place = picture.relative_to(root).as_posix()
        view = next((name for word, name in CAMUS_VIEWS.items() if word in place), None)
        phase = next((word for word in ("ED", "ES") if f"_{word}" in picture.stem), None)
        size = {"spacing_mm": list(spacings[picture.stem])} if picture.stem in spacings else {}
        yield Candidate(
            key=place, patient=picture.stem.partition("_")[0], files=(*files_of(picture), *files_of(truth)), split=split,
            labels={"view": view, "phase": phase, "picture": picture.name, "truth": truth.name}
            | size | origin,
        )  # fmt: skip


class Cache:
    """Prepared samples of a data set on disk, one pair of .npy files an item; what is there is not made again."""

    def __init__(self, folder: Path, data: DatasetManifest, prepared: Prepared) -> None:
        self._folder, self._data, self._prepared = folder, data, prepared
        text = json.dumps(asdict(prepared), sort_keys=True)
        self._mark = hashlib.sha256(text.encode()).hexdigest()[:10]

    def samples(self, items: Sequence[Item], *, workers: int = 1, tell: Tell | None = None) -> list[Sample]:
        """Every sample of `items`, in order; those that are not there yet are made by `workers` processes.

        Raises:
            BadInput: a file is damaged, or labels are none of CAMUS.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        missing = [item for item in items if not self._path(item, "labels").is_file()]
        done = 0
        for done, _ in enumerate(self._made(missing, workers), start=1):
            if tell is not None:
                tell(done, len(missing))
        found = []
        for item in items:
            count = len(np.load(self._path(item, "labels"), mmap_mode="r"))
            found += [Sample(item=item, path=self._path(item, "pictures"), place=place) for place in range(count)]
        if not found:
            raise BadInput("nothing in the data set shows a heart in motion")
        return found

    def _made(self, items: Sequence[Item], workers: int) -> Iterator[None]:
        asked = [(item, self._data.paths(item), self._path(item, "pictures"), self._prepared) for item in items]
        if workers < 2 or len(items) < 4:
            for each in asked:
                write_item(*each)
                yield
            return
        context = get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
            for run in as_completed([pool.submit(write_item, *each) for each in asked]):
                run.result()
                yield

    def _path(self, item: Item, what: str) -> Path:
        name = hashlib.sha256("\0".join([item.key, *(file.sha256 for file in item.files)]).encode()).hexdigest()[:20]
        return self._folder / f"{name}-{self._mark}-{what}.npy"


def load_with_loop(sample: Sample, frames: int) -> tuple[Bytes, Bytes]:
    """As `load`, the picture (side, side, 3) with what its loop looks like beside it: `prepare.with_loop`.

    `frames` is how many pictures of a simulated loop lie together; a still is its own loop.
    """
    pictures = np.load(sample.path, mmap_mode="r")
    group = frames if sample.item.phantom is not None else 1
    first = sample.place - sample.place % group
    channels = with_loop(np.array(pictures[first : first + group]))[sample.place - first]
    return channels, np.array(np.load(labels_beside(sample.path), mmap_mode="r")[sample.place])


def load(sample: Sample) -> tuple[Bytes, Bytes]:
    """Picture (side, side) and labels (prepared.finer * side, prepared.finer * side) of a sample, uint8."""
    pictures, labels = np.load(sample.path, mmap_mode="r"), np.load(labels_beside(sample.path), mmap_mode="r")
    return np.array(pictures[sample.place]), np.array(labels[sample.place])


def labels_beside(path: Path) -> Path:
    """The cache file of the labels that belong to a file of pictures."""
    return path.with_name(path.name.replace("-pictures", "-labels"))


def write_item(item: Item, files: Sequence[Path], path: Path, prepared: Prepared) -> None:
    """Prepare an item into its pair of cache files; labels last, so that they are there when all is."""
    pairs = list(_simulated(item, prepared) if item.phantom is not None else [_read(item, files, prepared)])
    pictures = np.concatenate([pair[0] for pair in pairs]) if pairs else np.zeros((0, 1, 1), np.uint8)
    labels = np.concatenate([pair[1] for pair in pairs]) if pairs else np.zeros((0, 1, 1), np.uint8)
    for target, values in ((path, pictures), (labels_beside(path), labels)):
        part = target.with_name(f".{target.name}")
        with part.open("wb") as stream:
            np.save(stream, values)
        part.replace(target)


def _simulated(item: Item, prepared: Prepared) -> Iterable[tuple[Bytes, Bytes]]:
    assert item.phantom is not None
    for plan in study_of(item.phantom).loops:
        if plan.view.value in prepared.views and not plan.colour:
            pair = _recorded(plan, prepared)
            if pair is not None:
                yield pair


def _recorded(plan: LoopPlan, prepared: Prepared) -> tuple[Bytes, Bytes] | None:
    """One beat in few frames, each alone: persistence would mix frames that are far apart."""
    plan = replace(plan, machine=replace(plan.machine, persistence=0.0))
    low, high = prepared.scale
    scale = low + (high - low) * float(np.random.default_rng(plan.seed).random())
    rows, columns = (2 * round(side * scale / 2) for side in (plan.machine.rows, plan.machine.columns))
    beat_ms = 60_000 / plan.patient.heart_rate_bpm
    made = plan.acquire(frames=prepared.frames, frame_time_ms=beat_ms / prepared.frames, rows=rows, columns=columns)
    return squares_of(made, prepared)


def squares_of(made: Acquisition, prepared: Prepared) -> tuple[Bytes, Bytes] | None:
    """Pictures and labels of every frame of a simulated loop; None where no sector is found."""
    assert made.labels is not None
    side = prepared.side
    codes = np.stack([simulated_codes(labels) for labels in made.labels])
    if prepared.preparation == "published":
        pictures = np.stack([_nearest(published_picture(frame), side) for frame in made.frames])
        return pictures, np.stack([_nearest(each, prepared.finer * side) for each in codes])
    view = clinical_view(clip_of(made))
    if view is None:
        return None
    pictures = np.stack([view.picture(frame, side=side) for frame in made.frames])
    return pictures, np.stack([view.square_labels(each, side=prepared.finer * side) for each in codes])


def clip_of(made: Acquisition) -> Clip:
    """A simulated loop as a runner is given it."""
    return Clip(
        frames=made.frames, times_ms=made.times_ms, regions=made.regions, heart_rate=made.heart_rate_bpm,
        mode=Mode.COLOUR if made.colour else Mode.B_MODE, view=None,
    )  # fmt: skip


def simulated_codes(labels: Bytes) -> Bytes:
    """The phantom's labels (H, W) as CAMUS codes: papillary muscles and open leaflets belong to the cavity they are in."""
    codes = np.zeros(labels.shape, np.uint8)
    codes[np.isin(labels, CAVITY)] = 1
    codes[labels == Label.MYOCARDIUM] = 2
    codes[labels == Label.LA] = 3
    valve = labels == Label.VALVE
    if valve.any():
        # The mitral leaflets hang in the ventricle; others are nearest to a chamber that has no code.
        rows, columns = np.flatnonzero(valve.any(axis=1)), np.flatnonzero(valve.any(axis=0))
        box = (slice(max(0, rows[0] - 8), rows[-1] + 9), slice(max(0, columns[0] - 8), columns[-1] + 9))
        part, leaf = labels[box], valve[box]
        chamber = np.isin(part, (*CAVITY, Label.RV, Label.AORTA))
        if chamber.any():
            nearest = distance_transform_edt(~chamber, return_distances=False, return_indices=True)
            found = part[tuple(nearest)]
            codes[box][leaf & np.isin(found, CAVITY)] = 1
    return codes


def read_labelled(
    item: Item, files: Sequence[Path]
) -> tuple[Bytes, Bytes, tuple[float, float] | None, tuple[Region, ...]]:
    """An item's picture (H, W), its CAMUS codes (H, W), the size of a pixel in mm, and that as a region of the header.

    Raises:
        BadInput: a file is damaged, the sizes differ, or labels are none of CAMUS.
    """
    # Both may have one name in two folders; the picture's files come first.
    picture_file = next(file for file in files if file.name == item.labels["picture"])
    truth_file = next(file for file in reversed(files) if file.name == item.labels["truth"])
    pictures, truth = read_pictures(picture_file), read_pictures(truth_file)
    if pictures.values.shape != truth.values.shape:
        raise BadInput(f"{item.key}: a picture of {pictures.values.shape} and labels of {truth.values.shape}")
    codes = checked_codes(np.rint(truth.values[0]).astype(np.int64), CAMUS_CODES)
    spacing = pictures.spacing_mm
    if spacing is None and "spacing_mm" in item.labels:
        row, column = item.labels["spacing_mm"]
        spacing = (float(row), float(column))
    rows, columns = codes.shape
    regions = () if spacing is None else (pixels_of(spacing, rows=rows, columns=columns),)
    return _grey(pictures.values[0]), codes, spacing, regions


def _read(item: Item, files: Sequence[Path], prepared: Prepared) -> tuple[Bytes, Bytes]:
    picture, labels, spacing, _ = read_labelled(item, files)
    side = prepared.side
    if prepared.preparation == "published":
        square = _nearest(published_picture(picture[:, :, None]), side)
        return square[None], _nearest(labels, prepared.finer * side)[None]
    view = still_view(picture, spacing)
    square = view.picture(picture[:, :, None], side=side)
    return square[None], view.square_labels(labels, side=prepared.finer * side)[None]


def still_view(picture: Bytes, spacing_mm: tuple[float, float] | None) -> View:
    """Where the sector of one picture (H, W) lies; the whole picture where that is not clear."""
    rows, columns = picture.shape
    regions = () if spacing_mm is None else (pixels_of(spacing_mm, rows=rows, columns=columns),)
    view = clinical_view(Clip(frames=picture[None, :, :, None], times_ms=np.zeros(1), regions=regions))
    if view is not None:
        return view
    whole = np.ones(picture.shape, np.bool_)
    return View(box=(slice(0, rows), slice(0, columns)), sector=whole, overlay=~whole, aspect=1.0)


def pixels_of(spacing_mm: tuple[float, float], *, rows: int, columns: int) -> Region:
    """A region over the whole picture that says how large its pixels are."""
    return Region(
        spatial_format=SpatialFormat.TWO_D, data_type=1, x0=0, y0=0, x1=columns - 1, y1=rows - 1, units_x=3, units_y=3,
        delta_x=spacing_mm[1] / 10, delta_y=spacing_mm[0] / 10,
    )  # fmt: skip


def _grey(values: NDArray[Any]) -> Bytes:
    if values.dtype == np.uint8:
        return values
    largest = float(values.max())
    scale = 255 / largest if largest > 255 else 1.0
    return np.clip(np.rint(values * scale), 0, 255).astype(np.uint8)


def _nearest(square: Bytes, side: int) -> Bytes:
    return np.asarray(cv2.resize(square, (side, side), interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)
