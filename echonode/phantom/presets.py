"""What is recorded of a simulated patient: examination protocols as tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from echonode.phantom.views import Level, View

TERRITORIES: Mapping[str, tuple[int, ...]] = {
    "LAD": (1, 2, 7, 8, 13, 14, 17),
    "LCX": (5, 6, 11, 12, 16),
    "RCA": (3, 4, 9, 10, 15),
}
"""AHA segments by the coronary artery that usually feeds them (Cerqueira et al., Circulation 2002;105:539)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One stage of a stress protocol.

    `rate_share` is how far the heart rate has risen from rest (0) to the target (1), which is 85 % of 220 less the age.
    `ejection_gain` is added to the ejection fraction of a healthy response, `filling` multiplies the EDV. `ischaemia` is
    how bad the worst segment of an ischaemic territory gets: a wall motion score, 1 for not yet.
    """

    name: str
    rate_share: float
    ejection_gain: float
    filling: float
    ischaemia: int


@dataclass(frozen=True, kw_only=True, slots=True)
class LoopRow:
    """One loop of a protocol."""

    view: View
    colour: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Preset:
    """A protocol: `loops` are recorded in every stage (or once), then `sweeps`; each loop shows about `beats` beats."""

    name: str
    title: str
    loops: tuple[LoopRow, ...]
    sweeps: tuple[Level, ...] = ()
    stages: tuple[Stage, ...] = ()
    beats: float = 2.0

    @property
    def objects(self) -> int:
        """How many objects a study has."""
        return len(self.loops) * max(len(self.stages), 1) + len(self.sweeps)


DOBUTAMINE = (
    Stage(name="Baseline", rate_share=0.0, ejection_gain=0, filling=1.0, ischaemia=1),
    Stage(name="Low dose", rate_share=0.3, ejection_gain=4, filling=0.98, ischaemia=1),
    Stage(name="Peak dose", rate_share=1.0, ejection_gain=9, filling=0.90, ischaemia=3),
    Stage(name="Recovery", rate_share=0.25, ejection_gain=3, filling=0.97, ischaemia=2),
)

PRESETS: Mapping[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            name="routine",
            title="Simulated transthoracic echocardiogram",
            loops=(
                LoopRow(view=View.PLAX),
                LoopRow(view=View.PSAX),
                LoopRow(view=View.A4C),
                LoopRow(view=View.A2C),
                LoopRow(view=View.A3C),
                LoopRow(view=View.A4C, colour=True),
            ),
            sweeps=(Level.LV, Level.MITRAL, Level.AORTA),
        ),
        Preset(
            name="stress",
            title="Simulated stress echocardiogram",
            loops=(
                LoopRow(view=View.PLAX),
                LoopRow(view=View.PSAX),
                LoopRow(view=View.A4C),
                LoopRow(view=View.A2C),
            ),
            stages=DOBUTAMINE,
            beats=1.15,
        ),
        Preset(
            name="quick",
            title="Simulated focused echocardiogram",
            loops=(LoopRow(view=View.PLAX), LoopRow(view=View.A4C), LoopRow(view=View.A2C)),
            sweeps=(Level.LV,),
            beats=1.5,
        ),
    )
}
"""Every protocol by its name."""
