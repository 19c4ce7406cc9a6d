"""The points of one call as they are being told what they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from echonode.phantom.tissue import Label
from echonode.phantom.ventricle import F32

Indices = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Canvas:
    """Labels uint8 (n,), material float32 (3, n), specular float32 (n,), filled in by one structure after another."""

    labels: NDArray[np.uint8]
    material: F32
    specular: F32

    def paint(
        self, where: Indices, label: Label, *, material: tuple[F32, F32, F32] | None, specular: float = 0
    ) -> None:
        """Mark points as one kind of tissue; `material` None leaves theirs as it is."""
        self.labels[where] = label
        self.specular[where] = specular
        if material is not None:
            for axis, values in enumerate(material):
                self.material[axis, where] = values
