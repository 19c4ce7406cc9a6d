"""The sound order of work on a strip: overlapping windows, borders between rows, whole beats, good stretches only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from echonode.core.results import Ineligible
from echonode.tasks.mmode.averaging import AT_LARGEST, AT_ONSET
from echonode.tasks.mmode.beats import Beat, beats_of
from echonode.tasks.mmode.ecg import Ecg
from echonode.tasks.mmode.examination import Examination, Instant, MeasuredBeat
from echonode.tasks.mmode.networks import Counted, NetworkMode, Networks
from echonode.tasks.mmode.prepare import Strip
from echonode.tasks.mmode.quality import good_columns, sound_windows
from echonode.tasks.mmode.species import Species
from echonode.tasks.mmode.trace import Walls, walls
from echonode.tasks.mmode.uncertainty import half_widths
from echonode.tasks.mmode.volumes import ejection_fraction, fractional_shortening, teichholz
from echonode.tasks.mmode.windows import Grey, blended, cut, overlapping_tiles, resized

OVERLAP: Final = 0.125
NO_ECG: Final = Ecg()


def examine(
    strip: Strip, networks: Networks, *, mode: NetworkMode, species: Species, body_mass: float | None, told: Counted,
    ecg: Ecg = NO_ECG,
) -> Examination | Ineligible:  # fmt: skip
    """What can be measured in a strip, beat by beat; from R wave to R wave where `ecg` shows two or more."""
    height, length = strip.grey.shape
    samples = probabilities_of(strip.grey, networks, mode=mode, told=told) if networks.segments else []
    probability = np.mean(samples, axis=0) if samples else None
    found = walls(probability, valid=strip.valid) if probability is not None else None
    centre = _centre(found) if found is not None else None
    if found is not None and centre is None:
        return Ineligible(reason="no cavity of the left ventricle was found in the strip", code="no-cavity")
    share = species.share_of_height(body_mass)
    windows = sound_windows(height=height, length=length, share=share, centre=centre) if networks.judges else []
    judged = networks.quality(
        [resized(window.cut(strip.grey)) for window in windows], mode=mode, preparation="clinical"
    )
    good = good_columns(windows, judged, length=length) if windows else np.ones(length, np.bool_)
    calibration = strip.calibration
    lvid = found.lvid(millimetres=calibration.millimetres) if found is not None else None
    beats = beats_of(lvid, seconds=calibration.seconds, species=species, ecg=ecg) if lvid is not None else []
    measured = [measured_beat(beat, good, seconds=calibration.seconds, species=species) for beat in beats]
    kept = [beat for beat in measured if beat.good]
    traces = [
        walls(one, valid=strip.valid).lvid(millimetres=calibration.millimetres) for one in samples[1:] and samples
    ]
    return Examination(
        preparation="clinical",
        mode=mode,
        species=species,
        body_mass=body_mass,
        strip=strip,
        mask=None if found is None else _mask(found, height=height),
        lvid=lvid,
        windows=tuple(windows),
        probabilities=tuple(judged),
        diastoles=tuple(beat.diastole for beat in measured),
        systoles=tuple(beat.systole for beat in measured),
        rates=tuple(beat.rate for beat in measured if beat.rate is not None),
        beats=tuple(measured),
        half_widths=half_widths(
            traces,
            diastoles=[beat.diastole.column for beat in kept],
            systoles=[beat.systole.column for beat in kept],
            species=species,
        ),
        notes=(*strip.notes, *_notes(networks, body_mass=body_mass, species=species)),
        waves=ecg.waves,
        timing=AT_ONSET if ecg.waves else AT_LARGEST,
        borders=None if found is None else np.stack((found.upper, found.lower)),
    )


def probabilities_of(grey: Grey, networks: Networks, *, mode: NetworkMode, told: Counted) -> list[Grey]:
    """The cavity's probability (H, L), one for each sample of `mc`."""
    height, length = grey.shape
    tiles = overlapping_tiles(height=height, length=length, overlap=OVERLAP)
    windows = [resized(cut(grey, tile)) for tile in tiles]
    return [
        blended(answers, tiles, length=length)
        for answers in networks.cavity(windows, mode=mode, preparation="clinical", told=told)
    ]


def _centre(found: Walls) -> float | None:
    middle = (found.upper + found.lower) / 2
    return float(np.nanmean(middle)) if np.isfinite(middle).any() else None


def _mask(found: Walls, *, height: int) -> NDArray[np.bool_]:
    rows = np.arange(height)[:, None] + 0.5
    with np.errstate(invalid="ignore"):
        mask: NDArray[np.bool_] = (rows >= found.upper) & (rows < found.lower)
    return mask


def measured_beat(beat: Beat, good: NDArray[np.bool_], *, seconds: float, species: Species) -> MeasuredBeat:
    """A beat with its volumes and fractions; complete where nothing lies unseen between its two ends."""
    whole = bool(good[beat.diastole : beat.end + 1].all())
    large, small = (float(v) for v in teichholz(np.array([beat.lvid_d, beat.lvid_s]) / species.diameter_mm))

    def instant(column: int, value: float, volume: float | None) -> Instant:
        return Instant(column=column, seconds=column * seconds, value=value, good=whole, volume=volume)

    return MeasuredBeat(
        diastole=instant(beat.diastole, beat.lvid_d, large),
        systole=instant(beat.systole, beat.lvid_s, small),
        rate=None if beat.heart_rate is None else instant(beat.diastole, beat.heart_rate, None),
        ejection_fraction=ejection_fraction(large, small),
        fractional_shortening=fractional_shortening(beat.lvid_d, beat.lvid_s),
        good=whole,
        complete=beat.heart_rate is not None,
    )


def _notes(networks: Networks, *, body_mass: float | None, species: Species) -> Sequence[str]:
    notes = []
    if not networks.judges:
        notes.append("the quality of the strip was not judged: the package has no classifier")
    elif body_mass is None and species.mass_steps:
        notes.append("the body mass is not known: quality windows are as wide as the strip is high")
    return notes
