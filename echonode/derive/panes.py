"""Three pictures side by side: the loop as recorded, slow motion, and slow motion that only repeats frames.

Slow motion is judged beside what there was without it. The two slow panes show the same moment of the heart in every
frame; the recorded loop plays beside them in real time, again and again, and begins with them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from echonode.core.results import Loop
from echonode.derive.banner import ACQUIRED, COLOURS
from echonode.derive.common import RESEARCH_USE_ONLY
from echonode.derive.frames import status_of

MARGIN: Final = 12  # pixels of the picture around the sector
GAP: Final = 4
STRIP: Final = 22
TEXT: Final = 14
WIDEST: Final = 640  # pixels; three such panes fill a screen
NARROWEST: Final = 220  # pixels; the titles need as much
_GROUND, _RULE = (12, 12, 12), (60, 60, 60)
_PLAIN = COLOURS[ACQUIRED]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Panes:
    """How a slow loop is laid out; `true_time` plays slow motion as fast as it was, else at the recorded frame rate.

    Nothing is written over the pictures: titles stand above them; moment and kind of each frame, and that it is for
    research, below. Only the sector is shown, not the text of the screen around it.
    """

    loop: Loop
    true_time: bool = False

    @property
    def count(self) -> int:
        """Frames, as many as slow motion has."""
        return len(self.loop.frames)

    @property
    def channels(self) -> int:
        """1 for a grey loop, else 3."""
        return int(self.loop.frames.shape[3])

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the whole picture."""
        height, width = self._pane()
        return height + 3 * STRIP, 3 * max(width, NARROWEST) + 2 * GAP

    @property
    def interval_ms(self) -> float:
        """The mean time for which a frame is shown."""
        times = self.loop.times_ms
        return float(times[-1] - times[0]) / (len(times) - 1) * self._slowness

    def shown(self, index: int) -> tuple[int, int, int]:
        """The frames of the slow loop that the three panes show in frame `index`; the outer two are acquired ones.

        The left one follows the clock on the wall, the right one holds the last acquired frame.
        """
        loop = self.loop
        acquired = np.flatnonzero(loop.acquired)
        times = loop.times_ms[acquired] - loop.times_ms[0]
        period = float(times[-1]) + float(np.diff(times).mean()) if len(times) > 1 else 1.0
        now = float(loop.times_ms[index] - loop.times_ms[0])
        on_the_wall = (now * self._slowness + 1e-6) % period
        real = acquired[int(np.searchsorted(times, on_the_wall, side="right")) - 1]
        held = acquired[int(np.searchsorted(times, now + 1e-6, side="right")) - 1]
        return int(real), index, int(held)

    def __iter__(self) -> Iterator[np.ndarray]:
        """Every frame, uint8 H x W x (1 | 3), in order."""
        for index in range(self.count):
            yield self.frame(index)

    def frame(self, index: int) -> np.ndarray:
        """Frame `index`."""
        rows, columns = self.size
        height, width = self._pane()
        across = max(width, NARROWEST)
        sheet = Image.new("RGB", (columns, rows), _GROUND)
        draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(TEXT)
        factor = self.loop.factor
        speed = "real time" if self.true_time else f"x{factor}"
        titles = ("ORIGINAL, real time", f"AI SLOW MOTION {speed}", f"FRAMES REPEATED {speed}")
        for place, (which, title) in enumerate(zip(self.shown(index), titles, strict=True)):
            left = place * (across + GAP)
            picture = self._cut(self.loop.frames[which], (width, height))
            sheet.paste(Image.fromarray(picture), (left + (across - width) // 2, STRIP))
            draw.text((left + 4, 2), title, fill=_PLAIN, font=font)
            status = status_of(self.loop, which)
            moment = f"{float(self.loop.times_ms[which]):.1f} ms"
            draw.text((left + 4, STRIP + height + 2), f"{moment}  {status}", fill=COLOURS[status], font=font)
            if place:
                draw.line([(left - GAP // 2, 0), (left - GAP // 2, rows)], fill=_RULE)
        notice = f"{RESEARCH_USE_ONLY}, not for measurement"
        draw.text(((columns - font.getlength(notice)) / 2, rows - STRIP + 2), notice, fill=_PLAIN, font=font)
        if self.channels == 1:
            return np.asarray(sheet.convert("L"))[:, :, None]
        return np.asarray(sheet)

    @property
    def _slowness(self) -> float:
        return 1.0 if self.true_time else float(self.loop.factor)

    def _box(self) -> tuple[slice, slice]:
        sector = self.loop.sector
        if not sector.any():
            return slice(0, sector.shape[0]), slice(0, sector.shape[1])
        rows, columns = np.flatnonzero(sector.any(axis=1)), np.flatnonzero(sector.any(axis=0))
        return (
            slice(max(0, int(rows[0]) - MARGIN), min(sector.shape[0], int(rows[-1]) + 1 + MARGIN)),
            slice(max(0, int(columns[0]) - MARGIN), min(sector.shape[1], int(columns[-1]) + 1 + MARGIN)),
        )

    def _pane(self) -> tuple[int, int]:
        """Height and width of one picture."""
        rows, columns = self._box()
        height, width = rows.stop - rows.start, columns.stop - columns.start
        scale = min(1.0, WIDEST / width)
        return max(1, round(height * scale)), max(1, round(width * scale))

    def _cut(self, frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        rows, columns = self._box()
        picture = np.ascontiguousarray(frame[rows, columns])
        if (picture.shape[1], picture.shape[0]) != size:
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        flat = picture.reshape(picture.shape[0], picture.shape[1], -1)
        return np.repeat(flat, 3, axis=2) if flat.shape[2] == 1 else flat
