"""Where the transducer stands and which plane it cuts: the standard views, with an operator's small errors."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from echonode.phantom.patient import Patient
from echonode.phantom.skeleton import skeleton
from echonode.phantom.ventricle import F32, Ventricle

_PLANE_STREAM = 103
_CHEST_MM = 42.0
_AORTIC = 150.0
_CHORDS = 0.33


class View(StrEnum):
    """The standard views; values are the names of `echonode.dicom.views.VIEWS` where those have them."""

    PLAX = "PLAX"
    PSAX = "PSAX"
    A4C = "A4C"
    A2C = "A2C"
    A3C = "A3C"
    A5C = "A5C"
    SUBCOSTAL = "SUBCOSTAL"


class Level(StrEnum):
    """Where in the parasternal long axis an M-mode line cuts the heart."""

    LV = "lv"
    MITRAL = "mitral"
    AORTA = "aorta"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Plane:
    """A sector's plane in heart mm: the transducer's place, and unit vectors along depth and to the picture's right."""

    position: NDArray[np.float64]
    depth: NDArray[np.float64]
    lateral: NDArray[np.float64]

    def points(self, depth_mm: NDArray[np.floating], angle_radians: NDArray[np.floating]) -> F32:
        """Heart points float32 (..., 3) at a distance from the transducer and an angle to the right; both broadcast."""
        depth_mm, angle_radians = np.broadcast_arrays(depth_mm, angle_radians)
        down = (depth_mm * np.cos(angle_radians)).astype(np.float32)
        right = (depth_mm * np.sin(angle_radians)).astype(np.float32)
        return self.at(down, right)

    def at(self, down_mm: NDArray[np.floating], right_mm: NDArray[np.floating]) -> F32:
        """Heart points float32 (..., 3) at rectangular places of the picture, in mm from the transducer."""
        down, right = np.asarray(down_mm, np.float32)[..., None], np.asarray(right_mm, np.float32)[..., None]
        position, depth, lateral = (v.astype(np.float32) for v in (self.position, self.depth, self.lateral))
        return np.asarray(position + down * depth + right * lateral, np.float32)


def plane(
    view: View,
    patient: Patient,
    *,
    seed: int = 0,
    error: float = 1.0,
    foreshortening_degrees: float | None = None,
    rotation_degrees: float | None = None,
    height: float = 0.5,
) -> Plane:
    """The plane of a view; `seed` draws the operator's errors, `error` scales them (0: a perfect operator).

    `foreshortening_degrees` tilts an apical plane off the long axis, `rotation_degrees` turns it about the beam's
    middle; both replace their draw. `height` is where a short axis cuts, 0 base to 1 apex.
    """
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, patient.seed, _PLANE_STREAM])))
    draws = rng.standard_normal(8) * error
    lv = Ventricle(patient)
    turn = float(np.deg2rad(rotation_degrees if rotation_degrees is not None else 5 * draws[0]))
    tilt = float(np.deg2rad(foreshortening_degrees if foreshortening_degrees is not None else 2.5 * draws[1]))
    shift = draws[2:5] * 1.5
    z_axis = np.array([0.0, 0.0, 1.0])
    match view:
        case View.PLAX:
            place = around(150, lv.radius_mm + lv.wall_mm + _CHEST_MM) + z_axis * 0.19 * lv.length_mm
            return _framed(place + shift, depth=-around(150), lateral=-z_axis, turn=turn, tilt=tilt)
        case View.PSAX:
            place = around(120, lv.radius_mm + lv.wall_mm + _CHEST_MM) + around(210, 9) + z_axis * height * lv.length_mm
            return _framed(place + shift, depth=-around(120), lateral=around(30), turn=turn, tilt=tilt)
        case View.SUBCOSTAL:
            place = around(214, lv.radius_mm + lv.wall_mm + 60) + z_axis * 0.12 * lv.length_mm
            return _framed(place + shift, depth=-around(214), lateral=z_axis, turn=turn, tilt=tilt)
    across = {View.A4C: 30, View.A2C: 90, View.A3C: 150, View.A5C: 30}[view]
    place = z_axis * (lv.length_mm + lv.apex_wall_mm + 14) + shift * np.array([1, 1, 0.5])
    # The mitral valve's middle lies off the axis, away from the aorta; the four chambers are centred on their septum.
    aim = around(_AORTIC, -0.06 * lv.radius_mm)
    if view is View.A5C:
        aim = around(120, 0.87 * skeleton(patient, lv).aortic_u)
    if view in (View.A4C, View.A5C):
        aim = aim + around(210, 9)
    return _framed(place, depth=aim - place, lateral=around(across), turn=turn, tilt=tilt)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Line:
    """An M-mode line: a beam of the PLAX plane, `angle_radians` to the picture's right of its middle."""

    level: Level
    plane: Plane
    angle_radians: float

    def points(self, depth_mm: NDArray[np.floating]) -> F32:
        """Heart points float32 (n, 3) at distances from the transducer."""
        return self.plane.points(depth_mm, np.full(np.shape(depth_mm), self.angle_radians))


def mmode_line(level: Level, patient: Patient) -> Line:
    """The M-mode line of a level in the PLAX plane of a perfect operator."""
    lv = Ventricle(patient)
    sector = plane(View.PLAX, patient, error=0.0)
    bones = skeleton(patient, lv)
    across = lv.radius_mm + lv.wall_mm + _CHEST_MM
    aim, target = {
        Level.LV: (across, _CHORDS * lv.length_mm),
        Level.MITRAL: (across, 15.0 * bones.mitral_scale),
        Level.AORTA: (across - bones.aortic_u - 1.0, -5.5),
    }[level]
    return Line(level=level, plane=sector, angle_radians=float(np.arctan2(sector.position[2] - target, aim)))


def around(degrees: float, radius: float = 1.0) -> NDArray[np.float64]:
    """A vector across the long axis, at an angle of the segments."""
    angle = np.deg2rad(degrees)
    return np.array([radius * np.cos(angle), radius * np.sin(angle), 0.0])


def _framed(
    position: NDArray[np.float64], *, depth: NDArray[np.float64], lateral: NDArray[np.float64], turn: float, tilt: float
) -> Plane:
    """A plane with orthonormal axes, turned about its depth axis, then tilted about its lateral one."""
    depth = depth / np.linalg.norm(depth)
    lateral = lateral - depth * (lateral @ depth)
    lateral = lateral / np.linalg.norm(lateral)
    normal = np.cross(depth, lateral)
    lateral = np.cos(turn) * lateral + np.sin(turn) * normal
    normal = np.cross(depth, lateral)
    depth = np.cos(tilt) * depth + np.sin(tilt) * normal
    return Plane(position=position, depth=depth, lateral=lateral)
