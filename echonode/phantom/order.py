"""Under which name, number and date a simulated study runs: fictitious, recognisable, the same every time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from echonode.core.identity import derived_uid
from echonode.phantom.cohort import Study
from echonode.phantom.frames import Syntax

_FIRST_DAY = datetime(2024, 1, 1, 8, 0, 0)
_DAYS, _MINUTES = 366, 480
_BETWEEN_OBJECTS = timedelta(seconds=40)


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """The patient's and the study's identity as a worklist would give it.

    `occasion` tells apart studies that are made of the same patient again and again, as a nightly check does.
    """

    study: Study
    patient_name: str
    patient_id: str
    birth_date: date
    accession_number: str
    study_id: str
    study_uid: str
    series_uid: str
    started: datetime

    def object_uid(self, *, number: int, digest: str) -> str:
        """The SOP Instance UID of object `number` with pixels of that digest: other pixels, other UID."""
        return derived_uid("phantom object", self.study_uid, str(number), digest)

    @property
    def age_years(self) -> int:
        """The patient's age on the day of the study."""
        born, now = self.birth_date, self.started.date()
        return max(now.year - born.year - ((now.month, now.day) < (born.month, born.day)), 0)

    def taken(self, number: int) -> datetime:
        """When object `number`, counted from 1, was recorded."""
        return self.started + number * _BETWEEN_OBJECTS


def order_of(
    study: Study, *, syntax: Syntax, scale: float = 1.0, started: datetime | None = None, occasion: str = ""
) -> Order:
    """The order of a study; without `started` its date follows from cohort and number, never from the clock."""
    place = study.seed * 7919 + study.index * 97
    usual = _FIRST_DAY + timedelta(days=place % _DAYS, minutes=place // _DAYS % _MINUTES)
    when = started or usual
    key = (str(study.seed), str(study.index), study.preset.name, syntax.value, f"{scale:g}", when.isoformat(), occasion)
    study_uid = derived_uid("phantom study", *key)
    return Order(
        study=study,
        patient_name=f"PHANTOM^S{study.seed}N{study.index:04d}",
        patient_id=f"PHANTOM-{study.seed}-{study.index:04d}",
        # Of the usual date, not of `started`: one patient has one birthday, whenever the study is made.
        birth_date=usual.date() - timedelta(days=round(study.patient.age_years * 365.25)),
        accession_number=f"PH{derived_uid('phantom accession', *key)[-12:]}",
        study_id=f"PH{study.index:04d}",
        study_uid=study_uid,
        series_uid=derived_uid("phantom series", study_uid),
        started=when,
    )
