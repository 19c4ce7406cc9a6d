"""A picture that shows what slow motion is: two recorded frames above, and what lies between them below."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

GAP, LABEL, LARGEST = 6, 18, 320
PAPER, INK = (18, 20, 24), (225, 228, 232)


def write_contact_sheet(
    path: Path, *, source: np.ndarray, loop: np.ndarray, factor: int, start: int | None = None
) -> None:
    """Write a PNG with source frames `start` and `start + 1` above output frames start*factor .. (start+1)*factor.

    `source` and `loop` are uint8 T x H x W x C. Without `start` the two neighbouring frames that differ most are
    taken: there the heart moves.
    """
    if start is None:
        start = _liveliest(source)
    first = start * factor
    below = [(f"output frame {first + i + 1}", loop[first + i]) for i in range(factor + 1) if first + i < len(loop)]
    above: list[tuple[str, np.ndarray | None]] = [("", None)] * len(below)
    above[0] = (f"recorded frame {start + 1}", source[start])
    above[-1] = (f"recorded frame {start + 2}", source[min(start + 1, len(source) - 1)])
    height, width = source.shape[1:3]
    scale = min(1.0, LARGEST / width)
    cell = (max(1, round(width * scale)), max(1, round(height * scale)))
    sheet = Image.new("RGB", (GAP + len(below) * (cell[0] + GAP), GAP + 2 * (cell[1] + LABEL + GAP)), PAPER)
    draw = ImageDraw.Draw(sheet)
    for row, cells in enumerate((above, below)):
        for column, (label, frame) in enumerate(cells):
            left, top = GAP + column * (cell[0] + GAP), GAP + row * (cell[1] + LABEL + GAP)
            if frame is not None:
                draw.text((left, top + 2), label, fill=INK)
                sheet.paste(_picture(frame).resize(cell), (left, top + LABEL))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)


def _liveliest(frames: np.ndarray) -> int:
    if len(frames) < 2:
        return 0
    moved = [
        float(np.mean(np.abs(frames[i + 1].astype(np.int16) - frames[i].astype(np.int16))))
        for i in range(len(frames) - 1)
    ]
    return int(np.argmax(moved))


def _picture(frame: np.ndarray) -> Image.Image:
    return Image.fromarray(frame[:, :, 0] if frame.shape[2] == 1 else frame).convert("RGB")
