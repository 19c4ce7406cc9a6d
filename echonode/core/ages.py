"""How old somebody was on a day, by the calendar: who turns eighteen on the day of the study is eighteen."""

from __future__ import annotations

from datetime import date
from typing import Final

OLDEST_YEARS: Final = 120.0
_DAYS_A_YEAR: Final = 365.25


def age_between(born: date, seen: date) -> float | None:
    """Years from birth to the study; None when they are none that a patient can have."""
    whole = seen.year - born.year - ((seen.month, seen.day) < (born.month, born.day))
    counted = max(float(whole), (seen - born).days / _DAYS_A_YEAR)
    return round(min(counted, whole + 0.999), 3) if 0 < counted <= OLDEST_YEARS else None


def day_of(text: str) -> date | None:
    """The day of a DA (YYYYMMDD); None where it is none."""
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:8]))
    except ValueError:
        return None
