"""What the loops of one study say together. It runs in the node's worker: no torch, no files, no exceptions."""

from __future__ import annotations

from collections.abc import Sequence

from echo_gain.concepts import GREY, GREY_RANGE, METHOD, PERCENT
from echonode.core.readings import KeptReading, StudyValue
from echonode.core.results import Ineligible, Measurement


def combine(readings: Sequence[KeptReading]) -> Sequence[StudyValue | Ineligible]:
    """How far the brightest and the darkest loop are apart: somebody turned the gain between them."""
    told = [(each, number) for each in readings for number in each.measurements if number.concept == GREY]
    if len({each.sop_instance_uid for each, _ in told}) < 2:
        return []
    values = [number.value for _, number in told]
    first = told[0][0]
    apart = Measurement(
        concept=GREY_RANGE, value=max(values) - min(values), unit=PERCENT, method=METHOD, count=len(values)
    )
    frames = {each.sop_instance_uid: number.frames for each, number in told}
    return [StudyValue(measurement=apart, frames=frames, model=first.model, version=first.version, digest=first.digest)]
