"""The engine that ships with weights: dense inverse search flow, and a small network that sees four frames.

The network says what is expected there (refinement.py), as far as the loop's own frames bear it out; then the picture is
given the sharpness of its loop (texture.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray

from echonode.core.errors import PackageInvalid
from echonode.core.package import Package
from echonode.tasks.common.checkpoint import load_weights
from echonode.tasks.common.devices import open_device
from echonode.tasks.slow_motion.agreement import Agreement, Field, sampled
from echonode.tasks.slow_motion.engine import Flows, Pair, Pixels, Trial, pictures
from echonode.tasks.slow_motion.optical_flow import SMOOTHNESS, OpticalFlow
from echonode.tasks.slow_motion.refinement import ARCHITECTURE, MULTIPLE, Flows4, Refinement
from echonode.tasks.slow_motion.superslomo import precision_of
from echonode.tasks.slow_motion.texture import bounded, gradient_sum, restored

SMALLEST: Final = 2 * MULTIPLE
MOSTLY: Final = 0.95  # of what the network adds: not worth a remark


def open_refined_flow(package: Package, *, device: str, threads: int) -> RefinedFlow:
    """The engine of a package with a refinement network, on `device`.

    Raises:
        PackageInvalid: the network or its sizes are missing or not known.
        CheckpointRefused: the weights do not fit.
    """
    place = open_device(device, threads=threads)
    if package.architecture.get("refinement") != ARCHITECTURE or "refinement" not in package.weights:
        raise PackageInvalid(f"{package.name}: there is no network of architecture {ARCHITECTURE} in the package")
    network = network_of(package.config, name=package.name)
    expected = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    network.load_state_dict(load_weights(package.weights["refinement"], expected))
    return RefinedFlow(
        network.float().eval().requires_grad_(False).to(place).to(memory_format=torch.channels_last),
        optical=OpticalFlow(
            prefilter_sigma=float(package.config.get("prefilter_sigma", 1.5)),
            smoothness=float(package.config.get("smoothness", SMOOTHNESS)),
        ),
        look=Look.of(package.config),
        device=place,
        precision=precision_of(package.config, place),
    )


def network_of(config: Any, *, name: str) -> Refinement:
    """The network of the sizes that a package's [config] states.

    Raises:
        PackageInvalid: a size that is missing or no sensible number.
    """
    sizes = {key: config.get(key) for key in ("width", "deep", "fine", "blocks")}
    for key, value in sizes.items():
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 512:
            raise PackageInvalid(f"{name}: config.{key}: a number from 1 to 512 is expected, not {value!r}")
    return Refinement(**{key: int(value) for key, value in sizes.items()})


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """How much may be added, of what two frames differ by; how much of the fine texture is that of the acquired frames; and
    the gradient energy, of theirs."""

    most_added: float = 0.5
    texture_share: float = 0.5
    gradient_energy: float = 0.91

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Look:
        """The values of a package's [config]."""
        usual = cls()
        return cls(
            most_added=float(config.get("most_added", usual.most_added)),
            texture_share=float(config.get("texture_share", usual.texture_share)),
            gradient_energy=float(config.get("gradient_energy", usual.gradient_energy)),
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Expectation:
    """Flows (H, W, 2) in pixels towards both frames; what is fused by them (H, W) in grey levels, and what to add to that."""

    to0: Field
    to1: Field
    fused: Field
    light: Field


class RefinedFlow:
    """An Engine. `precision` is that of the network; warps and fusion are always float32.

    `share` (0 to 1) of what the network adds is used. Where flows disagree the network has learned what to expect: its
    picture is nearer than a neighbour is, on loops that bear it out.
    """

    def __init__(
        self, network: Refinement, *, optical: OpticalFlow, device: torch.device, look: Look | None = None,
        precision: torch.dtype = torch.float32, share: float = 1.0,
    ) -> None:  # fmt: skip
        self._network = network
        self._optical = optical
        self._look = look or Look()
        self._device = device
        self._precision = precision
        self._share = share

    @property
    def wary(self) -> bool:
        """Whether most of what the network adds is left out: then a neighbour is the better guess where flows disagree."""
        return self._share < 0.5

    @property
    def remarks(self) -> tuple[str, ...]:
        """How much of what the network adds is used, where that is not all of it."""
        if self._share > MOSTLY:
            return ()
        return (f"{self._share:.0%} of what the network adds is used: this loop's own frames bear no more of it out",)

    def suited(self, trials: Iterable[Trial]) -> RefinedFlow:
        """The engine with the share (0 to 1) of what the network adds that comes nearest to known frames of the loop, by
        squared error. All of it where no frame can be asked.
        """
        borne_out, added = 0.0, 0.0
        for trial in trials:
            pair = trial.pair
            (found,) = self.corrections(pair, self.flows(pair), [trial.t])
            first, second = (
                sampled(light.astype(np.float32), flow, sharp=True)
                for light, flow in ((pair.luma0, found.to0), (pair.luma1, found.to1))
            )
            mean, addition = self._addition(found, first, second, trial.t)
            addition, missed = addition[trial.looked_at], (trial.truth - mean)[trial.looked_at]
            borne_out += float(np.dot(addition, missed))
            added += float(np.dot(addition, addition))
        share = float(np.clip(borne_out / added, 0.0, 1.0)) if added > 0 else 1.0
        return RefinedFlow(
            self._network, optical=self._optical, look=self._look, device=self._device, precision=self._precision,
            share=share,
        )  # fmt: skip

    def flows(self, pair: Pair) -> Flows:
        """The motion between the two frames, as classical flow finds it."""
        return self._optical.flows(pair)

    def frames(self, pair: Pair, flows: Flows, trust: Agreement, times: Sequence[float]) -> Iterator[Pixels]:
        """For each time in (0, 1), in order, the picture float32 (H, W, C or 1) on the scale of 0 to 255."""
        energies = [gradient_sum(light.astype(np.float32), pair.open_pixels) for light in (pair.luma0, pair.luma1)]
        shown = pictures(pair)
        for t, found in zip(times, self.corrections(pair, flows, times), strict=True):
            wanted = self._look.gradient_energy * (energies[0] + t * (energies[1] - energies[0]))
            yield self._fused(pair, shown, found, t, wanted)

    def corrections(self, pair: Pair, flows: Flows, times: Sequence[float]) -> Iterator[Expectation]:
        """What the network says at each of the times, before it is made as sharp as the loop."""
        height, width = pair.luma0.shape
        around = [np.zeros_like(flows.forward) if each is None else each for each in self._optical.around(pair)]
        lights = (
            pair.luma0 if pair.before is None else pair.before, pair.luma0, pair.luma1,
            pair.luma1 if pair.after is None else pair.after,
        )  # fmt: skip
        frames = self._tensor(np.stack(lights).astype(np.float32) / np.float32(255))
        known = Flows4(
            forward=self._tensor(flows.forward.transpose(2, 0, 1)),
            backward=self._tensor(flows.backward.transpose(2, 0, 1)),
            before=self._tensor(around[0].transpose(2, 0, 1)),
            after=self._tensor(around[1].transpose(2, 0, 1)),
        )
        accelerations = known.accelerations()
        for t in times:
            moment = torch.tensor([t], dtype=torch.float32, device=self._device)
            with (
                torch.inference_mode(),
                torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._precision == torch.bfloat16),
            ):
                found = self._network(frames, known, moment, accelerations)
            to0, to1, fused, light = (
                np.ascontiguousarray(each[0, :, :height, :width].permute(1, 2, 0).float().cpu().numpy())
                for each in (found.to0, found.to1, 255 * found.fused, 255 * found.light)
            )
            yield Expectation(to0=to0, to1=to1, fused=fused[:, :, 0], light=light[:, :, 0])

    def _fused(self, pair: Pair, shown: tuple[Pixels, Pixels], found: Expectation, t: float, energy: float) -> Pixels:
        """The picture whose luma is what is expected, with the texture of both frames; colours are those of both frames."""
        towards = (found.to0, found.to1)
        first, second = (sampled(each, flow, sharp=True) for each, flow in zip(shown, towards, strict=True))
        grey = first.ndim == 2
        light0, light1 = (each if grey else np.ascontiguousarray(each.mean(axis=2)) for each in (first, second))
        mean, addition = self._addition(found, light0, light1, t)
        light = restored(
            mean + np.float32(self._share) * addition, light0, light1, t,
            share=self._look.texture_share, energy=energy, counts=pair.open_pixels,
        )  # fmt: skip
        if grey:
            return light[:, :, None]
        picture: Pixels = first + np.float32(t) * (second - first)
        picture += (light - picture.mean(axis=2))[:, :, None]
        return picture

    def _addition(self, found: Expectation, light0: Field, light1: Field, t: float) -> tuple[Field, Field]:
        """The mean of both frames at t, and what the network adds to it within its bounds."""
        mean: Field = light0 + np.float32(t) * (light1 - light0)
        return mean, bounded(found.fused + found.light, light0, light1, t, most=self._look.most_added) - mean

    def _tensor(self, planes: NDArray[np.float32]) -> torch.Tensor:
        """Planes (C, H, W) as (1, C, H, W), the border repeated up to a multiple that the network takes."""
        height, width = planes.shape[1:]
        wanted = [max(SMALLEST, -(-size // MULTIPLE) * MULTIPLE) for size in (height, width)]
        tensor = torch.from_numpy(np.ascontiguousarray(planes))[None].to(self._device)
        return functional.pad(tensor, (0, wanted[1] - width, 0, wanted[0] - height), mode="replicate")
