"""Which loops are slowed down, and why the others are not, in words for the echo lab."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from echonode.core.clip import Clip, Mode
from echonode.core.results import Ineligible
from echonode.tasks.common.sector import Scene, find_scene

MODE_WORDS = {
    Mode.COLOUR: "a colour Doppler loop",
    Mode.M_MODE: "an M-mode strip",
    Mode.COLOUR_M_MODE: "a colour M-mode strip",
    Mode.PW: "a pulsed-wave Doppler strip",
    Mode.CW: "a continuous-wave Doppler strip",
    Mode.TDI: "a tissue Doppler recording",
    Mode.VOLUME: "a volume",
    Mode.REPORT: "a report page",
}
FACTORS = range(2, 17)


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What the manifest allows: its [input] table, and the limits of this task in [config]."""

    modes: tuple[str, ...] = ()
    frames_min: int = 2
    frame_gap_ms_max: float | None = 45.0
    colour: bool = False
    colour_fraction: float = 0.004
    output_bytes_max: int = 16 << 30

    @classmethod
    def of(cls, *, contract: Mapping[str, Any], config: Mapping[str, Any]) -> Limits:
        """The limits of a package's `input` and `config`."""
        gap, usual = contract.get("frame_gap_ms_max"), cls()
        return cls(
            modes=tuple(str(mode) for mode in contract.get("modes") or ()),
            frames_min=max(2, int(contract.get("frames_min") or 2)),
            frame_gap_ms_max=None if gap is None else float(gap),
            colour=bool(contract.get("colour", False)),
            colour_fraction=float(config.get("colour_fraction", usual.colour_fraction)),
            output_bytes_max=int(config.get("output_bytes_max", usual.output_bytes_max)),
        )


def judge(clip: Clip, *, limits: Limits, factor: int) -> Scene | Ineligible:
    """The scene of an eligible clip, or the first reason why it is not; what is cheap to see is looked at first."""
    count, height, width, channels = clip.frames.shape
    if count < 2:
        return Ineligible(reason="it is a still image: there is no motion to slow down", code="still")
    if limits.modes and clip.mode not in limits.modes:
        words = MODE_WORDS.get(clip.mode, f"of mode {clip.mode}")
        return Ineligible(reason=f"it is {words}; only greyscale 2D loops are slowed down", code="mode")
    if count < limits.frames_min:
        return Ineligible(reason=f"it has {count} frames, fewer than {limits.frames_min}", code="frames")
    gaps = np.diff(clip.times_ms)
    longest = int(gaps.argmax())
    if limits.frame_gap_ms_max is not None and gaps[longest] > limits.frame_gap_ms_max + 1e-6:
        return Ineligible(
            reason=f"{gaps[longest]:.1f} ms lie between frames {longest + 1} and {longest + 2}, more than "
            f"{limits.frame_gap_ms_max:g} ms: too little is known of the motion between them",
            code="frame-gap",
        )
    size = ((count - 1) * factor + 1) * height * width * channels
    if size > limits.output_bytes_max:
        return Ineligible(
            reason=f"the slow loop would take {size / 2**30:.1f} GiB, more than {limits.output_bytes_max / 2**30:.1f}",
            code="size",
        )
    scene = find_scene(clip.frames, clip.regions)
    if scene is None:
        return Ineligible(reason="nothing moves in it: all frames show the same picture", code="frozen")
    if not limits.colour and scene.colour_fraction > limits.colour_fraction:
        return Ineligible(
            reason=f"{100 * scene.colour_fraction:.1f} % of the sector is coloured: colour Doppler is not interpolated, "
            "because velocities between two frames are unknown",
            code="colour",
        )
    return scene


def factor_of(parameters: Mapping[str, Any]) -> int | Ineligible:
    """The factor that a run asks for, 4 when it does not say."""
    asked = parameters.get("factor", 4)
    try:
        factor = int(asked)
    except (TypeError, ValueError, OverflowError):
        factor = 0
    if isinstance(asked, bool) or factor not in FACTORS or float(asked) != factor:
        return Ineligible(
            reason=f"the factor must be a whole number from {FACTORS[0]} to {FACTORS[-1]}, not {asked!r}",
            code="parameters",
        )
    return factor
