"""The sheet that a movie of outlines is printed on: words above each frame, names and the beat below.

Nothing is written over the frame itself, so no word covers the heart or what the scanner wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from echonode.derive.common import RESEARCH_USE_ONLY

TITLE: Final = f"AI SEGMENTATION - {RESEARCH_USE_ONLY}"
NARROWEST: Final = 480  # pixels: the words need as much
TEXT: Final = 15
STRIP: Final = 26
_GROUND, _RULE, _PLAIN, _DIM = (12, 12, 12), (60, 60, 60), (235, 235, 235), (150, 150, 150)
_ALERT: Final = (255, 205, 60)
_MARGIN, _GAP, _SWATCH = 8, 16, 12


@dataclass(frozen=True, kw_only=True, slots=True)
class Sheet:
    """Where things stand on the sheet of a loop of `frames` frames of `rows` x `columns` pixels.

    `names` gives the colour of each structure by its name; `marks` says what the frames are that are something special,
    counted from 0: ED, ES. Small pictures are enlarged by a whole number.
    """

    rows: int
    columns: int
    times_ms: np.ndarray
    names: Mapping[str, tuple[int, int, int]]
    marks: Mapping[int, str]
    model: str

    @property
    def times_larger(self) -> int:
        """How many pixels of the sheet a pixel of the frame is wide."""
        return max(1, -(-NARROWEST // self.columns))

    @property
    def frame_size(self) -> tuple[int, int]:
        """Rows and columns that a frame takes."""
        return self.rows * self.times_larger, self.columns * self.times_larger

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the sheet."""
        rows, columns = self.frame_size
        return rows + STRIP * (1 + len(self._legend_rows()) + self._has_beat()), columns

    def printed(self, picture: np.ndarray, index: int) -> np.ndarray:
        """The sheet of frame `index` with `picture`, uint8 of `frame_size` x 3, on it."""
        rows, columns = self.size
        height, _ = self.frame_size
        sheet = Image.new("RGB", (columns, rows), _GROUND)
        sheet.paste(Image.fromarray(picture), (0, STRIP))
        draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(TEXT)
        draw.text((_MARGIN, 4), TITLE, fill=_ALERT, font=font)
        moment = self._moment(index)
        draw.text((columns - _MARGIN - font.getlength(moment), 4), moment, fill=_PLAIN, font=font)
        top = STRIP + height
        draw.line([(0, top), (columns, top)], fill=_RULE)
        for place, row in enumerate(self._legend_rows()):
            self._legend(draw, row, top + place * STRIP)
        if self._has_beat():
            self._beat(draw, index, rows - STRIP)
        return np.asarray(sheet)

    def _moment(self, index: int) -> str:
        if len(self.times_ms) < 2:
            return self.marks.get(index, "")
        words = f"frame {index + 1}/{len(self.times_ms)}  {float(self.times_ms[index]):.0f} ms"
        return f"{self.marks[index]}  {words}" if index in self.marks else words

    def _legend_rows(self) -> list[list[tuple[str, tuple[int, int, int]]]]:
        """The names in as many rows as their widths need, the model last."""
        font = ImageFont.load_default(TEXT)
        _, columns = self.frame_size
        rows: list[list[tuple[str, tuple[int, int, int]]]] = [[]]
        left: float = _MARGIN
        for name, colour in (*self.names.items(), (self.model, _GROUND)):
            width = _SWATCH + 6 + font.getlength(name) + _GAP
            if rows[-1] and left + width > columns:
                rows.append([])
                left = _MARGIN
            rows[-1].append((name, colour))
            left += width
        return rows

    def _legend(self, draw: ImageDraw.ImageDraw, row: list[tuple[str, tuple[int, int, int]]], top: int) -> None:
        font = ImageFont.load_default(TEXT)
        left: float = _MARGIN
        middle = top + STRIP // 2
        for name, colour in row:
            if colour == _GROUND:
                _, columns = self.frame_size
                draw.text((columns - _MARGIN - font.getlength(name), top + 4), name, fill=_DIM, font=font)
                continue
            draw.rectangle(
                (left, middle - _SWATCH // 2, left + _SWATCH, middle + _SWATCH // 2), fill=colour, outline=_GROUND
            )
            left += _SWATCH + 6
            draw.text((left, top + 4), name, fill=_PLAIN, font=font)
            left += font.getlength(name) + _GAP

    def _has_beat(self) -> bool:
        return len(self.times_ms) > 1 and bool(self.marks)

    def _beat(self, draw: ImageDraw.ImageDraw, index: int, top: int) -> None:
        """The loop as a line in time, its marked frames on it, and where the frame that is shown lies."""
        font = ImageFont.load_default(TEXT - 2)
        _, columns = self.size
        middle = top + STRIP // 2
        draw.line([(_MARGIN, middle), (columns - _MARGIN, middle)], fill=_DIM)
        for frame, mark in sorted(self.marks.items()):
            x = self._across(frame)
            draw.line([(x, middle - 6), (x, middle + 6)], fill=_ALERT, width=2)
            room = columns - _MARGIN - font.getlength(mark)
            draw.text((min(x + 5, room), top), mark, fill=_ALERT, font=font)
        x = self._across(index)
        draw.ellipse((x - 4, middle - 4, x + 4, middle + 4), fill=_PLAIN)

    def _across(self, frame: int) -> float:
        times = self.times_ms
        _, columns = self.size
        part = float(times[frame] - times[0]) / float(times[-1] - times[0])
        return _MARGIN + part * (columns - 2 * _MARGIN)


def enlarged(picture: np.ndarray, times: int) -> np.ndarray:
    """A frame uint8 H x W x 3 or its labels uint8 H x W, `times` larger; labels stay labels."""
    if times == 1:
        return picture
    size = (picture.shape[1] * times, picture.shape[0] * times)
    method = cv2.INTER_NEAREST if picture.ndim == 2 else cv2.INTER_CUBIC
    grown: np.ndarray = cv2.resize(picture, size, interpolation=method)
    return grown
