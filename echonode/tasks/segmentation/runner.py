"""Cavity, myocardium and atrium of the left heart in apical views, frame by frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from echonode.core.clip import Clip
from echonode.core.errors import BadInput, PackageInvalid
from echonode.core.package import Package
from echonode.core.results import Ineligible, Result
from echonode.core.task import Progress
from echonode.tasks.common.checkpoint import load_weights, outline, shapes_of
from echonode.tasks.common.devices import open_device
from echonode.tasks.common.eligibility import refusal_of_mode
from echonode.tasks.common.inputs import preparation_of
from echonode.tasks.common.reading import run_each
from echonode.tasks.segmentation.net import ARCHITECTURE, CamusUnet, build
from echonode.tasks.segmentation.prepare import (
    Normalisation,
    clinical_view,
    pixel_area_cm2,
    published_labels,
    published_picture,
)
from echonode.tasks.segmentation.reading import Reading

ROLE: Final = "segmentation"
BATCH: Final = 16


def open_runner(package: Package, device: str, threads: int) -> SegmentationRunner:
    """The runner of a verified package; weights are loaded here, once.

    Raises:
        PackageInvalid: its config or architecture is none of this task's.
        CheckpointRefused: its weights do not fit the architecture.
    """
    cv2.setNumThreads(max(1, threads))
    place = open_device(device, threads=threads)
    if package.architecture.get(ROLE) != ARCHITECTURE or ROLE not in package.weights:
        raise PackageInvalid(f"{package.name}: {ARCHITECTURE} is expected as {ROLE}")
    network = outline(partial(build, ARCHITECTURE))
    network.load_state_dict(load_weights(package.weights[ROLE], shapes_of(network)), assign=True)
    return SegmentationRunner(
        network=network.eval().requires_grad_(False).to(place),
        device=place,
        normalisation=Normalisation.of(package.config),
        contract=package.input,
        preparation=package.preparation,
    )


class SegmentationRunner:
    """A Runner. Parameters: `preparation` (the package's); `frames`, numbers from 0 of those looked at (all)."""

    def __init__(
        self, *, network: CamusUnet, device: torch.device, normalisation: Normalisation,
        contract: Mapping[str, Any], preparation: str,
    ) -> None:  # fmt: skip
        self._network = network
        self._device = device
        self._normalisation = normalisation
        self._contract = contract
        self._preparation = preparation

    def run(
        self, clips: Sequence[Clip], parameters: Sequence[Mapping[str, Any]], progress: Progress
    ) -> list[tuple[Result, ...]]:
        """A LabelMap with its Measurements, or one Ineligible, for each clip, in order."""
        return run_each(self, clips, parameters, progress)

    def read(self, clip: Clip, parameters: Mapping[str, Any], progress: Progress) -> Reading | Ineligible:
        """The reading of one clip, or why there is none."""
        try:
            mode = preparation_of(parameters, self._preparation)
            frames = _frames_of(parameters, len(clip.frames))
        except BadInput as error:
            return Ineligible(reason=str(error), code="parameters")
        refusal = refusal_of_mode(clip, self._contract)
        if refusal is not None:
            return refusal
        shape = (clip.frames.shape[1], clip.frames.shape[2])
        view = clinical_view(clip) if mode == "clinical" else None
        if mode == "clinical" and view is None:
            return Ineligible(reason="no sector is found in it: nothing moves, or nothing is lit", code="frozen")
        labels = np.zeros((len(frames), *shape), np.uint8)
        for start in range(0, len(frames), BATCH):
            chosen = frames[start : start + BATCH]
            pictures = [
                published_picture(clip.frames[index]) if view is None else view.picture(clip.frames[index])
                for index in chosen
            ]
            for offset, found in enumerate(self.labels(np.stack(pictures))):
                labels[start + offset] = published_labels(found, shape) if view is None else view.onto_frame(found)
            progress(start + len(chosen), len(frames))
        pixel = pixel_area_cm2(clip.regions, shape)
        notes = () if pixel is not None else ("the source tells no size of its pixels: areas are in pixels",)
        return Reading(labels=labels, frames=tuple(frames), pixel_cm2=pixel, mode=mode, notes=notes)

    @torch.inference_mode()
    def labels(self, pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The codes 0 to 3 of square pictures (N, 256, 256)."""
        logits = self._network(self._normalisation.tensor(pictures).to(self._device))
        found: NDArray[np.uint8] = logits.argmax(dim=1).to(torch.uint8).cpu().numpy()
        return found


def _frames_of(parameters: Mapping[str, Any], count: int) -> list[int]:
    asked = parameters.get("frames")
    if asked is None:
        return list(range(count))
    sound = isinstance(asked, Sequence) and not isinstance(asked, str) and len(asked) > 0
    if not sound or any(type(index) is not int or not 0 <= index < count for index in asked):
        raise BadInput(f"frames: numbers from 0 to {count - 1} are expected, not {str(asked)[:80]}")
    return sorted(set(asked))
