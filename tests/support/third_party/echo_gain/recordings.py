"""What can be learned from: loops of simulated studies, whose tissue is known pixel by pixel."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from echo_gain.prepare import prepared
from echonode.phantom.heart import Label
from echonode.training.dataset import Item
from echonode.training.sources import study_of


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Recording:
    """One loop: pictures float32 F x side x side as the network sees them, and the grey level of its myocardium, 0 to 1."""

    patient: str
    pictures: NDArray[np.float32]
    grey: float


def recordings(items: Iterable[Item], *, frames: int, side: int, scale: float, loops: int) -> list[Recording]:
    """The first `loops` loops without colour of each simulated study, at `scale` of the scanner's raster."""
    found: list[Recording] = []
    for item in items:
        assert item.phantom is not None, "a recipe without a layout is given phantom studies alone"
        plans = [plan for plan in study_of(item.phantom).loops if not plan.colour]
        for plan in plans[:loops]:
            rows, columns = (2 * round(size * scale / 2) for size in (plan.machine.rows, plan.machine.columns))
            apart_ms = plan.frames * plan.frame_time_ms / frames
            made = plan.acquire(frames=frames, frame_time_ms=apart_ms, rows=rows, columns=columns)
            labels = np.asarray(made.labels)
            wall = np.equal(labels, int(Label.MYOCARDIUM))
            if wall.any():
                grey = float(made.frames.mean(axis=3)[wall].mean()) / 255
                pictures = prepared(made.frames, made.regions, side=side)
                found.append(Recording(patient=item.patient, pictures=pictures, grey=grey))
    return found
