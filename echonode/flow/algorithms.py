"""Which model is behind a statement of a report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from echonode.core.identity import digest_of
from echonode.core.readings import KeptReading, StudyValue
from echonode.core.report import Algorithm

Algorithms = Callable[[str, str, str], Algorithm | None]
"""The algorithm of a model's name, version and digest; None where this node does not know that package any more."""


def algorithm_of(reading: KeptReading, algorithms: Algorithms) -> Algorithm | None:
    """The model of a reading, with the parameters that it ran with; None where no model was chosen."""
    if not reading.model:
        return None
    known = algorithms(reading.model, reading.version, reading.digest)
    return replace(known or _named(reading.model, reading.version, reading.digest), parameters=dict(reading.parameters))


def algorithm_behind(value: StudyValue, readings: Iterable[KeptReading], algorithms: Algorithms) -> Algorithm | None:
    """The model of a study value. Several models fused into one value share what is true of any of them."""
    behind = [each for each in readings if each.sop_instance_uid in value.frames]
    own = [each for each in behind if each.digest == value.digest]
    known = algorithms(value.model, value.version, value.digest) if value.model else None
    if known is None and value.model:
        known = _fused(value, [found for each in behind if (found := algorithm_of(each, algorithms)) is not None])
    if known is None:
        return None
    parameters = {digest_of(each.parameters): each.parameters for each in own}
    return replace(known, parameters=dict(next(iter(parameters.values()))) if len(parameters) == 1 else {})


def _named(name: str, version: str, digest: str) -> Algorithm:
    return Algorithm(name=name, version=version, title=name, digest=digest)


def _fused(value: StudyValue, parts: Sequence[Algorithm]) -> Algorithm:
    weights = {f"{part.name}/{file}": sha256 for part in parts for file, sha256 in part.weights_sha256.items()}
    ages = [part.age_years_min for part in parts if part.age_years_min is not None]
    return Algorithm(
        name=value.model,
        version=value.version,
        title=value.model,
        digest=value.digest,
        weights_sha256=dict(sorted(weights.items())),
        trained_on="; ".join(sorted({part.trained_on for part in parts if part.trained_on})),
        simulated=any(part.simulated for part in parts),
        reference="; ".join(sorted({part.reference for part in parts if part.reference})),
        age_years_min=max(ages, default=None),
    )
