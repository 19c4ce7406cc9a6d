"""One reading of the ejection fraction: its value and what it was read from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from echonode.core.codes import Code
from echonode.core.results import Embedding, Measurement, Result

EJECTION_FRACTION: Final = Code("10230-1", "LN", "Left ventricular Ejection fraction")
PERCENT: Final = Code("%", "UCUM", "percent")
SPACE: Final = "uniformer-small 512"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Reading:
    """`per_clip` in percent, empty where the networks give embeddings alone; `starts` in frames or ms, as `mode` says."""

    mode: str
    method: str
    per_clip: tuple[float, ...]
    starts: tuple[float, ...]
    frames: tuple[int, ...]
    embedding: NDArray[np.float32]
    notes: tuple[str, ...] = ()

    @property
    def percent(self) -> float | None:
        """The ejection fraction: the mean over clips."""
        return float(np.mean(self.per_clip)) if self.per_clip else None

    @property
    def spread(self) -> float | None:
        """Standard deviation over clips, in percent points; None for fewer than two."""
        return float(np.std(self.per_clip, ddof=1)) if len(self.per_clip) > 1 else None

    def results(self) -> tuple[Result, ...]:
        """The reading as a coded measurement, or as an embedding where it is no more.

        The spread over clips of one loop says nothing of how near the truth they are: no uncertainty is claimed.
        """
        if self.percent is None:
            return (Embedding(vector=self.embedding, space=SPACE),)
        return (Measurement(concept=EJECTION_FRACTION, value=self.percent, unit=PERCENT, frames=self.frames),)

    def details(self) -> Mapping[str, Any]:
        """What is no coded measurement, as JSON values."""
        return {
            "preparation": self.mode,
            "method": self.method,
            "per_clip": list(self.per_clip),
            "standard_deviation_over_clips": self.spread,
            "starts_in_frames" if self.mode == "published" else "starts_in_ms": list(self.starts),
            "frames": list(self.frames),
            "notes": list(self.notes),
        } | ({} if self.per_clip else {"embedding": [float(number) for number in self.embedding]})
