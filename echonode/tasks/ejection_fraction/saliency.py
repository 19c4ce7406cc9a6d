"""Which pixels an ejection fraction hangs on: the gradient of the answer, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from echonode.core.errors import BadInput
from echonode.tasks.ejection_fraction.convention import Convention
from echonode.tasks.ejection_fraction.estimator import Estimator
from echonode.tasks.ejection_fraction.held_out import Case

SHOWN: Final = 6
SIDE: Final = 160
BLUR_SHARE: Final = 0.015
BRIGHTEST: Final = 99.5
DARK, LIGHT = 0.75, 0.9
_BLANK = 22


def saliency(estimator: Estimator, clip: torch.Tensor) -> NDArray[np.float32]:
    """The size of the gradient of the ejection fraction with respect to each pixel of a clip (3, T, H, W): (T, H, W).

    Simonyan et al., arXiv 1312.6034: summed over channels. It says what small changes would matter, not why.
    """
    looked_at = clip[None].clone().requires_grad_(True)
    value, _ = estimator.values(looked_at)
    (slope,) = torch.autograd.grad(value.sum(), looked_at)
    size: NDArray[np.float32] = slope[0].sum(dim=0).abs().float().cpu().numpy()
    return size


def saliency_picture(
    path: Path, estimator: Estimator, convention: Convention, cases: Sequence[Case], words: Sequence[str]
) -> Path:
    """Write a PNG with a row a case: evenly chosen frames of its first clip, the gradient laid over them in colour.

    Raises:
        BadInput: it cannot be written.
    """
    rows = []
    for case, text in zip(cases, words, strict=True):
        clip = next(case.preparation.tensors(convention))
        size = saliency(estimator, clip)
        blurred = np.stack([cv2.GaussianBlur(each, (0, 0), max(0.5, BLUR_SHARE * each.shape[1])) for each in size])
        heat = np.clip(blurred / max(float(np.percentile(blurred, BRIGHTEST)), 1e-12), 0, 1)
        frames = np.linspace(0, len(size) - 1, SHOWN).round().astype(int)
        places = case.preparation.clips[0]
        strip = np.concatenate(
            [_laid_over(case.preparation.pictures[max(int(places[n]), 0), :, :, 0], heat[n]) for n in frames], axis=1
        )
        head = np.zeros((_BLANK, strip.shape[1], 3), np.uint8)
        cv2.putText(head, text, (4, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (230, 230, 230), 1, cv2.LINE_AA)
        rows += [head, strip]
    path.parent.mkdir(parents=True, exist_ok=True)
    if not rows or not cv2.imwrite(str(path), np.concatenate(rows)):
        raise BadInput(f"{path}: the saliency cannot be written")
    return path


def _laid_over(picture: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    size = (SIDE, SIDE)
    grey = cv2.cvtColor(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR), cv2.COLOR_GRAY2BGR)
    warm = cv2.resize(heat, size, interpolation=cv2.INTER_LINEAR)
    colour = cv2.applyColorMap((255 * warm).astype(np.uint8), cv2.COLORMAP_INFERNO)
    share = (LIGHT * warm**DARK)[..., None]
    return np.clip((1 - share) * grey + share * colour, 0, 255).astype(np.uint8)
