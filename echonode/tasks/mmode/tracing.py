"""The order of work with the small networks: the level first, then walls, beats from R wave to R wave, good stretches only.

End-diastole is the onset of QRS, and without an ECG the largest cavity; end-systole is the smallest cavity of the same beat
(Lang et al., J Am Soc Echocardiogr 2015;28:1). R waves are read from a coloured ECG, else the tracer tells about where they
lie, from the motion. Diameters are read at those instants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from scipy.signal import find_peaks, savgol_filter

from echonode.core.results import Ineligible
from echonode.tasks.mmode.averaging import AT_LARGEST, AT_ONSET
from echonode.tasks.mmode.beats import MISSED_BEAT
from echonode.tasks.mmode.compact import JUDGED
from echonode.tasks.mmode.compact_networks import CompactNetworks, Trace
from echonode.tasks.mmode.ecg import Ecg
from echonode.tasks.mmode.examination import Examination, Instant, MeasuredBeat
from echonode.tasks.mmode.grid import Floats, Gridded, gridded
from echonode.tasks.mmode.networks import Counted, Networks
from echonode.tasks.mmode.prepare import Strip
from echonode.tasks.mmode.quality import Window, good_columns, sound_windows
from echonode.tasks.mmode.species import Species
from echonode.tasks.mmode.volumes import (
    ejection_fraction,
    fractional_shortening,
    mass,
    relative_wall,
    teichholz,
)
from echonode.tasks.mmode.windows import resized

LV: Final = "lv"
LEVEL_NAMES: Final = {"lv": "LV", "mitral": "mitral", "aorta": "aortic"}
CERTAIN: Final = 0.8
"""How likely the LV level must be."""
LIKELY: Final = 0.35  # of a phase's peak
WIDEST: Final = 6.0  # rows; a border whose answer is spread wider is not seen there
SMOOTHED: Final = 7  # columns of the grid
AROUND: Final = 1  # columns to either side that a diameter is read from
NEAR_DIASTOLE: Final = 0.12  # s to either side of where the motion has the R wave, for the largest diameter
CUT_OFF: Final = 3  # columns; a cavity that is smallest at the very end of the strip may become smaller still
NO_ECG: Final = Ecg()
SHORTEST_SYSTOLE, LONGEST_SYSTOLE = 0.12, 0.65  # s from the R wave to end-systole


@dataclass(frozen=True, kw_only=True, slots=True)
class Phases:
    """Places on the grid's column axis: end-diastoles, the R waves that intervals are counted from, end-systoles."""

    diastoles: tuple[float, ...]
    waves: tuple[float, ...]
    systoles: tuple[float, ...]


def examine(
    strip: Strip,
    networks: CompactNetworks,
    plain: Networks,
    *,
    species: Species,
    body_mass: float | None,
    told: Counted,
    ecg: Ecg = NO_ECG,
) -> Examination | Ineligible:
    """What can be measured in a strip; off the LV level its refusal, beside the heart rate.

    Without R waves in `ecg` they are known from the motion.
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
    walls = smooth(trace)
    phases = phases_of(trace, seconds=grid.seconds, species=species)
    if ecg.waves:
        onsets, waves = (tuple(grid.place_of(each) for each in columns) for columns in (ecg.onsets, ecg.waves))
        phases = Phases(diastoles=onsets, waves=waves, systoles=phases.systoles)
    else:
        largest = tuple(_largest(walls, place, seconds=grid.seconds) for place in phases.waves)
        phases = Phases(diastoles=largest, waves=phases.waves, systoles=phases.systoles)
    # What an ECG tells does not depend on how good the picture is.
    rates = _rates(phases, grid, np.ones_like(good) if ecg.waves else good, species=species)
    steady = [1 / rate.value for rate in rates if rate.good]
    heart_rate = 1 / float(np.mean(steady)) if steady else None
    if refusal is not None:
        return _examination(
            strip, species, body_mass, windows, judged, levels=levels, refusal=refusal, rates=tuple(rates),
            heart_rate=heart_rate, ecg=ecg, notes=_notes(networks, plain, levels=levels, ecg=ecg),
        )  # fmt: skip
    beats = _beats(walls, phases, rates, grid, good, species=species)
    lines = grid.to_strip(walls, length=length)
    shrink = grid.millimetres / calibration.millimetres
    borders = np.where(strip.valid, (lines + 0.5) * shrink, np.nan)
    upper, lower = borders[1], borders[2]
    return _examination(
        strip, species, body_mass, windows, judged, levels=levels, rates=tuple(rates), heart_rate=heart_rate,
        beats=tuple(beats), mask=_between(upper, lower, height=strip.grey.shape[0]),
        lvid=(lower - upper) * calibration.millimetres,
        notes=_notes(networks, plain, levels=levels, ecg=ecg), ecg=ecg, borders=borders,
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
    waves = _peaks(trace.diastole, distance)
    return Phases(diastoles=waves, waves=waves, systoles=_peaks(trace.systole, distance))


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
    intervals = [(end - start) * grid.seconds for start, end in pairwise(phases.waves)]
    usual = float(np.median(intervals)) if intervals else 0.0
    return [
        Instant(
            column=_column(start, grid, good),
            seconds=(start + 0.5) * grid.seconds,
            value=60.0 / interval,
            good=_all_good(start, end, grid, good),
        )
        for (start, end), interval in zip(pairwise(phases.waves), intervals, strict=True)
        if interval <= min(MISSED_BEAT * usual, species.longest_beat)
    ]


def _beats(
    walls: Floats, phases: Phases, rates: Sequence[Instant], grid: Gridded, good: NDArray[np.bool_], *, species: Species
) -> list[MeasuredBeat]:
    """A beat for each R wave that an end-systole follows; the last one need not be complete."""
    rate_at = {rate.column: rate for rate in rates}
    ends = (*phases.diastoles[1:], float(walls.shape[1]))
    found = []
    for start, wave, end in zip(phases.diastoles, phases.waves, ends, strict=True):
        first, last = (start + seconds / grid.seconds for seconds in (SHORTEST_SYSTOLE, LONGEST_SYSTOLE))
        if not any(first <= place <= min(last, end) for place in phases.systoles):
            continue  # the tracer saw no end-systole: what is smallest there is none
        emptiest = _smallest(walls, first, min(last, end - 1))
        if emptiest is None or emptiest >= walls.shape[1] - CUT_OFF:
            continue
        diastole, systole = _read(walls, start), _read(walls, emptiest)
        large, small = diastole[2] - diastole[1], systole[2] - systole[1]
        if not (np.isfinite([large, small]).all() and large > small > 0):
            continue
        found.append(
            _measured(
                grid, good, species, start=start, wave=wave, systole=emptiest, large=large * grid.millimetres,
                small=small * grid.millimetres, rate=rate_at.get(_column(wave, grid, good)),
                septum=(diastole[1] - diastole[0]) * grid.millimetres,
                posterior=(diastole[3] - diastole[2]) * grid.millimetres,
            )
        )  # fmt: skip
    return found


def _measured(
    grid: Gridded, good: NDArray[np.bool_], species: Species, *, start: float, wave: float, systole: float, large: float,
    small: float, rate: Instant | None, septum: float, posterior: float,
) -> MeasuredBeat:  # fmt: skip
    whole = _all_good(start, systole, grid, good)
    thickness = {
        name: float(value) if np.isfinite(value) and value > 0 else None
        for name, value in (("septum", septum), ("posterior", posterior))
    }
    walled = all(value is not None for value in thickness.values()) and species.formula_of_mass
    volumes = teichholz(np.array([large, small]) / species.diameter_mm)

    def instant(place: float, value: float, volume: float) -> Instant:
        return Instant(
            column=_column(place, grid, good),
            seconds=(place + 0.5) * grid.seconds,
            value=float(value),
            good=whole,
            volume=volume,
        )

    return MeasuredBeat(
        diastole=instant(start, large, float(volumes[0])),
        systole=instant(systole, small, float(volumes[1])),
        rate=rate,
        ejection_fraction=ejection_fraction(float(volumes[0]), float(volumes[1])),
        fractional_shortening=float(fractional_shortening(large, small)),
        good=whole,
        **thickness,
        mass=float(mass(lvid=large, septum=septum, posterior=posterior)) if walled else None,
        relative_wall=float(relative_wall(lvid=large, posterior=posterior)) if walled else None,
        complete=rate is not None,
        wave=grid.column_of(wave),
    )


def _largest(walls: Floats, place: float, *, seconds: float) -> float:
    """Where the cavity is largest about an R wave that is known from the motion alone."""
    near, reach = round(place), max(1, round(NEAR_DIASTOLE / seconds))
    first = max(0, near - reach)
    lvid = (walls[2] - walls[1])[first : near + reach + 1]
    return first + float(np.nanargmax(lvid)) if np.isfinite(lvid).any() else place


def _smallest(walls: Floats, first: float, last: float) -> float | None:
    """Where the cavity of one beat is smallest; None where it is not seen."""
    start = max(0, round(first))
    lvid = (walls[2] - walls[1])[start : max(0, round(last)) + 1]
    return start + float(np.nanargmin(lvid)) if np.isfinite(lvid).any() else None


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
    lvid: Floats | None = None, notes: Sequence[str] = (), ecg: Ecg = NO_ECG, borders: Floats | None = None,
) -> Examination:  # fmt: skip
    return Examination(
        preparation="clinical", mode="reference", species=species, body_mass=body_mass, strip=strip, mask=mask, lvid=lvid,
        windows=tuple(windows), probabilities=tuple(judged), diastoles=tuple(beat.diastole for beat in beats),
        systoles=tuple(beat.systole for beat in beats), rates=rates, beats=beats, levels=levels, refusal=refusal,
        heart_rate=heart_rate, notes=(*strip.notes, *notes), waves=ecg.waves, borders=borders,
        timing=AT_ONSET if ecg.waves else AT_LARGEST,
    )  # fmt: skip


def _notes(networks: CompactNetworks, plain: Networks, *, levels: dict[str, float] | None, ecg: Ecg) -> list[str]:
    notes = []
    if not ecg.waves:
        notes.append("R waves are known from the motion: no coloured ECG runs through the strip")
    if levels is None:
        notes.append("the level of the sweep was not judged: the package has no network for it")
    if not networks.judges and not plain.judges:
        notes.append("the quality of the strip was not judged: the package has no classifier")
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
