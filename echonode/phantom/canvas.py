"""The points of one call as they are being told what they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from echonode.phantom.tissue import Label
from echonode.phantom.ventricle import F32

Indices = NDArray[np.intp]
Axes = tuple[F32, F32, F32]
"""x, y and z of points."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Canvas:
    """Labels uint8 (n,), material float32 (3, n), specular float32 (n,), filled in by one structure after another."""

    labels: NDArray[np.uint8]
    material: F32
    specular: F32

    def paint(self, where: Indices, label: Label, *, material: Axes | None, specular: float = 0) -> None:
        """Mark points as one kind of tissue; `material` None leaves theirs as it is."""
        self.labels[where] = label
        self.specular[where] = specular
        if material is not None:
            for axis, values in enumerate(material):
                self.material[axis, where] = values


def axes(x: NDArray[np.floating], y: NDArray[np.floating], z: NDArray[np.floating]) -> Axes:
    """Three arrays as float32 axes, not copied when they are float32 already."""
    return np.asarray(x, np.float32), np.asarray(y, np.float32), np.asarray(z, np.float32)


def chosen(places: Axes, which: Indices) -> Axes:
    """Some of the points."""
    return places[0][which], places[1][which], places[2][which]
