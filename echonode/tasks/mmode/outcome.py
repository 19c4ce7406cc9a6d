"""An examination as results: means over the good beats, the cavity as labels, and the reason for what there is not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from echonode.core.codes import Code
from echonode.core.results import Ineligible, LabelMap, Measurement, Result
from echonode.tasks.common.uncertainty import Limits, stated
from echonode.tasks.mmode import concepts
from echonode.tasks.mmode.averaging import EDGES
from echonode.tasks.mmode.examination import Examination, Instant

NO_LIMITS: Final[Mapping[str, Limits]] = MappingProxyType({})
LABEL: Final = 1
LIMITED: Final = {
    "lvid_d": "LVIDd", "lvid_s": "LVIDs", "heart_rate": "heart rate", "edv": "EDV", "esv": "ESV", "ejection_fraction": "EF",
    "fractional_shortening": "FS", "ivs_d": "IVSd", "lvpw_d": "LVPWd", "mass": "LV mass", "relative_wall": "RWT",
}  # fmt: skip
"""What the metrics of a package's locked test call each quantity."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantity:
    """What is reported under `name`: one value a beat or interval, read at the columns of `where`."""

    name: str
    concept: Code
    unit: Code
    values: Sequence[float]
    where: Sequence[Instant]
    method: Code | None = None
    site: Code | None = concepts.VENTRICLE


def results_of(
    examination: Examination, *, frames: int, rows: int, columns: int, limits: Mapping[str, Limits] = NO_LIMITS
) -> tuple[Result, ...]:
    """What the runner gives for a clip of that many frames of that size: means over beats, the cavity, and a refusal.

    Off the LV level, and where nothing is good, the heart rate of an ECG stands beside the refusal. `limits` are those of
    the package's locked test by the names of `LIMITED`.
    """
    if examination.refusal is not None:
        return (*_heart_rate(examination, limits), examination.refusal)
    if examination.lvid is None:
        return (_good_share(examination),) if examination.windows else (_level_alone(examination),)
    found = _measurements(examination, limits)
    if all(one.concept == concepts.HEART_RATE for one in found):
        return (*found, _nothing(examination))
    labels = _labels(examination, frames=frames, rows=rows, columns=columns)
    return (*found, labels) if labels is not None else tuple(found)


def _measurements(examination: Examination, limits: Mapping[str, Limits]) -> list[Measurement]:
    """Means over beats; only quantities that were measured at least once."""
    if examination.preparation == "published":
        return [*_published(examination, limits), *_heart_rate(examination, limits)]
    volume_unit = concepts.VOLUME_UNITS[examination.species.volume_unit]
    beats = examination.averaged.beats
    ends, smallest = [beat.diastole for beat in beats], [beat.systole for beat in beats]
    rows = (
        Quantity(name="lvid_d", concept=concepts.LVID_D, unit=concepts.MILLIMETRES, values=_values(ends), where=ends),
        Quantity(name="lvid_s", concept=concepts.LVID_S, unit=concepts.MILLIMETRES, values=_values(smallest), where=smallest),
        Quantity(
            name="ivs_d", concept=concepts.IVS_D, unit=concepts.MILLIMETRES, values=_known(b.septum for b in beats),
            where=ends, site=None,
        ),
        Quantity(
            name="lvpw_d", concept=concepts.LVPW_D, unit=concepts.MILLIMETRES, values=_known(b.posterior for b in beats),
            where=ends,
        ),
        Quantity(
            name="mass", concept=concepts.MASS, unit=concepts.GRAMS, values=_known(b.mass for b in beats), where=ends,
            method=concepts.MASS_BY_MMODE,
        ),
        Quantity(
            name="relative_wall", concept=concepts.RELATIVE_WALL, unit=concepts.ONE,
            values=_known(b.relative_wall for b in beats), where=ends,
        ),
        Quantity(
            name="edv", concept=concepts.EDV, unit=volume_unit, values=_volumes(ends), where=ends,
            method=concepts.TEICHHOLZ,
        ),
        Quantity(
            name="esv", concept=concepts.ESV, unit=volume_unit, values=_volumes(smallest), where=smallest,
            method=concepts.TEICHHOLZ,
        ),
        Quantity(
            name="ejection_fraction", concept=concepts.EJECTION_FRACTION, unit=concepts.PER_CENT,
            values=[beat.ejection_fraction for beat in beats], where=ends, method=concepts.TEICHHOLZ,
        ),
        Quantity(
            name="fractional_shortening", concept=concepts.SHORTENING, unit=concepts.PER_CENT,
            values=[beat.fractional_shortening for beat in beats], where=ends,
        ),
    )  # fmt: skip
    found = [_mean(examination, row, limits) for row in rows if len(row.values)]
    return [*found, *_heart_rate(examination, limits)]


def _published(examination: Examination, limits: Mapping[str, Limits]) -> list[Measurement]:
    """Means of what the authors' way finds, each for itself: it knows no beats."""
    good = [[one for one in some if one.good] for some in (examination.diastoles, examination.systoles)]
    rows = [
        Quantity(name=name, concept=concept, unit=concepts.MILLIMETRES, values=_values(where), where=where)
        for name, concept, where in zip(
            ("lvid_d", "lvid_s"), (concepts.LVID_D, concepts.LVID_S), good, strict=True
        )
    ]  # fmt: skip
    return [_mean(examination, row, limits) for row in rows if len(row.values)]


def _heart_rate(examination: Examination, limits: Mapping[str, Limits]) -> list[Measurement]:
    """The mean over the good intervals together, never what the scanner prints: that is a mean of other beats too."""
    good = [one for one in examination.rates if one.good]
    if not good:
        return []
    values = _values(good)
    value = float(np.mean(values)) if examination.heart_rate is None else examination.heart_rate
    source = "R waves of the ECG in the picture" if examination.waves else "motion of the walls, no ECG was read"
    row = Quantity(
        name="heart_rate",
        concept=concepts.HEART_RATE,
        unit=concepts.BEATS_A_MINUTE,
        values=values,
        where=good,
        site=None,
    )
    words = f"{len(good)} R-R interval{'s' if len(good) > 1 else ''}; timing: {source}"
    return [_mean(examination, row, limits, value=value, notes=(words,))]


def _mean(
    examination: Examination, row: Quantity, limits: Mapping[str, Limits], *, value: float | None = None,
    notes: tuple[str, ...] | None = None,
) -> Measurement:  # fmt: skip
    values = np.asarray(row.values, np.float64)
    return Measurement(
        concept=row.concept,
        value=float(values.mean()) if value is None else value,
        unit=row.unit,
        method=row.method,
        frames=tuple(sorted({examination.strip.frame_at(one.column) for one in row.where})),
        repeatability=float(values.std(ddof=1)) if len(values) > 1 else None,
        count=len(values),
        site=row.site,
        derivation=concepts.MEAN,
        notes=_said(examination, row, count=len(values)) if notes is None else notes,
        **stated(limits.get(row.name)),
    )


def _said(examination: Examination, row: Quantity, *, count: int) -> tuple[str, ...]:
    """What a reader must know of one value: how many beats, when, from which edge, and what model and rule it rests on."""
    beats = f"mean over {count} beat{'s' if count > 1 else ''}"
    notes = [f"{beats}; {examination.timing}; {EDGES}"]
    if examination.preparation == "clinical" and (few := examination.averaged.note) is not None:
        notes.append(few)
    if row.method == concepts.TEICHHOLZ:
        notes.append("Teichholz assumes a ventricle of one shape that contracts evenly")
    if (spread := examination.half_widths.get(row.name)) is not None:
        notes.append(f"samples of the network with dropout differ by +- {spread:.2g} {row.unit.value} (95 %)")
    return tuple(notes)


def _labels(examination: Examination, *, frames: int, rows: int, columns: int) -> LabelMap | None:
    """The cavity in the frames that the strip was made of, where they show it."""
    mask, calibration = examination.mask, examination.strip.calibration
    if mask is None:
        return None
    places = [(frame, place) for frame, place in examination.strip.places if frame < frames]
    labels = np.zeros((len(places), rows, columns), np.uint8)
    width = calibration.right - calibration.left
    for picture, (_, place) in zip(labels, places, strict=True):
        picture[calibration.box] = LABEL * mask[:, place : place + width]
    return LabelMap(labels=labels, frames=tuple(frame for frame, _ in places), segments={LABEL: concepts.CAVITY})


def _good_share(examination: Examination) -> Measurement:
    """What a classifier alone can say."""
    length = examination.strip.grey.shape[1]
    good = sum(
        window.stop - window.start
        for window, probability in zip(examination.windows, examination.probabilities, strict=True)
        if probability > 0.5
    )
    return Measurement(
        concept=concepts.GOOD_SHARE, value=good / length, unit=concepts.ONE,
        frames=tuple(sorted({frame for frame, _ in examination.strip.places})),
    )  # fmt: skip


def _nothing(examination: Examination) -> Ineligible:
    if examination.beats or examination.diastoles:
        return Ineligible(reason="no whole beat lies in a stretch of good quality", code="quality")
    return Ineligible(reason="no heart beat was found in the outline of the left ventricle", code="no-beats")


def _values(instants: Sequence[Instant]) -> list[float]:
    return [one.value for one in instants]


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _level_alone(examination: Examination) -> Ineligible:
    levels = examination.levels or {}
    said = ", ".join(f"{name} {share:.2f}" for name, share in levels.items())
    return Ineligible(reason=f"the package judges the level of a sweep and measures nothing: {said}", code="no-tracer")


def _volumes(instants: Sequence[Instant]) -> list[float]:
    return [one.volume for one in instants if one.volume is not None]
