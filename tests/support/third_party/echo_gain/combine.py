"""What the loops of one study say together. It runs in the node's worker: no torch, no files, no exceptions."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, stdev

from echo_gain.concepts import GREY, GREY_RANGE, MEAN, METHOD, PERCENT
from echonode.core.readings import KeptReading, StudyValue
from echonode.core.results import Ineligible, Measurement


def combine(readings: Sequence[KeptReading]) -> Sequence[StudyValue | Ineligible]:
    """The mean over the loops, and how far the brightest and the darkest are apart: somebody turned the gain between."""
    told = [(each, number) for each in readings for number in each.measurements if number.concept == GREY]
    if len({each.sop_instance_uid for each, _ in told}) < 2:
        return []
    values, first = [number.value for _, number in told], told[0][0]
    mean = Measurement(
        concept=GREY, value=fmean(values), unit=PERCENT, method=METHOD, derivation=MEAN, count=len(values),
        repeatability=stdev(values),
    )  # fmt: skip
    apart = Measurement(
        concept=GREY_RANGE, value=max(values) - min(values), unit=PERCENT, method=METHOD, count=len(values)
    )
    frames = {each.sop_instance_uid: number.frames for each, number in told}
    return [
        StudyValue(measurement=each, frames=frames, model=first.model, version=first.version, digest=first.digest)
        for each in (mean, apart)
    ]
