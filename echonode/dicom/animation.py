"""A cine as an animated GIF or an MP4 film that plays at the speed of its frame times."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from echonode.core.errors import Undecodable

GIF_TICK_MS = 10.0
SHORTEST_GIF_TICKS = 2
"""Browsers show a GIF frame that asks for less than two hundredths of a second for ten of them."""
MP4_TICKS = 90_000
_LONGEST_GIF_TICKS = 65535
_COLOURS = 256
_BT601 = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class Scheduled:
    """Frame `index` is shown for `ticks`."""

    index: int
    ticks: int


def gif_schedule(edges_ms: Sequence[float]) -> list[Scheduled]:
    """Which frames a GIF shows, and for how many hundredths of a second.

    `edges_ms` are the beginning of each frame and the end of the last. Every edge is rounded by itself, so that the
    rounding never adds up: the loop as a whole is right to a hundredth. Frames that would be shorter than browsers
    play are left out, and their time goes to the frame before.
    """
    ticks = [round(edge / GIF_TICK_MS) for edge in edges_ms]
    end = max(ticks[-1], ticks[0] + SHORTEST_GIF_TICKS)
    shown = [0]
    for index in range(1, len(ticks) - 1):
        if min(ticks[index] - ticks[shown[-1]], end - ticks[index]) >= SHORTEST_GIF_TICKS:
            shown.append(index)
    limits = [*(ticks[index] for index in shown[1:]), end]
    return [
        Scheduled(index=index, ticks=min(limit - ticks[index], _LONGEST_GIF_TICKS))
        for index, limit in zip(shown, limits, strict=True)
    ]


def gif(frames: Iterable[np.ndarray], ticks: Sequence[int], *, samples: Sequence[np.ndarray]) -> bytes:
    """A GIF that loops for ever: uint8 H x W x (1 | 3), each shown for its hundredths of a second.

    Grey is kept without any loss; colour comes in 256 colours that all frames share, chosen from `samples`, so that
    nothing flickers. One frame is held at a time.
    """
    rows, columns, channels = samples[0].shape
    paint = _grey if channels == 1 else _painter(samples)
    buffer = io.BytesIO()
    # Without the options the last frame would be as short as the container's default.
    with av.open(buffer, mode="w", format="gif", options={"final_delay": str(ticks[-1]), "loop": "0"}) as container:
        stream: Any = container.add_stream("gif", rate=100)
        stream.width, stream.height = columns, rows
        stream.pix_fmt = "gray" if channels == 1 else "pal8"
        stream.codec_context.time_base = Fraction(1, 100)
        now = 0
        for frame, lasts in zip(frames, ticks, strict=True):
            shown = paint(frame)
            shown.pts, shown.time_base = now, Fraction(1, 100)
            container.mux(stream.encode(shown))
            now += lasts
        container.mux(stream.encode())
    return buffer.getvalue()


def mp4(frames: Iterable[np.ndarray], edges_ms: Sequence[float]) -> bytes:
    """An H.264 film of uint8 H x W x (1 | 3) that every browser plays; an odd side gets one more line, the last again.

    `edges_ms` as for `gif_schedule`: every frame has its own time, and the film ends when the last frame does.

    Raises:
        Undecodable: there is no frame.
    """
    ticks = [round(edge * MP4_TICKS / 1000.0) for edge in edges_ms]
    base = Fraction(1, MP4_TICKS)
    lasts = {begin: max(end - begin, 1) for begin, end in pairwise(ticks)}
    stream: Any = None
    # The index goes to the front, for which FFmpeg reads what it wrote: that takes a file.
    with tempfile.TemporaryDirectory(prefix="echonode-") as folder:
        path = Path(folder) / "film.mp4"
        with av.open(str(path), mode="w", options={"movflags": "faststart"}) as container:

            def write(packets: Iterable[Any]) -> None:
                for packet in packets:
                    packet.duration = lasts[packet.pts]  # the encoder gives every packet the same
                    container.mux(packet)

            for frame, begin in zip(frames, ticks, strict=False):
                picture = np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), mode="edge")
                if stream is None:
                    stream = _film(container, picture)
                shown: Any = av.VideoFrame.from_ndarray(_rgb(picture), format="rgb24")
                shown.pts, shown.time_base = begin, base
                write(stream.encode(shown))
            if stream is None:
                raise Undecodable("there is no frame to make a film of")
            write(stream.encode())
        return path.read_bytes()


def _film(container: Any, picture: np.ndarray) -> Any:
    stream = container.add_stream("libx264", rate=Fraction(30))
    stream.height, stream.width = picture.shape[:2]
    stream.pix_fmt = "yuv420p"
    stream.options = {"crf": "18", "preset": "veryfast", "bf": "0", "g": "30"}
    context = stream.codec_context
    context.time_base = Fraction(1, MP4_TICKS)
    context.thread_count = 1
    context.color_range, context.colorspace = 1, _BT601
    return stream


def _rgb(picture: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture)


def _grey(frame: np.ndarray) -> Any:
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(frame[..., 0]), format="gray")


def _painter(samples: Sequence[np.ndarray]) -> Callable[[np.ndarray], Any]:
    """Frames as indices into one palette; the few levels of a pure grey loop in RGB all find their place in it."""
    sheet = Image.fromarray(np.concatenate([np.ascontiguousarray(sample) for sample in samples]))
    chosen = sheet.quantize(_COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    colours = np.zeros((_COLOURS, 3), np.uint8)
    listed = np.array(chosen.getpalette("RGB"), np.uint8).reshape(-1, 3)[:_COLOURS]
    colours[: len(listed)] = listed
    palette = np.full((_COLOURS, 4), 255, np.uint8)
    palette[:, 1:] = colours

    def paint(frame: np.ndarray) -> Any:
        picture = Image.fromarray(np.ascontiguousarray(frame))
        indices = np.asarray(picture.quantize(palette=chosen, dither=Image.Dither.NONE))
        shown: Any = (np.ascontiguousarray(indices), palette)
        return av.VideoFrame.from_ndarray(shown, format="pal8")

    return paint
