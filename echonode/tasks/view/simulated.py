"""What one simulated study shows the view network: every standard view, and pictures that are none.

The planned loops of the study come as they are; views that its protocol lacks (five chambers, subcostal) are added, a
loop with colour, the M-mode sheet, and two planes that miss the left ventricle: one beside it, one far from the heart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from echonode.core.clip import Clip, Mode
from echonode.phantom.acquire import acquire
from echonode.phantom.cohort import LoopPlan, Study
from echonode.phantom.heart import Heart, Label
from echonode.phantom.seeds import FIRST_OBJECT, generator_of, seed_of
from echonode.phantom.views import Plane, View
from echonode.phantom.views import plane as plane_of
from echonode.tasks.view.classes import OTHER
from echonode.tasks.view.prepare import prepared

ADDED: Final = (View.A5C, View.SUBCOSTAL)
COLOURED: Final = (View.PLAX, View.PSAX, View.A2C, View.A3C)
APART: Final = FIRST_OBJECT + 128  # seeds of what the protocol does not have
LEFT: Final = (Label.LV, Label.MYOCARDIUM, Label.LA)
MOST_LEFT: Final = 0.02  # of the sector: a plane that shows less of the left heart is no standard view
TRIES: Final = 12
SHEETS: Final = 3  # one study in three shows its M-mode sheet: it takes as long as four loops

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Shown:
    """Pictures uint8 (frames, side, side) of one recording, its class, and where it comes from (planned, added, sweep...)."""

    pictures: Bytes
    view: str
    kind: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """How loops are recorded: few frames over one beat, at a part of the scanner's raster (from, to).

    `varied` gives other operators than the study's own: planes with larger errors, short axes at any height.
    """

    frames: int = 4
    side: int = 128
    scale: tuple[float, float] = (0.32, 0.5)
    varied: bool = False


def shown(study: Study, recording: Recording) -> Iterator[Shown]:
    """Every recording of the study that has a picture."""
    chance = generator_of(seed_of(study.seed, study.index, APART))
    model = study.loops[0]
    plans = [("planned" if not plan.colour else "planned colour", plan) for plan in study.loops]
    plans += [("added", replace(model, view=view, colour=False)) for view in ADDED]
    coloured = COLOURED[int(chance.integers(len(COLOURED)))]
    plans.append(("added colour", replace(model, view=coloured, colour=True)))
    for number, (kind, plan) in enumerate(plans):
        own = plan if kind.startswith("planned") else replace(plan, seed=_seed(study, 1 + number))
        plane = _varied(own, chance) if recording.varied else None
        found = _recorded(own, recording, chance, plane)
        if found is None and plane is not None:
            found = _recorded(own, recording, chance, None)
        if found is not None:
            yield Shown(pictures=found, view=own.view.value, kind=kind)
    for number, (kind, nearest, farthest) in enumerate((("beside", 45.0, 110.0), ("away", 170.0, 260.0))):
        own = replace(model, colour=False, seed=_seed(study, 64 + number))
        plane = missing(own, chance, nearest_mm=nearest, farthest_mm=farthest)
        found = None if plane is None else _recorded(own, recording, chance, plane)
        if found is not None:
            yield Shown(pictures=found, view=OTHER, kind=kind)
    if study.sweeps and study.index % SHEETS == 0:
        found = _sheet(study, recording, chance)
        if found is not None:
            yield Shown(pictures=found, view=OTHER, kind="sweep")


def missing(plan: LoopPlan, chance: np.random.Generator, *, nearest_mm: float, farthest_mm: float) -> Plane | None:
    """A plane at a distance from a standard one that misses the left heart; None where none was found."""
    heart = Heart(plan.patient)
    for _ in range(TRIES):
        view = list(View)[int(chance.integers(len(View)))]
        standard = plane_of(view, plan.patient, seed=plan.seed)
        aside = chance.standard_normal(3)
        aside = aside / np.linalg.norm(aside) * chance.uniform(nearest_mm, farthest_mm)
        found = replace(standard, position=standard.position + aside)
        down = np.arange(10, 160, 8, dtype=np.float32)[:, None]
        angles = np.deg2rad(np.arange(-36, 37, 6, dtype=np.float32))[None]
        labels = heart.tissue(found.points(down, angles), 4.0).labels
        if float(np.isin(labels, LEFT).mean()) < MOST_LEFT:
            return found
    return None


def _varied(plan: LoopPlan, chance: np.random.Generator) -> Plane:
    """The plane of an operator with less luck."""
    return plane_of(
        plan.view, plan.patient, seed=plan.seed, error=float(chance.uniform(0.8, 2.0)),
        height=float(chance.uniform(0.25, 0.75)),
    )  # fmt: skip


def _recorded(plan: LoopPlan, recording: Recording, chance: np.random.Generator, plane: Plane | None) -> Bytes | None:
    # Persistence would mix frames that are far apart.
    machine = replace(plan.machine, persistence=0.0)
    low, high = recording.scale
    scale = float(chance.uniform(low, high))
    rows, columns = (2 * round(side * scale / 2) for side in (machine.rows, machine.columns))
    beat_ms = 60_000 / plan.patient.heart_rate_bpm
    try:
        made = acquire(
            plan.patient, view=plan.view, machine=machine, seed=plan.seed, frames=recording.frames,
            frame_time_ms=beat_ms / recording.frames, rows=rows, columns=columns, colour=plan.colour, labels=False,
            quality=plan.quality, plane=plane,
        )  # fmt: skip
    except ValueError:
        # That operator missed the mitral ring: the loop has no truth, and would teach a wrong view.
        return None
    mode = Mode.COLOUR if made.colour else Mode.B_MODE
    return _pictures(Clip(frames=made.frames, times_ms=made.times_ms, regions=made.regions, mode=mode), recording)


def _sheet(study: Study, recording: Recording, chance: np.random.Generator) -> Bytes | None:
    """The M-mode sheet as an object without regions shows it: one still, whole."""
    plan = study.sweeps[int(chance.integers(len(study.sweeps)))]
    rows, columns = (2 * round(side * 0.4 / 2) for side in (plan.machine.rows, plan.machine.columns))
    made = plan.sweep(rows=rows, columns=columns, seconds=float(chance.uniform(1.5, 3.0)))
    return _pictures(Clip(frames=made.frame[None], times_ms=np.zeros(1)), recording)


def _pictures(clip: Clip, recording: Recording) -> Bytes | None:
    found = prepared(clip, count=recording.frames, side=recording.side)
    if found is None:
        return None
    repeats = np.resize(np.arange(len(found.pictures)), recording.frames)
    return np.asarray(found.pictures[repeats], np.uint8)


def _seed(study: Study, number: int) -> int:
    return seed_of(study.seed, study.index, APART + number)
