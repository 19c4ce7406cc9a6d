"""The order of work with the small networks: the level first, then walls, beats from R wave to R wave, good stretches only.

End-diastole is the R wave and end-systole the smallest cavity after it (Lang et al., J Am Soc Echocardiogr 2015;28:1);
R waves are read from a coloured ECG, else found by the tracer, which knows them and end-systole from the motion. Diameters
are read at those instants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from scipy.signal import find_peaks, savgol_filter

from echonode.core.results import Ineligible
from echonode.tasks.mmode.beats import MISSED_BEAT
from echonode.tasks.mmode.clinical import FEWEST_BEATS
from echonode.tasks.mmode.compact import JUDGED
from echonode.tasks.mmode.compact_networks import CompactNetworks, Trace
from echonode.tasks.mmode.examination import Examination, Instant, MeasuredBeat
from echonode.tasks.mmode.grid import Floats, Gridded, gridded
from echonode.tasks.mmode.networks import Counted, Networks
from echonode.tasks.mmode.prepare import Strip
from echonode.tasks.mmode.quality import Window, good_columns, sound_windows
from echonode.tasks.mmode.species import Species
from echonode.tasks.mmode.volumes import ejection_fraction, fractional_shortening, teichholz
from echonode.tasks.mmode.windows import resized

LV: Final = "lv"
LEVEL_NAMES: Final = {"lv": "LV", "mitral": "mitral", "aorta": "aortic"}
CERTAIN: Final = 0.8
"""How likely the LV level must be."""
LIKELY: Final = 0.35  # of a phase's peak
WIDEST: Final = 6.0  # rows; a border whose answer is spread wider is not seen there
SMOOTHED: Final = 7  # columns of the grid
AROUND: Final = 1  # columns to either side that a diameter is read from
NEAR_SYSTOLE: Final = 8  # columns to either side of end-systole, in which the smallest diameter is looked for
SHORTEST_SYSTOLE, LONGEST_SYSTOLE = 0.12, 0.65  # s from the R wave to end-systole


@dataclass(frozen=True, kw_only=True, slots=True)
class Phases:
    """Places of end-diastoles and end-systoles on the grid's column axis."""

    diastoles: tuple[float, ...]
    systoles: tuple[float, ...]


def examine(
    strip: Strip,
    networks: CompactNetworks,
    plain: Networks,
    *,
    species: Species,
    body_mass: float | None,
    told: Counted,
    waves: Sequence[float] = (),
) -> Examination | Ineligible:
    """What can be measured in a strip; off the LV level its refusal, beside the heart rate.

    `waves`: columns of the strip where the ECG has R waves; without them they are known from the motion.
    """
    calibration = strip.calibration
    try:
        grid = gridded(strip.grey, millimetres=calibration.millimetres, seconds=calibration.seconds)
    except ValueError as error:
        return Ineligible(reason=str(error), code="calibration")
    levels = networks.level(grid)
    refusal = _level_refusal(levels)
    windows, judged = _judged(strip, grid, networks, plain)
    length = strip.grey.shape[1]
    good = good_columns(windows, judged, length=length) if windows else np.ones(length, np.bool_)
    good &= strip.valid
    told()
    if networks.tracer is None:
        return _examination(strip, species, body_mass, windows, judged, levels=levels)
    trace = networks.trace(grid)
    phases = phases_of(trace, seconds=grid.seconds, species=species)
    if waves:
        phases = replace(phases, diastoles=tuple((wave + 0.5) / grid.stretch - 0.5 for wave in waves))
    rates = _rates(phases, grid, good, species=species)
    steady = [1 / rate.value for rate in rates if rate.good]
    heart_rate = 1 / float(np.mean(steady)) if steady else None
    if refusal is not None:
        return _examination(
            strip, species, body_mass, windows, judged, levels=levels, refusal=refusal, rates=tuple(rates),
            heart_rate=heart_rate,
        )  # fmt: skip
    walls = smooth(trace)
    beats = _beats(walls, phases, rates, grid, good, species=species)
    lines = grid.to_strip(walls, length=length)
    shrink = grid.millimetres / calibration.millimetres
    upper, lower = ((lines[row] + 0.5) * shrink for row in (1, 2))
    unseen = ~strip.valid
    upper[unseen], lower[unseen] = np.nan, np.nan
    kept = [beat for beat in beats if beat.good]
    return _examination(
        strip, species, body_mass, windows, judged, levels=levels, rates=tuple(rates), heart_rate=heart_rate,
        beats=tuple(beats), mask=_between(upper, lower, height=strip.grey.shape[0]),
        lvid=(lower - upper) * calibration.millimetres,
        notes=_notes(networks, plain, levels=levels, kept=len(kept), waves=bool(waves)),
    )  # fmt: skip


def smooth(trace: Trace) -> Floats:
    """The walls without spikes; NaN where the answer is spread too wide to be one."""
    calm = median_filter(trace.walls, size=(1, 3), mode="nearest")
    if calm.shape[1] >= SMOOTHED:
        calm = savgol_filter(calm, SMOOTHED, 2, axis=1, mode="nearest")
    return np.where(trace.spread > WIDEST, np.nan, calm)


def phases_of(trace: Trace, *, seconds: float, species: Species) -> Phases:
    """Where the R waves and end-systoles lie, between columns."""
    distance = max(1.0, species.shortest_beat / seconds)
    return Phases(diastoles=_peaks(trace.diastole, distance), systoles=_peaks(trace.systole, distance))


def _peaks(likely: Floats, distance: float) -> tuple[float, ...]:
    """Peaks to a fraction of a column: the centre of what is likely about each; one may lie at the strip's end."""
    padded = np.concatenate(([0.0], likely, [0.0]))
    found, _ = find_peaks(padded, height=LIKELY, distance=distance)
    places = []
    for peak in found - 1:
        near = np.arange(max(0, peak - 4), min(len(likely), peak + 5))
        weight = likely[near] ** 2
        places.append(float((near * weight).sum() / weight.sum()))
    return tuple(places)


def _rates(phases: Phases, grid: Gridded, good: NDArray[np.bool_], *, species: Species) -> list[Instant]:
    """The heart rate of each interval that is one beat; a much longer one has an R wave that was not seen."""
    intervals = [(end - start) * grid.seconds for start, end in pairwise(phases.diastoles)]
    usual = float(np.median(intervals)) if intervals else 0.0
    return [
        Instant(
            column=_column(start, grid, good),
            seconds=(start + 0.5) * grid.seconds,
            value=60.0 / interval,
            good=_all_good(start, end, grid, good),
        )
        for (start, end), interval in zip(pairwise(phases.diastoles), intervals, strict=True)
        if interval <= min(MISSED_BEAT * usual, species.longest_beat)
    ]


def _beats(
    walls: Floats, phases: Phases, rates: Sequence[Instant], grid: Gridded, good: NDArray[np.bool_], *, species: Species
) -> list[MeasuredBeat]:
    """A beat for each R wave that an end-systole follows; the last one need not be whole."""
    rate_at = {rate.column: rate for rate in rates}
    ends = (*phases.diastoles[1:], float(walls.shape[1]))
    found = []
    for start, end in zip(phases.diastoles, ends, strict=True):
        after = [
            place for place in phases.systoles
            if SHORTEST_SYSTOLE <= (place - start) * grid.seconds <= LONGEST_SYSTOLE and place < end
        ]  # fmt: skip
        if not after:
            continue
        diastole, emptiest = _read(walls, start), _smallest(walls, after[0])
        systole = _read(walls, emptiest)
        large, small = diastole[2] - diastole[1], systole[2] - systole[1]
        if not (np.isfinite([large, small]).all() and large > small > 0):
            continue
        found.append(
            _measured(
                grid, good, species, start=start, systole=emptiest, large=large * grid.millimetres,
                small=small * grid.millimetres, rate=rate_at.get(_column(start, grid, good)),
                septum=(diastole[1] - diastole[0]) * grid.millimetres,
                posterior=(diastole[3] - diastole[2]) * grid.millimetres,
            )
        )  # fmt: skip
    return found


def _measured(
    grid: Gridded, good: NDArray[np.bool_], species: Species, *, start: float, systole: float, large: float, small: float,
    rate: Instant | None, septum: float, posterior: float,
) -> MeasuredBeat:  # fmt: skip
    whole = _all_good(start, systole, grid, good)
    volumes = teichholz(np.array([large, small]) / species.diameter_mm)

    def instant(place: float, value: float, volume: float) -> Instant:
        return Instant(
            column=_column(place, grid, good),
            seconds=(place + 0.5) * grid.seconds,
            value=value,
            good=whole,
            volume=volume,
        )

    return MeasuredBeat(
        diastole=instant(start, large, float(volumes[0])),
        systole=instant(systole, small, float(volumes[1])),
        rate=rate,
        ejection_fraction=ejection_fraction(float(volumes[0]), float(volumes[1])),
        fractional_shortening=fractional_shortening(large, small),
        good=whole,
        septum=septum if np.isfinite(septum) and septum > 0 else None,
        posterior=posterior if np.isfinite(posterior) and posterior > 0 else None,
    )


def _smallest(walls: Floats, place: float) -> float:
    """Where the cavity is smallest about end-systole."""
    near = round(place)
    first = max(0, near - NEAR_SYSTOLE)
    lvid = (walls[2] - walls[1])[first : near + NEAR_SYSTOLE + 1]
    return first + float(np.nanargmin(lvid)) if np.isfinite(lvid).any() else place


def _read(walls: Floats, place: float) -> Floats:
    """The walls' rows at a place, from the columns about it; NaN where none of them has them."""
    near = round(place)
    part = walls[:, max(0, near - AROUND) : min(walls.shape[1], near + AROUND + 1)]
    seen = np.isfinite(part)
    count = seen.sum(axis=1)
    total = np.where(seen, part, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _judged(
    strip: Strip, grid: Gridded, networks: CompactNetworks, plain: Networks
) -> tuple[tuple[Window, ...], tuple[float, ...]]:
    """Stretches of the strip with the probability that each is good; none without a judge."""
    height, length = strip.grey.shape
    if networks.judges:
        said = networks.good(grid)
        edges = np.clip(np.rint(np.arange(len(said) + 1) * JUDGED * grid.stretch), 0, length).astype(int)
        edges[-1] = length
        windows = [
            Window(top=0, bottom=height, left=int(left), right=int(right), start=int(left), stop=int(right))
            for left, right in pairwise(edges)
        ]
        return tuple(windows), tuple(float(value) for value in said)
    if not plain.judges:
        return (), ()
    windows = sound_windows(height=height, length=length, share=1.0, centre=None)
    pictures = [resized(window.cut(strip.grey)) for window in windows]
    return tuple(windows), tuple(plain.quality(pictures, mode="reference", preparation="clinical"))


def _level_refusal(levels: dict[str, float] | None) -> Ineligible | None:
    if levels is None or levels[LV] >= CERTAIN:
        return None
    likeliest = max(levels, key=lambda name: levels[name])
    if likeliest == LV:
        reason = f"the level of the sweep is not certain (LV {levels[LV]:.2f}): LVID is measured at the LV level alone"
    else:
        reason = (
            f"the sweep is at the {LEVEL_NAMES[likeliest]} level ({levels[likeliest]:.2f}): LVID is measured at the LV "
            "level alone, just below the tips of the mitral leaflets"
        )
    return Ineligible(reason=reason, code="level")


def _examination(
    strip: Strip, species: Species, body_mass: float | None, windows: Sequence[Window], judged: Sequence[float], *,
    levels: dict[str, float] | None, refusal: Ineligible | None = None, rates: tuple[Instant, ...] = (),
    heart_rate: float | None = None, beats: tuple[MeasuredBeat, ...] = (), mask: NDArray[np.bool_] | None = None,
    lvid: Floats | None = None, notes: Sequence[str] = (),
) -> Examination:  # fmt: skip
    return Examination(
        preparation="clinical", mode="reference", species=species, body_mass=body_mass, strip=strip, mask=mask, lvid=lvid,
        windows=tuple(windows), probabilities=tuple(judged), diastoles=tuple(beat.diastole for beat in beats),
        systoles=tuple(beat.systole for beat in beats), rates=rates, beats=beats, levels=levels, refusal=refusal,
        heart_rate=heart_rate, notes=(*strip.notes, *notes),
    )  # fmt: skip


def _notes(
    networks: CompactNetworks, plain: Networks, *, levels: dict[str, float] | None, kept: int, waves: bool
) -> list[str]:
    notes = []
    if not waves:
        notes.append("R waves are known from the motion: no coloured ECG runs through the strip")
    if levels is None:
        notes.append("the level of the sweep was not judged: the package has no network for it")
    if not networks.judges and not plain.judges:
        notes.append("the quality of the strip was not judged: the package has no classifier")
    if kept < FEWEST_BEATS:
        notes.append(f"{kept} whole beats in good stretches; three or more are usually averaged")
    return notes


def _between(upper: Floats, lower: Floats, *, height: int) -> NDArray[np.bool_]:
    rows = np.arange(height)[:, None] + 0.5
    with np.errstate(invalid="ignore"):
        mask: NDArray[np.bool_] = (rows >= upper) & (rows < lower)
    return mask


def _column(place: float, grid: Gridded, good: NDArray[np.bool_]) -> int:
    return int(np.clip(round(grid.column_of(place)), 0, len(good) - 1))


def _all_good(start: float, end: float, grid: Gridded, good: NDArray[np.bool_]) -> bool:
    return bool(good[_column(start, grid, good) : _column(end, grid, good) + 1].all())
