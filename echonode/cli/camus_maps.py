"""Label maps of CAMUS as its authors publish them, MetaImage and NIfTI, as the pictures that `run synthesis` takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from echonode.core.errors import BadInput

MEDICAL = (".mhd", ".nii", ".nii.gz")
TRUTH = "_gt"
"""What CAMUS adds to the name of a picture to name its label map."""


def is_camus(file: Path) -> bool:
    """Whether the file is of one of the two forms of CAMUS."""
    return file.name.lower().endswith(MEDICAL)


def is_camus_map(file: Path) -> bool:
    """Whether the file is one of their label maps, by its name."""
    return is_camus(file) and _parts(file)[0].endswith(TRUTH)


def as_pictures(files: Sequence[Path], *, maps: Path, images: Path) -> Mapping[str, Path]:
    """Write each label map as PNG into the folder `maps`, and its picture, which tells the sector, under the same name
    into `images`; the map's own file by the path of its PNG.

    Raises:
        BadInput: a file that is damaged, shows several frames, has no picture beside it, or a name twice.
    """
    import numpy as np
    from PIL import Image

    made: dict[str, Path] = {}
    for file in files:
        stem, ending = _parts(file)
        if not stem.endswith(TRUTH):
            raise BadInput(f"{file}: a label map of CAMUS is expected, whose name ends in {TRUTH}{ending}")
        beside = file.with_name(f"{stem.removesuffix(TRUTH)}{ending}")
        if not beside.is_file():
            raise BadInput(f"{file}: the picture {beside.name} is not beside it, and tells the sector")
        target = maps / f"{stem}.png"
        if str(target) in made:
            raise BadInput(f"{file}: two label maps are called {stem}")
        labels, picture = (_only(each) for each in (file, beside))
        if labels.shape != picture.shape:
            raise BadInput(f"{file}: {labels.shape} labels for a picture of {picture.shape}")
        Image.fromarray(labels.astype(np.uint8)).save(target)
        Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).save(images / target.name)
        made[str(target)] = file
    return made


def _only(file: Path) -> Any:
    """The one picture of a file."""
    from echonode.core.errors import NotFound
    from echonode.core.task import installed_tasks, resolve

    spec = installed_tasks().get("segmentation")
    if spec is None or "pictures" not in spec.tools:
        raise NotFound("the task segmentation, which reads the files of CAMUS, is not installed")
    values = resolve(spec.tools["pictures"])(file).values
    if len(values) != 1:
        raise BadInput(f"{file}: {len(values)} frames; one label map is expected, of end-diastole or end-systole")
    return values[0]


def _parts(file: Path) -> tuple[str, str]:
    ending = next((each for each in (".nii.gz", ".nii", ".mhd") if file.name.lower().endswith(each)), file.suffix)
    return file.name[: len(file.name) - len(ending)], file.name[len(file.name) - len(ending) :]
