"""Cavity, myocardium and atrium of the left heart in apical views, frame by frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from echonode.tasks.common.camus import SIDE
from echonode.tasks.common.checkpoint import load_weights, outline, shapes_of
from echonode.tasks.common.devices import open_device
from echonode.tasks.common.eligibility import MILLISECONDS_A_MINUTE, refusal_of_mode
from echonode.tasks.common.inputs import preparation_of
from echonode.tasks.common.reading import run_each
from echonode.tasks.common.uncertainty import Limits, limits_of
from echonode.tasks.segmentation.disks import largest_part
from echonode.tasks.segmentation.echo_unet import EchoUnet
from echonode.tasks.segmentation.net import ARCHITECTURES, CamusUnet, build
from echonode.tasks.segmentation.prepare import (
    Normalisation,
    View,
    clinical_view,
    pixel_area_cm2,
    pixel_spacing_mm,
    published_labels,
    published_picture,
    with_loop,
)
from echonode.tasks.segmentation.reading import Reading
from echonode.tasks.segmentation.ventricle import APICAL, Ventricle, ventricle_of

ROLE: Final = "segmentation"
BATCH: Final = 16
LOOP_FRAMES: Final = 6
SIDES: Final = range(32, 513, 32)
TESTED: Final = tuple(
    f"{method} {what}" for method in ("biplane", "A4C", "A2C") for what in ("EF", "EDV", "ESV", "LA volume")
)
"""What a package's metrics call the quantities that limits are told of."""

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


def open_runner(package: Package, device: str, threads: int) -> SegmentationRunner:
    """The runner of a verified package; weights are loaded here, once.

    Raises:
        PackageInvalid: its config or architecture is none of this task's.
        CheckpointRefused: its weights do not fit the architecture.
    """
    cv2.setNumThreads(max(1, threads))
    place = open_device(device, threads=threads)
    architecture = package.architecture.get(ROLE, "")
    if architecture not in ARCHITECTURES or ROLE not in package.weights:
        raise PackageInvalid(f"{package.name}: {' or '.join(ARCHITECTURES)} is expected as {ROLE}")
    refinement = Refinement.of(package.config)
    channels = 3 if refinement.loop else 1
    network = outline(partial(build, architecture, in_channels=channels, **_widths(package, architecture)))
    network.load_state_dict(load_weights(package.weights[ROLE], shapes_of(network)), assign=True)
    return SegmentationRunner(
        network=network.eval().requires_grad_(False).to(place),
        device=place,
        normalisation=Normalisation.of(package.config),
        contract=package.input,
        preparation=package.preparation,
        refinement=refinement,
        limits={name: limits for name in TESTED if (limits := limits_of(package, name)) is not None},
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Refinement:
    """What is done beyond the published network: the defaults are its own, and do nothing.

    `side` of the square pictures; `smoothing_ms`, over which logits of neighbouring frames are averaged; `smooth`,
    whether logits and not labels are enlarged to the frame; `whole`, whether cavity and atrium are one part each;
    `loop`, whether the network sees mean and deviation of the loop beside each picture.
    """

    side: int = SIDE
    smoothing_ms: float = 0.0
    smooth: bool = False
    whole: bool = False
    loop: bool = False

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Refinement:
        """The values of a package's [config].

        Raises:
            PackageInvalid: a value that is none.
        """
        side, span = config.get("side", SIDE), config.get("smoothing_ms", 0.0)
        flags = {name: config.get(name, False) for name in ("smooth", "whole", "loop")}
        if type(side) is not int or side not in SIDES:
            raise PackageInvalid(f"config.side: a multiple of 32 from 32 to 512 is expected, not {side!r}")
        if wrong := [name for name, flag in flags.items() if type(flag) is not bool]:
            raise PackageInvalid(f"config.{wrong[0]}: true or false is expected, not {flags[wrong[0]]!r}")
        if isinstance(span, bool) or not isinstance(span, int | float) or not 0 <= span <= 200:
            raise PackageInvalid(f"config.smoothing_ms: a number from 0 to 200 is expected, not {span!r}")
        return cls(side=side, smoothing_ms=float(span), **flags)


class SegmentationRunner:
    """A Runner. Parameters: `preparation` (the package's); `frames`, numbers from 0 of those looked at (all)."""

    def __init__(
        self, *, network: CamusUnet | EchoUnet, device: torch.device, normalisation: Normalisation,
        contract: Mapping[str, Any], preparation: str, refinement: Refinement | None = None,
        limits: Mapping[str, Limits] | None = None,
    ) -> None:  # fmt: skip
        self._network = network
        self._device = device
        self._normalisation = normalisation
        self._contract = contract
        self._preparation = preparation
        self._refinement = refinement or Refinement()
        self._limits = dict(limits or {})

    def run(
        self, clips: Sequence[Clip], parameters: Sequence[Mapping[str, Any]], progress: Progress
    ) -> list[tuple[Result, ...]]:
        """A LabelMap with its Measurements and Details, or one Ineligible, for each clip, in order."""
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
        loop = self._loop(clip, view) if self._refinement.loop else None
        for start in range(0, len(frames), BATCH):
            chosen = frames[start : start + BATCH]
            # One more on either side, so that the seams between batches are averaged too.
            first, last = max(0, start - 1), min(len(frames), start + BATCH + 1)
            for offset, logits in enumerate(
                self._logits_at(clip, view, loop, frames[first:last])[start - first :][: len(chosen)]
            ):
                labels[start + offset] = self._on_frame(logits, view, shape)
            progress(start + len(chosen), len(frames))
        pixel = pixel_area_cm2(clip.regions, shape)
        notes = [] if pixel is not None else ["the source tells no size of its pixels: areas are in pixels"]
        found = self._ventricle(clip, labels, frames, None if view is None else view.sector)
        if isinstance(found, str):
            notes.append(found)
        elif found is not None:
            notes.extend(found.notes)
        return Reading(
            labels=labels, frames=tuple(frames), pixel_cm2=pixel, mode=mode, notes=tuple(notes),
            ventricle=found if isinstance(found, Ventricle) else None, view=_view_name(clip),
            limits=self._limits if mode == self._preparation else {},
            no_ventricle=found if isinstance(found, str) else "",
        )  # fmt: skip

    @torch.inference_mode()
    def logits(self, pictures: Bytes) -> Floats:
        """Logits (N, 4, side, side) of square pictures (N, side, side), or (N, side, side, 3) with their loop."""
        found = self._network(self._normalisation.tensor(pictures).to(self._device))
        return np.asarray(found.float().cpu().numpy(), np.float32)

    def _logits_at(self, clip: Clip, view: View | None, loop: Bytes | None, frames: Sequence[int]) -> Floats:
        """Logits of frames that follow one another, averaged with their neighbours in time if wanted."""
        span = self._refinement.smoothing_ms
        pictures = np.stack([self._picture(clip, view, index) for index in frames])
        logits = self.logits(with_loop(pictures, loop) if self._refinement.loop else pictures)
        if span == 0 or not clip.timed or len(frames) == 1:
            return logits
        times, places = clip.times_ms[list(frames)], np.arange(len(frames))
        weights = np.exp(-0.5 * ((times[:, None] - times[None, :]) / span) ** 2)
        weights[np.abs(places[:, None] - places[None, :]) > 1] = 0
        weights /= weights.sum(axis=1, keepdims=True)
        return np.asarray(np.tensordot(weights, logits, axes=(1, 0)), np.float32)

    def _picture(self, clip: Clip, view: View | None, index: int) -> Bytes:
        frame, side = clip.frames[index], self._refinement.side
        return _published(frame, side) if view is None else view.picture(frame, side=side)

    def _loop(self, clip: Clip, view: View | None) -> Bytes | None:
        """A few pictures evenly over a beat, or over the loop where the heart rate is not told; None of a still."""
        if len(clip.frames) < 2:
            return None
        return np.stack([self._picture(clip, view, index) for index in loop_frames(clip)])

    def _on_frame(self, logits: Floats, view: View | None, shape: tuple[int, int]) -> Bytes:
        codes = logits.argmax(axis=0).astype(np.uint8)
        if view is None:
            return published_labels(codes, shape)
        found = view.onto_frame_smoothly(logits) if self._refinement.smooth else view.onto_frame(codes)
        if self._refinement.whole:
            for code in (1, 3):
                found[(found == code) & ~largest_part(found == code)] = 0
        return found

    def _ventricle(
        self, clip: Clip, labels: Bytes, frames: Sequence[int], sector: NDArray[np.bool_] | None
    ) -> Ventricle | str | None:
        """The ventricle, a note why there is none, or None where none is asked: a still, or no apical view."""
        if len(frames) < 2 or not clip.timed or (clip.view is not None and _view_name(clip) is None):
            return None
        spacing = pixel_spacing_mm(clip.regions, labels.shape[1:])
        return ventricle_of(
            labels, frames=frames, times_ms=clip.times_ms[list(frames)], spacing_mm=spacing or (1.0, 1.0),
            calibrated=spacing is not None, heart_rate=clip.heart_rate, sector=sector,
        )  # fmt: skip


def loop_frames(clip: Clip) -> list[int]:
    """The frames that stand for a loop: LOOP_FRAMES over its first beat, more over all of it without a heart rate."""
    times = clip.times_ms - clip.times_ms[0]
    if clip.heart_rate and clip.timed and (beat := MILLISECONDS_A_MINUTE / clip.heart_rate) <= times[-1]:
        wanted = beat * np.arange(LOOP_FRAMES) / LOOP_FRAMES
    else:
        wanted = np.linspace(0, times[-1], min(4 * LOOP_FRAMES, len(times)))
    return [int(np.abs(times - each).argmin()) for each in wanted]


def _view_name(clip: Clip) -> str | None:
    return None if clip.view is None else APICAL.get(clip.view.value)


def _published(frame: Bytes, side: int) -> Bytes:
    """As the authors prepare it; in another size than theirs by nearest pixel again."""
    square = published_picture(frame)
    return (
        square if side == SIDE else np.asarray(cv2.resize(square, (side, side), interpolation=cv2.INTER_NEAREST_EXACT))
    )


def _widths(package: Package, architecture: str) -> dict[str, tuple[int, ...]]:
    """The widths of the levels that a package's [config] tells; the architecture's own when it does not.

    Raises:
        PackageInvalid: they are no list of whole numbers.
    """
    name = ARCHITECTURES[architecture]
    widths = package.config.get(name)
    if widths is None:
        return {}
    sound = isinstance(widths, Sequence) and not isinstance(widths, str) and 2 <= len(widths) <= 10
    if not sound or any(type(width) is not int or not 1 <= width <= 2048 for width in widths):
        raise PackageInvalid(f"{package.name}: config.{name}: 2 to 10 whole numbers are expected")
    return {name: tuple(widths)}


def _frames_of(parameters: Mapping[str, Any], count: int) -> list[int]:
    asked = parameters.get("frames")
    if asked is None:
        return list(range(count))
    sound = isinstance(asked, Sequence) and not isinstance(asked, str) and len(asked) > 0
    if not sound or any(type(index) is not int or not 0 <= index < count for index in asked):
        raise BadInput(f"frames: numbers from 0 to {count - 1} are expected, not {str(asked)[:80]}")
    return sorted(set(asked))
