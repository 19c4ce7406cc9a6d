"""One reading of the ejection fraction: its value and what it was read from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from echonode.core.codes import PRIVATE_SCHEME, Code
from echonode.core.results import Embedding, Measurement, Result
from echonode.tasks.common.concepts import EJECTION_FRACTION, MEAN, PERCENT
from echonode.tasks.common.uncertainty import Limits, stated
from echonode.tasks.ejection_fraction.picture import Shown, ejection_picture

VIDEO_REGRESSION: Final = Code("VIDEOREGR", PRIVATE_SCHEME, "Video regression by neural network")
"""No volumes stand behind it: none of the methods of CID 12227."""
SPACE: Final = "uniformer-small 512"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Reading:
    """`per_clip` in percent, empty where the networks give embeddings alone; `starts` in frames or ms, as `mode` says.

    `clip_frames` are each clip's frames of the source, counted from 0. `limits` are those of the package's locked test
    in this mode. `shown` is what the picture is drawn of.
    """

    mode: str
    method: str
    per_clip: tuple[float, ...]
    starts: tuple[float, ...]
    frames: tuple[int, ...]
    embedding: NDArray[np.float32]
    notes: tuple[str, ...] = ()
    clip_frames: tuple[tuple[int, ...], ...] = ()
    limits: Limits | None = None
    shown: Shown | None = None

    @property
    def percent(self) -> float | None:
        """The ejection fraction: the mean over clips."""
        return float(np.mean(self.per_clip)) if self.per_clip else None

    @property
    def spread(self) -> float | None:
        """Standard deviation over clips, in percent points; None for fewer than two."""
        return float(np.std(self.per_clip, ddof=1)) if len(self.per_clip) > 1 else None

    def results(self) -> tuple[Result, ...]:
        """The reading as a coded measurement and a picture of it, or as an embedding where it is no more.

        The spread over clips of one loop says nothing of how near the truth they are: it is told as repeatability, and
        the uncertainty is that of the package's locked test.
        """
        if self.percent is None:
            return (Embedding(vector=self.embedding, space=SPACE),)
        measurement = Measurement(
            concept=EJECTION_FRACTION, value=self.percent, unit=PERCENT, method=VIDEO_REGRESSION, frames=self.frames,
            repeatability=self.spread, count=len(self.per_clip), derivation=MEAN, notes=self.notes,
            **stated(self.limits),
        )  # fmt: skip
        if self.shown is None:
            return (measurement,)
        picture = ejection_picture(
            self.shown, per_clip=self.per_clip, clip_frames=self.clip_frames, limits=self.limits, spread=self.spread
        )
        return (measurement, picture)

    def details(self) -> Mapping[str, Any]:
        """What is no coded measurement, as JSON values."""
        return {
            "preparation": self.mode,
            "method": self.method,
            "per_clip": list(self.per_clip),
            "standard_deviation_over_clips": self.spread,
            "limits_95": None if self.limits is None else self.limits.plain(),
            "starts_in_frames" if self.mode == "published" else "starts_in_ms": list(self.starts),
            "frames": list(self.frames),
            "frames_of_clips": [list(each) for each in self.clip_frames],
            "notes": list(self.notes),
        } | ({} if self.per_clip else {"embedding": [float(number) for number in self.embedding]})
