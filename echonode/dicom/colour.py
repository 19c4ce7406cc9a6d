"""Whether colour Doppler is in the pixels: headers do not tell (PS3.3 C.8.5.6.1.1 leaves Image Type value 4 empty often).

Ultrasound Color Data Present does not tell either: it stands on grey loops too. What counts is saturated pixels inside the
sector. A grey map may be tinted (sepia, blue): then chroma grows with luma, the same everywhere, and is no flow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from echonode.core.clip import Clip, Mode, Region, SpatialFormat

FLOW_SHARE: Final = 0.004
"""Share of the sector from which a loop is a colour loop; the flow of one small jet is more."""
GREY_SHARE: Final = 0.001
"""Share below which nothing is coloured; between the two it is left to the header."""
FRAMES: Final = 24  # of a loop, evenly spread: flow comes and goes with the beat
_DISTANCE: Final = 22.0  # from the tint in Cb or Cr; compression stays below
_TINT_MOST: Final = 0.35  # Cb or Cr a unit of luma; the maps of grey pictures stay below
_BRIGHT: Final = 40  # luma from which the chroma of a pixel tells the tint
_LIT: Final = 12
_STEADY: Final = 10  # a bar, a logo, a mark: its luma changes by less
_LONGEST_SIDE: Final = 640

Mask = NDArray[np.bool_]


def colours(clip: Clip) -> bool:
    """Whether the clip's pixels show colour Doppler."""
    return colour_share(clip.frames, clip.regions) >= FLOW_SHARE


def mode_by_colour(share: float) -> Mode | None:
    """What a 2D loop with that share is, greyscale or colour Doppler; None where the pixels leave it open."""
    if share >= FLOW_SHARE:
        return Mode.COLOUR
    return Mode.B_MODE if share < GREY_SHARE else None


def colour_share(frames: NDArray[np.uint8], regions: Sequence[Region] = ()) -> float:
    """The largest share of the sector that is coloured in any frame of (T, H, W, C); 0 for one channel.

    The sector is what changes over the loop, or what is lit in a still, inside the 2D regions where the header has them;
    lines and specks, and colour that stays as it is (scales, logos), do not count.
    """
    if frames.shape[3] != 3 or not len(frames):
        return 0.0
    step = max(1, -(-max(frames.shape[1:3]) // _LONGEST_SIDE))
    chosen = sorted({int(at) for at in np.linspace(0, len(frames) - 1, min(len(frames), FRAMES)).round()})
    pictures = [
        cv2.cvtColor(np.ascontiguousarray(frames[at][::step, ::step]), cv2.COLOR_RGB2YCrCb).astype(np.uint8, copy=False)
        for at in chosen
    ]
    light = np.stack([picture[:, :, 0] for picture in pictures])
    change = light.max(axis=0).astype(np.int16) - light.min(axis=0)
    inside = _inside(regions, frames.shape[1:3])[::step, ::step]
    moving = len(frames) > 1 and bool((change > _STEADY).any())
    shown = (change > _STEADY) if moving else (light.max(axis=0) > _LIT)
    sector = _joined(shown & inside)
    area = int(sector.sum())
    if area == 0:
        return 0.0
    red, blue = _tint(pictures, sector)
    share = 0.0
    chroma = np.stack([picture[:, :, 1:] for picture in pictures]).astype(np.int16)
    alive = (change > _STEADY) | (np.ptp(chroma, axis=0).max(axis=2) > _STEADY) if moving else np.ones_like(sector)
    for picture in pictures:
        luma = picture[:, :, 0].astype(np.float32)
        # A bright pixel cannot be as blue or red as its map would have it: the channels end at 255.
        off_red = np.abs(picture[:, :, 1] - np.float32(128) - np.minimum(red * luma, 0.713 * (255 - luma)))
        off_blue = np.abs(picture[:, :, 2] - np.float32(128) - np.minimum(blue * luma, 0.564 * (255 - luma)))
        flow = (np.maximum(off_red, off_blue) > _DISTANCE) & sector & alive
        solid = cv2.morphologyEx(flow.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        share = max(share, float(np.count_nonzero(solid)) / area)
    return share


def _inside(regions: Sequence[Region], shape: tuple[int, ...]) -> Mask:
    """Pixels of the 2D regions that fit the picture, all where there is none, less those of traces and strips."""
    rows, columns = shape[0], shape[1]
    fitting = [region for region in regions if region.within(rows=rows, columns=columns)]
    pictures = [region for region in fitting if region.spatial_format == SpatialFormat.TWO_D]
    found = np.full((rows, columns), not pictures)
    for region in pictures:
        found[region.y0 : region.y1 + 1, region.x0 : region.x1 + 1] = True
    for region in fitting:
        if region.spatial_format not in (SpatialFormat.TWO_D, SpatialFormat.NONE):
            found[region.y0 : region.y1 + 1, region.x0 : region.x1 + 1] = False
    return found


def _joined(shown: Mask) -> Mask:
    """What is left without specks, its gaps closed."""
    solid = cv2.morphologyEx(shown.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    return cv2.morphologyEx(solid, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8)).astype(np.bool_)


def _tint(pictures: Sequence[NDArray[np.uint8]], sector: Mask) -> tuple[np.float32, np.float32]:
    """Cr - 128 and Cb - 128 a unit of luma of the grey map: the median over what is lit, which flow never is most of."""
    lit = [picture[sector & (picture[:, :, 0] > _BRIGHT)].astype(np.float32) for picture in pictures]
    together = np.concatenate(lit)
    if len(together) == 0:
        return np.float32(0), np.float32(0)
    ratios = (together[:, 1:] - 128) / together[:, :1]
    red, blue = np.median(ratios, axis=0).astype(np.float32)
    return (red, blue) if max(abs(red), abs(blue)) <= _TINT_MOST else (np.float32(0), np.float32(0))
