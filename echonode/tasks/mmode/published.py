"""The authors' order of work on a strip, with their windows, peaks and statistics; kept to compare with.

Its known weaknesses are kept too: a mask's holes count, peaks are 85 pixels apart whatever a pixel is, end-diastoles,
end-systoles and rates are found each for itself, and nothing good gives a statistic of 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from echonode.core.results import Ineligible
from echonode.tasks.mmode.averaging import PUBLISHED_TIMING
from echonode.tasks.mmode.beats import published_extrema, published_rates
from echonode.tasks.mmode.examination import Examination, Instant
from echonode.tasks.mmode.networks import Counted, NetworkMode, Networks
from echonode.tasks.mmode.prepare import Strip
from echonode.tasks.mmode.quality import GOOD, Window, mean_row, published_windows
from echonode.tasks.mmode.species import Species
from echonode.tasks.mmode.trace import counted_lvid, outermost
from echonode.tasks.mmode.uncertainty import half_widths
from echonode.tasks.mmode.volumes import teichholz
from echonode.tasks.mmode.windows import Grey, cut, joined, nearest, published_tiles, resized


def examine(
    strip: Strip, networks: Networks, *, mode: NetworkMode, species: Species, body_mass: float | None, told: Counted
) -> Examination | Ineligible:
    """What the authors' pipeline reads from a strip, up to its randomness."""
    if body_mass is None:
        return Ineligible(
            reason="the published quality windows need the body mass: -m, or Patient's Weight", code="body-mass"
        )
    if not networks.segments:
        return Ineligible(reason="the published preparation needs a segmentation network", code="no-segmenter")
    masks = masks_of(strip.grey, networks, mode=mode, told=told)
    mask = np.mean(masks, axis=0) > GOOD
    calibration = strip.calibration
    lvid = counted_lvid(mask, millimetres=calibration.millimetres)
    centre = mean_row(mask)
    if networks.judges and centre is None:
        return Ineligible(reason="no cavity was found: there is nothing to centre quality windows on", code="no-cavity")
    height, length = mask.shape
    share = species.share_of_height(body_mass)
    windows = published_windows(height=height, length=length, share=share, centre=centre) if networks.judges else []
    probabilities = networks.quality(
        [resized(window.cut(strip.grey)) for window in windows], mode=mode, preparation="published"
    )
    diastoles, systoles = published_extrema(lvid)
    rates = published_rates(diastoles, seconds=calibration.seconds)
    labels = [probability > GOOD for probability in probabilities]
    volumes = teichholz(lvid / species.diameter_mm)

    def instant(column: int, value: float, volume: float | None) -> Instant:
        good = not windows or any(
            _inside(window, column) for window, label in zip(windows, labels, strict=True) if label
        )
        seconds = column * calibration.seconds
        return Instant(column=column, seconds=seconds, value=value, good=good, volume=volume)

    ends = [instant(int(column), float(lvid[column]), float(volumes[column])) for column in diastoles]
    smallest = [instant(int(column), float(lvid[column]), float(volumes[column])) for column in systoles]
    beating = [instant(int(column), float(rate), None) for column, rate in zip(diastoles, rates, strict=False)]
    traces = [counted_lvid(one, millimetres=calibration.millimetres) for one in masks]
    good_ends, good_smallest = ([one.column for one in some if one.good] for some in (ends, smallest))
    return Examination(
        preparation="published",
        mode=mode,
        species=species,
        body_mass=body_mass,
        strip=strip,
        mask=mask,
        lvid=lvid,
        windows=tuple(windows),
        probabilities=tuple(probabilities),
        diastoles=tuple(ends),
        systoles=tuple(smallest),
        rates=tuple(beating),
        half_widths=half_widths(traces, diastoles=good_ends, systoles=good_smallest, species=species),
        notes=strip.notes,
        timing=PUBLISHED_TIMING,
        borders=np.stack(outermost(mask)),
    )


def masks_of(grey: Grey, networks: Networks, *, mode: NetworkMode, told: Counted) -> list[NDArray[np.bool_]]:
    """The cavity's mask (H, L), one for each sample of `mc`."""
    height, length = grey.shape
    tiles = published_tiles(height=height, length=length)
    windows = [resized(cut(grey, tile)) for tile in tiles]
    return [
        joined([nearest(np.round(answer), height=height) for answer in answers], tiles) > GOOD
        for answers in networks.cavity(windows, mode=mode, preparation="published", told=told)
    ]


def _inside(window: Window, column: int) -> bool:
    return window.start <= column < window.stop
