"""Which beats a value is a mean of: three complete ones at least, five where the rhythm is irregular.

Lang et al., J Am Soc Echocardiogr 2015;28:1: three beats in sinus rhythm, five in atrial fibrillation. A strip of two
seconds cannot show as many: its value is given all the same, with its number of beats and a note that says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from echonode.tasks.mmode.examination import MeasuredBeat

FEWEST: Final = 3
FEWEST_IRREGULAR: Final = 5
IRREGULAR: Final = 0.15  # of the mean R-R interval, from the shortest to the longest
AT_ONSET: Final = "end-diastole at the onset of QRS of the ECG in the picture"
AT_LARGEST: Final = "no ECG was read: end-diastole at the largest diameter"
PUBLISHED_TIMING: Final = "every peak of the diameter that is 85 columns from the next, as published"
EDGES: Final = "inner edge to inner edge (from blood to tissue)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Averaged:
    """The `beats` that means are taken over, how many of them are `complete`, and how many there should be.

    `variation` is how much R-R intervals vary, as a share of their mean; None with fewer than two.
    """

    beats: tuple[MeasuredBeat, ...]
    complete: int
    needed: int
    variation: float | None

    @classmethod
    def of(cls, beats: Sequence[MeasuredBeat], intervals: Sequence[float]) -> Averaged:
        """Complete beats; where they are too few, also those that show end-diastole and end-systole but not their end."""
        variation = float(np.ptp(intervals) / np.mean(intervals)) if len(intervals) > 1 else None
        needed = FEWEST_IRREGULAR if variation is not None and variation > IRREGULAR else FEWEST
        complete = [beat for beat in beats if beat.complete]
        used = complete if len(complete) >= needed else beats
        return cls(beats=tuple(used), complete=len(complete), needed=needed, variation=variation)

    @property
    def note(self) -> str | None:
        """What a reader must know of the number of beats; None where there are enough."""
        count = len(self.beats)
        if not count or self.complete >= self.needed:
            return None
        words = f"{count} beat{'s' if count > 1 else ''}"
        if self.complete < count:
            words += f", {self.complete} of them complete"
        words += f": fewer than {self.needed} complete beats"
        if self.variation is not None and self.needed > FEWEST:
            words += f" (R-R varies by {100 * self.variation:.0f} %)"
        return words

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "count": len(self.beats), "complete": self.complete, "needed": self.needed,
            "rr_variation": self.variation, "note": self.note,
        }  # fmt: skip
