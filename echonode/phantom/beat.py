"""The rhythm: R waves, the phases of a beat, and the curves that everything in the heart moves by.

Phase lengths follow the systolic time intervals of Weissler (Circulation 1968;37:149): ejection shortens as the rate rises.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from echonode.phantom.patient import Patient

_RHYTHM_STREAM = 102
_BEATS_BEFORE = 20
_BEATS = 4000


@dataclass(frozen=True, kw_only=True, slots=True)
class Phase:
    """Where in a beat a time lies; every share runs 0 to 1.

    `emptied` 0 at end-diastole, 1 at end-systole (LV volume); `mitral`, `aortic` opening of the valves; `atrial`
    the LA's fill (1 largest).
    """

    beat: int
    since_r_s: float
    rr_s: float
    emptied: float
    mitral: float
    aortic: float
    atrial: float


@dataclass(frozen=True, kw_only=True, slots=True)
class _Times:
    """Seconds after the R wave of one beat."""

    ejection: float
    end_systole: float
    mitral_opens: float
    early_ends: float
    late_starts: float
    late_ends: float
    rr: float


class Rhythm:
    """The beats of one patient, the same for the same seed."""

    def __init__(self, patient: Patient) -> None:
        self.patient = patient

    @cached_property
    def _r_waves(self) -> list[float]:
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([self.patient.seed, _RHYTHM_STREAM])))
        mean = 60 / self.patient.heart_rate_bpm
        noise = rng.standard_normal(_BEATS)
        if not self.patient.fibrillates:
            # Sinus rhythm drifts with breathing; fibrillation has no memory.
            noise = 0.6 * noise + 0.8 * np.sin(2 * np.pi * (np.arange(_BEATS) * mean / 4.2 + rng.random())) * 1.414
        intervals = mean * np.clip(1 + self.patient.rr_spread * noise, 0.6, 1.7)
        waves = np.cumsum(intervals)
        start = waves[_BEATS_BEFORE] + rng.random() * intervals[_BEATS_BEFORE + 1]
        return [float(wave) for wave in waves - start]

    def beats(self, duration_s: float, *, start_s: float = 0.0) -> tuple[float, ...]:
        """The R waves' times in s within [start, start + duration)."""
        return tuple(wave for wave in self._r_waves if start_s <= wave < start_s + duration_s)

    def phase(self, t_s: float) -> Phase:
        """The phase of a time.

        Raises:
            ValueError: the time is beyond the beats that are simulated (more than about an hour).
        """
        waves, t_s = self._r_waves, float(t_s)
        beat = bisect_right(waves, t_s) - 1
        if not 0 <= beat < len(waves) - 1:
            raise ValueError(f"time {t_s} s is beyond the simulated beats")
        since, rr = t_s - waves[beat], waves[beat + 1] - waves[beat]
        times = self._times(rr)
        return Phase(
            beat=beat - _BEATS_BEFORE,
            since_r_s=since,
            rr_s=rr,
            emptied=self._emptied(since, times),
            mitral=self._mitral(since, times),
            aortic=self._aortic(since, times),
            atrial=self._atrial(since, times),
        )

    def end_systole_s(self, r_wave_s: float) -> float:
        """When the beat that starts at this R wave is emptied."""
        waves = self._r_waves
        beat = bisect_right(waves, r_wave_s + 1e-9) - 1
        return waves[beat] + self._times(waves[beat + 1] - waves[beat]).end_systole

    def _times(self, rr: float) -> _Times:
        ejection_time = float(np.clip(0.413 - 0.0017 * 60 / rr, 0.17, 0.36))
        ejection = min(0.05, 0.08 * rr)
        end_systole = min(ejection + ejection_time, 0.56 * rr)
        mitral_opens = end_systole + min(0.07, 0.09 * rr)
        filling = rr - mitral_opens
        early = min(0.24, 0.55 * filling)
        late = min(0.15, 0.42 * filling)
        late_ends = rr - min(0.015, 0.04 * filling)
        return _Times(
            ejection=ejection,
            end_systole=end_systole,
            mitral_opens=mitral_opens,
            early_ends=mitral_opens + early,
            late_starts=late_ends - late,
            late_ends=late_ends,
            rr=rr,
        )

    @cached_property
    def _early_share(self) -> float:
        if self.patient.fibrillates:
            return 0.85
        return float(np.clip(0.78 * self.patient.e_over_a / (0.62 + self.patient.e_over_a), 0.35, 0.78))

    @cached_property
    def _slow_share(self) -> float:
        return 0.15 if self.patient.fibrillates else 0.06

    def _emptied(self, since: float, at: _Times) -> float:
        if since < at.end_systole:
            return ease((since - at.ejection) / (at.end_systole - at.ejection), early=0.85)
        early = ease((since - at.mitral_opens) / (at.early_ends - at.mitral_opens), early=0.9)
        slow = ease((since - at.mitral_opens) / (at.late_ends - at.mitral_opens))
        late = ease((since - at.late_starts) / (at.late_ends - at.late_starts))
        filled = self._early_share * early + self._slow_share * slow
        return 1 - filled - (1 - self._early_share - self._slow_share) * late

    def _mitral(self, since: float, at: _Times) -> float:
        atrial_kick = 0.0 if self.patient.fibrillates else min(1.0, 0.35 + 0.5 / self.patient.e_over_a)
        length = at.early_ends - at.mitral_opens
        rest = 0.28 if at.late_starts - at.early_ends > 0.05 else 0.45
        e_peak = at.mitral_opens + 0.38 * length
        a_peak = 0.5 * (at.late_starts + at.late_ends)
        knots = [at.mitral_opens - 0.01, e_peak]
        values = [0.0, 1.0]
        for time, value in (
            (min(at.early_ends, a_peak - 0.04), rest),
            (at.late_starts, rest * 0.9),
            (a_peak, max(rest, atrial_kick)),
            (at.rr, 0.1),
        ):
            if time > knots[-1] + 0.015:
                knots.append(time)
                values.append(value)
        if since < at.ejection:
            return 0.1 * (1 - ease(since / (0.7 * at.ejection)))
        return between(since, knots, values)

    def _aortic(self, since: float, at: _Times) -> float:
        return between(
            since,
            [at.ejection, at.ejection + 0.03, at.end_systole - 0.035, at.end_systole],
            [0.0, 1.0, 0.88, 0.0],
        )

    def _atrial(self, since: float, at: _Times) -> float:
        kick = 0.15 if self.patient.fibrillates else 0.55
        if since < at.mitral_opens:
            return ease(since / at.mitral_opens)
        early = ease((since - at.mitral_opens) / (at.early_ends - at.mitral_opens))
        late = ease((since - at.late_starts) / (at.rr - at.late_starts))
        return 1 - (1 - kick) * early - kick * late


def ease(share: float, *, early: float = 1.0) -> float:
    """0 before 0, 1 after 1, flat at both ends; `early` below 1 moves the rise to the front."""
    share = min(1.0, max(0.0, share)) ** early
    return share * share * share * (share * (share * 6 - 15) + 10) if early == 1.0 else share * share * (3 - 2 * share)


def between(time: float, knots: list[float], values: list[float]) -> float:
    """The eased path through (knots, values), flat outside them."""
    place = bisect_right(knots, time)
    if place == 0:
        return values[0]
    if place == len(knots):
        return values[-1]
    share = (time - knots[place - 1]) / (knots[place] - knots[place - 1])
    return values[place - 1] + (values[place] - values[place - 1]) * ease(share)
