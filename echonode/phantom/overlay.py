"""What a scanner writes around and over its picture: panels, words, depth marks, grey scale, ECG."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from echonode.core.clip import Region, SpatialFormat
from echonode.phantom.machine import Machine, Rectangle, Ruler
from echonode.phantom.transducer import Fan

_SECONDS = 4
_ECG = 10
_DESIGN_ROWS = 600
_FONT = cv2.FONT_HERSHEY_SIMPLEX
Colour = tuple[int, int, int]


class Canvas:
    """A screen of rows x columns that is drawn enlarged where it is small, so that small pictures keep their marks.

    Coordinates are pixels of the screen; `screen()` gives it as uint8 rows x columns x 3.
    """

    def __init__(self, rows: int, columns: int) -> None:
        self.rows, self.columns = rows, columns
        self._times = max(1, round(_DESIGN_ROWS / rows)) if rows < 0.75 * _DESIGN_ROWS else 1
        self._drawn = np.zeros((rows * self._times, columns * self._times, 3), np.uint8)

    def screen(self) -> np.ndarray:
        """What was drawn."""
        if self._times == 1:
            return self._drawn
        return cv2.resize(self._drawn, (self.columns, self.rows), interpolation=cv2.INTER_AREA)

    def fill(self, where: Rectangle, colour: Colour) -> None:
        """A filled rectangle."""
        y0, y1, x0, x1 = self._pixels(where)
        self._drawn[y0:y1, x0:x1] = colour

    def bar(self, where: Rectangle, colours: np.ndarray) -> None:
        """A scale of colours, uint8 256 x 3 from the bottom to the top."""
        y0, y1, x0, x1 = self._pixels(where)
        steps = np.linspace(255, 0, y1 - y0).round().astype(int)
        self._drawn[y0:y1, x0:x1] = colours[steps][:, None]

    def words(self, text: str, x: float, y: float, *, height: float, colour: Colour) -> None:
        """Text whose base line begins at x, y; `height` of its capitals' line in pixels."""
        size = height * self._times
        place = (round(x * self._times), round(y * self._times))
        cv2.putText(self._drawn, text, place, _FONT, size / 30, colour, max(1, round(size / 14)), cv2.LINE_AA)

    def dot(self, x: float, y: float, *, radius: float, colour: Colour) -> None:
        """A small filled diamond."""
        x, y, reach = x * self._times, y * self._times, max(0.8, radius * self._times)
        points = np.array([(x - reach, y), (x, y - reach), (x + reach, y), (x, y + reach)])
        cv2.fillConvexPoly(self._drawn, np.round(points * 16).astype(np.int32), colour, cv2.LINE_AA, 4)

    def line(self, points: np.ndarray, *, colour: Colour, width: float = 1.0) -> None:
        """A line through points (n, 2), x and y."""
        cv2.polylines(
            self._drawn,
            [np.round(points * (16 * self._times)).astype(np.int32)],
            False,
            colour,
            max(1, round(width * self._times)),
            cv2.LINE_AA,
            4,
        )

    def _pixels(self, where: Rectangle) -> tuple[int, int, int, int]:
        rows, columns = self._drawn.shape[:2]
        y0, y1 = round(where.y0 * rows), max(round(where.y1 * rows), round(where.y0 * rows) + 1)
        x0, x1 = round(where.x0 * columns), max(round(where.x1 * columns), round(where.x0 * columns) + 1)
        return y0, y1, x0, x1


def greys(machine: Machine) -> np.ndarray:
    """The machine's grey scale, uint8 256 x 3, RGB."""
    ramp = np.arange(256, dtype=np.float32)[:, None] * np.asarray(machine.tint, np.float32)
    return np.clip(np.round(ramp), 0, 255).astype(np.uint8)


def furnish(
    canvas: Canvas, machine: Machine, fan: Fan, *, said: Mapping[str, object], scale: np.ndarray | None = None
) -> None:
    """Draw what stands still around a sector; `said` fills the words' fields, `scale` (256 x 3) the bars."""
    for where, colour in machine.panels:
        canvas.fill(where, colour)
    for where in machine.bars:
        canvas.bar(where, greys(machine) if scale is None else scale)
    for x, y, height, text in machine.words:
        canvas.words(
            text.format(**said),
            x * canvas.columns,
            y * canvas.rows,
            height=height * canvas.rows,
            colour=machine.text_rgb,
        )
    ruler(canvas, machine.ruler, fan, colour=machine.text_rgb)


def ruler(canvas: Canvas, kind: Ruler, fan: Fan, *, colour: Colour) -> None:
    """Depth marks each cm, larger ones each 5 cm, numbered where they stand in a column."""
    size = canvas.rows / _DESIGN_ROWS
    x0, x1 = fan.box[2:]
    for cm in range(int(fan.depth_mm // 10) + 1):
        down = cm * 10 / fan.mm_per_pixel
        if kind is Ruler.EDGE:
            reach = (cm * 10 + fan.footprint_mm) / fan.mm_per_pixel
            x = fan.apex[0] - reach * np.sin(fan.half_angle) - 3 * size
            y = fan.apex[1] + reach * np.cos(fan.half_angle) - fan.footprint_mm / fan.mm_per_pixel - 3 * size
        else:
            x = max(x0 + 0.09 * (x1 - x0), 4) if kind is Ruler.LEFT else min(x1 + 10 * size, canvas.columns - 12 * size)
            y = fan.apex[1] + down
        if not (0 <= y < canvas.rows and 0 <= x < canvas.columns):
            continue
        canvas.dot(x, y, radius=(3.2 if cm % 5 == 0 else 1.3) * size, colour=colour)
        if cm % 5 == 0 and kind is not Ruler.EDGE:
            shift = -26 if kind is Ruler.LEFT else 6
            canvas.words(str(cm), x + shift * size, y + 5 * size, height=14 * size, colour=colour)


class TraceStrip:
    """Where the ECG lies on a screen, and the time of its columns. Coordinates in pixels."""

    def __init__(self, where: Rectangle, *, rows: int, columns: int, start_s: float, seconds: float) -> None:
        self.x0, self.x1 = round(where.x0 * columns), round(where.x1 * columns)
        self.y0, self.y1 = round(where.y0 * rows), round(where.y1 * rows)
        self.start_s, self.seconds = start_s, seconds

    def points(self, voltages: np.ndarray) -> np.ndarray:
        """The trace (n, 2) of voltages at n equal steps over the strip."""
        height = self.y1 - self.y0
        x = np.linspace(self.x0, self.x1 - 1, len(voltages))
        return np.stack([x, self.y0 + 0.68 * height - 0.5 * height * voltages], axis=1)

    def column(self, t_s: float) -> float:
        """The column of a time."""
        return self.x0 + (t_s - self.start_s) / self.seconds * (self.x1 - self.x0)

    def region(self) -> Region:
        """The region of the ECG: seconds across, no unit down."""
        return Region(
            spatial_format=SpatialFormat.WAVEFORM,
            data_type=_ECG,
            flags=3,
            x0=self.x0,
            y0=self.y0,
            x1=self.x1 - 1,
            y1=self.y1 - 1,
            units_x=_SECONDS,
            units_y=0,
            delta_x=self.seconds / (self.x1 - self.x0),
            delta_y=0.0,
            reference_x=0,
            reference_y=round(0.68 * (self.y1 - self.y0)),
        )
