"""The CAMUS data set as "Echo from noise" prepares it: sizes, label codes, and the sector around the heart.

CAMUS (Leclerc et al., IEEE TMI 2019) has codes 0 background, 1 cavity of the left ventricle, 2 myocardium, 3 left
atrium. The diffusion networks see sector codes: 0 outside the sector, 1 cavity, 2 tissue inside the sector,
3 myocardium, 4 left atrium.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from echonode.core.errors import BadInput

SIDE: Final = 256
VIEWS: Final = ("2CH_ED", "2CH_ES", "4CH_ED", "4CH_ES")
CAMUS_CODES: Final = 4
SECTOR_CODES: Final = 5
_FROM_SECTOR: Final = (0, 1, 0, 2, 3)

TREE_FILE: Final = "tree.json"
"""What `echonode data camus` writes beside the pictures of a tree: where they come from."""
SPACING_FILE: Final = "spacing.json"
"""Beside it: for each picture, by its name without suffix, (row, column) in mm a pixel, where that is known."""

Codes = NDArray[np.uint8]


def subsampled(size: int, wanted: int = SIDE) -> NDArray[np.int64]:
    """The indices at which an axis of `size` is sampled to have `wanted` entries; nothing is interpolated.

    Both axes are sampled so, whatever their sizes: the aspect ratio is not kept.
    """
    return np.floor(np.linspace(0, size - 1, wanted)).astype(np.int64)


def sector_codes(labels: ArrayLike, image: ArrayLike) -> Codes:
    """CAMUS codes (H, W) as sector codes; the sector is where `image` (H, W) is not black.

    Raises:
        BadInput: another code than 0 to 3, or two sizes.
    """
    codes = checked_codes(labels, CAMUS_CODES)
    sector = np.asarray(image) != 0
    if sector.shape != codes.shape:
        raise BadInput(f"an image of {sector.shape} cannot tell the sector of labels of {codes.shape}")
    moved = codes + (codes > 1).astype(np.uint8)
    moved[codes == 0] = 2
    composed: Codes = np.where(sector, moved, 0).astype(np.uint8)
    return composed


def camus_codes(sector: ArrayLike) -> Codes:
    """Sector codes (H, W) as CAMUS codes; tissue in the sector becomes background.

    Raises:
        BadInput: another code than 0 to 4.
    """
    table = np.array(_FROM_SECTOR, np.uint8)
    found: Codes = table[checked_codes(sector, SECTOR_CODES)]
    return found


def checked_codes(labels: ArrayLike, codes: int) -> Codes:
    """`labels` (H, W) as uint8, every value below `codes`.

    Raises:
        BadInput: it is no label map, with the first value that is none.
    """
    values = np.asarray(labels)
    if values.ndim != 2 or values.dtype.kind not in "iu" or not values.size:
        raise BadInput(f"a label map of whole numbers, rows x columns, is expected, not {values.dtype} {values.shape}")
    wrong = np.unique(values[(values < 0) | (values >= codes)])
    if wrong.size:
        raise BadInput(f"label {int(wrong[0])} is none of the codes 0 to {codes - 1}")
    return values.astype(np.uint8)


def origin_of(tree: Path) -> dict[str, Any]:
    """What tree.json says of a tree's pictures: `simulated`, and where it tells it `origin` in words; empty without one.

    Raises:
        BadInput: that file cannot be read.
    """
    file = tree / TREE_FILE
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        told = {"origin": str(content["source"])} if "source" in content else {}
        return {"simulated": bool(content["simulated"]), **told}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{file}: is no description of a tree: {error}") from error


def spacings_of(tree: Path) -> dict[str, tuple[float, float]]:
    """What spacing.json says of a tree's pictures; empty without one.

    Raises:
        BadInput: that file cannot be read, or a size is none that a pixel of an echo picture has.
    """
    file = tree / SPACING_FILE
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        found = {str(name): (float(row), float(column)) for name, (row, column) in content.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise BadInput(f"{file}: does not tell the size of pixels: {error}") from error
    for name, spacing in found.items():
        if not all(0.001 <= each <= 100 for each in spacing):
            raise BadInput(f"{file}: {name}: a pixel of {spacing[0]:g} x {spacing[1]:g} mm")
    return found


def edges(labels: ArrayLike) -> NDArray[np.bool_]:
    """Where a label map (H, W) has another value beside, above or below."""
    values = np.asarray(labels)
    found = np.zeros(values.shape, np.bool_)
    across, down = values[:, 1:] != values[:, :-1], values[1:] != values[:-1]
    found[:, 1:] |= across
    found[:, :-1] |= across
    found[1:] |= down
    found[:-1] |= down
    return found
