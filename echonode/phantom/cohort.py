"""Simulated patients by the number: named by a short text, made only when asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import overload

import numpy as np

from echonode.core.errors import BadInput
from echonode.phantom.acquire import Acquisition, acquire
from echonode.phantom.machine import MACHINES, Machine, machine
from echonode.phantom.patient import Patient, patient
from echonode.phantom.presets import PRESETS, Preset, Stage
from echonode.phantom.seeds import (
    FIRST_OBJECT,
    INDEX_BITS,
    PATIENT,
    SCANNER,
    SEED_BITS,
    STRESS,
    generator_of,
    seed_of,
)
from echonode.phantom.stress import narrowed_artery, stressed
from echonode.phantom.sweep import Sweep, sweep
from echonode.phantom.views import Level, View

_TEXT = re.compile(r"phantom:(?P<count>[0-9]{1,9})@(?P<seed>[0-9]{1,10})(?:/(?P<preset>[a-z-]{1,32}))?")
DEFAULT_PRESET = "routine"
LONGEST_LOOP = 96
SHORTEST_LOOP = 12
SWEEP_SECONDS = 3.0
_NAMED_SHARE = 0.6
_WORST_QUALITY = 0.35


@dataclass(frozen=True, kw_only=True, slots=True)
class LoopPlan:
    """A loop that is not recorded yet. `stage_number` and `view_number` count from 1; no stage outside stress studies."""

    patient: Patient
    machine: Machine
    seed: int
    view: View
    view_number: int
    frames: int
    frame_time_ms: float
    colour: bool = False
    quality: float = 1.0
    stage: Stage | None = None
    stage_number: int | None = None

    def acquire(
        self,
        *,
        frames: int | None = None,
        frame_time_ms: float | None = None,
        rows: int | None = None,
        columns: int | None = None,
        labels: bool = True,
        overlays: bool = True,
    ) -> Acquisition:
        """Record it, as planned or in another size: small loops are much faster to make."""
        return acquire(
            self.patient,
            view=self.view,
            machine=self.machine,
            seed=self.seed,
            frames=self.frames if frames is None else frames,
            frame_time_ms=self.frame_time_ms if frame_time_ms is None else frame_time_ms,
            rows=rows,
            columns=columns,
            colour=self.colour,
            labels=labels,
            overlays=overlays,
            quality=self.quality,
            stage=self.stage.name if self.stage is not None else None,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepPlan:
    """An M-mode picture that is not recorded yet."""

    patient: Patient
    machine: Machine
    seed: int
    level: Level
    seconds: float = SWEEP_SECONDS
    quality: float = 1.0

    def sweep(self, *, rows: int | None = None, columns: int | None = None, seconds: float | None = None) -> Sweep:
        """Record it, as planned or in another size."""
        return sweep(
            self.patient,
            level=self.level,
            machine=self.machine,
            seed=self.seed,
            seconds=self.seconds if seconds is None else seconds,
            rows=rows,
            columns=columns,
            quality=self.quality,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """One patient with what will be recorded, in order. `artery` is the one that fails under stress, if any."""

    seed: int
    index: int
    preset: Preset
    patient: Patient
    machine: Machine
    artery: str | None
    plans: tuple[LoopPlan | SweepPlan, ...]

    @property
    def name(self) -> str:
        """A name of the study that is the same wherever it is made: seed-index-preset."""
        return f"{self.seed}-{self.index:04d}-{self.preset.name}"

    @property
    def loops(self) -> tuple[LoopPlan, ...]:
        """The plans of loops."""
        return tuple(plan for plan in self.plans if isinstance(plan, LoopPlan))

    @property
    def sweeps(self) -> tuple[SweepPlan, ...]:
        """The plans of M-mode pictures."""
        return tuple(plan for plan in self.plans if isinstance(plan, SweepPlan))


@dataclass(frozen=True, kw_only=True, slots=True)
class Cohort:
    """`count` studies of different patients; study i is the same in every cohort of that seed and preset.

    Cohorts of different seeds share no patient, so that one can train on the first and test on the second. Two presets
    of one seed show the same patients.

    Raises:
        BadInput: a count, seed or preset that there is not.
    """

    count: int
    seed: int
    preset: str = DEFAULT_PRESET

    def __post_init__(self) -> None:
        if not 1 <= self.count <= 1 << INDEX_BITS:
            raise BadInput(f"{self.count} studies: a number from 1 to {1 << INDEX_BITS} was expected")
        if not 0 <= self.seed < 1 << SEED_BITS:
            raise BadInput(f"seed {self.seed}: a number from 0 to {(1 << SEED_BITS) - 1} was expected")
        if self.preset not in PRESETS:
            raise BadInput(f"preset {self.preset!r}: one of {', '.join(PRESETS)} was expected")

    @classmethod
    def parse(cls, text: str) -> Cohort:
        """The cohort that "phantom:200@7" or "phantom:200@7/stress" names: 200 studies of seed 7.

        Raises:
            BadInput: it names none.
        """
        match = _TEXT.fullmatch(text)
        if match is None:
            raise BadInput(
                f"{text!r} is no simulated cohort: phantom:COUNT@SEED or phantom:COUNT@SEED/PRESET was expected"
            )
        return cls(count=int(match["count"]), seed=int(match["seed"]), preset=match["preset"] or DEFAULT_PRESET)

    def __str__(self) -> str:
        return f"phantom:{self.count}@{self.seed}/{self.preset}"

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Study]:
        return (self[index] for index in range(self.count))

    @overload
    def __getitem__(self, index: int) -> Study: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Study, ...]: ...
    def __getitem__(self, index: int | slice) -> Study | tuple[Study, ...]:
        """Study `index`; nothing is recorded, and no other study is touched.

        Raises:
            IndexError: there are fewer studies.
        """
        if isinstance(index, slice):
            return tuple(self[each] for each in range(*index.indices(self.count)))
        if not -self.count <= index < self.count:
            raise IndexError(f"study {index} of {self.count}")
        return _study(self.seed, index % self.count, PRESETS[self.preset])


def _study(seed: int, index: int, preset: Preset) -> Study:
    rest = patient(seed=seed_of(seed, index, PATIENT))
    draws = generator_of(seed_of(seed, index, SCANNER)).random(4)
    scanner = _scanner(seed_of(seed, index, SCANNER), draws)
    # Most patients are seen well, some badly: a square root leans towards 1.
    usual = _WORST_QUALITY + (1 - _WORST_QUALITY) * float(np.sqrt(draws[2]))
    artery = narrowed_artery(generator_of(seed_of(seed, index, STRESS)).random(2)) if preset.stages else None
    plans: list[LoopPlan | SweepPlan] = []
    for number, stage in enumerate(preset.stages or (None,), start=1):
        person = rest if stage is None else stressed(rest, stage, artery=artery)
        for view_number, row in enumerate(preset.loops, start=1):
            own = seed_of(seed, index, FIRST_OBJECT + len(plans))
            plans.append(
                LoopPlan(
                    patient=person,
                    machine=scanner,
                    seed=own,
                    view=row.view,
                    view_number=view_number,
                    frames=_frames(person, scanner, preset.beats),
                    frame_time_ms=scanner.frame_time_ms,
                    colour=row.colour,
                    quality=_quality(usual, own),
                    stage=stage,
                    stage_number=None if stage is None else number,
                )
            )
    for level in preset.sweeps:
        own = seed_of(seed, index, FIRST_OBJECT + len(plans))
        plans.append(SweepPlan(patient=rest, machine=scanner, seed=own, level=level, quality=_quality(usual, own)))
    return Study(
        seed=seed, index=index, preset=preset, patient=rest, machine=scanner, artery=artery, plans=tuple(plans)
    )


def _scanner(seed: int, draws: np.ndarray) -> Machine:
    """One of the named looks, or one of its own."""
    names = tuple(MACHINES)
    return machine(names[int(draws[1] * len(names)) % len(names)] if draws[0] < _NAMED_SHARE else seed)


def _frames(person: Patient, scanner: Machine, beats: float) -> int:
    wanted = beats * 60000.0 / person.heart_rate_bpm / scanner.frame_time_ms
    return int(np.clip(round(wanted), SHORTEST_LOOP, LONGEST_LOOP))


def _quality(usual: float, seed: int) -> float:
    """What one recording came out as: the window changes from place to place."""
    return round(float(np.clip(usual + 0.12 * generator_of(seed).standard_normal(), _WORST_QUALITY, 1.0)), 3)
