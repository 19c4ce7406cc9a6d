"""What a model said of one stored object, as it is kept, and what a task makes of several of one study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from echonode.core.results import Ineligible, Measurement, Result


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptObject:
    """A derived object that was made of a reading; `kind` as in routes.toml, `revision` the study's when it was made."""

    sop_instance_uid: str
    kind: str
    revision: int = 0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class KeptReading:
    """What one model said of one object.

    `results` without arrays: Measurement, Finding and Ineligible; `details` is the JSON of its Details result. `view`
    and `stage` are those the object had when the model ran. `digest` names the package; `at` is seconds since the epoch.
    """

    sop_instance_uid: str
    study_uid: str
    task: str
    model: str
    version: str
    digest: str
    route: str
    work_id: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    results: tuple[Result, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    objects: tuple[KeptObject, ...] = ()
    view: str | None = None
    stage: str | None = None
    at: float = 0.0

    @property
    def refusals(self) -> tuple[Ineligible, ...]:
        """Why there is nothing, or not everything."""
        return tuple(result for result in self.results if isinstance(result, Ineligible))

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """The coded numbers."""
        return tuple(result for result in self.results if isinstance(result, Measurement))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StudyValue:
    """A number of a whole study at one stage; `frames` maps each SOP Instance UID that it was read from to the frames,
    counted from 0, none for the whole loop. `Measurement.frames` stays empty."""

    measurement: Measurement
    frames: Mapping[str, tuple[int, ...]]
    model: str
    version: str
    digest: str


class Combine(Protocol):
    """Makes study values of the readings of one task, one study and one stage."""

    def __call__(self, readings: Sequence[KeptReading]) -> Sequence[StudyValue | Ineligible]:
        """Values that stand for the study, and why there are none; never an exception for what a model may say."""
        ...
