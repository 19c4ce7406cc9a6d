"""Biplane volumes of a study by the method of disks, from what its apical loops gave. Imports no torch.

Lang et al., J Am Soc Echocardiogr 2015;28:1, section 2.1: a four-chamber and a two-chamber loop of whole beats, whose
long axes differ by no more than 10 %. Where there is no such pair the single planes stand by themselves, and why is said.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

from echonode.core.codes import Code
from echonode.core.readings import KeptReading, StudyValue
from echonode.core.results import Ineligible, Measurement
from echonode.tasks.common.concepts import (
    EJECTION_FRACTION,
    END_DIASTOLIC_VOLUME,
    END_SYSTOLIC_VOLUME,
    MEAN,
    MILLILITRE,
    PERCENT,
)
from echonode.tasks.common.uncertainty import limits_from, stated
from echonode.tasks.segmentation.ventricle import APICAL, ATRIAL, BIPLANE, CUT_ATRIUM, LEFT_ATRIUM, biplane

NO_BIPLANE: Final = "no biplane volumes, the single planes stand by themselves"
BEATS_APART: Final = 0.2  # of the longer beat; then the two planes are of hearts at different rates
LA_APART_MM: Final = 5.0  # Lang et al. 2015, section 8: lengths of the atrium in both planes
VIEWS: Final = ("A4C", "A2C")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plane:
    """One apical loop in which a ventricle was found."""

    reading: KeptReading
    ventricle: Mapping[str, Any]

    @property
    def uid(self) -> str:
        return self.reading.sop_instance_uid

    def frames(self, *names: str) -> tuple[int, ...]:
        return tuple(sorted({int(frame) for name in names for frame in self.ventricle.get(name) or ()}))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Pair:
    four: _Plane
    two: _Plane
    found: Mapping[str, Any]

    @property
    def lasting(self) -> list[float]:
        """Milliseconds of a beat in both planes, 0 where it is not known."""
        return [float(plane.ventricle.get("beat_ms") or 0.0) for plane in (self.four, self.two)]

    @property
    def rates_differ(self) -> bool:
        """Whether the planes are of hearts at different rates."""
        return min(self.lasting) > 0 and max(self.lasting) - min(self.lasting) > BEATS_APART * max(self.lasting)

    @property
    def key(self) -> tuple[Any, ...]:
        """Sorts the best first: of one heart rate, then the longest axes, which are the least foreshortened."""
        four, two = (lengths[0] for lengths in self.found["lengths_mm"])
        return (self.rates_differ, -(four + two), abs(four - two), self.four.uid, self.two.uid)


def combine(readings: Sequence[KeptReading]) -> Sequence[StudyValue | Ineligible]:
    """Biplane ejection fraction, volumes and left atrium of the best pair of loops of each model, or why there are none."""
    models: dict[tuple[str, str], dict[str, list[_Plane]]] = defaultdict(lambda: defaultdict(list))
    for reading in readings:
        ventricle = reading.details.get("ventricle")
        if isinstance(ventricle, Mapping):
            view = reading.view or ventricle.get("view") or ""
            mode = str(reading.details.get("preparation"))
            plane = _Plane(reading=reading, ventricle=ventricle)
            models[reading.digest, mode][APICAL.get(str(view), str(view))].append(plane)
    said: list[StudyValue | Ineligible] = []
    for key in sorted(models):
        said += _of_model(models[key])
    return said


def _of_model(views: Mapping[str, Sequence[_Plane]]) -> list[StudyValue | Ineligible]:
    missing = [view for view in VIEWS if not views.get(view)]
    if len(missing) == len(VIEWS):
        return []
    if missing:
        reason = f"{NO_BIPLANE}: the ventricle was measured in no {missing[0]} loop"
        return [Ineligible(reason=reason, code="biplane")]
    pairs: list[_Pair] = []
    reasons: list[str] = []
    for four, two in product(views["A4C"], views["A2C"]):
        try:
            found = biplane(four.reading.details, two.reading.details)
            pairs.append(_Pair(four=four, two=two, found=found))
        except (ValueError, KeyError, TypeError) as error:
            reasons.append(
                str(error) if isinstance(error, ValueError) else "what was kept of the loops is not readable"
            )
    if not pairs:
        told = sorted(set(reasons))
        more = f"; and {len(told) - 1} more reasons" if len(told) > 1 else ""
        return [Ineligible(reason=f"{NO_BIPLANE}: {told[0]}{more}", code="biplane")]
    return list(_values(min(pairs, key=lambda each: each.key), count=len(views["A4C"]) * len(views["A2C"])))


def _values(pair: _Pair, *, count: int) -> list[StudyValue]:
    four, two, found = pair.four, pair.two, pair.found
    both = ("ed_frames", "es_frames")
    notes = _notes(pair, count=count)
    values = [
        _value(pair, "EF", EJECTION_FRACTION, found["ef_percent"], PERCENT, both, notes),
        _value(pair, "EDV", END_DIASTOLIC_VOLUME, found["edv_ml"], MILLILITRE, both[:1], notes),
        _value(pair, "ESV", END_SYSTOLIC_VOLUME, found["esv_ml"], MILLILITRE, both[1:], notes),
    ]
    if found["la_ml"] is not None:
        atria = [plane.ventricle["atrium"] for plane in (four, two)]
        apart = abs(atria[0]["length_mm"] - atria[1]["length_mm"])
        own = (
            [f"lengths of the atrium differ by {apart:.0f} mm, more than {LA_APART_MM:.0f}"]
            if apart > LA_APART_MM
            else []
        )
        own += [CUT_ATRIUM] if any(each.get("cut") for each in atria) else []
        frames = {plane.uid: tuple(sorted(each["frames"])) for plane, each in zip((four, two), atria, strict=True)}
        values.append(
            _value(
                pair, "LA volume", ATRIAL["biplane"], found["la_ml"], MILLILITRE, (), (*notes, *own), site=LEFT_ATRIUM,
                frames=frames,
            )
        )  # fmt: skip
    return values


def _value(
    pair: _Pair, name: str, concept: Code, value: float, unit: Code, phases: tuple[str, ...], notes: tuple[str, ...], *,
    site: Code | None = None, frames: Mapping[str, tuple[int, ...]] | None = None,
) -> StudyValue:  # fmt: skip
    planes = (pair.four, pair.two)
    reading = pair.four.reading
    told = reading.details.get("limits_95")
    limits = limits_from(told.get(f"biplane {name}")) if isinstance(told, Mapping) else None
    beats = min(len(plane.ventricle.get("beats") or ()) for plane in planes)
    return StudyValue(
        measurement=Measurement(
            concept=concept, value=value, unit=unit, method=BIPLANE, count=beats or None, site=site, notes=notes,
            derivation=MEAN if beats > 1 else None, **stated(limits),
        ),
        frames=frames or {plane.uid: plane.frames(*phases) for plane in planes},
        model=reading.model, version=reading.version, digest=reading.digest,
    )  # fmt: skip


def _notes(pair: _Pair, *, count: int) -> tuple[str, ...]:
    """How the planes were chosen, how many beats they are means of, and whether the hearts beat alike."""
    (four, _), (two, _) = pair.found["lengths_mm"]
    beats = [len(plane.ventricle.get("beats") or ()) for plane in (pair.four, pair.two)]
    notes = [f"long axes A4C {four:.0f} mm, A2C {two:.0f} mm; beats averaged: A4C {beats[0]}, A2C {beats[1]}"]
    if count > 1:
        notes.append(
            f"the longest of {count} pairs of loops that go together, whose planes are the least foreshortened"
        )
    if pair.rates_differ:
        rates = " and ".join(f"{60_000 / each:.0f}" for each in pair.lasting)
        notes.append(f"the heart rates of the two planes differ: {rates} a minute")
    return tuple(notes)
