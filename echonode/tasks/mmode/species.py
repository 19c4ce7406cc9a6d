"""What differs between the species that M-mode is recorded of: how fast a heart beats, and how large a ventricle is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

GRAMS_A_KILOGRAM: Final = 1000.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Species:
    """`shortest_beat` in s: two end-diastoles cannot be closer. `longest_beat` in s: nothing lies unseen between them.

    Volumes are in `volume_unit` when the diameter is given in units of `diameter_mm` millimetres (Teichholz's formula
    is one of cm and mL; the same numbers hold for mm and uL). `mass_steps`: body mass in g below which the window of
    the quality classifier is that share of the strip's height.
    """

    name: str
    shortest_beat: float
    longest_beat: float
    diameter_mm: float
    volume_unit: str
    mass_steps: tuple[tuple[float, float], ...] = ()
    heaviest: float = math.inf
    formula_of_mass: bool = False
    """Whether the cube formula of the ventricle's mass was made for it."""

    def share_of_height(self, body_mass: float | None) -> float:
        """How wide a quality window is, as a share of the strip's height, for a body mass in g."""
        if body_mass is None:
            return 1.0
        return next((share for limit, share in self.mass_steps if body_mass < limit), 1.0)


MOUSE: Final = Species(
    name="mouse", shortest_beat=0.055, longest_beat=0.4, diameter_mm=1.0, volume_unit="uL",
    mass_steps=((15, 0.5), (25, 0.6), (35, 0.75), (45, 0.9)), heaviest=100.0,
)  # fmt: skip
HUMAN: Final = Species(
    name="human", shortest_beat=0.3, longest_beat=2.5, diameter_mm=10.0, volume_unit="mL", formula_of_mass=True
)
SPECIES: Final = {species.name: species for species in (MOUSE, HUMAN)}


def species_of(*, stated: str | None, body_mass: float | None) -> Species | None:
    """The species that is stated, else the only one that a body mass in g leaves possible; None when nothing tells.

    No human is lighter than 100 g and no mouse heavier.
    """
    if stated is not None:
        return SPECIES.get(stated)
    if body_mass is None:
        return None
    return MOUSE if body_mass < MOUSE.heaviest else HUMAN


def body_mass_of_header(kilograms: float | None) -> float | None:
    """Patient's Weight (0010,1030), which is in kg, in g; None for a value that is no weight."""
    if kilograms is None or not math.isfinite(kilograms) or kilograms <= 0:
        return None
    return GRAMS_A_KILOGRAM * kilograms
