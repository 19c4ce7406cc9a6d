"""How good a picture between two frames is: PSNR and SSIM inside the sector, and how much structure it has.

All functions take luma in grey levels, float32 (H, W), and a mask: black surroundings would flatter every number.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from echonode.tasks.common.sector import Mask
from echonode.tasks.slow_motion.texture import TEXTURE_SIGMA

Luma = NDArray[np.float32]

RANGE: Final = 255.0
SSIM_SIGMA: Final = 1.5
SSIM_C1, SSIM_C2 = (0.01 * RANGE) ** 2, (0.03 * RANGE) ** 2
LEAST_ERROR: Final = 1e-9


def psnr(found: Luma, truth: Luma, where: Mask) -> float:
    """Peak signal-to-noise ratio in dB inside `where`, for a range of 255."""
    error = float(((found.astype(np.float64) - truth)[where] ** 2).mean())
    return 10 * float(np.log10(RANGE**2 / max(error, LEAST_ERROR)))


def structures(picture: Luma) -> Luma:
    """The picture without what is finer than 1.5 pixels (Gaussian): walls and valves, without the grain of speckle."""
    return cv2.GaussianBlur(picture, (0, 0), TEXTURE_SIGMA).astype(np.float32, copy=False)


def ssim(found: Luma, truth: Luma, where: Mask) -> float:
    """Structural similarity (Wang et al., IEEE TIP 2004: Gaussian window of 1.5 pixels, range 255), mean of `where`."""
    x, y = found.astype(np.float32), truth.astype(np.float32)
    mean_x, mean_y = _local(x), _local(y)
    of_x, of_y = _local(x * x) - mean_x**2, _local(y * y) - mean_y**2
    both = _local(x * y) - mean_x * mean_y
    similar = (2 * mean_x * mean_y + SSIM_C1) * (2 * both + SSIM_C2)
    similar /= (mean_x**2 + mean_y**2 + SSIM_C1) * (of_x + of_y + SSIM_C2)
    return float(similar[where].mean())


def gradient_energy(picture: Luma, where: Mask) -> float:
    """Mean of gx^2 + gy^2 inside `where`, by central differences, in grey levels a pixel squared."""
    light = picture.astype(np.float32)
    gy, gx = np.gradient(light, axis=0), np.gradient(light, axis=1)
    return float((gx[where] ** 2 + gy[where] ** 2).mean())


def sobel_energy(picture: Luma, where: Mask) -> float:
    """As `gradient_energy`, with Sobel's operator, which smooths across the difference and so hears less speckle."""
    light = picture.astype(np.float32)
    gx, gy = cv2.Sobel(light, cv2.CV_32F, 1, 0, scale=1 / 8), cv2.Sobel(light, cv2.CV_32F, 0, 1, scale=1 / 8)
    return float((gx[where] ** 2 + gy[where] ** 2).mean())


def _local(picture: Luma) -> Luma:
    return cv2.GaussianBlur(picture, (11, 11), SSIM_SIGMA).astype(np.float32, copy=False)
