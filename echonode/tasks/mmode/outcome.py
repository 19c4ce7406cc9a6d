"""An examination as results: medians over the good beats, the cavity as labels, or the reason why there is nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from echonode.core.codes import Code
from echonode.core.results import Ineligible, LabelMap, Measurement, Result
from echonode.tasks.mmode import concepts
from echonode.tasks.mmode.examination import Examination, Instant

LABEL: Final = 1


def results_of(examination: Examination, *, frames: int, rows: int, columns: int) -> tuple[Result, ...]:
    """What the runner gives for a clip of that many frames of that size."""
    if examination.refusal is not None:
        return (examination.refusal,)
    if examination.lvid is None:
        return (_good_share(examination),) if examination.windows else (_level_alone(examination),)
    found = _measurements(examination)
    if not found:
        return (_nothing(examination),)
    labels = _labels(examination, frames=frames, rows=rows, columns=columns)
    return (*found, labels) if labels is not None else tuple(found)


def _measurements(examination: Examination) -> list[Measurement]:
    """Medians; only quantities that were measured at least once."""
    volume_unit = concepts.VOLUME_UNITS[examination.species.volume_unit]
    beats = examination.good_beats
    good = {
        name: [one for one in instants if one.good]
        for name, instants in (
            ("d", examination.diastoles), ("s", examination.systoles), ("rate", examination.rates),
        )
    }  # fmt: skip
    rows: list[tuple[str, Code, Sequence[float], Code, Code | None, Sequence[Instant]]] = [
        ("lvid_d", concepts.LVID_D, _values(good["d"]), concepts.MILLIMETRES, None, good["d"]),
        ("lvid_s", concepts.LVID_S, _values(good["s"]), concepts.MILLIMETRES, None, good["s"]),
        (
            "heart_rate",
            concepts.HEART_RATE,
            _rates(examination, good["rate"]),
            concepts.BEATS_A_MINUTE,
            None,
            good["rate"],
        ),
    ]
    if beats:
        ends, smallest = [beat.diastole for beat in beats], [beat.systole for beat in beats]
        rows += [
            ("edv", concepts.EDV, _volumes(ends), volume_unit, concepts.TEICHHOLZ, ends),
            ("esv", concepts.ESV, _volumes(smallest), volume_unit, concepts.TEICHHOLZ, smallest),
            (
                "ejection_fraction", concepts.EJECTION_FRACTION, [beat.ejection_fraction for beat in beats],
                concepts.PER_CENT, concepts.TEICHHOLZ, ends,
            ),
            (
                "fractional_shortening", concepts.SHORTENING, [beat.fractional_shortening for beat in beats],
                concepts.PER_CENT, None, ends,
            ),
            ("ivs_d", concepts.IVS_D, _known(beat.septum for beat in beats), concepts.MILLIMETRES, None, ends),
            ("lvpw_d", concepts.LVPW_D, _known(beat.posterior for beat in beats), concepts.MILLIMETRES, None, ends),
        ]  # fmt: skip
    return [
        Measurement(
            concept=concept,
            value=float(np.median(values)),
            unit=unit,
            method=method,
            frames=tuple(sorted({examination.strip.frame_at(one.column) for one in where})),
            uncertainty=examination.half_widths.get(name),
        )
        for name, concept, values, unit, method, where in rows
        if len(values)
    ]


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


def _rates(examination: Examination, good: Sequence[Instant]) -> list[float]:
    return _values(good) if examination.heart_rate is None or not good else [examination.heart_rate]


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _level_alone(examination: Examination) -> Ineligible:
    levels = examination.levels or {}
    said = ", ".join(f"{name} {share:.2f}" for name, share in levels.items())
    return Ineligible(reason=f"the package judges the level of a sweep and measures nothing: {said}", code="no-tracer")


def _volumes(instants: Sequence[Instant]) -> list[float]:
    return [one.volume for one in instants if one.volume is not None]
