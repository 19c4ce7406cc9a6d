"""The left ventricle: a half-ellipsoid with a wall that keeps its volume exactly while the cavity narrows by segment.

The motion maps material (r0, angle0, z0) of end-diastole to space by
    z = apex - length (apex - z0);  r^2 = f(z0, angle0) + r0^2 / length;  angle = angle0 + twist(z0)
whose Jacobian is 1 for every f: the wall is incompressible however its segments move. Inside the cavity r scales.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from echonode.phantom.patient import Patient, shortening
from echonode.phantom.segments import ANGLES, HEIGHTS, contraction_table

F32 = NDArray[np.float32]
_RIM_MM = 9.0
_SEPTUM = np.deg2rad(150.0)
_TWIST_RADIANS = np.deg2rad(11.0)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class VentricleState:
    """One moment: `length` of 1 at end-diastole, `narrowing` of the cavity's area float32 (HEIGHTS, ANGLES + 2)."""

    volume_ml: float
    length: float
    area: F32
    uniform: float | None
    twist: float
    base_mm: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MaterialPoints:
    """Points taken back to end-diastole: x0, y0, z0, r0 squared, and which are cavity."""

    x: F32
    y: F32
    z: F32
    inside: NDArray[np.bool_]
    muscle: NDArray[np.bool_]
    depth: F32
    """0 at the outer surface of the muscle and growing inwards, negative outside; mm, about."""


class Ventricle:
    """The LV of a patient at end-diastole and how it moves."""

    def __init__(self, patient: Patient) -> None:
        # A round ventricle is widest further from its base: the annulus widens less than the cavity does.
        c = float(np.clip(0.3 + 0.35 * (1.85 - patient.elongation), 0.27, 0.42))
        fullness = 1 - ((1 - c) ** 3 + c**3) / (3 * (1 - c) ** 2)
        self.patient = patient
        self.radius_mm = float((1000 * patient.edv_ml / (np.pi * fullness * 2 * patient.elongation)) ** (1 / 3))
        self.length_mm = 2 * self.radius_mm * patient.elongation
        self.centre_mm = c * self.length_mm
        self.half_mm = (1 - c) * self.length_mm
        self.wall_mm = 0.5 * (patient.septal_wall_mm + patient.posterior_wall_mm)
        self.wall_difference_mm = 0.5 * (patient.septal_wall_mm - patient.posterior_wall_mm)
        self.apex_wall_mm = 0.75 * self.wall_mm
        self.contraction = contraction_table(patient.wall_motion)
        height = self.length_mm * (np.arange(HEIGHTS) + 0.5) / HEIGHTS
        # Rows are weighed by the cavity's area there, as the volume integral does.
        weight = np.maximum(0, 1 - ((height - self.centre_mm) / self.half_mm) ** 2)
        self._mean_contraction = float((self.contraction.mean(axis=1) * weight).sum() / weight.sum())
        self._uniform = float(np.ptp(self.contraction)) < 1e-3

    def state(self, *, volume_ml: float, emptied: float) -> VentricleState:
        """The ventricle when it holds this much; `emptied` (0 to 1) sets the twist."""
        patient = self.patient
        length = 1 - shortening(100 * (1 - volume_ml / patient.edv_ml))
        narrowing = (1 - volume_ml / (patient.edv_ml * length)) / self._mean_contraction
        area = 1 - narrowing * self.contraction
        padded = np.concatenate([area[:, -1:], area, area[:, :1]], axis=1)
        return VentricleState(
            volume_ml=volume_ml,
            length=length,
            area=np.ascontiguousarray(padded, np.float32),
            uniform=float(area[0, 0]) if self._uniform else None,
            twist=float(_TWIST_RADIANS * emptied * patient.ef_percent / 60),
            base_mm=self.length_mm * (1 - length),
        )

    def cavity_area(self, z: F32) -> F32:
        """Squared radius of the cavity at end-diastole at material height z, 0 beyond the apex."""
        q = (z - np.float32(self.centre_mm)) * np.float32(1 / self.half_mm)
        np.multiply(q, q, out=q)
        np.subtract(np.float32(1), q, out=q)
        np.maximum(q, np.float32(0), out=q)
        q *= np.float32(self.radius_mm**2)
        return q

    def locate(self, x: F32, y: F32, z: F32, *, state: VentricleState) -> MaterialPoints:
        """Points of space taken back to end-diastole; anything may lie outside the ventricle."""
        apex, stretch = np.float32(self.length_mm), np.float32(state.length)
        z0 = apex - (apex - z) / stretch
        area = self.cavity_area(z0)
        r2 = x * x + y * y
        share: F32 | np.float32
        turn = z0 * np.float32(state.twist / self.length_mm)
        np.clip(turn, np.float32(-abs(state.twist)), np.float32(abs(state.twist)), out=turn)
        if state.uniform is not None:
            share = np.float32(state.uniform)
        else:
            angle = np.asarray(cv2.phase(x.reshape(1, -1), y.reshape(1, -1)), np.float32).reshape(x.shape) - turn
            column = angle * np.float32(ANGLES / (2 * np.pi)) + np.float32(ANGLES / 2 + 0.5)
            column[column > ANGLES + 0.5] -= np.float32(ANGLES)
            row = z0 * np.float32(HEIGHTS / self.length_mm) - np.float32(0.5)
            share = sampled(state.area, column=column, row=row)
        edge = share * area
        inside = r2 < edge
        # Cavity scales; the wall keeps its volume.
        outside = stretch * (r2 - edge) + area
        with np.errstate(divide="ignore", invalid="ignore"):
            squared = np.where(inside, r2 / share, outside)
            scale = np.sqrt(squared / np.maximum(r2, np.float32(1e-6)))
        cosine = 1 - np.float32(0.5) * turn * turn
        sine = turn * (1 - turn * turn * np.float32(1 / 6))
        x0 = (cosine * x + sine * y) * scale
        y0 = (cosine * y - sine * x) * scale
        outer = self.outer_depth(x0, y0, z0, radius=np.sqrt(squared))
        above = z0 > 0
        inside &= above
        inside &= z0 < apex
        muscle = (outer > 0) & above & ~inside
        return MaterialPoints(x=x0, y=y0, z=z0, inside=inside, muscle=muscle, depth=outer)

    def outer_depth(self, x0: F32, y0: F32, z0: F32, *, radius: F32) -> F32:
        """How far inside the outer surface of the muscle a material point lies, mm across, negative outside."""
        q = (z0 - np.float32(self.centre_mm)) * np.float32(1 / (self.half_mm + self.apex_wall_mm))
        q *= q
        np.subtract(np.float32(1), q, out=q)
        # Beyond the apex the distance goes on falling, or the axis would count as surface.
        beyond = np.minimum(q, np.float32(0)) * np.float32(40)
        np.maximum(q, np.float32(0), out=q)
        np.sqrt(q, out=q)
        along = x0 * np.float32(np.cos(_SEPTUM)) + y0 * np.float32(np.sin(_SEPTUM))
        along /= np.maximum(radius, np.float32(1e-3))
        along *= np.float32(self.wall_difference_mm)
        along += np.float32(self.radius_mm + self.wall_mm)
        along *= q
        along += beyond
        # The wall thins out towards the annulus.
        rim = np.float32(1) - z0 * np.float32(1 / _RIM_MM)
        np.clip(rim, 0, 1, out=rim)
        rim *= rim
        rim *= np.float32(0.42 * self.wall_mm)
        along -= rim
        along -= radius
        return along


def sampled(table: F32, *, column: F32, row: F32) -> F32:
    """Values float32 (n,) of a table between its cells, the nearest edge beyond it."""
    count, width = len(column), 1024  # cv2.remap takes no side of 32768 or more
    rows = -(-count // width)
    place = np.zeros((2, rows * width), np.float32)
    place[0, :count], place[1, :count] = column, row
    grid = place.reshape(2, rows, width)
    found = cv2.remap(table, grid[0], grid[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found, np.float32).reshape(-1)[:count]
