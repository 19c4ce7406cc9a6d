"""The engine that ships with weights: dense inverse search flow, corrected by a small network that sees four frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray

from echonode.core.errors import PackageInvalid
from echonode.core.package import Package
from echonode.tasks.common.checkpoint import load_weights
from echonode.tasks.common.devices import open_device
from echonode.tasks.slow_motion.agreement import Agreement, Field
from echonode.tasks.slow_motion.engine import Flows, Pair, Pixels
from echonode.tasks.slow_motion.optical_flow import OpticalFlow
from echonode.tasks.slow_motion.refinement import ARCHITECTURE, MULTIPLE, Flows4, Refinement
from echonode.tasks.slow_motion.superslomo import precision_of

Light = NDArray[np.uint8]
KEPT_FLOWS: Final = 4  # those of a pair and of the one before it
SMALLEST: Final = 2 * MULTIPLE


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
            texture_sigma=float(package.config.get("texture_sigma", 1.5)),
        ),
        device=place,
        precision=precision_of(package.config, place),
    )


def network_of(config: Any, *, name: str) -> Refinement:
    """The network of the sizes that a package's [config] states.

    Raises:
        PackageInvalid: a size that is missing or no sensible number.
    """
    sizes = {key: config.get(key) for key in ("width", "fine")}
    for key, value in sizes.items():
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 512:
            raise PackageInvalid(f"{name}: config.{key}: a number from 1 to 512 is expected, not {value!r}")
    return Refinement(width=int(sizes["width"]), fine=int(sizes["fine"]))


class RefinedFlow:
    """An Engine. Pictures are fused as OpticalFlow does, by corrected flows, and their light is corrected.

    `precision` is that of the network; warps and fusion are always float32.
    """

    def __init__(
        self, network: Refinement, *, optical: OpticalFlow, device: torch.device, precision: torch.dtype = torch.float32
    ) -> None:
        self._network = network
        self._optical = optical
        self._device = device
        self._precision = precision
        self._known: list[tuple[Light, Light, Field]] = []

    def flows(self, pair: Pair) -> Flows:
        """The motion between the two frames, uncorrected."""
        return Flows(forward=self._motion(pair.luma0, pair.luma1), backward=self._motion(pair.luma1, pair.luma0))

    def frames(self, pair: Pair, flows: Flows, trust: Agreement, times: Sequence[float]) -> Iterator[Pixels]:
        """For each time in (0, 1), in order, the picture float32 (H, W, C) on the scale of 0 to 255."""
        height, width = pair.luma0.shape
        still = np.zeros_like(flows.forward)
        around = (
            still if pair.before is None else self._motion(pair.luma0, pair.before),
            still if pair.after is None else self._motion(pair.luma1, pair.after),
        )
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
        picture0, picture1 = pair.frame0.astype(np.float32), pair.frame1.astype(np.float32)
        for t in times:
            moment = torch.tensor([t], dtype=torch.float32, device=self._device)
            with (
                torch.inference_mode(),
                torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._precision == torch.bfloat16),
            ):
                found = self._network(frames, known, moment)
            to0, to1 = (
                np.ascontiguousarray(each[0, :, :height, :width].permute(1, 2, 0).cpu().numpy())
                for each in (found.to0, found.to1)
            )
            picture = self._optical.fused(picture0, picture1, trust, (to0, to1), t)
            picture += 255 * found.light[0, 0, :height, :width, None].cpu().numpy()
            yield picture

    def _tensor(self, planes: NDArray[np.float32]) -> torch.Tensor:
        """Planes (C, H, W) as (1, C, H, W), the border repeated up to a multiple that the network takes."""
        height, width = planes.shape[1:]
        wanted = [max(SMALLEST, -(-size // MULTIPLE) * MULTIPLE) for size in (height, width)]
        tensor = torch.from_numpy(np.ascontiguousarray(planes))[None].to(self._device)
        return functional.pad(tensor, (0, wanted[1] - width, 0, wanted[0] - height), mode="replicate")

    def _motion(self, first: Light, second: Light) -> Field:
        """As the optical engine's; the flows of the pair before are not computed twice."""
        for one, other, field in self._known:
            if one is first and other is second:
                return field
        field = self._optical.motion(first, second)
        self._known = [*self._known, (first, second, field)][-KEPT_FLOWS:]
        return field
