"""Lines of words above and below a finished picture, which is made to fit a screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from echonode.core.errors import BadInput

LARGEST: Final = 1024  # pixels a side
TEXT: Final = 14
_STRIP: Final = 22
_PADDING: Final = 8
_DARK, _LIGHT, _ALERT = (12, 12, 12), (235, 235, 235), (255, 205, 60)
_ALERT_ON_LIGHT: Final = (150, 70, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Margin:
    """Words above and below; with `alert` they are written in a colour that is seen."""

    above: Sequence[str] = ()
    below: Sequence[str] = ()
    alert: bool = False

    def around(self, picture: np.ndarray, *, narrowest: int = 0) -> np.ndarray:
        """`picture`, uint8 H x W x 3, with the words, at most 1024 pixels a side.

        Larger pictures are made smaller; those narrower than `narrowest` are enlarged by a whole number. Words that do
        not fit their line are broken at spaces. The margin is dark or light, as the picture's own edge is.
        """
        if min(picture.shape[:2]) < 1:
            raise BadInput("an empty picture shows nothing")
        grown = _enlarged(picture, narrowest)
        for _ in range(2):  # a picture that becomes smaller may need more lines
            above, below = (self._lines(words, grown.shape[1]) for words in (self.above, self.below))
            room = LARGEST - _STRIP * (len(above) + len(below))
            grown = _reduced(grown, rows=room, columns=LARGEST)
        above, below = (self._lines(words, grown.shape[1]) for words in (self.above, self.below))
        light = float(np.concatenate([grown[0], grown[-1], grown[:, 0], grown[:, -1]]).mean()) > 128
        rows, columns = grown.shape[:2]
        ground = (255, 255, 255) if light else _DARK
        sheet = Image.new("RGB", (columns, rows + _STRIP * (len(above) + len(below))), ground)
        sheet.paste(Image.fromarray(grown), (0, _STRIP * len(above)))
        alert = _ALERT_ON_LIGHT if light else _ALERT
        plain = _DARK if light else _LIGHT
        draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(TEXT)
        for place, line in enumerate((*above, *below)):
            top = place * _STRIP + (rows if place >= len(above) else 0)
            left = (columns - font.getlength(line)) / 2
            draw.text((left, top + 3), line, fill=alert if self.alert else plain, font=font)
        return np.asarray(sheet)

    def _lines(self, sentences: Sequence[str], columns: int) -> list[str]:
        font = ImageFont.load_default(TEXT)
        lines: list[str] = []
        for sentence in sentences:
            line = ""
            for word in sentence.split():
                longer = f"{line} {word}".strip()
                if line and font.getlength(longer) > columns - 2 * _PADDING:
                    lines.append(line)
                    longer = word
                line = longer
            lines.append(line)
        return lines


def _enlarged(picture: np.ndarray, narrowest: int) -> np.ndarray:
    times = -(-narrowest // picture.shape[1])
    if times <= 1:
        return picture
    size = (picture.shape[1] * times, picture.shape[0] * times)
    grown: np.ndarray = cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC)
    return grown


def _reduced(picture: np.ndarray, *, rows: int, columns: int) -> np.ndarray:
    scale = min(1.0, rows / picture.shape[0], columns / picture.shape[1])
    if scale == 1.0:
        return picture
    size = (max(1, int(picture.shape[1] * scale)), max(1, int(picture.shape[0] * scale)))
    smaller: np.ndarray = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return smaller
