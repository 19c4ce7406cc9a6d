"""The screen of a simulated loop: what stands still on it, and what each frame puts into it."""

from __future__ import annotations

import cv2
import numpy as np

from echonode.core.clip import Region
from echonode.phantom import ecg
from echonode.phantom.colour import colour_scale
from echonode.phantom.heart import Heart
from echonode.phantom.machine import Machine, Rectangle, Trace
from echonode.phantom.overlay import Canvas, TraceStrip, furnish, greys
from echonode.phantom.transducer import Fan

_PRESETS = ("Adult Heart", "Cardiac", "Adult Echo", "Echo Gen")


class Screen:
    """The screen of one loop: what stands still on it, and what each frame puts into it."""

    def __init__(
        self,
        machine: Machine,
        fan: Fan,
        heart: Heart,
        *,
        rng: np.random.Generator,
        times_s: np.ndarray,
        rate: int,
        colour: bool,
        overlays: bool,
    ) -> None:
        self._fan, self._machine = fan, machine
        self._map = greys(machine)[:, None]
        canvas = Canvas(machine.rows, machine.columns)
        self._strip: TraceStrip | None = None
        frame_ms = 1000 * float(np.median(np.diff(times_s))) if len(times_s) > 1 else machine.frame_time_ms
        if overlays:
            said = {
                "bpm": rate,
                "depth": round(fan.depth_mm),
                "fps": round(1000 / frame_ms),
                "preset": _PRESETS[int(rng.integers(len(_PRESETS)))],
            }
            furnish(canvas, machine, fan, said=said, scale=colour_scale() if colour else None)
            if machine.trace is not Trace.NONE and machine.trace_box is not None:
                self._trace(machine, machine.trace_box, heart, rng=rng, times_s=times_s)
                if machine.trace is Trace.COMPLETE and self._strip is not None:
                    canvas.line(self._points, colour=machine.trace_rgb, width=max(1.0, machine.rows / 600))
        self._still = canvas.screen()
        y0, y1, x0, x1 = fan.box
        self._over = np.ascontiguousarray(self._still[y0:y1, x0:x1])
        self._plain = not self._over.any()

    @property
    def regions(self) -> tuple[Region, ...]:
        """The ECG's region, if there is an ECG."""
        return () if self._strip is None else (self._strip.region(),)

    def _trace(
        self, machine: Machine, where: Rectangle, heart: Heart, *, rng: np.random.Generator, times_s: np.ndarray
    ) -> None:
        start, end = float(times_s[0]), float(times_s[-1])
        if machine.trace is Trace.COMPLETE:
            seconds = max(end - start, 1.2) * float(rng.uniform(1.05, 1.6))
            before = float(rng.uniform(0, 1)) * (seconds - (end - start))
            self._strip = TraceStrip(
                where, rows=machine.rows, columns=machine.columns, start_s=start - before, seconds=seconds
            )
        else:
            seconds = float(rng.uniform(2.5, 4.0))
            self._strip = TraceStrip(
                where, rows=machine.rows, columns=machine.columns, start_s=start - 2 * seconds, seconds=seconds
            )
        pages = max(1, int(np.ceil((end - self._strip.start_s) / seconds)) + 1)
        self._per_page = max(8, 2 * (self._strip.x1 - self._strip.x0))
        times = self._strip.start_s + np.arange(pages * self._per_page) * (seconds / self._per_page)
        waves = heart.beats(float(times[-1] - times[0]) + 3, float(times[0]) - 1.5)
        shape = ecg.lead(rng, fibrillates=heart.patient.fibrillates)
        self._voltages = ecg.voltage(times, waves, shape=shape, rng=rng)
        self._points = self._strip.points(self._voltages[: self._per_page])

    def show(self, frame: np.ndarray, grey: np.ndarray, flow: np.ndarray | None, time_s: float) -> None:
        """Fill `frame` (H, W, C) with the screen at a time; `grey` and `flow` (RGB, black where none) cover the fan's box."""
        y0, y1, x0, x1 = self._fan.box
        single = frame.shape[2] == 1
        full = np.empty((*frame.shape[:2], 3), np.uint8) if single else frame
        np.copyto(full, self._still)
        picture = cv2.applyColorMap(grey, self._map)
        if flow is not None:
            np.copyto(picture, flow, where=(flow.max(axis=2) > 24)[..., None])
        full[y0:y1, x0:x1] = picture if self._plain else cv2.max(picture, self._over)
        if self._strip is not None:
            self._cursor(full, self._strip, time_s)
        if single:
            frame[..., 0] = cv2.cvtColor(full, cv2.COLOR_RGB2GRAY)

    def _cursor(self, full: np.ndarray, strip: TraceStrip, time_s: float) -> None:
        size = self._machine.rows / 600
        colour = self._machine.trace_rgb
        if self._machine.trace is Trace.COMPLETE:
            column = round(strip.column(time_s))
            wide = max(1, round(3 * size))
            full[strip.y0 : strip.y1, column : column + wide] = colour
            return
        page, share = divmod((time_s - strip.start_s) / strip.seconds, 1)
        now = int(share * self._per_page)
        gap = self._per_page // 40
        new = self._voltages[int(page) * self._per_page :][:now]
        old = self._voltages[(int(page) - 1) * self._per_page :][now + gap : self._per_page]
        whole = np.concatenate([new, np.full(self._per_page - len(new) - len(old), np.nan), old])
        points = np.round(strip.points(whole) * 16)
        pieces = [points[: len(new)], points[self._per_page - len(old) :]]
        lines = [piece.astype(np.int32) for piece in pieces if len(piece) > 1]
        cv2.polylines(full, lines, False, colour, max(1, round(size)), cv2.LINE_AA, 4)
