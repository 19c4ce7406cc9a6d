"""Which standard view a loop shows, with how sure the network is; below a threshold it says that it does not know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from echonode.core.clip import Clip, Mode
from echonode.core.codes import PRIVATE_SCHEME, Code
from echonode.core.errors import PackageInvalid
from echonode.core.package import Package
from echonode.core.results import Finding, Ineligible, Result
from echonode.core.task import Progress
from echonode.dicom.colour import colour_share, mode_by_colour
from echonode.tasks.common.checkpoint import load_weights, shapes_of
from echonode.tasks.common.devices import open_device
from echonode.tasks.common.eligibility import refusal_of_mode
from echonode.tasks.common.inputs import counted, positive
from echonode.tasks.common.reading import run_each
from echonode.tasks.view.calibration import Calibration
from echonode.tasks.view.classes import CLASSES, CODES, IMAGE_VIEW, NOT_RECOGNISED
from echonode.tasks.view.net import ARCHITECTURE, ViewNet, build
from echonode.tasks.view.prepare import normalised, prepared
from echonode.tasks.view.scores import UNKNOWN

ROLE: Final = "view"
CONFIG_SIDE, CONFIG_SEEN = "side", "frames"
NO_PICTURE: Final[Mapping[Mode, str]] = {
    Mode.M_MODE: "an M-mode strip",
    Mode.COLOUR_M_MODE: "a colour M-mode strip",
    Mode.PW: "a pulsed-wave Doppler strip",
    Mode.CW: "a continuous-wave Doppler strip",
    Mode.TDI: "a tissue Doppler recording",
    Mode.VOLUME: "a volume",
    Mode.REPORT: "a report page",
}
"""What has no view, whatever a manifest says."""
METHOD: Final = Code("VIEW-CNN", PRIVATE_SCHEME, "View by a convolutional network")


def open_runner(package: Package, device: str, threads: int) -> ViewRunner:
    """The runner of a verified package; weights are loaded here, once.

    Raises:
        PackageInvalid: its config or architecture is none of this task's.
        CheckpointRefused: its weights do not fit the architecture.
    """
    cv2.setNumThreads(max(1, threads))
    place = open_device(device, threads=threads)
    if package.architecture.get(ROLE) != ARCHITECTURE or ROLE not in package.weights:
        raise PackageInvalid(f"{package.name}: {ARCHITECTURE} is expected as {ROLE}")
    if tuple(package.config.get("classes", CLASSES)) != CLASSES:
        raise PackageInvalid(f"{package.name}: config.classes: {', '.join(CLASSES)} are expected, in this order")
    try:
        network = build(**{name: package.config[name] for name in ("widths",) if name in package.config})
        calibration = Calibration(
            temperature=positive(package.config, "temperature", 1.0),
            threshold=positive(package.config, "threshold", 0.6),
        )
    except ValueError as error:
        raise PackageInvalid(f"{package.name}: config: {error}") from error
    network.load_state_dict(load_weights(package.weights[ROLE], shapes_of(network)))
    return ViewRunner(
        network=network.eval().requires_grad_(False).to(place), device=place, calibration=calibration,
        contract=package.input, side=counted(package.config, CONFIG_SIDE, 112, most=512),
        seen=counted(package.config, CONFIG_SEEN, 8, most=64),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What the network gave for one clip: a probability for each class, and the frames it saw, counted from 0.

    `colour` is the largest share of the sector that is coloured in a frame.
    """

    probabilities: Mapping[str, float]
    frames: tuple[int, ...]
    threshold: float
    still: bool
    colour: float = 0.0

    @property
    def likeliest(self) -> str:
        """The class with the highest probability."""
        return max(self.probabilities, key=lambda name: self.probabilities[name])

    @property
    def confidence(self) -> float:
        """Its probability."""
        return self.probabilities[self.likeliest]

    @property
    def view(self) -> str:
        """The class, or `unknown` where the confidence is below the threshold."""
        return self.likeliest if self.confidence >= self.threshold else UNKNOWN

    def results(self) -> tuple[Result, ...]:
        """One Finding: Image View (111031, DCM)."""
        value = NOT_RECOGNISED if self.view == UNKNOWN else CODES[self.view]
        return (
            Finding(concept=IMAGE_VIEW, value=value, confidence=self.confidence, method=METHOD, frames=self.frames),
        )

    def details(self) -> Mapping[str, Any]:
        """View, confidence, threshold, the probability of every class and the share of colour, as JSON values.

        `mode` is what the pixels say, 2d or 2d-colour; not there where they leave it open.
        """
        notes = ["nothing moves in it: judged by one frame"] if self.still else []
        mode = mode_by_colour(self.colour)
        return {
            "view": self.view, "likeliest": self.likeliest, "confidence": round(self.confidence, 4),
            "threshold": self.threshold, "frames": list(self.frames), "notes": notes,
            "probabilities": {name: round(value, 4) for name, value in self.probabilities.items()},
            "colour": round(self.colour, 5), **({} if mode is None else {"mode": str(mode)}),
        }  # fmt: skip


class ViewRunner:
    """A Runner; it takes no parameters. `side` of its pictures, and how many frames of a clip are `seen`."""

    def __init__(
        self, *, network: ViewNet, device: torch.device, calibration: Calibration, contract: Mapping[str, Any],
        side: int, seen: int,
    ) -> None:  # fmt: skip
        self.calibration, self.side, self.seen = calibration, side, seen
        self._network, self._device, self._contract = network, device, contract

    def run(
        self, clips: Sequence[Clip], parameters: Sequence[Mapping[str, Any]], progress: Progress
    ) -> list[tuple[Result, ...]]:
        """A Finding, or one Ineligible, for each clip, in order."""
        return run_each(self, clips, parameters, progress)

    def read(self, clip: Clip, parameters: Mapping[str, Any], progress: Progress) -> Reading | Ineligible:
        """The reading of one clip, or why there is none."""
        if clip.mode in NO_PICTURE:
            return Ineligible(reason=f"it is {NO_PICTURE[clip.mode]}: it shows no view", code="mode")
        refusal = refusal_of_mode(clip, self._contract)
        if refusal is not None:
            return refusal
        found = prepared(clip, count=self.seen, side=self.side)
        if found is None:
            return Ineligible(reason="there is no picture in it: nothing is lit, or it is very small", code="empty")
        logits = self.logits(torch.from_numpy(normalised(found.pictures))[None])[0]
        probabilities = self.calibration.probabilities(logits)
        progress(1, 1)
        return Reading(
            probabilities={name: float(value) for name, value in zip(CLASSES, probabilities, strict=True)},
            frames=found.frames, threshold=self.calibration.threshold, still=len(found.frames) == 1,
            colour=colour_share(clip.frames, clip.regions),
        )  # fmt: skip

    @torch.inference_mode()
    def logits(self, pictures: torch.Tensor) -> NDArray[np.float32]:
        """Logits (N, classes) of normalised pictures (N, F, side, side)."""
        self._network.eval()
        return np.asarray(self._network(pictures.to(self._device)).float().cpu().numpy(), np.float32)
