"""The runner: weights are loaded once, then clips come and results go, in a process of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from echo_gain.concepts import GREY, METHOD, PERCENT
from echo_gain.net import ARCHITECTURE, GreyNet
from echo_gain.prepare import chosen, prepared
from echonode.core.clip import Clip
from echonode.core.eligibility import refusal_of_count, refusal_of_mode
from echonode.core.errors import PackageInvalid
from echonode.core.package import Package
from echonode.core.results import Details, Ineligible, Measurement, Picture, Result
from echonode.core.task import Progress
from echonode.tasks.common.checkpoint import load_weights, shapes_of
from echonode.tasks.common.devices import open_device

DARKEST = 0.01
"""A loop whose mean grey level is below this shows nothing."""


def open_runner(package: Package, device: str, threads: int) -> GainRunner:
    """The runner of a verified package.

    Raises:
        PackageInvalid: it is no package of this task.
        CheckpointRefused: its weights do not fit the network.
    """
    place = open_device(device, threads=threads)
    cv2.setNumThreads(max(1, threads))
    if package.architecture.get("grey") != ARCHITECTURE or "grey" not in package.weights:
        raise PackageInvalid(f"{package.name}: {ARCHITECTURE} is expected as grey")
    network = GreyNet(int(package.config["width"]))
    network.load_state_dict(load_weights(package.weights["grey"], shapes_of(network)))
    return GainRunner(network.eval().requires_grad_(False).to(place), place, package)


class GainRunner:
    """A Runner (echonode.core.task)."""

    def __init__(self, network: GreyNet, device: torch.device, package: Package) -> None:
        self._network, self._device, self._package = network, device, package

    def run(
        self, clips: Sequence[Clip], parameters: Sequence[Mapping[str, Any]], progress: Progress
    ) -> list[tuple[Result, ...]]:
        """For each clip, in order: a Measurement, a Picture and Details, or one Ineligible."""
        given: list[tuple[Result, ...]] = []
        for number, clip in enumerate(clips, start=1):
            given.append(self._of(clip))
            progress(number, len(clips))
        return given

    def _of(self, clip: Clip) -> tuple[Result, ...]:
        contract, config = self._package.input, self._package.config
        refusal = refusal_of_mode(contract, mode=clip.mode) or refusal_of_count(contract, frames=len(clip.frames))
        if refusal is not None:
            return (refusal,)
        frames = chosen(len(clip.frames), int(config["frames"]))
        pictures = prepared(clip.frames[list(frames)], clip.regions, side=int(config["side"]))
        if float(pictures.mean()) < DARKEST:
            return (Ineligible(reason="the loop is black: there is no tissue to be seen", code="dark"),)
        grey, each = self.grey_of(pictures)
        measured = Measurement(
            concept=GREY,
            value=grey,
            unit=PERCENT,
            method=METHOD,
            frames=frames,
            uncertainty=config.get("error_95"),
            uncertainty_basis=str(config.get("error_95_of", "")),
            repeatability=float(np.std(each, ddof=1)) if len(each) > 1 else None,
            count=len(each),
        )
        shown = Picture(pixels=gauge(clip.frames[frames[0]], grey), title="Brightness of the myocardium")
        details = Details(values={"frames": list(frames), "grey": [round(one, 2) for one in each]})
        return (measured, shown, details)

    @torch.inference_mode()
    def grey_of(self, pictures: NDArray[np.float32]) -> tuple[float, list[float]]:
        """The grey level of prepared pictures together, and of each alone, in percent."""
        given = torch.from_numpy(pictures).to(self._device)
        together, each = self._network(given[None]), self._network(given[:, None])
        return 100 * float(together[0]), [100 * float(one) for one in each]


def gauge(frame: NDArray[np.uint8], grey: float) -> NDArray[np.uint8]:
    """The frame in colour with a gauge at its left edge, as high as the grey level says."""
    drawn = np.repeat(frame, 3, axis=2) if frame.shape[2] == 1 else frame.copy()
    height, width = drawn.shape[:2]
    top = round((height - 1) * (1 - min(100.0, max(0.0, grey)) / 100))
    cv2.rectangle(drawn, (0, 0), (width // 40, height - 1), (40, 40, 40), -1)
    cv2.rectangle(drawn, (0, top), (width // 40, height - 1), (230, 180, 40), -1)
    return np.ascontiguousarray(drawn)
