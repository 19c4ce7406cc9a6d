"""Pictures beside label maps, in the tree that "Echo from noise" trains on and writes.

`OUT/VIEW/images|annotations|sector_annotations/training|validation|testing/PATIENT_VIEW.png`, where VIEW is 2CH_ED, 2CH_ES,
4CH_ED or 4CH_ES, annotations have CAMUS codes and sector_annotations the codes of `tasks/common/camus.py`.

`clinical`: the sector with its shape kept, in a square, as segmentation sees pictures. `published` (Stojanovski et al.,
ASMUS 2023): both axes sampled by index whatever their length, the sector wherever a picture is not black. Label maps of
training and validation may be repeated with changes of shape: such a map belongs to no picture any more, and only
diffusion is made for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import map_coordinates, zoom

from echonode.core.errors import BadInput
from echonode.tasks.common.camus import (
    SPACING_FILE,
    TREE_FILE,
    camus_codes,
    origin_of,
    sector_codes,
    spacings_of,
    subsampled,
)
from echonode.tasks.segmentation.dataset import (
    clip_of,
    layout,
    read_labelled,
    simulated_codes,
    still_view,
)
from echonode.tasks.segmentation.prepare import View, clinical_view, pixel_spacing_mm
from echonode.training.arguments import TrainingArguments
from echonode.training.dataset import Candidate, DatasetManifest, Item, Split
from echonode.training.sources import dataset_of, study_of

FOLDERS: Final = {Split.TRAIN: "training", Split.VALIDATION: "validation", Split.TEST: "testing"}
PICTURES, MAPS, SECTORS = "images", "annotations", "sector_annotations"
SPLIT_ASIDE: Final = (FOLDERS[Split.VALIDATION], FOLDERS[Split.TEST])
VIEW_NAMES: Final = {"A4C": "4CH", "A2C": "2CH"}
FIRST_PATIENTS: Final = 50
BEAT_FRAMES: Final = 8  # of a simulated beat, the largest and the smallest cavity are taken
PART: Final = 0.6  # of a scanner's raster that loops are simulated at
CONTROL_POINTS: Final = 10
DISPLACEMENT: Final = {"published": 30 / 256, "clinical": 12 / 256}
"""Of the elastic change: points across, and how far they move, in sides of the picture; published, walls tear."""

Bytes = NDArray[np.uint8]
Told = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What is written: `data` and `test_data` as `echonode train` takes them, in pictures of `side` pixels.

    `repeats` further label maps are made of each map of training and validation, 0 for none.
    """

    data: tuple[str, ...]
    out: Path
    test_data: tuple[str, ...] = ()
    side: int = 256
    preparation: str = "clinical"
    repeats: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.side % 8 or not 32 <= self.side <= 1024:
            raise BadInput(f"--side {self.side}: a multiple of 8 from 32 to 1024 is expected")
        if self.preparation not in ("clinical", "published"):
            raise BadInput(f"--preparation {self.preparation}: clinical or published is expected")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Labelled:
    """One square picture with CAMUS codes and the sector it shows; `name` is PATIENT_VIEW, `view` as in VIEWS.

    `spacing_mm` is (row, column) of a pixel, None where the source does not tell.
    """

    name: str
    view: str
    picture: Bytes
    codes: Bytes
    sector: NDArray[np.bool_]
    spacing_mm: tuple[float, float] | None = None

    @property
    def sector_codes(self) -> Bytes:
        """The codes that diffusion sees."""
        return sector_codes(np.where(self.sector, self.codes, 0), self.sector)


def write_tree(order: Order, *, told: Told | None = None) -> dict[str, Any]:
    """Write the tree, spacing.json and tree.json; how many pictures each view and split has, as JSON values.

    Raises:
        BadInput: the folder has something in it, or the data are not understood.
    """
    if order.out.exists() and any(order.out.iterdir()):
        raise BadInput(f"{order.out}: is not empty; a tree needs a new folder")
    asked = TrainingArguments(
        task="segmentation", data=order.data, test_data=order.test_data, out=order.out, seed=order.seed
    )
    read = _authors_splits if order.preparation == "published" else layout
    data = dataset_of(asked, name="segmentation-tree", layout=read)
    order.out.mkdir(parents=True, exist_ok=True)
    counts: dict[str, dict[str, int]] = {}
    spacings: dict[str, tuple[float, float]] = {}
    chance = np.random.default_rng(order.seed)
    for number, item in enumerate(data.items):
        folder = FOLDERS[item.split]
        for each in _labelled(item, data, order, number):
            repeats = order.repeats if item.split is not Split.TEST else 0
            _write(order.out / each.view, folder, each)
            if each.spacing_mm is not None:
                spacings[each.name] = each.spacing_mm
            for copy in range(repeats):
                _write(
                    order.out / each.view,
                    folder,
                    changed(each, copy, chance, preparation=order.preparation),
                    maps_alone=True,
                )
            of_view = counts.setdefault(each.view, {})
            of_view[folder] = of_view.get(folder, 0) + 1
        if told is not None:
            told(number + 1, len(data.items))
    content = {"order": {**asdict(order), "out": None}, "source": data.source, "dataset_sha256": data.digest,
               "simulated": data.simulated, "pictures": counts}  # fmt: skip
    _write_json(order.out / SPACING_FILE, spacings)
    _write_json(order.out / TREE_FILE, content)
    return content


def collect(samples: Path, *, tree: Path, out: Path) -> dict[str, int]:
    """Synthetic pictures and their label maps as a data set for segmentation: what diffusion wrote below `samples` (one
    folder, or one a view, each with samples/ and labels/) for training, and for validation where the patient is one of
    validation in `tree`; the testing pictures are that tree's. Sector codes become CAMUS codes. How many pictures each
    split has. Nothing is written before every synthetic picture and its map were read.

    Raises:
        BadInput: the folder has something in it, a picture or its map is missing or unreadable, two have one name, one
            is of a patient of the test, or a split would be empty.
    """
    if out.exists() and any(out.iterdir()):
        raise BadInput(f"{out}: is not empty; a data set needs a new folder")
    made, tested = _synthetic(samples, tree), sorted(tree.rglob(f"{PICTURES}/testing/*.png"))
    counts = {
        "training": sum(each.split == "training" for each in made),
        "validation": sum(each.split == "validation" for each in made),
        "testing": len(tested),
    }
    if not counts["training"] or not counts["testing"]:
        raise BadInput(f"{samples} and {tree}: {counts['training']} synthetic and {counts['testing']} test pictures")
    if not counts["validation"]:
        raise BadInput(f"{samples}: no picture of a label map of {tree}'s validation, which weights are chosen by; "
                       f"make pictures of {SECTORS}/validation too")  # fmt: skip
    for each in made:
        _save(out / PICTURES / each.split / each.picture.name, each.grey())
        _save(out / MAPS / each.split / each.picture.name, each.codes())
    for picture in tested:
        codes = picture.parents[2] / MAPS / "testing" / picture.name
        _save(out / PICTURES / "testing" / picture.name, _grey(picture))
        _save(out / MAPS / "testing" / picture.name, _grey(codes))
    simulated = all(each.provenance.get("simulated") is True for each in made)
    models = {str(each.provenance["model"])[:16] for each in made if "model" in each.provenance}
    words = f"{counts['training']} synthetic pictures by model {', '.join(sorted(models)) or 'unknown'}"
    content = {
        "source": words,
        "simulated": simulated and origin_of(tree).get("simulated") is True,
        "synthetic": True,
        "pictures": counts,
    }
    spacings = spacings_of(tree)
    names = {each.stem for each in tested}
    _write_json(out / SPACING_FILE, {name: spacings[name] for name in sorted(names & set(spacings))})
    _write_json(out / TREE_FILE, content)
    return counts


@dataclass(frozen=True, kw_only=True, slots=True)
class _Synthetic:
    """A picture that diffusion wrote, the map that it was made of, and what the file says of itself."""

    picture: Path
    labels: Path
    split: str
    provenance: Mapping[str, Any]

    def grey(self) -> Bytes:
        return _grey(self.picture)

    def codes(self) -> Bytes:
        codes = _grey(self.labels)
        try:
            return camus_codes(codes)
        except BadInput as error:
            raise BadInput(f"{self.labels}: {error}") from error


def _synthetic(samples: Path, tree: Path) -> list[_Synthetic]:
    """What lies in the samples/ folders below `samples`, by name within each folder, all of it readable."""
    held_out, test = ({_patient(each) for each in tree.rglob(f"{PICTURES}/{split}/*.png")} for split in SPLIT_ASIDE)
    made: dict[str, _Synthetic] = {}
    for folder in sorted(each.parent for each in samples.rglob("samples") if each.is_dir()):
        for picture in sorted((folder / "samples").glob("*.png")):
            labels = folder / "labels" / picture.name
            if not labels.is_file():
                raise BadInput(f"{picture}: has no label map {labels.name} in labels/")
            if picture.name in made:
                raise BadInput(
                    f"{picture}: has the name of {made[picture.name].picture}; one would overwrite the other"
                )
            provenance = _provenance(picture)
            if _patient(picture) in test:
                raise BadInput(f"{picture}: was made of a label map of {_patient(picture)}, on whom {tree} tests")
            split = "validation" if _patient(picture) in held_out else "training"
            each = _Synthetic(picture=picture, labels=labels, split=split, provenance=provenance)
            if each.grey().shape != each.codes().shape:
                raise BadInput(f"{picture}: is not of the size of its label map in labels/")
            made[picture.name] = each
    return list(made.values())


def _patient(picture: Path) -> str:
    """Whose a picture or a map is, by the name of the file, as `layout` has it."""
    return picture.stem.partition("_")[0]


def _provenance(picture: Path) -> Mapping[str, Any]:
    """What a picture of diffusion says of itself in its PNG text; empty where it says nothing."""
    try:
        with Image.open(picture) as image:
            content = json.loads(str(image.info.get("echonode", "{}")))
    except (OSError, ValueError) as error:
        raise BadInput(f"{picture}: does not tell how it was made: {error}") from error
    if not isinstance(content, dict):
        raise BadInput(f"{picture}: does not tell how it was made")
    return content


def _grey(path: Path) -> Bytes:
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("L"))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise BadInput(f"{path}: is no picture that can be read") from error


def changed(labelled: Labelled, copy: int, chance: np.random.Generator, *, preparation: str) -> Labelled:
    """Another heart in the same sector: turned, scaled, sheared, moved down or up, bent."""
    side = len(labelled.codes)
    turn, shear = np.deg2rad(chance.uniform(-5, 5)), np.deg2rad(chance.uniform(-5, 5))
    scale, down = chance.uniform(0.8, 1.05), chance.uniform(-0.05, 0.05) * side
    forward = (
        scale
        * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        @ np.array([[1.0, np.tan(shear)], [0.0, 1.0]])
    )
    middle = (side - 1) / 2
    grid = np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij")).astype(np.float64)
    moved = grid - middle - np.array([down, 0.0])[:, None, None]
    places = np.einsum("ij,jhw->ihw", np.linalg.inv(forward), moved) + middle
    places += _bent(side, chance, farthest=DISPLACEMENT[preparation])
    codes = map_coordinates(labelled.codes, places, order=0, mode="constant", cval=0)
    return Labelled(
        name=f"{labelled.name}_{copy}", view=labelled.view, picture=labelled.picture,
        codes=np.asarray(codes, np.uint8), sector=labelled.sector,
    )  # fmt: skip


def _bent(side: int, chance: np.random.Generator, *, farthest: float) -> NDArray[np.float64]:
    """A smooth field (2, side, side): cubic B-splines over moved control points, none at the border."""
    coarse = chance.uniform(-farthest, farthest, (2, CONTROL_POINTS, CONTROL_POINTS)) * side
    coarse[:, (0, -1), :] = 0
    coarse[:, :, (0, -1)] = 0
    steps = side / CONTROL_POINTS
    return np.stack([zoom(part, steps, order=3, grid_mode=True, mode="nearest", prefilter=False) for part in coarse])


def _authors_splits(path: Path) -> Iterator[Candidate]:
    """As `layout`; of CAMUS's training patients the first fifty are for validation, as the authors have it."""
    for each in layout(path):
        name = each.patient.removeprefix("camus/patient")
        first = each.key.startswith("camus/") and name.isdigit() and int(name) <= FIRST_PATIENTS
        yield replace(each, split=Split.VALIDATION) if first and each.split is Split.TRAIN else each


def _labelled(item: Item, data: DatasetManifest, order: Order, number: int) -> Iterator[Labelled]:
    if item.phantom is not None:
        yield from _simulated(item, order, number)
        return
    picture, codes, spacing, _ = read_labelled(item, data.paths(item))
    view, phase = VIEW_NAMES.get(str(item.labels.get("view"))), item.labels.get("phase")
    if view is None or phase not in ("ED", "ES"):
        return
    patient = item.patient.rpartition("/")[2]
    seen = None if order.preparation == "published" else still_view(picture, spacing)
    yield _square(f"{patient}_{view}_{phase}", picture[:, :, None], codes, seen, order, spacing)


def _simulated(item: Item, order: Order, number: int) -> Iterator[Labelled]:
    assert item.phantom is not None
    for plan in study_of(item.phantom).loops:
        name = VIEW_NAMES.get(plan.view.value)
        if name is None or plan.colour or plan.stage is not None:
            continue
        beat_ms = 60_000 / plan.patient.heart_rate_bpm
        rows, columns = (2 * round(side * PART / 2) for side in (plan.machine.rows, plan.machine.columns))
        made = plan.acquire(frames=BEAT_FRAMES, frame_time_ms=beat_ms / BEAT_FRAMES, rows=rows, columns=columns)
        assert made.labels is not None
        codes = np.stack([simulated_codes(labels) for labels in made.labels])
        cavity = (codes == 1).sum(axis=(1, 2))
        clip = clip_of(made)
        spacing = pixel_spacing_mm(clip.regions, clip.frames.shape[1:3])
        view = None if order.preparation == "published" else clinical_view(clip)
        if not cavity.any() or (view is None and order.preparation != "published"):
            continue
        for phase, place in (("ED", int(cavity.argmax())), ("ES", int(cavity.argmin()))):
            yield _square(f"patient{number:04d}_{name}_{phase}", made.frames[place], codes[place], view, order, spacing)


def _square(
    name: str, frame: Bytes, codes: Bytes, view: View | None, order: Order, spacing: tuple[float, float] | None
) -> Labelled:
    patient, _, view_name = name.partition("_")
    if view is None:
        rows, columns = (subsampled(length, order.side) for length in codes.shape)
        grey = np.asarray(Image.fromarray(frame[:, :, 0] if frame.shape[2] == 1 else frame).convert("L"))
        scaled = None if spacing is None else (
            spacing[0] * codes.shape[0] / order.side, spacing[1] * codes.shape[1] / order.side
        )  # fmt: skip
        picture, labels = grey[np.ix_(rows, columns)], codes[np.ix_(rows, columns)]
        return Labelled(name=f"{patient}_{view_name}", view=view_name, picture=picture, codes=labels,
                        sector=picture != 0, spacing_mm=scaled)  # fmt: skip
    return Labelled(
        name=f"{patient}_{view_name}", view=view_name, picture=view.picture(frame, side=order.side),
        codes=view.square_labels(codes, side=order.side),
        sector=view.square_labels(view.sector.astype(np.uint8), side=order.side) > 0,
        spacing_mm=None if spacing is None else (view.pixel_mm(spacing, side=order.side),) * 2,
    )  # fmt: skip


def _write(folder: Path, split: str, each: Labelled, *, maps_alone: bool = False) -> None:
    name = f"{each.name}_{split}.png" if maps_alone else f"{each.name}.png"
    if maps_alone:
        _save(folder / f"augmented_{SECTORS}" / split / name, each.sector_codes)
        return
    _save(folder / PICTURES / split / name, each.picture)
    _save(folder / MAPS / split / name, each.codes)
    _save(folder / SECTORS / split / name, each.sector_codes)


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _save(path: Path, values: Bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(values)).save(path, format="png")
