"""The annotated picture of an ejection fraction: where its clips begin, what each gave, their mean and its limits.

Only the sector is shown: what is written beside it, names among it, stays out of the picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from echonode.core.clip import Clip
from echonode.core.results import Picture
from echonode.tasks.common.sector import luma
from echonode.tasks.common.sector_pictures import pixel_aspect
from echonode.tasks.common.uncertainty import Limits
from echonode.tasks.ejection_fraction.prepare import Preparation

SHOWN: Final = 3
WIDTH, HEIGHT, EDGE = 960, 720, 16
SIDE: Final = (WIDTH - (SHOWN + 1) * EDGE) // SHOWN
PLOT: Final = (70, 420, WIDTH - 118, 604)  # left, top, right, bottom
TITLE_PIXELS, TEXT_PIXELS = 26, 15
NUMBERED: Final = 9  # more clips than that are not numbered in the plot
WORDS: Final = 112  # characters of text that go on a line
WHITE, GREY, DIM = (240, 240, 240), (170, 170, 170), (70, 70, 70)
BAND, MEAN_LINE, CLIPS, WARNING = (28, 58, 92), (110, 180, 255), (255, 205, 60), (255, 140, 90)
RESEARCH: Final = "RESEARCH USE ONLY - NOT FOR DIAGNOSIS"
SIMULATED: Final = "MODEL TRAINED ON SIMULATED HEARTS ALONE"

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Shown:
    """What the picture is drawn of.

    `pictures` are the first frames (H, W) of the clips numbered `clips`; `at` says of every frame of the source when it
    was taken, in seconds, or its number where `unit` is "frame".
    """

    pictures: tuple[Bytes, ...]
    clips: tuple[int, ...]
    at: NDArray[np.float64]
    unit: str
    model: str
    simulated: bool

    @classmethod
    def of(cls, clip: Clip, prepared: Preparation, *, model: str, simulated: bool) -> Shown:
        """The first frames of up to three clips, evenly over them: as prepared, or as recorded where the sector is known."""
        count = len(prepared.clips)
        chosen = sorted({round(place) for place in np.linspace(0, count - 1, min(SHOWN, count))})
        return cls(
            pictures=tuple(_first_frame(clip, prepared, number) for number in chosen),
            clips=tuple(chosen),
            at=(clip.times_ms - clip.times_ms[0]) / 1000 if clip.timed else np.arange(len(clip.frames), dtype=float),
            unit="s" if clip.timed else "frame",
            model=model,
            simulated=simulated,
        )


def ejection_picture(
    shown: Shown, *, per_clip: Sequence[float], clip_frames: Sequence[Sequence[int]], limits: Limits | None,
    spread: float | None,
) -> Picture:  # fmt: skip
    """Frames of the loop above what each clip gave, with the mean over clips and its 95 % limits; 720 x 960."""
    mean = float(np.mean(per_clip))
    sheet = Image.new("RGB", (WIDTH, HEIGHT))
    draw = ImageDraw.Draw(sheet)
    large, small = ImageFont.load_default(TITLE_PIXELS), ImageFont.load_default(TEXT_PIXELS)
    if limits is None:
        extent = "accuracy unknown"
    else:
        low, high = max(0.0, mean - limits.half_width), min(100.0, mean + limits.half_width)
        extent = f"95 % limits {low:.0f} to {high:.0f} %"
    draw.text((EDGE, 10), f"Ejection fraction {mean:.0f} %", fill=WHITE, font=large)
    draw.text((WIDTH - EDGE, 18), extent, fill=WHITE if limits else WARNING, font=small, anchor="ra")
    for place, (number, picture) in enumerate(zip(shown.clips, shown.pictures, strict=True)):
        left = EDGE + place * (SIDE + EDGE)
        sheet.paste(Image.fromarray(_fitted(picture)), (left, 50))
        frame = clip_frames[number][0]
        words = f"clip {number + 1} begins: frame {frame + 1}" + (
            f", {shown.at[frame]:.2f} s" if shown.unit == "s" else ""
        )
        draw.text((left, 56 + SIDE), f"{words}; {per_clip[number]:.0f} %", fill=CLIPS, font=small)
    _plot(draw, small, shown, per_clip=per_clip, clip_frames=clip_frames, limits=limits)
    beats = f"Mean of {len(per_clip)} clips of one loop"
    steady = "" if spread is None else f"; SD between clips {spread:.1f} points (repeatability, not accuracy)"
    basis = "Accuracy unknown: no locked test of this model in this preparation" if limits is None else (
        f"± {limits.half_width:.1f} points: {limits.basis}"
    )  # fmt: skip
    model = f"Model {shown.model}, video regression: no volumes were measured"
    for line, (text, colour) in enumerate(
        ((f"{beats}{steady}", GREY), (basis, GREY if limits else WARNING), (model, GREY))
    ):
        draw.text((EDGE, 640 + 19 * line), _short(text), fill=colour, font=small)
    mark = f"{RESEARCH} - {SIMULATED}" if shown.simulated else RESEARCH
    draw.text((EDGE, 699), mark, fill=WARNING, font=small)
    return Picture(pixels=np.asarray(sheet), title=f"Ejection fraction {mean:.0f} %, {extent}")


def _plot(
    draw: ImageDraw.ImageDraw, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, shown: Shown, *,
    per_clip: Sequence[float], clip_frames: Sequence[Sequence[int]], limits: Limits | None,
) -> None:  # fmt: skip
    """Percent over the loop: a bar where each clip lies, a line at the mean, a band over its limits."""
    left, top, right, bottom = PLOT
    mean, half = float(np.mean(per_clip)), limits.half_width if limits else 0.0
    low = 10 * math.floor((min(*per_clip, mean - half) - 4) / 10)
    high = 10 * math.ceil((max(*per_clip, mean + half) + 4) / 10)
    last = float(shown.at[-1])

    def y(percent: float) -> float:
        return bottom - (percent - low) / (high - low) * (bottom - top)

    def x(frame: int) -> float:
        return left + (right - left) * float(shown.at[frame]) / max(last, 1e-9)

    if limits is not None:
        draw.rectangle((left, y(mean + half), right, y(mean - half)), fill=BAND)
    step = 10 if high - low <= 60 else 20
    for level in range(low, high + 1, step):
        draw.line((left, y(level), right, y(level)), fill=DIM)
        draw.text((left - 8, y(level)), f"{level:.0f}", fill=GREY, font=font, anchor="rm")
    draw.text((EDGE, (top + bottom) / 2), "EF %", fill=GREY, font=font, anchor="lm")
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        place, value = left + share * (right - left), share * last
        draw.line((place, bottom, place, bottom + 4), fill=GREY)
        words = f"{value:.1f} s" if shown.unit == "s" else f"{value:.0f}"
        draw.text((place, bottom + 6), words, fill=GREY, font=font, anchor="ma")
    draw.line((left, y(mean), right, y(mean)), fill=MEAN_LINE, width=2)
    draw.text((right + 8, y(mean)), f"mean {mean:.0f} %", fill=MEAN_LINE, font=font, anchor="lm")
    for number, (percent, frames) in enumerate(zip(per_clip, clip_frames, strict=True)):
        for first, end in _runs(frames):
            draw.line((x(first), y(percent), x(end), y(percent)), fill=CLIPS, width=3)
        if len(frames):
            at = (x(frames[0]), y(percent))
            draw.ellipse((at[0] - 4, at[1] - 4, at[0] + 4, at[1] + 4), fill=CLIPS)
            if len(per_clip) <= NUMBERED:
                draw.text((at[0] + 7, at[1] - 5), str(number + 1), fill=CLIPS, font=font, anchor="ls")


def _runs(frames: Sequence[int]) -> list[tuple[int, int]]:
    """First and last frame of each stretch of a clip: a short loop goes round."""
    runs: list[tuple[int, int]] = []
    for frame in frames:
        if runs and frame >= runs[-1][1]:
            runs[-1] = (runs[-1][0], frame)
        else:
            runs.append((frame, frame))
    return runs


def _first_frame(clip: Clip, prepared: Preparation, number: int) -> Bytes:
    if prepared.scene is None:
        picture: Bytes = prepared.pictures[max(0, int(prepared.clips[number][0])), :, :, 0]
        return picture
    box = prepared.scene.box(margin=0)
    frame = luma(clip.frames[int(prepared.shown[number][0])])[box]
    seen = np.where(prepared.scene.sector[box], frame, 0).astype(np.uint8)
    aspect = pixel_aspect(clip.regions, shape=clip.frames.shape[1:3])
    size = (seen.shape[1], max(1, round(seen.shape[0] * aspect)))
    return seen if aspect == 1.0 else np.asarray(cv2.resize(seen, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def _fitted(picture: Bytes) -> Bytes:
    """Centred on black, as large as fits."""
    scale = SIDE / max(picture.shape)
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    square = np.zeros((SIDE, SIDE), np.uint8)
    top, left = (SIDE - size[1]) // 2, (SIDE - size[0]) // 2
    square[top : top + size[1], left : left + size[0]] = cv2.resize(picture, size, interpolation=how)
    return square


def _short(text: str) -> str:
    return text if len(text) <= WORDS else f"{text[: WORDS - 1]}…"
