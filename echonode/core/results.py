"""What comes out of a runner: results, or a reason for refusal. No runner knows DICOM objects.

Arrays may be memory-mapped: whoever reads them reads frame by frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from echonode.core.codes import Code


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """One coded number. `uncertainty` is the half width of the 95 % limits, in `unit`; None when unknown.

    `uncertainty_basis` says where those limits come from (which locked test, of how many). `repeatability` is the
    standard deviation over the beats or clips that the value is a mean of, in `unit`: how steady the model is, never
    how near the truth; `count` is how many there were. `site` is a Finding Site, `derivation` of CID 7464 (Mean,
    Estimated). `notes` are sentences for people.
    """

    concept: Code
    value: float
    unit: Code
    method: Code | None = None
    frames: tuple[int, ...] = ()
    uncertainty: float | None = None
    uncertainty_basis: str = ""
    repeatability: float | None = None
    count: int | None = None
    site: Code | None = None
    derivation: Code | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not np.isfinite(self.value):
            raise ValueError(f"{self.concept.meaning}: a value that was not computed is not a measurement")


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One coded answer: what `concept` asks for (which view it shows) is `value`.

    `confidence` is how probable the model holds it, 0 to 1; None when it does not tell. `value` may be a code for "not
    recognised": then `confidence` is that of the likeliest answer, which was too low to be given.
    """

    concept: Code
    value: Code
    confidence: float | None = None
    method: Code | None = None
    frames: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.confidence is not None and not 0 <= self.confidence <= 1:
            raise ValueError(f"{self.concept.meaning}: a confidence of {self.confidence} is not between 0 and 1")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Loop:
    """A derived cine: frames uint8 M x H x W x C, as many channels and the same size as its clip.

    `positions` float64 (M,): where each frame lies on the source's frame axis (2.25 = a quarter of the way from
    source frame 2 to 3, counted from 0); `times_ms` float64 (M,): true elapsed time; `acquired` bool (M,): True
    where the frame is a source frame, pixel for pixel; `repeated` bool (M,): True where no frame could be
    interpolated and the nearest acquired one stands instead; `sector` bool (H, W): where interpolation happened.
    `factor` is the nominal number of output frames for each source interval.
    """

    frames: np.ndarray
    positions: np.ndarray
    times_ms: np.ndarray
    acquired: np.ndarray
    repeated: np.ndarray
    sector: np.ndarray
    factor: int
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.frames)
        if self.frames.dtype != np.uint8 or self.frames.ndim != 4:
            raise ValueError(f"frames must be uint8 M x H x W x C, not {self.frames.dtype} {self.frames.shape}")
        for name in ("positions", "times_ms", "acquired", "repeated"):
            if getattr(self, name).shape != (count,):
                raise ValueError(f"{name} must have one entry a frame")
        if self.sector.shape != self.frames.shape[1:3]:
            raise ValueError("sector must have the frames' height and width")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LabelMap:
    """Labels uint8 T x H x W for source frames `frames` (counted from 0); `segments` names each label value."""

    labels: np.ndarray
    frames: tuple[int, ...]
    segments: Mapping[int, Code]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Picture:
    """A rendered picture uint8 H x W x 3; `synthetic` when it shows no patient."""

    pixels: np.ndarray
    title: str
    synthetic: bool = False


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Embedding:
    """A feature vector float32 (D,) of a clip."""

    vector: np.ndarray
    space: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Ineligible:
    """Why a model gives no result for this input, in words that a sonographer understands. It is a result."""

    reason: str
    code: str = "ineligible"

    def __post_init__(self) -> None:
        if not self.reason.strip():
            raise ValueError("a refusal needs its reason")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Details:
    """What a run gave beside its results, as JSON values: per clip, per beat, disks; kept with the results."""

    values: Mapping[str, Any]


Result = Measurement | Finding | Loop | LabelMap | Picture | Embedding | Ineligible | Details


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RunOutcome:
    """What one run gave: results, how long it took in seconds, and what it ran on."""

    results: tuple[Result, ...]
    seconds: float
    device: str
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def refusal(self) -> Ineligible | None:
        """The refusal, when the run gave nothing else."""
        said = [result for result in self.results if not isinstance(result, Details)]
        only = said[0] if len(said) == 1 else None
        return only if isinstance(only, Ineligible) else None
