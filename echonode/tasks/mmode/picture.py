"""The annotated sweep: the strip in the scanner's own pixels with what was measured, where, and from which instants.

Borders are drawn between pixels, diameters where they were read, R waves as triangles; a bar above the strip shows which
stretches were good. Where nothing was measured, the R waves and the reason stand there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from echonode.core.clip import Clip
from echonode.core.results import Ineligible, Measurement, Picture, Result
from echonode.tasks.mmode import concepts
from echonode.tasks.mmode.averaging import EDGES
from echonode.tasks.mmode.examination import Examination, MeasuredBeat

TITLE: Final = "M-mode of the left ventricle, as measured"
WIDEST, TALLEST, NARROWEST = 1024, 720, 600  # pixels of the strip at most, and of the picture at least
LEFT, RIGHT, TOP = 12, 52, 46
AXIS: Final = 30  # pixels below the strip for the scale in s
BELOW: Final = 0.09  # of the strip's height: how much of what lies below it is shown, for its ECG
BAR: Final = 4  # pixels of the bar that shows good stretches
SMALL, LARGE = 13, 15  # pixels of letters
LINE: Final = 18
HARD: Final = "\N{NO-BREAK SPACE}"
SHIFT: Final = 4  # bits between pixels that lines are drawn with

WHITE, SOFT, DARK = (235, 235, 235), (165, 172, 182), (14, 16, 20)
CAVITY, WALL = (255, 208, 64), (110, 190, 235)
DIASTOLE, SYSTOLE, WAVE = (90, 230, 130), (255, 140, 70), (90, 230, 130)
GOOD, BAD, REFUSED, UNUSED = (70, 180, 95), (205, 70, 70), (255, 120, 110), (140, 140, 140)
Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
SHORT: Final = (
    (concepts.LVID_D, "LVIDd", 1), (concepts.LVID_S, "LVIDs", 1), (concepts.IVS_D, "IVSd", 1), (concepts.LVPW_D, "LVPWd", 1),
    (concepts.SHORTENING, "FS", 0), (concepts.EDV, "EDV", 0), (concepts.ESV, "ESV", 0),
    (concepts.EJECTION_FRACTION, "EF (Teichholz)", 0), (concepts.MASS, "LV mass", 0), (concepts.RELATIVE_WALL, "RWT", 2),
    (concepts.HEART_RATE, "HR", 0), (concepts.GOOD_SHARE, "good share of the strip", 2),
)  # fmt: skip
UNITS: Final = {concepts.BEATS_A_MINUTE: "/min", concepts.ONE: "", concepts.VOLUME_UNITS["uL"]: "\N{MICRO SIGN}L"}


def picture_of(clip: Clip, examination: Examination, results: Sequence[Result]) -> Picture:
    """The strip of a clip with what `results` say of it, at most 1024 pixels of it across."""
    view = _View.of(clip, examination)
    said = _caption(examination, results)
    reach = max(NARROWEST, view.width + LEFT + RIGHT)
    small, large = ImageFont.load_default(SMALL), ImageFont.load_default(LARGE)
    lines = [(part, colour) for words, colour in said for part in _wrapped(words, small, reach - 2 * LEFT)]
    canvas = np.full((TOP + view.height + AXIS + LINE * len(lines) + 10, reach, 3), DARK, np.uint8)
    canvas[TOP : TOP + view.height, LEFT : LEFT + view.width] = view.pixels
    _quality(canvas, view, examination)
    _borders(canvas, view, examination)
    for beat in examination.beats:
        _calipers(canvas, view, examination, beat)
    page = Image.fromarray(canvas)
    pen = ImageDraw.Draw(page)
    _axes(pen, view, examination, small)
    _waves(pen, view, examination, small)
    for beat in examination.beats:
        _numbers(pen, view, examination, beat, small)
    pen.text((LEFT, 8), _headline(results), font=large, fill=WHITE)
    for number, (words, colour) in enumerate(lines):
        pen.text((LEFT, TOP + view.height + AXIS + number * LINE), words, font=small, fill=colour)
    return Picture(pixels=np.asarray(page, np.uint8), title=TITLE)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _View:
    """`pixels` uint8 (H, W, 3) of the strip from column `first` on, `scale` pixels a pixel; `foot` is the strip's last row
    there, below which its surroundings are shown."""

    pixels: Pixels
    first: int
    scale: float
    foot: float

    @classmethod
    def of(cls, clip: Clip, examination: Examination) -> _View:
        strip = examination.strip
        box, high = strip.calibration, strip.grey.shape[0]
        if len(strip.places) == 1:
            below = min(round(BELOW * high), clip.frames.shape[1] - box.bottom)
            seen = clip.frames[strip.places[0][0], box.top : box.bottom + below, box.left : box.right]
            seen = np.repeat(seen, 3, axis=2) if seen.shape[2] == 1 else seen
        else:
            seen = np.repeat(np.clip(np.rint(strip.grey), 0, 255).astype(np.uint8)[..., None], 3, axis=2)
        scale = min(1.0, TALLEST / seen.shape[0])
        most = int((WIDEST - LEFT - RIGHT) / scale)
        first = 0
        if seen.shape[1] > most:
            shown = [beat.diastole.column for beat in examination.good_beats] or [0]
            first = min(max(0, shown[0] - 24), seen.shape[1] - most)
            seen = seen[:, first : first + most]
        if scale < 1:
            size = (round(seen.shape[1] * scale), round(seen.shape[0] * scale))
            seen = cv2.resize(np.ascontiguousarray(seen), size, interpolation=cv2.INTER_AREA).astype(np.uint8)
        return cls(pixels=seen, first=first, scale=scale, foot=high * scale)

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    def x(self, column: float) -> float:
        """Where the middle of a column of the strip lies on the canvas."""
        return LEFT + (column - self.first + 0.5) * self.scale - 0.5

    def y(self, row: float) -> float:
        """Where a row of the strip, counted between pixels, lies on the canvas."""
        return TOP + row * self.scale - 0.5

    def shows(self, column: float) -> bool:
        return LEFT <= self.x(column) < LEFT + self.width


def _quality(canvas: Pixels, view: _View, examination: Examination) -> None:
    for window, probability in zip(examination.windows, examination.probabilities, strict=True):
        left, right = (
            int(np.clip(round(view.x(edge)), LEFT, LEFT + view.width)) for edge in (window.start, window.stop)
        )
        canvas[TOP - BAR - 2 : TOP - 2, left:right] = GOOD if probability > 0.5 else BAD


def _borders(canvas: Pixels, view: _View, examination: Examination) -> None:
    """Each border as a line where it is seen; those of the cavity in another colour than those of the walls."""
    borders = examination.borders
    if borders is None:
        return
    last = view.first + round(view.width / view.scale)
    for number, border in enumerate(borders):
        colour = WALL if len(borders) == 4 and number in (0, 3) else CAVITY
        columns = np.arange(view.first, min(last, len(border)))
        rows = border[columns]
        for part in np.split(np.arange(len(columns)), np.flatnonzero(np.diff(np.isfinite(rows))) + 1):
            if len(part) > 1 and np.isfinite(rows[part[0]]):
                points = [(view.x(columns[one]), view.y(rows[one])) for one in part]
                _line(canvas, points, colour)


def _calipers(canvas: Pixels, view: _View, examination: Examination, beat: MeasuredBeat) -> None:
    used = beat in examination.averaged.beats
    for instant, colour in ((beat.diastole, DIASTOLE), (beat.systole, SYSTOLE)):
        ends = _ends(examination, instant.column)
        if ends is None or not view.shows(instant.column):
            continue
        x, (upper, lower) = view.x(instant.column), (view.y(end) for end in ends)
        ink = colour if used else UNUSED
        _line(canvas, [(x, upper), (x, lower)], ink)
        for y in (upper, lower):
            _line(canvas, [(x - 4, y), (x + 4, y)], ink)


def _numbers(pen: ImageDraw.ImageDraw, view: _View, examination: Examination, beat: MeasuredBeat, font: Font) -> None:
    """Diameters in mm beside their calipers."""
    used = beat in examination.averaged.beats
    for instant, colour, letter in ((beat.diastole, DIASTOLE, "d"), (beat.systole, SYSTOLE, "s")):
        ends = _ends(examination, instant.column)
        if ends is None or not view.shows(instant.column):
            continue
        words = f"{letter} {instant.value:.1f}"
        x = min(view.x(instant.column) + 4, LEFT + view.width - 40)
        y = view.y(sum(ends) / 2) - SMALL / 2
        _words(pen, (x, y), words, font, colour if used else UNUSED)


def _ends(examination: Examination, column: int) -> tuple[float, float] | None:
    """The cavity's borders at a column."""
    borders = examination.borders
    if borders is None or not 0 <= column < borders.shape[1]:
        return None
    upper, lower = borders[len(borders) // 2 - 1, column], borders[len(borders) // 2, column]
    return (float(upper), float(lower)) if np.isfinite([upper, lower]).all() else None


def _waves(pen: ImageDraw.ImageDraw, view: _View, examination: Examination, font: Font) -> None:
    """A triangle and a dotted line at each R wave of the ECG, and the time from one to the next."""
    waves = [wave for wave in examination.waves if view.shows(wave)]
    for wave in waves:
        x = view.x(wave)
        pen.polygon([(x - 5, TOP + 2), (x + 5, TOP + 2), (x, TOP + 11)], fill=WAVE)
        for y in range(TOP + 14, round(view.y(view.foot / view.scale)), 9):
            pen.line([(x, y), (x, y + 2)], fill=WAVE)
        _words(pen, (x + 7, TOP + 1), "R", font, WAVE)
    if examination.beats:
        return
    for first, second in pairwise(waves):
        seconds = (second - first) * examination.strip.calibration.seconds
        words = f"R-R {seconds:.2f} s, {60 / seconds:.0f}/min"
        left, right, y, half = view.x(first) + 4, view.x(second) - 4, TOP + 30, font.getlength(words) / 2 + 6
        middle = (left + right) / 2
        if right - left < 2 * half + 16:
            continue
        for x, way, inner in ((left, 5, middle - half), (right, -5, middle + half)):
            pen.line([(x, y), (inner, y)], fill=WAVE)
            pen.line([(x + way, y - 3), (x, y), (x + way, y + 3)], fill=WAVE)
        _words(pen, (middle - half + 6, y - 9), words, font, WAVE)


def _axes(pen: ImageDraw.ImageDraw, view: _View, examination: Examination, font: Font) -> None:
    """Time below the strip in s, depth to its right in cm (in mm for a mouse)."""
    calibration = examination.strip.calibration
    high, right, foot = view.foot / view.scale, LEFT + view.width, TOP + view.height
    unit, millimetres = ("cm", 10.0) if high * calibration.millimetres > 40 else ("mm", 1.0)
    row, column = view.scale * millimetres / calibration.millimetres, view.scale / calibration.seconds
    step = next((each for each in (1, 2, 5, 10, 20) if each * row >= 26), 50)
    for number in range(int(high * calibration.millimetres / millimetres) + 1):
        y = view.y(number * millimetres / calibration.millimetres)
        named = number % step == 0
        pen.line([(right + 1, y), (right + (7 if named else 4), y)], fill=SOFT)
        if named and y < TOP + view.foot - 6:
            pen.text((right + 10, y - SMALL / 2 - 1), str(number), font=font, fill=SOFT)
    pen.text((right + 24, TOP - 20), unit, font=font, fill=SOFT)
    duration = examination.strip.duration
    shown = view.width / view.scale * calibration.seconds
    tick = next((each for each in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0) if each * column >= 44), 5.0)
    for number in range(int(duration / tick) + 1):
        x = view.x(number * tick / calibration.seconds - 0.5)
        if LEFT <= x < right:
            pen.line([(x, foot), (x, foot + 5)], fill=SOFT)
            if x < right - 16:
                pen.text((x - 2, foot + 8), f"{number * tick:.3g}", font=font, fill=SOFT)
    pen.text((right + 10, foot + 8), "s", font=font, fill=SOFT)
    if shown < duration - calibration.seconds:
        _words(pen, (LEFT + 4, TOP + view.height - 18), f"part of a strip of {duration:.1f} s", font, SOFT)


def _headline(results: Sequence[Result]) -> str:
    values = {one.concept: one for one in results if isinstance(one, Measurement)}
    named = [_value(values[concept], short, digits) for concept, short, digits in SHORT[:2] if concept in values]
    rate = values.get(concepts.HEART_RATE)
    if not named and rate is not None:
        return f"M-mode: heart rate {rate.value:.0f}/min, LVID not measured"
    return ("M-mode: " + (", ".join(named) if named else "nothing measured")).replace(HARD, " ")


def _caption(examination: Examination, results: Sequence[Result]) -> list[tuple[str, Colour]]:
    """Lines below the strip: values with their number of beats, how they were read, and what is missing and why."""
    measured = {one.concept: one for one in results if isinstance(one, Measurement)}
    values = [_value(measured[concept], short, digits) for concept, short, digits in SHORT if concept in measured]
    lines: list[tuple[str, Colour]] = []
    beats = examination.averaged
    if beats.beats:
        values.append(f"n = {len(beats.beats)} beat{'s' if len(beats.beats) > 1 else ''}")
    if values:
        lines.append((", ".join(values), WHITE))
    lines += [(f"Not measured: {one.reason}", REFUSED) for one in results if isinstance(one, Ineligible)]
    if beats.note and examination.lvid is not None and beats.beats:
        lines.append((beats.note, REFUSED))
    if examination.lvid is not None:
        lines.append((f"{_first_up(examination.timing)}; {EDGES}.", SOFT))
    rate = measured.get(concepts.HEART_RATE)
    if rate is not None and rate.notes:
        lines.append((f"Heart rate: {rate.notes[0]}.", SOFT))
    told = []
    if examination.levels is not None:
        told.append("level " + ", ".join(f"{name} {share:.2f}" for name, share in examination.levels.items()))
    if (share := examination.good_share) is not None:
        told.append(f"{100 * share:.0f} % of the strip is of good quality")
    box = examination.strip.calibration
    told.append(f"{box.millimetres:.3f} mm and {1000 * box.seconds:.2f} ms a pixel")
    lines.append((_first_up("; ".join(told)) + ".", SOFT))
    return lines


def _value(one: Measurement, short: str, digits: int) -> str:
    unit = UNITS.get(one.unit, f" {one.unit.value}")
    words = f"{short} {one.value:.{digits}f}{unit if unit in ('', '/min') else ' ' + unit.strip()}"
    return words.replace(" ", HARD)


def _wrapped(words: str, font: Font, reach: float) -> list[str]:
    """Lines of letters that are no wider than `reach` pixels."""
    lines = [""]
    for word in words.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > reach:
            lines.append(word)
        else:
            lines[-1] = longer
    return [line.replace(HARD, " ") for line in lines]


def _first_up(words: str) -> str:
    return words[:1].upper() + words[1:]


def _words(pen: ImageDraw.ImageDraw, at: tuple[float, float], words: str, font: Font, colour: Colour) -> None:
    """Letters that can be read over any echo."""
    pen.text(at, words, font=font, fill=colour, stroke_width=2, stroke_fill=DARK)


def _line(canvas: Pixels, points: Sequence[tuple[float, float]], colour: Colour) -> None:
    fixed: Any = np.rint(np.asarray(points) * (1 << SHIFT)).astype(np.int32)
    cv2.polylines(canvas, [fixed], False, colour, 1, cv2.LINE_AA, SHIFT)
