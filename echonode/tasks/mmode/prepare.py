"""From a clip to one grey strip with a scale, as the authors did it (published) or by time and units (clinical)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from echonode.core.clip import Clip, Mode
from echonode.core.results import Ineligible
from echonode.tasks.common.overlays import without
from echonode.tasks.common.sector import TINT_MOST, Tint, coloured, grown
from echonode.tasks.mmode.calibration import Calibration, published_calibration, sound_calibration
from echonode.tasks.mmode.stitching import Stitched, stitched, stitched_exactly
from echonode.tasks.mmode.windows import Grey

Preparation = Literal["published", "clinical"]
PREPARATIONS: Final[tuple[Preparation, ...]] = ("published", "clinical")

PUBLISHED_LUMA: Final = (0.2989, 0.5870, 0.1140)
LUMA: Final = (0.299, 0.587, 0.114)
COLOUR_MOST: Final = 0.05  # of the region; more is colour M-mode, not traces over a grey one
TRACE_EDGE: Final = 2  # pixels; traces have soft edges
TINT_LUMA: Final = 40  # darker pixels have no certain tint
STILL_RANGE: Final = 8  # grey levels that a mark changes by while the time line moves under it
STILL_LUMA: Final = 60
STILL_MOST: Final = 0.3  # of what is bright; when more stands still it is the picture that does
STILL_FRAMES: Final = 4
EMPTY: Final = 2.0  # grey levels; a column without light was never written
LONGEST: Final = 200_000  # columns of a strip
MOST_SAMPLES: Final = 1 << 28  # of all frames' boxes together: 2 GiB while they are stitched


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Strip:
    """`grey` float64 (H, L) from 0 to 255; `valid` bool (L,), False where nothing was recorded; where it came from.

    `places` tells for frames of the clip at which column of the strip their own column 0 of the calibrated box lies.
    """

    grey: Grey
    valid: NDArray[np.bool_]
    calibration: Calibration
    places: tuple[tuple[int, int], ...]
    notes: tuple[str, ...] = ()

    @property
    def duration(self) -> float:
        """Seconds."""
        return float(self.grey.shape[1] * self.calibration.seconds)

    def frame_at(self, column: int) -> int:
        """The first frame of the clip that shows this column of the strip."""
        width = self.calibration.right - self.calibration.left
        return next((frame for frame, place in self.places if place <= column < place + width), self.places[-1][0])


def strip_of(clip: Clip, *, preparation: Preparation) -> Strip | Ineligible:
    """The strip of an M-mode clip, or why there is none."""
    if preparation == "clinical" and clip.mode is not Mode.M_MODE:
        return Ineligible(reason=f"the model takes m-mode; this is {clip.mode}", code="mode")
    count, rows, columns = clip.frames.shape[:3]
    find = published_calibration if preparation == "published" else sound_calibration
    calibration = find(clip.regions, rows=rows, columns=columns)
    if isinstance(calibration, Ineligible):
        return calibration
    samples = count * (calibration.bottom - calibration.top) * (calibration.right - calibration.left)
    if samples > MOST_SAMPLES:
        return Ineligible(reason=f"its {count} frames are too many to be laid side by side", code="size")
    return _published(clip, calibration) if preparation == "published" else _clinical(clip, calibration)


def network_input(window: Grey, *, raw: bool = False) -> NDArray[np.float32]:
    """What QuickNAT sees of a 256 x 256 window: 0 to 1, or, as the authors' inference has it, 0 to 255."""
    return np.asarray(window if raw else window / 255.0, np.float32)


def quality_input(window: Grey) -> NDArray[np.float32]:
    """What CardioNet sees of a 256 x 256 window: -1 to 1."""
    return np.asarray(((window / 255.0) - 0.5) / 0.5, np.float32)


def grey_of(frame: NDArray[np.uint8], *, weights: Sequence[float]) -> Grey:
    """A frame (H, W, 1 | 3) as float64 (H, W); one channel counts as three equal ones."""
    channels = [frame[..., min(channel, frame.shape[2] - 1)].astype(np.float64) for channel in range(3)]
    return weights[0] * channels[0] + weights[1] * channels[1] + weights[2] * channels[2]


def _published(clip: Clip, calibration: Calibration) -> Strip | Ineligible:
    frames = [grey_of(frame[calibration.box], weights=PUBLISHED_LUMA) for frame in clip.frames]
    try:
        found = stitched_exactly(frames)
    except ValueError as error:
        return Ineligible(reason=str(error), code="stitching")
    if found.strip.shape[1] < found.strip.shape[0]:
        return Ineligible(
            reason=f"the strip is {found.strip.shape[1]} columns by {found.strip.shape[0]} rows: the published windows "
            "need one that is longer than it is high",
            code="size",
        )
    return _strip(found, calibration, valid=np.ones(found.strip.shape[1], np.bool_))


def _clinical(clip: Clip, calibration: Calibration) -> Strip | Ineligible:
    cut = [np.ascontiguousarray(frame[calibration.box]) for frame in clip.frames]
    hidden = _hidden(cut)
    if isinstance(hidden, Ineligible):
        return hidden
    frames = [grey_of(without(frame, mask), weights=LUMA) for frame, mask in zip(cut, hidden, strict=True)]
    shifts = np.diff(clip.times_ms) / 1000.0 / calibration.seconds if clip.timed else None
    found = stitched(frames, expected_shifts=None if shifts is None else shifts.tolist())
    if found.strip.shape[1] > LONGEST:
        return Ineligible(reason=f"the strip has {found.strip.shape[1]} columns, more than {LONGEST}", code="size")
    valid = found.strip.mean(axis=0) > EMPTY
    if not valid.any():
        return Ineligible(reason="the M-mode region is empty", code="empty")
    return _strip(found, calibration, valid=valid)


def _strip(found: Stitched, calibration: Calibration, *, valid: NDArray[np.bool_]) -> Strip:
    return Strip(
        grey=np.ascontiguousarray(found.strip),
        valid=valid,
        calibration=calibration,
        places=found.places,
        notes=found.notes,
    )


def _hidden(frames: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.bool_]] | Ineligible:
    """What lies over each frame: coloured traces and text, and marks that stay while the time line moves."""
    still = _still(frames)
    masks = []
    for frame in frames:
        colour = coloured(frame, _tint(frame))
        if colour.mean() > COLOUR_MOST:
            return Ineligible(
                reason=f"{100 * colour.mean():.0f} % of the M-mode region is coloured: colour M-mode is not measured",
                code="colour",
            )
        masks.append(grown(colour, TRACE_EDGE) | still)
    return masks


def _still(frames: Sequence[NDArray[np.uint8]]) -> NDArray[np.bool_]:
    nothing = np.zeros(frames[0].shape[:2], np.bool_)
    if len(frames) < STILL_FRAMES:
        return nothing
    lowest, highest = frames[0].min(axis=2), frames[0].max(axis=2)
    for frame in frames[1:]:
        np.minimum(lowest, frame.min(axis=2), out=lowest)
        np.maximum(highest, frame.max(axis=2), out=highest)
    still = (highest - lowest <= STILL_RANGE) & (lowest > STILL_LUMA)
    return nothing if still.sum() > STILL_MOST * (highest > STILL_LUMA).sum() else grown(still, 1)


def _tint(frame: NDArray[np.uint8]) -> Tint:
    """The colour of the grey map: the median of the pixels that are bright enough to have one."""
    if frame.shape[2] == 1:
        return Tint()
    y, red, blue = cv2.split(cv2.cvtColor(frame, cv2.COLOR_RGB2YCrCb))
    where = y > TINT_LUMA
    if not where.any():
        return Tint()
    light = y[where].astype(np.float64)
    limits = (-TINT_MOST, TINT_MOST)
    return Tint(
        blue=float(np.clip(np.median((blue[where] - 128.0) / light), *limits)),
        red=float(np.clip(np.median((red[where] - 128.0) / light), *limits)),
    )
