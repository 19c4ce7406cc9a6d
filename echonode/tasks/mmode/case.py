"""A simulated sweep as a scanner would have sent it, with its truth: what a whole package is tested on. Kept as .npz."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from echonode.core.clip import Clip, Mode, Region
from echonode.phantom.sweep import Sweep

FORMAT: Final = 1


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Case:
    """A sweep and what is true of it; diameters are means over the beats that it shows, None off the LV level.

    `r_waves_s` count from the strip's left edge; `own_rate` is the mean rate from the first to the last of them (None
    with fewer than two), `shown_rate` what the scanner prints, which it averages over the eight seconds before. `walls`
    float32 (4, columns) in rows of the strip.
    """

    key: str
    patient: str
    clip: Clip
    level: str
    lvidd_mm: float | None
    lvids_mm: float | None
    r_waves_s: tuple[float, ...]
    own_rate: float | None
    shown_rate: float
    quality: float
    walls: NDArray[np.float32]

    @classmethod
    def of(cls, sweep: Sweep, *, key: str, patient: str, quality: float) -> Case:
        """The case of a simulated sweep."""
        truth, waves = sweep.truth, sweep.r_waves_s
        return cls(
            key=key, patient=patient, clip=clip_of(sweep), level=sweep.level.value,
            lvidd_mm=float(np.mean(truth.lvidd_mm)) if truth.lvidd_mm else None,
            lvids_mm=float(np.mean(truth.lvids_mm)) if truth.lvids_mm else None,
            r_waves_s=waves,
            own_rate=60.0 * (len(waves) - 1) / (waves[-1] - waves[0]) if len(waves) > 1 else None,
            shown_rate=sweep.heart_rate_bpm, quality=quality, walls=np.asarray(truth.boundaries, np.float32),
        )  # fmt: skip

    def save(self, path: Path) -> None:
        """Keep it in a file."""
        told = {
            "format": FORMAT, "regions": [asdict(region) for region in self.clip.regions],
            **{name: getattr(self, name) for name in TOLD},
        }  # fmt: skip
        _, packed = cv2.imencode(".png", self.clip.frames[0])
        part = path.with_name(f".{path.name}.part.npz")
        np.savez_compressed(part, told=json.dumps(told), frame=packed, walls=self.walls)
        part.replace(path)

    @classmethod
    def load(cls, path: Path) -> Case:
        """What `save` kept."""
        with np.load(path) as kept:
            told = json.loads(str(kept["told"]))
            frame = np.asarray(cv2.imdecode(kept["frame"], cv2.IMREAD_UNCHANGED), np.uint8)
            walls = kept["walls"]
        regions = tuple(Region(**region) for region in told["regions"])
        return cls(
            clip=Clip(frames=frame[None], times_ms=np.zeros(1), regions=regions, mode=Mode.M_MODE), walls=walls,
            **{name: told[name] for name in TOLD if name != "r_waves_s"}, r_waves_s=tuple(told["r_waves_s"]),
        )  # fmt: skip


TOLD: Final = ("key", "patient", "level", "lvidd_mm", "lvids_mm", "r_waves_s", "own_rate", "shown_rate", "quality")


def clip_of(sweep: Sweep) -> Clip:
    """A simulated sweep as a clip of one frame."""
    return Clip(frames=sweep.frame[None], times_ms=np.zeros(1), regions=sweep.regions, mode=Mode.M_MODE)
