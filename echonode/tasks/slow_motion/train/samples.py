"""Crops of loops with their classical flow, drawn once: what the refinement network learns from.

A sample is a frame that was left out, the two frames around the gap and the two around those, and the four flows that
OpenCV finds between them. Gaps are 2 to 8 frames, mostly 2 and 4, so that training matches use; pictures are drawn at
several sizes and brightnesses, because speckle has a size of its own on each machine.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from echonode.core.errors import BadInput
from echonode.tasks.slow_motion.agreement import sampled
from echonode.tasks.slow_motion.engine import Flows, flows_at
from echonode.tasks.slow_motion.optical_flow import SMOOTHNESS, OpticalFlow
from echonode.tasks.slow_motion.train.loops import TrainingLoop
from echonode.training.order import sample_generator

GAPS: Final = (2, 3, 4, 6, 8)
SHARES: Final = (0.42, 0.12, 0.32, 0.07, 0.07)
SIZES: Final = (0.7, 1.45)  # of a picture, drawn evenly on a logarithmic scale
OTHER_SIZE: Final = 0.6  # how often a picture is drawn at another size
GAMMAS: Final = 0.35
LEAST_COUNTING: Final = 0.45  # of a crop's pixels
TRIES: Final = 20
PREFILTER: Final = 1.5
BEFORE, FIRST, SECOND, AFTER, TARGET = range(5)
IN_REVERSE: Final = [2, 3, 0, 1, 6, 7, 4, 5]  # channels of flows when time runs backwards
TURNED: Final = [1, 0, 3, 2, 5, 4, 7, 6]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Samples:
    """`lights` uint8 (N, 5, S, S): before, first, second, after, target; `flows` float16 (N, 8, S, S) in pixels: first to
    second, second to first, first to before, second to after, x then y;
    `counts` bool (N, S, S); `times` float32 (N,);
    `errors` float32 (N,): mean square, in 0 to 1, of plain classical flow over what counts of the whole picture."""

    lights: NDArray[np.uint8]
    flows: NDArray[np.float16]
    counts: NDArray[np.bool_]
    times: NDArray[np.float32]
    errors: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.times)

    def every_second(self) -> Samples:
        """Half of them, from the whole of the loop."""
        return Samples(
            lights=self.lights[::2].copy(), flows=self.flows[::2].copy(), counts=self.counts[::2].copy(),
            times=self.times[::2].copy(), errors=self.errors[::2].copy(),
        )  # fmt: skip

    def save(self, path: Path) -> None:
        """Keep them beside a run, so that resuming does not draw them again."""
        part = path.with_name(f".{path.name}.part")
        with part.open("wb") as stream:
            np.savez(
                stream, lights=self.lights, flows=self.flows, counts=self.counts, times=self.times, errors=self.errors
            )
        part.replace(path)

    @classmethod
    def load(cls, path: Path) -> Samples | None:
        """What `save` kept; None when there is nothing whole."""
        try:
            with np.load(path, allow_pickle=False) as kept:
                return cls(**{name: kept[name] for name in ("lights", "flows", "counts", "times", "errors")})
        except (OSError, ValueError, KeyError, zipfile.BadZipFile, json.JSONDecodeError):
            return None


def draw(loop: TrainingLoop, *, targets: int, crops: int, size: int, seed: Sequence[int]) -> Samples | None:
    """At most targets x crops samples of one loop, the same for the same seed; None when nothing in it will do."""
    chance = sample_generator(*seed)
    optical = OpticalFlow(prefilter_sigma=PREFILTER, smoothness=SMOOTHNESS)
    parts: list[tuple[NDArray[np.uint8], NDArray[np.float16], NDArray[np.bool_], float, float]] = []
    for _ in range(targets):
        gap = int(chance.choice(GAPS, p=SHARES))
        if gap >= len(loop.light):
            gap = 2
        start = int(chance.integers(0, len(loop.light) - gap))
        target = start + int(chance.integers(1, gap))
        if _repeats(loop.light, target):
            continue
        before, after = start - gap, start + 2 * gap
        places = [before if before >= 0 else start, start, start + gap, after if after < len(loop.light) else start + gap,
                  target]  # fmt: skip
        lights, counts = _varied([loop.light[place] for place in places], loop.counts, chance, least=size)
        flows = _flows(optical, lights, edges=(before < 0, after >= len(loop.light)))
        time = (loop.times_ms[target] - loop.times_ms[start]) / (loop.times_ms[start + gap] - loop.times_ms[start])
        error = _classical(lights, flows, counts, np.float32(time))
        for _ in range(crops):
            box = _place(counts, size, chance)
            if box is not None:
                parts.append((
                    np.stack([light[box] for light in lights]),
                    np.concatenate([flow[box] for flow in flows], axis=2).transpose(2, 0, 1).astype(np.float16),
                    counts[box], float(time), error,
                ))  # fmt: skip
    if not parts:
        return None
    return Samples(
        lights=np.stack([part[0] for part in parts]),
        flows=np.stack([part[1] for part in parts]),
        counts=np.stack([part[2] for part in parts]),
        times=np.array([part[3] for part in parts], np.float32),
        errors=np.array([part[4] for part in parts], np.float32),
    )


def joined(parts: Sequence[Samples]) -> Samples:
    """All samples in one.

    Raises:
        BadInput: there is none.
    """
    if not parts:
        raise BadInput("no loop to learn from: 2D loops of three frames or more, with something that moves, are needed")
    return Samples(
        lights=np.concatenate([part.lights for part in parts]),
        flows=np.concatenate([part.flows for part in parts]),
        counts=np.concatenate([part.counts for part in parts]),
        times=np.concatenate([part.times for part in parts]),
        errors=np.concatenate([part.errors for part in parts]),
    )


def augmented(
    samples: Samples, index: int, *, crop: int, chance: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], np.float32, np.float32]:
    """One sample for the network: lights (5, C, C) in 0 to 1, flows (8, C, C), what counts (1, C, C), time, and the squared
    error of plain classical flow on the whole picture.

    Cut, reversed in time, flipped and turned by chance; the flows are turned with the picture.
    """
    top, left = (int(value) for value in chance.integers(0, samples.counts.shape[1] - crop + 1, 2))
    box = (slice(top, top + crop), slice(left, left + crop))
    lights = samples.lights[index][:, box[0], box[1]].astype(np.float32) / 255
    flows = samples.flows[index][:, box[0], box[1]].astype(np.float32)
    counts, time = samples.counts[index][box], samples.times[index]
    if chance.random() < 0.5:
        lights, flows = lights[[AFTER, SECOND, FIRST, BEFORE, TARGET]], flows[IN_REVERSE]
        time = np.float32(1) - time
    if chance.random() < 0.5:
        lights, flows, counts = lights[..., ::-1], flows[..., ::-1].copy(), counts[:, ::-1]
        flows[0::2] *= -1
    if chance.random() < 0.5:
        lights, flows, counts = lights[:, ::-1], flows[:, ::-1].copy(), counts[::-1]
        flows[1::2] *= -1
    if chance.random() < 0.5:
        lights, flows, counts = lights.transpose(0, 2, 1), flows.transpose(0, 2, 1)[TURNED], counts.T
    bright = np.float32(chance.uniform(0.75, 1.2))
    lights = lights * bright
    return (
        np.ascontiguousarray(lights), np.ascontiguousarray(flows), np.ascontiguousarray(counts[None]).astype(np.float32),
        np.float32(time), np.float32(samples.errors[index] * bright**2),
    )  # fmt: skip


def _repeats(light: NDArray[np.uint8], target: int) -> bool:
    """Whether a frame is one of its neighbours again, as frame grabbers make them: nothing was left out then."""
    return bool((light[target] == light[target - 1]).all() or (light[target] == light[target + 1]).all())


def _varied(
    lights: Sequence[NDArray[np.uint8]], counts: NDArray[np.bool_], chance: np.random.Generator, *, least: int
) -> tuple[list[NDArray[np.uint8]], NDArray[np.bool_]]:
    changed = list(lights)
    if chance.random() < OTHER_SIZE:
        size = float(np.exp(chance.uniform(*np.log(SIZES))))
        how = cv2.INTER_AREA if size < 1 else cv2.INTER_CUBIC
        changed = [cv2.resize(light, None, fx=size, fy=size, interpolation=how).astype(np.uint8) for light in changed]
        height, width = changed[0].shape
        counts = cv2.resize(counts.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST).astype(np.bool_)
    missing = [max(least - side, 0) for side in counts.shape]
    if any(missing):
        room = ((0, missing[0]), (0, missing[1]))
        changed = [np.pad(light, room, mode="reflect") for light in changed]
        counts = np.pad(counts, room)
    if chance.random() < 0.5:
        gamma = float(np.exp(chance.uniform(-GAMMAS, GAMMAS)))
        curve = (255 * (np.arange(256) / 255) ** gamma).round().astype(np.uint8)
        changed = [curve[light] for light in changed]
    return changed, counts


def _flows(
    optical: OpticalFlow, lights: Sequence[NDArray[np.uint8]], *, edges: tuple[bool, bool]
) -> list[NDArray[np.float32]]:
    still = np.zeros((*lights[0].shape, 2), np.float32)
    return [
        optical.motion(lights[FIRST], lights[SECOND]),
        optical.motion(lights[SECOND], lights[FIRST]),
        still if edges[0] else optical.motion(lights[FIRST], lights[BEFORE]),
        still if edges[1] else optical.motion(lights[SECOND], lights[AFTER]),
    ]


def _classical(
    lights: Sequence[NDArray[np.uint8]], flows: Sequence[NDArray[np.float32]], counts: NDArray[np.bool_], t: np.float32
) -> float:
    """Mean square, in 0 to 1, of what plain classical flow makes of the frame that was left out."""
    to0, to1 = flows_at(Flows(forward=flows[0], backward=flows[1]), float(t))
    first, second = (sampled(lights[place].astype(np.float32), flow) for place, flow in ((FIRST, to0), (SECOND, to1)))
    missed = (first + t * (second - first) - lights[TARGET])[counts]
    return float((missed**2).mean() / 255**2) if missed.size else 0.0


def _place(counts: NDArray[np.bool_], size: int, chance: np.random.Generator) -> tuple[slice, slice] | None:
    for _ in range(TRIES):
        top, left = (int(chance.integers(0, side - size + 1)) for side in counts.shape)
        box = (slice(top, top + size), slice(left, left + size))
        if counts[box].mean() > LEAST_COUNTING:
            return box
    return None
