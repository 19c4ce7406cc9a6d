"""What was read from one M-mode strip, whichever way it was prepared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echonode.core.results import Ineligible
from echonode.tasks.mmode.averaging import EDGES, Averaged
from echonode.tasks.mmode.prepare import Strip
from echonode.tasks.mmode.quality import GOOD, Spread, Window, good_columns
from echonode.tasks.mmode.species import Species


@dataclass(frozen=True, kw_only=True, slots=True)
class Instant:
    """A number read at one column of the strip: mm or beats a minute; the volume that belongs to a diameter."""

    column: int
    seconds: float
    value: float
    good: bool
    volume: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredBeat:
    """One beat with what follows from its two diameters; fractions in per cent.

    `septum` and `posterior` are the walls' thickness at end-diastole in mm, where they were traced; `mass` in g and
    `relative_wall` follow from both. `complete`: the strip shows it from its R wave (or end-diastole) to the next one.
    `wave` is the column of its R wave, where an ECG tells it.
    """

    diastole: Instant
    systole: Instant
    rate: Instant | None
    ejection_fraction: float
    fractional_shortening: float
    good: bool
    septum: float | None = None
    posterior: float | None = None
    mass: float | None = None
    relative_wall: float | None = None
    complete: bool = True
    wave: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Examination:
    """Everything that was read from a strip.

    `mask` bool (H, L) and `lvid` float64 (L,) in mm are None without a segmenter. `beats` is empty in the published
    preparation, which finds `diastoles`, `systoles` and `rates` each for itself. `probabilities` go with `windows`;
    both are empty without a classifier, and everything then counts as good. `half_widths`: 95 % limits by the name of
    a quantity, from the samples of `mc`. `levels`: how likely the sweep lies at each level, where that was judged;
    `refusal` says why there are no diameters then. `heart_rate` in beats a minute is over all good intervals together;
    where it is None, the mean of `rates` stands for it. `waves` are columns of the R waves that an ECG in the picture
    shows; `timing` says in words what end-diastole is taken from. `borders` float64 (2 or 4, L) are rows of the strip,
    NaN where unseen.
    """

    preparation: str
    mode: str
    species: Species
    body_mass: float | None
    strip: Strip
    mask: NDArray[np.bool_] | None
    lvid: NDArray[np.float64] | None
    windows: tuple[Window, ...]
    probabilities: tuple[float, ...]
    diastoles: tuple[Instant, ...] = ()
    systoles: tuple[Instant, ...] = ()
    rates: tuple[Instant, ...] = ()
    beats: tuple[MeasuredBeat, ...] = ()
    half_widths: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    levels: Mapping[str, float] | None = None
    refusal: Ineligible | None = None
    heart_rate: float | None = None
    waves: tuple[float, ...] = ()
    timing: str = ""
    borders: NDArray[np.float64] | None = None

    def spread(self, instants: Sequence[Instant]) -> Spread:
        """Statistics of those that lie in good stretches."""
        return Spread.of([instant.value for instant in instants if instant.good])

    @property
    def good_beats(self) -> tuple[MeasuredBeat, ...]:
        """Beats that lie in good stretches from one end-diastole to the next."""
        return tuple(beat for beat in self.beats if beat.good)

    @property
    def averaged(self) -> Averaged:
        """The beats that means are taken over."""
        return Averaged.of(self.good_beats, [60.0 / rate.value for rate in self.rates if rate.good])

    @property
    def good_share(self) -> float | None:
        """Share of the strip in stretches of good quality; None without a classifier."""
        if not self.windows:
            return None
        good = good_columns(self.windows, self.probabilities, length=self.strip.grey.shape[1])
        return float(good.mean())

    def as_dict(self) -> dict[str, Any]:
        """Everything but the pictures, as plain JSON values."""
        calibration = self.strip.calibration
        return {
            "preparation": self.preparation,
            "mode": self.mode,
            "species": self.species.name,
            "body_mass_g": self.body_mass,
            "strip": {
                "rows": int(self.strip.grey.shape[0]),
                "columns": int(self.strip.grey.shape[1]),
                "seconds": self.strip.duration,
                "seconds_per_column": calibration.seconds,
                "millimetres_per_row": calibration.millimetres,
                "calibration": calibration.basis,
                "box": [calibration.left, calibration.top, calibration.right - 1, calibration.bottom - 1],
                "frames": [frame for frame, _ in self.strip.places],
            },
            "quality": [
                {
                    "from_column": window.start,
                    "to_column": window.stop,
                    "probability": probability,
                    "good": probability > GOOD,
                }
                for window, probability in zip(self.windows, self.probabilities, strict=True)
            ],
            "lvid_mm": None if self.lvid is None else [None if np.isnan(v) else round(float(v), 6) for v in self.lvid],
            "end_diastole": [_instant(one, self.species) for one in self.diastoles],
            "end_systole": [_instant(one, self.species) for one in self.systoles],
            "heart_rate": [_instant(one, None) for one in self.rates],
            "beats": [_beat(beat, self.species) for beat in self.beats],
            "beats_averaged": self.averaged.as_dict(),
            "timing": self.timing,
            "edges": EDGES,
            "r_waves": [{"column": wave, "seconds": wave * calibration.seconds} for wave in self.waves],
            "good_share": self.good_share,
            "statistics": {
                name: _spread(self.spread(instants))
                for name, instants in (
                    ("lvid_d_mm", self.diastoles), ("lvid_s_mm", self.systoles), ("heart_rate_bpm", self.rates),
                )
            },
            "half_widths_95": dict(self.half_widths),
            "level": None if self.levels is None else max(self.levels, key=lambda name: (self.levels or {})[name]),
            "levels": None if self.levels is None else dict(self.levels),
            "heart_rate_bpm": self.heart_rate,
            "notes": list(self.notes),
        }  # fmt: skip


def _instant(one: Instant, species: Species | None) -> dict[str, Any]:
    found = {"column": one.column, "seconds": one.seconds, "value": one.value, "good": one.good}
    if species is not None and one.volume is not None:
        found[f"volume_{species.volume_unit}"] = one.volume
    return found


def _beat(beat: MeasuredBeat, species: Species) -> dict[str, Any]:
    return {
        "r_wave_column": beat.wave,
        "column": beat.diastole.column,
        "seconds": beat.diastole.seconds,
        "lvid_d_mm": beat.diastole.value,
        "lvid_s_mm": beat.systole.value,
        "lvid_s_column": beat.systole.column,
        "lvid_s_seconds": beat.systole.seconds,
        f"edv_{species.volume_unit}": beat.diastole.volume,
        f"esv_{species.volume_unit}": beat.systole.volume,
        "ejection_fraction_percent": beat.ejection_fraction,
        "fractional_shortening_percent": beat.fractional_shortening,
        "heart_rate_bpm": None if beat.rate is None else beat.rate.value,
        "ivs_d_mm": beat.septum,
        "lvpw_d_mm": beat.posterior,
        "lv_mass_g": beat.mass,
        "relative_wall_thickness": beat.relative_wall,
        "good": beat.good,
        "complete": beat.complete,
    }


def _spread(spread: Spread) -> dict[str, float]:
    return {"median": spread.median, "mean": spread.mean, "max": spread.largest, "min": spread.smallest}
