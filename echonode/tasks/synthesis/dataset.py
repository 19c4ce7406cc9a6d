"""The tree that `echonode data camus` writes, as items of a data set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from echonode.core.errors import BadInput
from echonode.tasks.common.camus import VIEWS, origin_of
from echonode.training.dataset import Candidate, split_named


def layout(path: Path) -> Iterator[Candidate]:
    """Pictures with sector label maps: VIEW/images and VIEW/sector_annotations, below both training, validation, testing.

    Raises:
        BadInput: it is no such tree, or a picture has no map.
    """
    found, origin = False, origin_of(path)
    for view in VIEWS:
        for split in ("training", "validation", "testing"):
            for picture in sorted((path / view / "images" / split).glob("*.png")):
                truth = path / view / "sector_annotations" / split / picture.name
                if not truth.is_file():
                    raise BadInput(f"{picture}: has no label map in sector_annotations")
                found = True
                patient, _, _ = picture.stem.partition("_")
                yield Candidate(
                    key=f"{view}/{split}/{picture.stem}", patient=patient, files=(picture, truth),
                    split=split_named(split), labels={"view": view, **origin},
                )  # fmt: skip
    if not found:
        raise BadInput(f"--data {path}: a tree that `echonode data camus` writes is expected")
