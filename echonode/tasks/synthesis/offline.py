"""A folder of label maps to synthetic pictures: sharded, resumable, every picture reproducible from its seed.

Written in the authors' tree, `samples` are what their segmentation trains on: they and the copies beside them carry no
burnt-in marking, but each file says in its PNG text that it is synthetic, and SYNTHETIC.txt says so of the tree.
Pictures for people, and `combined`, carry the marking.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from echonode.core.errors import BadInput
from echonode.core.task import Progress
from echonode.tasks.common.camus import VIEWS, edges, sector_codes
from echonode.tasks.synthesis.marking import WORDS, marked
from echonode.tasks.synthesis.noise import image_seed
from echonode.tasks.synthesis.prepare import resized_labels, resized_picture
from echonode.tasks.synthesis.runner import SynthesisRunner
from echonode.tasks.synthesis.samplers import Walk

PARTS: Final = ("images", "samples", "labels", "labels_visible", "combined")
VISIBLE: Final = 63  # a code's step in labels_visible
LARGEST_SIDE: Final = 8192
NOTE: Final = (
    "Every picture below is synthetic and shows no patient. Research use only.\n"
    "samples/ carries no burnt-in marking, because networks are trained on it; each file says so in its PNG text.\n"
)

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What a run makes.

    `files` are label maps as PNG; `images` is a folder of the pictures that they belong to, by the same name, or None;
    with `camus` the maps have CAMUS codes 0 to 3 and the picture tells the sector. `repeats` pictures are made of each
    map; of `shards` equal parts of the work this run does number `shard`, counted from 0. `out` None writes nothing;
    `tree` writes the authors' tree there, otherwise pictures for people.
    """

    files: tuple[Path, ...]
    out: Path | None = None
    tree: bool = False
    images: Path | None = None
    camus: bool = False
    seed: int = 0
    repeats: int = 1
    shard: int = 0
    shards: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.shard < self.shards:
            raise BadInput(f"shard {self.shard}/{self.shards}: a part counted from 0 of so many is expected")
        if self.tree and self.out is None:
            raise BadInput("a tree needs a folder to be written to")
        if self.camus and self.images is None:
            raise BadInput("maps with CAMUS codes need the folder of their pictures: they tell the sector")
        stems = [file.name for file in self.files]
        if len(set(stems)) != len(stems):
            raise BadInput("two label maps have one name: their pictures would overwrite each other")


def sampled_files(
    runner: SynthesisRunner, order: Mapping[str, Any], parameters: Mapping[str, Any], progress: Progress
) -> Iterator[dict[str, Any]]:
    """One document for each picture of the order, as JSON values; the tool "sample".

    `state` is made, kept (it was there already) or refused, with the reason. A picture is the same whatever the shard,
    the order of files, or an interruption.

    Raises:
        BadInput: the order or the parameters are wrong.
    """
    given = Order(**order)
    asked = runner.walk_of(parameters)
    work = [(file, number) for file in sorted(given.files) for number in range(given.repeats)]
    for file, number in work[given.shard :: given.shards]:
        seed = image_seed(given.seed, name=file.name, number=number)
        told: dict[str, Any] = {
            "source": str(file), "number": number, "seed": seed, "walk": asdict(asked), "synthetic": True,
            "refused": None,
        }  # fmt: skip
        try:
            yield told | _made(runner, given, file, number, seed, asked, progress)
        except BadInput as error:
            yield told | {"state": "refused", "refused": {"reason": str(error), "code": "input"}}


def read_label_map(path: Path) -> Bytes:
    """The codes (H, W) of a PNG; three equal channels are one.

    Raises:
        BadInput: no picture, too large a one, or a coloured one.
    """
    try:
        with Image.open(path) as image:
            if max(image.size) > LARGEST_SIDE:
                raise BadInput(f"{path}: {image.width} x {image.height} pixels, more than {LARGEST_SIDE} across")
            values = np.asarray(image if image.mode in ("L", "P", "RGB") else image.convert("RGB"))
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise BadInput(f"{path}: is no picture that can be read") from error
    if values.ndim == 3:
        if (values != values[:, :, :1]).any():
            raise BadInput(f"{path}: a coloured picture is no label map: codes are grey levels 0 to 4")
        values = values[:, :, 0]
    return np.ascontiguousarray(values)


def _made(
    runner: SynthesisRunner, order: Order, file: Path, number: int, seed: int, asked: Walk, progress: Progress
) -> dict[str, Any]:
    _check_view(runner.view, file)
    provenance = {
        "synthetic": True,
        "simulated": runner.simulated,
        "model": runner.model,
        "map": file.name,
        "seed": seed,
        "walk": asdict(asked),
    }
    target = _target(order, file, number)
    if target is not None and target.is_file():
        found = _provenance_of(target)
        if found != json.loads(json.dumps(provenance)):
            raise BadInput(f"{target}: is there already and was made otherwise; choose another folder")
        return {"state": "kept", "picture": str(target)}
    labels = read_label_map(file)
    source = _source_picture(order, file)
    if order.camus and source is not None:
        labels = sector_codes(labels, np.asarray(Image.fromarray(source).convert("L")))
    (picture,) = runner.sampled([labels], seeds=[seed], asked=asked, progress=progress, views=[view_named(file)])
    if target is not None:
        seen = resized_labels(labels, runner.size)
        parts = {"labels": _grey(seen), "labels_visible": _grey(seen * np.uint8(VISIBLE)),
                 "combined": marked(_outlined(picture, seen))}  # fmt: skip
        if source is not None:
            parts["images"] = resized_picture(source, runner.size)
        if order.tree:
            _write_note(target.parent.parent)
            for part, pixels in parts.items():
                _write(target.parent.parent / part / target.name, pixels, provenance)
        _write(target, picture if order.tree else marked(picture), provenance)  # last: it says that all is there
    return {
        "state": "made",
        "picture": None if target is None else str(target),
        "marked": target is not None and not order.tree,
        "size": list(picture.shape[:2]),
        "mean_level": float(picture.mean()),
        "sha256": hashlib.sha256(picture.tobytes()).hexdigest(),
    }


def view_named(file: Path) -> str | None:
    """The view and phase that a file is named after, as patient0001_4CH_ED; None where it is not."""
    return next((each for each in VIEWS if re.search(rf"(?:^|[_-]){each}(?:[_-]|$)", file.stem)), None)


def _check_view(view: str, file: Path) -> None:
    """A map whose name says another view is not for a network of one view and phase."""
    named = view_named(file)
    if view and named is not None and named != view:
        raise BadInput(f"{file}: is named after {named}, but the network makes {view}")


def _target(order: Order, file: Path, number: int) -> Path | None:
    if order.out is None:
        return None
    stem = file.name.removesuffix(file.suffix) + (f"_{number}" if order.repeats > 1 else "")
    return order.out / "samples" / f"{stem}.png" if order.tree else order.out / f"{stem}-synthetic.png"


def _source_picture(order: Order, file: Path) -> Bytes | None:
    if order.images is None:
        return None
    path = order.images / file.name
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise BadInput(f"{path}: the picture of {file.name} cannot be read") from error


def _outlined(picture: Bytes, labels: Bytes) -> Bytes:
    drawn = picture.copy()
    drawn[edges(labels)] = (80, 220, 120)
    return drawn


def _grey(values: Bytes) -> Bytes:
    return np.repeat(values[:, :, None], 3, axis=2)


def _write(path: Path, pixels: Bytes, provenance: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = PngImagePlugin.PngInfo()
    text.add_text("Warning", ". ".join(WORDS))
    text.add_text("echonode", json.dumps(provenance))
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    Image.fromarray(pixels).save(part, format="png", pnginfo=text)
    part.replace(path)


def _write_note(folder: Path) -> None:
    note = folder / "SYNTHETIC.txt"
    if not note.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        note.write_text(NOTE, encoding="utf-8")


def _provenance_of(path: Path) -> object:
    try:
        with Image.open(path) as image:
            image.load()
            return json.loads(str(image.info.get("echonode", "null")))
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise BadInput(f"{path}: is there already and cannot be read") from error
