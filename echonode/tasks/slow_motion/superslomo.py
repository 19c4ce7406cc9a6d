"""The engine with the networks of Super SloMo, used as a clinic needs it.

The sector is padded by reflection instead of resized, the networks look at luma, the fusion works on the picture's own
channels, all times of a pair go through in one batch as far as memory allows, and what does not depend on the time is
computed once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from echonode.core.errors import PackageInvalid
from echonode.core.package import Package
from echonode.tasks.common.checkpoint import load_weights
from echonode.tasks.common.devices import open_device
from echonode.tasks.common.warp import CONVENTIONS, WarpConvention
from echonode.tasks.slow_motion.agreement import Agreement, Field
from echonode.tasks.slow_motion.engine import Flows, Pair, Pixels, Trial
from echonode.tasks.slow_motion.net import MULTIPLE, UNet, build
from echonode.tasks.slow_motion.synthesis import Motion, Synthesis

BORDER: Final = 8  # pixels of reflection at least: legacy warps bleed grey in from the border
FLOATS_A_PIXEL: Final = 400  # what the interpolation network holds at its peak, measured
BATCH_BYTES: Final = 2 << 30
PRECISIONS: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, kw_only=True, slots=True)
class Convention:
    """What a checkpoint was trained with: means of red, green and blue in 0 to 1, and the warp convention."""

    means: tuple[float, float, float]
    warp: WarpConvention

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Convention:
        """The convention that a package's [config] states.

        Raises:
            PackageInvalid: it states none, or one that does not exist.
        """
        means, warp = config.get("means"), config.get("warp_convention")
        numbers = [mean for mean in means if isinstance(mean, int | float)] if isinstance(means, Sequence) else []
        if not isinstance(means, Sequence) or len(means) != 3 or [n for n in numbers if 0 <= n < 1] != list(means):
            raise PackageInvalid(f"config.means: three numbers from 0 to 1 are expected, not {means!r}")
        if warp not in CONVENTIONS:
            raise PackageInvalid(f"config.warp_convention: one of {', '.join(CONVENTIONS)} is expected, not {warp!r}")
        red, green, blue = (float(number) for number in numbers)
        return cls(means=(red, green, blue), warp=cast(WarpConvention, warp))


def open_superslomo(package: Package, *, device: str, threads: int) -> SuperSlomo:
    """The engine of a package with both networks, on `device`.

    Raises:
        PackageInvalid: a network or the convention is missing.
        CheckpointRefused: the weights do not fit.
    """
    place = open_device(device, threads=threads)
    networks = []
    for role in ("flow", "interpolation"):
        if role not in package.weights or role not in package.architecture:
            raise PackageInvalid(f"{package.name}: there is no {role} network in the package")
        try:
            network = build(package.architecture[role], narrow=_narrow(package.config))
        except ValueError as error:
            raise PackageInvalid(f"{package.name}: {error}") from error
        expected = {key: tuple(value.shape) for key, value in network.state_dict().items()}
        network.load_state_dict(load_weights(package.weights[role], expected))
        networks.append(network.eval().requires_grad_(False).to(place).to(memory_format=torch.channels_last))
    batch_bytes = int(package.config.get("batch_bytes", BATCH_BYTES))
    return SuperSlomo(
        networks[0],
        networks[1],
        convention=Convention.of(package.config),
        device=place,
        batch_bytes=batch_bytes,
        precision=precision_of(package.config, place),
    )


def _narrow(config: Mapping[str, Any]) -> int:
    narrow = config.get("narrow", 1)
    if not isinstance(narrow, int) or isinstance(narrow, bool):
        raise PackageInvalid(f"config.narrow: a whole number is expected, not {narrow!r}")
    return narrow


def precision_of(config: Mapping[str, Any], device: torch.device) -> torch.dtype:
    """The networks' precision: config.precision, "float32" unless it says "bfloat16" or "auto".

    "auto" takes bfloat16 where the device has units of its own for it. Pixels are warped in float32 either way;
    bfloat16 moves them by some hundredths of a pixel. It is never the silent choice: the same package would give other
    pixels on another machine.

    Raises:
        PackageInvalid: another word.
    """
    asked = config.get("precision", "float32")
    if asked not in PRECISIONS and asked != "auto":
        raise PackageInvalid(f"config.precision: auto, {' or '.join(PRECISIONS)} is expected, not {asked!r}")
    if asked in PRECISIONS:
        return PRECISIONS[asked]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float32
    has_tiles = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    return torch.bfloat16 if has_tiles() else torch.float32


class SuperSlomo:
    """An Engine. `batch_bytes` bounds the memory that one batch of times may take."""

    wary = True
    remarks: tuple[str, ...] = ()

    def __init__(
        self,
        flow_net: UNet,
        interpolation_net: UNet,
        *,
        convention: Convention,
        device: torch.device,
        batch_bytes: int = BATCH_BYTES,
        precision: torch.dtype = torch.float32,
    ) -> None:
        self._synthesis = Synthesis(
            flow_net,
            interpolation_net,
            convention=convention.warp,
            grey_means=convention.means,
            precision=precision,
        )
        self._centre = sum(convention.means) / 3
        self._device = device
        self._batch_bytes = batch_bytes
        self._motion: tuple[Pair, Motion] | None = None

    def suited(self, trials: Iterable[Trial]) -> Self:
        """Itself: nothing in it is learned from a loop."""
        return self

    @torch.inference_mode()
    def flows(self, pair: Pair) -> Flows:
        """The motion between the two frames."""
        motion = self._motion_of(pair)
        height, width = pair.luma0.shape
        top, left = _before(height), _before(width)

        def field(flow: torch.Tensor) -> Field:
            cut = flow[0, :, top : top + height, left : left + width].permute(1, 2, 0)
            found: Field = np.ascontiguousarray(cut.float().cpu().numpy())
            return found

        return Flows(forward=field(motion.forward), backward=field(motion.backward))

    def frames(self, pair: Pair, flows: Flows, trust: Agreement, times: Sequence[float]) -> Iterator[Pixels]:
        """For each time in (0, 1), in order, the picture float32 (H, W, C) on the scale of 0 to 255."""
        with torch.inference_mode():
            motion = self._motion_of(pair)
        guides = (self._tensor(pair.luma0), self._tensor(pair.luma1))
        pictures = (self._tensor(pair.frame0), self._tensor(pair.frame1))
        height, width = pair.luma0.shape
        top, left = _before(height), _before(width)
        room = guides[0].shape[-2] * guides[0].shape[-1] * FLOATS_A_PIXEL * 4
        batch = max(1, min(len(times), self._batch_bytes // room))
        for start in range(0, len(times), batch):
            with torch.inference_mode():
                found = self._synthesis.between(
                    motion, guides=guides, pictures=pictures, times=times[start : start + batch]
                ).frames
                cut = found[:, :, top : top + height, left : left + width]
                whole = ((cut + self._centre) * 255).permute(0, 2, 3, 1).float().cpu().numpy()
            yield from whole

    def _motion_of(self, pair: Pair) -> Motion:
        if self._motion is None or self._motion[0] is not pair:
            self._motion = (pair, self._synthesis.motion(self._tensor(pair.luma0), self._tensor(pair.luma1)))
        return self._motion[1]

    def _tensor(self, picture: NDArray[np.uint8]) -> torch.Tensor:
        """(1, C, H', W') of a picture (H, W[, C]), reflected to multiples of 32, in 0 to 1 less the mean."""
        height, width = picture.shape[:2]
        top, left = _before(height), _before(width)
        bottom, right = _padded(height) - height - top, _padded(width) - width - left
        padded = cv2.copyMakeBorder(picture, top, bottom, left, right, cv2.BORDER_REFLECT_101)
        deep = padded if padded.ndim == 3 else padded[:, :, None]
        tensor = torch.from_numpy(np.ascontiguousarray(deep.transpose(2, 0, 1))).to(self._device)
        return (tensor.to(torch.float32) / 255 - self._centre).unsqueeze(0)


def _padded(size: int) -> int:
    return -(-(size + 2 * BORDER) // MULTIPLE) * MULTIPLE


def _before(size: int) -> int:
    return (_padded(size) - size) // 2
