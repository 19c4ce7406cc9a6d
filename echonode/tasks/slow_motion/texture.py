"""How a picture that is expected gets the sharpness of the loop it stands in.

Whoever is judged by squared error leaves out what he cannot know, and speckle is mostly that: between two frames of an
echo it changes by more than motion explains. A picture without it looks soft, and a loop in which every fourth frame is
crisp flickers. So some texture of the acquired frames is put back, and the picture is sharpened by one filter until it has
as much gradient energy as they have. That costs decibels, as it must; of all that reach an energy, sharpening what is
expected costs least.

Blau and Michaeli, CVPR 2018, on why the best squared error and the look of the acquired frames cannot be had together.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Luma = NDArray[np.float32]

TEXTURE_SIGMA: Final = 1.5  # pixels; what is finer is texture
SHARPENED_SIGMA: Final = 1.0
BOUND_SIGMA: Final = 2.0
LEAST_ENERGY: Final = np.float32(1e-3)  # grey levels squared
MOST_GAIN: Final = np.float32(3.0)  # of texture where it is weaker than that of the acquired frames
MOST_STRENGTH: Final = 8.0
CLOSE: Final = 0.005  # to the energy that is wanted
CORRECTIONS: Final = 3  # clipping to black takes energy away; the strength is found again this often


def bounded(expected: Luma, first: Luma, second: Luma, t: float, *, most: float) -> Luma:
    """`expected`, but no further from the mean of two acquired pictures at t than `most` times what they differ by there.

    Where both tell the same there is nothing to correct, whatever a network that has not seen such a loop says.
    """
    mean = first + np.float32(t) * (second - first)
    room = np.float32(most) * cv2.GaussianBlur(np.abs(first - second), (0, 0), BOUND_SIGMA)
    found: Luma = mean + np.clip(expected - mean, -room, room)
    return found


def restored(
    expected: Luma, first: Luma, second: Luma, t: float, *, share: float, energy: float, counts: NDArray[np.bool_]
) -> Luma:
    """The picture (H, W) at t in grey levels: `expected`, with a `share` of the texture of the two acquired pictures `first`
    and `second`, which were brought there, and then sharpened until the gradient energy in `counts` is `energy`.
    """
    usual = expected
    if share > 0:
        usual = expected + np.float32(share) * (_texture(first, second, t) - _fine(expected, TEXTURE_SIGMA))
    return sharpened(usual, energy=energy, counts=counts)


def sharpened(picture: Luma, *, energy: float, counts: NDArray[np.bool_]) -> Luma:
    """`picture` with as much of what is finer than a pixel added as gives it the gradient energy in `counts`; as it is when
    it has more."""
    return _strengthened(picture, _fine(picture, SHARPENED_SIGMA), energy, counts)


def _texture(first: Luma, second: Luma, t: float) -> Luma:
    """The fine texture of both pictures at t, made as strong as it is in them: where both tell different things, their mean
    has less of it than either."""
    share = np.float32(t)
    mean = first + share * (second - first)
    fine, gain = raised(first, second, mean, share, sigma=TEXTURE_SIGMA, most=MOST_GAIN)
    found: Luma = fine * gain
    return found


def raised(
    first: Luma, second: Luma, mean: Luma, share: Luma | np.float32, *, sigma: float, most: np.float32
) -> tuple[Luma, Luma]:
    """The texture of `mean` finer than `sigma` pixels, and how much stronger (1 to `most`) it must be to have the energy that
    both pictures have there, of which the second has its `share`."""
    fine0, fine1, fine = (_fine(picture, sigma) for picture in (first, second, mean))
    there0, there1, there = (_energy(texture, sigma) for texture in (fine0, fine1, fine))
    wanted = there0 + share * (there1 - there0)
    return fine, np.clip(np.sqrt((wanted + LEAST_ENERGY) / (there + LEAST_ENERGY)), 1, most)


def gradient_sum(picture: Luma, counts: NDArray[np.bool_]) -> float:
    """Sum of squared central differences inside `counts`, in grey levels a pixel squared."""
    rises = _rises(picture, counts)
    return _dot(rises, rises)


def _strengthened(usual: Luma, added: Luma, energy: float, counts: NDArray[np.bool_]) -> Luma:
    """`usual` with as much of `added` as gives it the energy: the positive root of a square equation, and again for what
    is lost below black."""
    rises, more_rises = _rises(usual, counts), _rises(added, counts)
    own, both, more = _dot(rises, rises), _dot(rises, more_rises), _dot(more_rises, more_rises)
    if more <= 0 or own >= energy:
        return usual
    wanted, picture = energy, usual
    for _ in range(CORRECTIONS):
        root = max(both * both - more * (own - wanted), 0.0)
        strength = float(np.clip((np.sqrt(root) - both) / more, 0.0, MOST_STRENGTH))
        picture = np.clip(usual + np.float32(strength) * added, 0, 255)
        found = gradient_sum(picture, counts)
        if found <= 0 or strength >= MOST_STRENGTH or abs(found / energy - 1) < CLOSE:
            break
        wanted *= energy / found
    return picture


def _rises(picture: Luma, counts: NDArray[np.bool_]) -> tuple[Luma, Luma]:
    """Central differences in `counts`, in both directions, without those outside."""
    across, down = (cv2.Sobel(picture, cv2.CV_32F, 1 - axis, axis, ksize=1, scale=0.5)[counts] for axis in (0, 1))
    return across.astype(np.float32, copy=False), down.astype(np.float32, copy=False)


def _dot(one: tuple[Luma, Luma], other: tuple[Luma, Luma]) -> float:
    return sum(float(np.dot(first, second)) for first, second in zip(one, other, strict=True))


def _fine(picture: Luma, sigma: float) -> Luma:
    found: Luma = picture - cv2.GaussianBlur(picture, (0, 0), sigma)
    return found


def _energy(texture: Luma, sigma: float) -> Luma:
    return cv2.GaussianBlur(texture * texture, (0, 0), 2 * sigma).astype(np.float32, copy=False)
