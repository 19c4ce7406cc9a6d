"""The colour box: blood's velocity along the beam in red and blue, as colour Doppler shows it."""

from __future__ import annotations

import cv2
import numpy as np

from echonode.phantom.heart import Heart, Label
from echonode.phantom.transducer import Fan
from echonode.phantom.views import Plane, View

_BLOOD = np.isin(np.arange(256), [Label.LV, Label.LA, Label.RV, Label.RA, Label.AORTA])
_FRAME = (60, 220, 130)
_WALL_FILTER = 0.11
_APICAL = (View.A4C, View.A2C, View.A3C, View.A5C)


def colour_scale() -> np.ndarray:
    """The velocity map, uint8 256 x 3 RGB: away from the probe cyan to blue, black about 0, towards it red to yellow."""
    share = np.linspace(-1, 1, 256)
    size = np.abs(share)
    strong, bright = np.clip(2 * size, 0, 1), np.clip(2 * size - 1, 0, 1)
    towards = np.stack([70 + 165 * strong + 20 * bright, 225 * bright, 40 * bright], axis=1)
    away = np.stack([30 * bright, 225 * bright, 80 + 160 * strong], axis=1)
    scale = np.where(share[:, None] > 0, towards, away)
    scale[size < 0.04] = 0
    return np.clip(scale, 0, 255).astype(np.uint8)


class ColourBox:
    """The colour box of one loop, about the mitral and aortic valve.

    Inflow fills the box while the mitral valve is open, outflow while the aortic valve is; velocities beyond `nyquist_cm_s`
    alias. A distractor with plausible flow, not a solution of any flow equation.
    """

    def __init__(self, heart: Heart, fan: Fan, plane: Plane, *, view: View, rng: np.random.Generator) -> None:
        self._heart, self._rng = heart, rng
        self.nyquist_cm_s = float(rng.uniform(50, 70))
        points = fan.points(plane)
        away = points - np.asarray(plane.position, np.float32)
        self._beam = away / np.linalg.norm(away, axis=-1, keepdims=True)
        wanted = np.array([-6.0, 6.0, 8.0 if view in _APICAL else 4.0], np.float32)
        offset = points - wanted
        middle = np.unravel_index(int((offset**2).sum(axis=-1).argmin()), offset.shape[:2])
        rows, lines = offset.shape[:2]
        high, wide = round(rows * rng.uniform(0.17, 0.24)), round(lines * rng.uniform(0.15, 0.2))
        self._rows = slice(max(2, int(middle[0]) - high), min(rows - 2, int(middle[0]) + high))
        self._lines = slice(max(2, int(middle[1]) - wide), min(lines - 2, int(middle[1]) + wide))
        inside = (self._rows, self._lines)
        self._shape = (rows, lines)
        self._points, self._beam = points[inside], self._beam[inside]
        grain = rng.standard_normal((4, *self._points.shape[:2])).astype(np.float32)
        self._grain = [cv2.GaussianBlur(piece, (0, 0), 2.5) * np.float32(5) for piece in grain]
        self._before: np.ndarray | None = None
        self._scale = colour_scale()

    def picture(self, labels: np.ndarray, grey: np.ndarray, time_s: float) -> np.ndarray:
        """The colours to lay over a frame, uint8 S x L x 3, black where the grey picture shows through."""
        inside = (self._rows, self._lines)
        velocity = self._velocity(time_s)
        velocity += self._grain[int(self._rng.integers(len(self._grain)))] * np.float32(0.06)
        blood = _BLOOD[labels[inside]] & (grey[inside] < 110)
        velocity = np.where(blood, velocity, 0).astype(np.float32)
        velocity = cv2.GaussianBlur(velocity, (0, 0), 1.4)
        if self._before is not None:
            velocity = 0.6 * velocity + 0.4 * self._before
        self._before = velocity
        wrapped = (velocity + 1) % 2 - 1
        seen = blood & (np.abs(velocity) > _WALL_FILTER)
        shown = np.zeros((*self._shape, 3), np.uint8)
        shown[inside][seen] = self._scale[np.clip((wrapped[seen] + 1) * 127.5, 0, 255).astype(np.uint8)]
        y0, y1, x0, x1 = self._rows.start, self._rows.stop, self._lines.start, self._lines.stop
        cv2.rectangle(shown, (x0, y0), (x1 - 1, y1 - 1), _FRAME, 1)
        return shown

    def _velocity(self, time_s: float) -> np.ndarray:
        """Velocity towards the probe as a share of the Nyquist limit, over the box."""
        phase = self._heart.state(time_s).phase
        x, y, z = self._points[..., 0], self._points[..., 1], self._points[..., 2]
        inflow = (
            75 * phase.mitral * np.exp(-(((x - 3) / 13) ** 2 + (y / 14) ** 2) - np.clip((z - 10) / 45, -0.6, 3) ** 2)
        )
        outflow = 105 * phase.aortic * np.exp(-(((x + 13) / 12) ** 2 + ((y - 10) / 13) ** 2) - ((z - 2) / 34) ** 2)
        swirl = 16 * np.sin(x / 11 + 5 * time_s) * np.cos(z / 13 - 3 * time_s)
        flow = np.stack([0.15 * inflow - 0.3 * outflow + swirl, 0.25 * outflow, inflow - outflow], axis=-1)
        towards = -(flow * self._beam).sum(axis=-1)
        return np.asarray(towards / self.nyquist_cm_s, np.float32)
